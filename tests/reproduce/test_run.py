"""How many draws a campaign is asked for."""

from collections.abc import Callable, Sequence

import pytest

from workers.reproduce.arms import Admission
from workers.reproduce.run import Run, Screened


class Asked:
    """Remembers what it was asked for, and measures nothing."""

    def __init__(self) -> None:
        self.draws = 0

    def screen(self, arena: str, losses: Sequence[str], draws: int, tell: Callable[[float], None]) -> Screened:
        self.draws = draws
        return {}


@pytest.mark.parametrize(
    ("seeds", "is_quick", "draws"), [(None, False, 7), (None, True, 3), (5, False, 5), (99, False, 12)]
)
def test_a_campaign_screens_on_as_many_draws_as_it_may_have(
    admission: Admission, seeds: int | None, is_quick: bool, draws: int
) -> None:
    asked = Asked()
    Run(admission, asked, seeds, is_quick).screen("plain:mini", ["lrml"], 7, lambda _: None)
    assert asked.draws == draws

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discovery_service.domain.families import Family
from workers.gate.archives import library_archive
from workers.gate.road import Submission, Verdict, pass_gate
from workers.supervisor.jail import Jail

DATA = Path(__file__).parents[1] / "data"

Judge = Callable[..., Verdict]


def read_lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


@pytest.fixture(scope="session")
def jail(production_jail: Jail) -> Jail:
    return production_jail


@pytest.fixture
def judge(jail: Jail) -> Judge:
    """What the gate says of a source, beside the library."""

    def said(source: str, family: Family = Family.PAIRWISE, **about: Any) -> Verdict:
        return pass_gate(jail, Submission(source, family, **about), library_archive(family))

    return said

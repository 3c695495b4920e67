"""What a trial says follows from its interval, and what it does not say is always said."""

from typing import Any

import pytest

from workers.trying.sentences import tabulate, tell


def interval(mean: float, low: float | None, high: float | None) -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": high, "draws": 3}


def answer(difference: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    setting = {"beta": 0.1, "learning_rate": 1e-5, "steps": 8}
    metrics = {name: interval(0.5, 0.4, 0.6) for name in ("accuracy", "margin", "kl", "length")}
    loss = {"setting": setting, "at_edge": [], "metrics": metrics, "failure": None}
    told = {"loss": "mine", "against": "dpo", "seeds": 3, "prompts": {"reported": 40, "replied_to": 32}}
    losses = [{"name": "mine", **loss}, {"name": "dpo", **loss}]
    return {**told, "losses": losses, "difference": difference, "is_same": False, **changes}


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (interval(0.05, 0.01, 0.09), "+0.050 [+0.010, +0.090]. The interval lies above 0: here mine agrees more often"),
        (interval(-0.05, -0.09, -0.01), "The interval lies below 0: here dpo agrees more often"),
        (interval(0.05, -0.01, 0.11), "The interval holds 0: these rows and seeds do not tell the two apart."),
        (
            interval(0.0, None, None),
            "by +0.000 in accuracy on every prompt with every seed alike: these prompts are too",
        ),
    ],
)
def test_the_sentence_is_that_of_the_interval(difference: dict[str, Any], sentence: str) -> None:
    told = list(tell(answer(difference)))
    assert sentence in told[0]
    assert told[-1].startswith("This is no verdict of a campaign")


def test_one_loss_is_not_compared_with_itself() -> None:
    assert "mine is dpo: their graphs are equal" in next(tell(answer(interval(0.0, None, None), is_same=True)))


def test_a_failure_and_an_end_of_the_grid_are_told() -> None:
    told = answer(None)
    told["losses"][0] |= {"failure": "with seed 2: no number.", "metrics": {}}
    told["losses"][1]["at_edge"] = ["beta", "learning_rate"]
    first, second, *_ = tell(told)
    assert first == "mine failed: with seed 2: no number."
    assert "dpo was best at an end of the betas and the learning rates that were tried" in second
    assert "(--beta and --lr widen the grid for both losses)" in second
    columns, rows = tabulate(told)
    assert columns[3:] == ["accuracy", "margin", "kl", "length"]
    assert (rows[0][3:], rows[1][3]) == ([""] * 4, "0.500 [0.400, 0.600]")

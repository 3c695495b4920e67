"""Steps that nobody waits for: in a thread of their own, one after the other, and none ends it."""

import threading
from uuid import UUID, uuid4

import pytest

from workers import steps


def test_whoever_rings_for_a_step_goes_on_at_once_and_a_step_that_fails_ends_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    campaign_id, finished = uuid4(), [uuid4() for _ in range(3)]
    may_go_on, taken = threading.Event(), list[UUID | None]()

    def take(asked: UUID, evaluation: UUID | None = None) -> None:
        assert asked == campaign_id
        may_go_on.wait(60)
        taken.append(evaluation)
        if len(taken) == 1:
            raise RuntimeError("not even the pause could be written")

    monkeypatch.setattr(steps, "take_step", take)
    for each in finished:
        steps.take_step_soon(campaign_id, each)
    assert not taken
    may_go_on.set()
    steps.get_waiting().join()
    assert taken == finished

import time
import uuid

import pytest

from discovery_service.domain.ids import uuid7


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = uuid7()
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_an_id_starts_with_the_milliseconds_of_its_making(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_123_456_789)
    assert uuid7().int >> 80 == 1_800_000_000_123


def test_ids_sort_by_the_time_of_their_making(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for milliseconds in range(1_800_000_000_000, 1_800_000_000_200):
        monkeypatch.setattr(time, "time_ns", lambda now=milliseconds * 1_000_000: now)
        ids.append(uuid7())
    assert ids == sorted(ids)
    assert [str(made) for made in ids] == sorted(str(made) for made in ids)


def test_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000_000_000)
    assert len({uuid7() for _ in range(1000)}) == 1000

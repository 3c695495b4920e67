"""Private files are private and whole; a data directory has one stack at a time."""

import fcntl
import stat
from pathlib import Path

import pytest

from discovery_service.errors import UsageError
from discovery_service.local import state


def test_the_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    secret = state.get_secret(tmp_path)
    assert secret == state.get_secret(tmp_path)
    # As `$(cat secret)` has it in a shell.
    assert secret == (tmp_path / "secret").read_text().strip()
    assert len(secret) >= 32
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_the_key_file_is_read_back_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    assert state.find_api_access(tmp_path) is None
    access = state.ApiAccess("http://127.0.0.1:8020", "dls_x", "postgresql://discovery_service@/discovery?host=/x")
    state.write_api_access(tmp_path, access)
    assert state.find_api_access(tmp_path) == access
    assert stat.S_IMODE(state.api_access_path(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": "x"}', "3"])
def test_a_key_file_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    state.api_access_path(tmp_path).write_text(content)
    with pytest.raises(UsageError, match=r"api-key\.json is not an API key file"):
        state.find_api_access(tmp_path)


def test_a_second_claim_says_where_the_first_one_runs(tmp_path: Path) -> None:
    with state.claimed(tmp_path) as claim:
        with pytest.raises(UsageError, match="it is just starting"), state.claimed(tmp_path):
            pass
        claim.announce("http://127.0.0.1:8020")
        with pytest.raises(UsageError, match=r"http://127.0.0.1:8020 \(process \d+\)"), state.claimed(tmp_path):
            pass
    with state.claimed(tmp_path):
        pass


def test_a_claim_waits_for_the_guards_of_a_stack_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LEFTOVERS_DEADLINE_S", 0.1)
    with (tmp_path / "guards.lock").open("ab") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="earlier stack still run"), state.claimed(tmp_path):
            pass
    with state.claimed(tmp_path):
        pass

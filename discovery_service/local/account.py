"""The account that PostgreSQL and Redis run as: the caller's own, or `nobody` when root calls."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from discovery_service.errors import UsageError

UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    @property
    def change_to(self) -> str | None:
        """The account a guard has to change to."""
        return None if self.is_ours else self.name


def server_account() -> Account:
    uid = os.geteuid()
    try:
        entry = pwd.getpwnam(UNPRIVILEGED) if uid == 0 else pwd.getpwuid(uid)
    except KeyError as error:
        who = UNPRIVILEGED if uid == 0 else f"user id {uid}"
        raise UsageError(
            f"PostgreSQL cannot be started: {who} has no entry in /etc/passwd. Add one, or use servers that run "
            "already with --database-url and --redis-url."
        ) from error
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def make_directory(path: Path, account: Account) -> None:
    """Make a directory that only the account (and root) can look into."""
    path.mkdir(mode=0o700)
    if not account.is_ours:
        os.chown(path, account.uid, account.gid)


def check_owner(path: Path, account: Account) -> None:
    """Refuse a directory that another account made, for its servers could not work in it."""
    owner = path.stat().st_uid
    if owner != account.uid:
        raise UsageError(
            f"{path} belongs to user id {owner}, but its server would run as {account.name}. "
            "Start as the user who made it, or choose another --data."
        )

"""API keys: made once in the clear, stored as HMAC-SHA256, checked in constant time, revocable."""

import base64
import hmac
import secrets
import zlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from discovery_service.db.tables import ApiKey
from discovery_service.domain.access import Principal, Scope
from discovery_service.errors import NotFound, Unprocessable

TOKEN_PREFIX = "dls_"  # noqa: S105 - what every token starts with
_SECRET_BYTES = 25
# PostgreSQL knows later times than Python can read back.
MIN_EXPIRY, MAX_EXPIRY = datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC)
# Enough to tell a key that is in use from a forgotten one, without a write for every request.
USE_NOTED_EVERY = timedelta(minutes=1)


_IS_VALID = (ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()))


def create_key(
    session: Session, *, name: str, scopes: list[Scope], secret: str, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """The stored key and its token, which nobody can see again."""
    if expires_at is not None and not MIN_EXPIRY <= expires_at <= MAX_EXPIRY:
        raise Unprocessable("expires_at must lie between the years 2000 and 2999.")
    if expires_at is not None and expires_at <= session.scalars(select(func.now())).one():
        raise Unprocessable("expires_at lies in the past; such a key would open nothing.")
    body = base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode().lower()
    token = f"{TOKEN_PREFIX}{body}{_checksum(body)}"
    key = ApiKey(
        name=name,
        digest=_digest(token, secret),
        prefix=token[: len(TOKEN_PREFIX) + 4],
        last_four=token[-4:],
        scopes=[scope.value for scope in dict.fromkeys(scopes)],
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    session.refresh(key)
    return key, token


def find_principal(session: Session, token: str, secret: str) -> Principal | None:
    """Who sends this token; None for a malformed, unknown, expired or revoked one."""
    if not is_well_formed(token):
        return None
    key = session.scalar(select(ApiKey).where(ApiKey.digest == _digest(token, secret), *_IS_VALID))
    if key is None:
        return None
    session.execute(
        update(ApiKey)
        .where(
            ApiKey.id == key.id,
            or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - USE_NOTED_EVERY),
        )
        .values(last_used_at=func.now())
        .execution_options(synchronize_session=False)
    )
    return Principal(key.id, frozenset(key.scopes))


def is_valid_key(session: Session, key_id: UUID) -> bool:
    """Whether the key still opens anything; for who used it long ago."""
    return session.scalar(select(ApiKey.id).where(ApiKey.id == key_id, *_IS_VALID)) is not None


def revoke_key(session: Session, key_id: UUID) -> ApiKey:
    key = session.get(ApiKey, key_id, with_for_update=True)
    if key is None:
        raise NotFound(f"There is no API key {key_id}.")
    if key.revoked_at is None:
        key.revoked_at = func.now()
        session.flush()
        session.refresh(key)
    return key


def is_well_formed(token: str) -> bool:
    """Whether the checksum fits: a mistyped or truncated key is told without a look into the database."""
    body, checksum = token[len(TOKEN_PREFIX) : -7], token[-7:]
    is_shaped = token.startswith(TOKEN_PREFIX) and token.isascii()
    return is_shaped and hmac.compare_digest(_checksum(body), checksum)


def _checksum(body: str) -> str:
    return base64.b32encode(zlib.crc32(body.encode()).to_bytes(4, "big")).decode().lower().rstrip("=")


def _digest(token: str, secret: str) -> bytes:
    return hmac.digest(secret.encode(), token.encode(), "sha256")

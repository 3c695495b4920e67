import hmac
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import ApiKey
from discovery_service.domain.access import Scope
from discovery_service.domain.ids import uuid7
from discovery_service.engine.keys import USE_NOTED_EVERY, create_key, find_principal, is_well_formed, revoke_key
from discovery_service.errors import NotFound

SECRET = "the operator's secret"


@pytest.fixture
def made(sessions: Sessions) -> tuple[ApiKey, str]:
    with sessions.begin() as session:
        return create_key(session, name="mine", scopes=[Scope.CAMPAIGNS_READ], secret=SECRET)


def test_a_key_opens_what_its_scopes_say(sessions: Sessions, made: tuple[ApiKey, str]) -> None:
    key, token = made
    with sessions.begin() as session:
        principal = find_principal(session, token, SECRET)
    assert principal is not None
    assert principal.api_key_id == key.id
    assert principal.may(Scope.CAMPAIGNS_READ)
    assert not principal.may(Scope.CAMPAIGNS_WRITE)


def test_an_admins_key_opens_everything(sessions: Sessions) -> None:
    with sessions.begin() as session:
        _, token = create_key(session, name="root", scopes=[Scope.ADMIN], secret=SECRET)
        principal = find_principal(session, token, SECRET)
    assert principal is not None
    assert all(principal.may(scope) for scope in Scope)


def test_nothing_at_rest_gives_the_token_away(sessions: Sessions, made: tuple[ApiKey, str]) -> None:
    key, token = made
    assert key.digest == hmac.digest(SECRET.encode(), token.encode(), "sha256")
    with sessions() as session:
        stored = json.dumps(session.scalar(text("SELECT to_jsonb(api_key) FROM api_key")))
    body = token.removeprefix("dls_")
    assert not any(body[start : start + 8] in stored for start in range(len(body) - 7))


def test_people_recognise_a_key_by_its_ends(made: tuple[ApiKey, str]) -> None:
    key, token = made
    assert token.startswith(key.prefix)
    assert token.endswith(key.last_four)
    assert len(token) > len(key.prefix) + len(key.last_four) + 30


def test_no_two_tokens_are_alike(sessions: Sessions) -> None:
    with sessions.begin() as session:
        tokens = {create_key(session, name="many", scopes=[], secret=SECRET)[1] for _ in range(20)}
    assert len(tokens) == 20


def test_a_mistyped_token_is_told_without_a_look_into_the_database(made: tuple[ApiKey, str]) -> None:
    _, token = made
    assert is_well_formed(token)
    for place in range(len(token)):
        other = "x" if token[place] != "x" else "y"
        assert not is_well_formed(token[:place] + other + token[place + 1 :])
    assert not is_well_formed(token[:-1])
    assert not is_well_formed(token + "a")
    assert not is_well_formed(token.upper())


@given(st.text(max_size=60))
def test_any_text_can_be_asked_about(token: str) -> None:
    assert not is_well_formed(token)
    assert not is_well_formed("dls_" + token)


def test_a_token_under_another_secret_opens_nothing(sessions: Sessions, made: tuple[ApiKey, str]) -> None:
    with sessions.begin() as session:
        assert find_principal(session, made[1], "another secret") is None


def test_an_unknown_or_malformed_token_opens_nothing(sessions: Sessions, made: tuple[ApiKey, str]) -> None:
    with sessions() as session:
        _, unknown = create_key(session, name="undone", scopes=[], secret=SECRET)
        session.rollback()
        assert is_well_formed(unknown)
        assert find_principal(session, unknown, SECRET) is None
        assert find_principal(session, made[1][:-1], SECRET) is None
        assert find_principal(session, "", SECRET) is None


def test_an_expired_key_opens_nothing(sessions: Sessions) -> None:
    with sessions.begin() as session:
        later = session.scalars(select(func.now())).one() + timedelta(hours=1)
        _, valid = create_key(session, name="a", scopes=[], secret=SECRET, expires_at=later)
        key, expired = create_key(session, name="b", scopes=[], secret=SECRET, expires_at=later)
        session.execute(update(ApiKey).where(ApiKey.id == key.id).values(expires_at=func.now() - timedelta(seconds=1)))
    with sessions.begin() as session:
        assert find_principal(session, valid, SECRET) is not None
        assert find_principal(session, expired, SECRET) is None


def test_a_revoked_key_opens_nothing_any_more(sessions: Sessions, made: tuple[ApiKey, str]) -> None:
    key, token = made
    with sessions.begin() as session:
        first = revoke_key(session, key.id).revoked_at
    with sessions.begin() as session:
        assert find_principal(session, token, SECRET) is None
        assert revoke_key(session, key.id).revoked_at == first is not None


def test_revoking_a_key_that_never_was_is_an_error(sessions: Sessions) -> None:
    with sessions() as session, pytest.raises(NotFound):
        revoke_key(session, uuid7())


def last_use(sessions: Sessions, key: ApiKey, token: str) -> object:
    with sessions.begin() as session:
        assert find_principal(session, token, SECRET) is not None
    with sessions() as session:
        return session.get_one(ApiKey, key.id).last_used_at


def test_use_is_noted_but_not_at_every_request(sessions: Sessions, made: tuple[ApiKey, str]) -> None:
    key, token = made
    assert key.last_used_at is None
    first = last_use(sessions, key, token)
    assert first is not None
    assert last_use(sessions, key, token) == first
    with sessions.begin() as session:
        session.get_one(ApiKey, key.id).last_used_at = func.now() - 2 * USE_NOTED_EVERY
    assert last_use(sessions, key, token) > first

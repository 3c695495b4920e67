"""What routes ask for by type: a unit of work, the principal with a scope, a page, the rate of creation."""

from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import Depends, Request, Response, Security
from fastapi.security import HTTPBearer
from sqlalchemy.orm import Session

from discovery_service.api.state import ApiState, state_of
from discovery_service.domain.access import Principal, Scope
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.errors import Forbidden


def _state(request: Request) -> ApiState:
    return state_of(request)


def _unit(request: Request) -> Iterator[Session]:
    state = state_of(request)
    with unit_of_work(state.sessions, state.bell) as session:
        yield session


State = Annotated[ApiState, Depends(_state)]
# Of the function's scope: committed before the answer leaves, so that a client never reads behind its own write.
Unit = Annotated[Session, Depends(_unit, scope="function")]

_bearer = HTTPBearer(auto_error=False, description="An API key, as `discovery keys create` prints it.")


def holding(scope: Scope) -> Callable[[Request, object], Principal]:
    """A dependency that lets through only keys with the scope. Who it is was found at the door."""

    def check(request: Request, _documented: Annotated[object, Security(_bearer)]) -> Principal:
        principal = request.state.principal
        assert isinstance(principal, Principal)
        demand(principal, scope)
        return principal

    return check


def demand(principal: Principal, scope: Scope) -> None:
    if not principal.may(scope):
        raise Forbidden(f"This needs a key with the scope {scope}.")


Reader = Annotated[Principal, Depends(holding(Scope.CAMPAIGNS_READ))]
Writer = Annotated[Principal, Depends(holding(Scope.CAMPAIGNS_WRITE))]
Proposer = Annotated[Principal, Depends(holding(Scope.CANDIDATES_WRITE))]
Exporter = Annotated[Principal, Depends(holding(Scope.EXPORTS_READ))]
Admin = Annotated[Principal, Depends(holding(Scope.ADMIN))]


def admitted(request: Request, response: Response) -> None:
    """A creating request within its key's rate."""
    response.headers.update(state_of(request).creation_rate.admit(request.state.principal))

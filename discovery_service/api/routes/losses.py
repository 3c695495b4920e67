"""What a loss may ask for, which losses are known, and a dry run through the gate."""

import asyncio
from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request

from discovery_service.api.dependencies import Proposer, Reader, State, admitted
from discovery_service.api.schemas.losses import (
    CheckCreate,
    CheckRead,
    FamilyList,
    FamilyRead,
    InputRead,
    KnownLossList,
    KnownLossRead,
)
from discovery_service.api.schemas.problems import ALWAYS, problems
from discovery_service.api.state import ApiState
from discovery_service.domain.families import Family
from discovery_service.domain.ids import uuid7
from discovery_service.engine.checks import ANSWER_WITHIN, MOST_WAITING, ask_check, find_answer, withdraw_check
from discovery_service.engine.dispatch import unit_of_work
from discovery_service.errors import Unavailable, UnusableFields
from discovery_service.losses.answer import refuse_by_text
from discovery_service.losses.described import list_described
from discovery_service.losses.families import INPUTS
from discovery_service.losses.known import KnownLoss, list_known
from discovery_service.losses.passport import describe_passport
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import check_source, tell_unused

router = APIRouter(prefix="/v1", responses=problems(*ALWAYS))

ANSWER_WITHIN_S = ANSWER_WITHIN.total_seconds()
BUSY_AGAIN_AFTER_S = 5
# The answer comes with NOTIFY; should the listening connection be half-dead, it is found all the same.
LOOK_ANYWAY_S = 1.0


@router.get("/families", tags=["losses"], name="families", response_model=FamilyList)
def families(_: Reader) -> FamilyList:
    """The families, each with the inputs that a loss may ask for by name and the losses that the library holds."""
    return FamilyList(
        data=[
            FamilyRead(
                name=family,
                inputs=[InputRead.model_validate(each, from_attributes=True) for each in inputs],
                library=[known.name for known in list_known(family)],
            )
            for family, inputs in INPUTS.items()
        ]
    )


@router.get("/library", tags=["losses"], name="library", response_model=KnownLossList)
def library(
    _: Reader, family: Annotated[Family, Query(description="Whose losses.")] = Family.PAIRWISE
) -> KnownLossList:
    """The known losses: source, formula, and what the gate found out about each."""
    return KnownLossList(data=[_read(known) for known in list_known(family)])


def _read(known: KnownLoss) -> KnownLossRead:
    described = list_described(known.family)[known.name]
    return KnownLossRead.model_validate(
        {
            **vars(known),
            "source": known.text,
            "formula": described.formula,
            "graph_sha256": described.graph_sha256,
            "passport": described.passport,
            "sentences": describe_passport(described.passport),
            "neighbours": described.neighbours,
        }
    )


@router.post(
    "/candidates:check",
    tags=["candidates"],
    name="check",
    response_model=CheckRead,
    responses=problems(408, 413, 429, 503),
    dependencies=[Depends(admitted)],
)
async def check(body: CheckCreate, request: Request, state: State, _: Proposer) -> CheckRead:
    """Send a source through the gate without a campaign; nothing of it is kept for longer than an hour."""
    refused = await to_thread.run_sync(_refuse_by_its_text, body)
    if refused is not None:
        return refused
    check_id = uuid7()
    with state.listener.subscription(check_id) as news:
        await to_thread.run_sync(_ask, state, check_id, body)
        # Others are let in while this one waits for a worker.
        request.state.leave_place()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await _wait(state, check_id, news)
        except TimeoutError as error:
            await to_thread.run_sync(_withdraw, state, check_id, limiter=state.stream_threads)
            told = f"No gate worker answered within {ANSWER_WITHIN_S:.0f} s. Start one, or try again."
            raise Unavailable(told) from error


def _refuse_by_its_text(body: CheckCreate) -> CheckRead | None:
    """What the static check refuses needs no worker."""
    try:
        checked = check_source(body.source, body.family, values=body.hyperparameters)
    except Refused as refused:
        return CheckRead.model_validate(refuse_by_text(refused.refusals).document())
    unused = tell_unused([checked], body.hyperparameters)
    if unused is not None:
        raise UnusableFields({"body.hyperparameters": unused})
    return None


def _ask(state: ApiState, check_id: UUID, body: CheckCreate) -> None:
    if not state.bell.is_heard():
        raise Unavailable("The broker (Redis) does not answer, so that no gate worker can be asked. Try again later.")
    with unit_of_work(state.sessions, state.bell) as session:
        if not ask_check(session, check_id, family=body.family, source=body.source, values=body.hyperparameters):
            raise Unavailable(
                f"{MOST_WAITING} checks wait for the gate already. Try again in {BUSY_AGAIN_AFTER_S} s.",
                headers={"Retry-After": str(BUSY_AGAIN_AFTER_S)},
            )


def _withdraw(state: ApiState, check_id: UUID) -> None:
    with state.stream_sessions.begin() as session:
        withdraw_check(session, check_id)


async def _wait(state: ApiState, check_id: UUID, news: asyncio.Event) -> CheckRead:
    while True:
        news.clear()
        answer = await to_thread.run_sync(_look, state, check_id, limiter=state.stream_threads)
        if answer is not None:
            return answer
        try:
            async with asyncio.timeout(LOOK_ANYWAY_S):
                await news.wait()
        except TimeoutError:
            continue


def _look(state: ApiState, check_id: UUID) -> CheckRead | None:
    with state.stream_sessions() as session:
        answer = find_answer(session, check_id)
        return None if answer is None else CheckRead.model_validate(answer)

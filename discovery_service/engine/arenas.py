"""Arenas as rows: an operator's are registered, a built-in one's row is written when something first refers to it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from discovery_service.db.queries import find_operators_arena, list_operators_arenas
from discovery_service.db.tables import Arena, Campaign, Evaluation
from discovery_service.domain.arenas import arena_names, find_arena, find_document, hash_document
from discovery_service.domain.campaign import CampaignSpec, tell_arenas, tell_arenas_of
from discovery_service.domain.described_arenas import pinned_name
from discovery_service.domain.families import Family
from discovery_service.domain.published import find_calibration
from discovery_service.errors import Conflict, NotFound, Unprocessable, UnusableFields


def add_arena(session: Session, document: dict[str, Any]) -> tuple[Arena, bool]:
    """The row of this very arena, and whether it is new. One that changed under its name is another row beside it."""
    name, content = document["name"], hash_document(document)
    values = {"name": name, "content_sha256": content, "family": document["family"], "spec": document}
    made = session.scalar(insert(Arena).values(**values).on_conflict_do_nothing().returning(Arena.id))
    row = session.scalars(select(Arena).where(Arena.name == name, Arena.content_sha256 == content)).one()
    return row, made is not None


def register_arena(session: Session, document: dict[str, Any]) -> tuple[Arena, bool]:
    """As `add_arena`; and from now on its name means this version, even where others came after it."""
    row, is_new = add_arena(session, document)
    session.execute(update(Arena).where(Arena.id == row.id).values(registered_at=func.now()))
    return row, is_new


def get_arena_of(session: Session, campaign_id: UUID, name: str) -> Arena:
    """Of a campaign's spec: that very version where one is named, as two of a name are two arenas; else the one in
    which it has begun, whatever a later version of the package calls so."""
    if "@" in name:
        return get_arena(session, name)
    begun = select(Evaluation.arena_id).where(Evaluation.campaign_id == campaign_id)
    query = select(Arena).where(Arena.name == name, Arena.id.in_(begun)).order_by(Arena.created_at)
    return session.scalars(query.limit(1)).first() or get_arena(session, name)


def find_search_arena(session: Session, campaign: Campaign) -> Arena:
    return get_arena_of(session, campaign.id, campaign.spec["arena"])


def choose_arena(spec: Mapping[str, Any], name: str | None) -> str:
    """As the campaign's spec has it: that of the search unless one of the held-out ones is named."""
    # An operator's arena stands in the spec with its version, which nobody needs to say again.
    every = [str(each) for each in (spec["arena"], *spec["held_out_arenas"])]
    arenas = {each.partition("@")[0]: each for each in every}
    short = {each.partition(":")[0]: each for each in reversed(every)}
    if name is None:
        return str(spec["arena"])
    if name not in {*short, *arenas, *every}:
        raise UnusableFields({"arena": f"is none of this campaign; it has {', '.join(arenas)}"})
    return arenas.get(name) or short.get(name, name)


def list_arenas_of(session: Session, campaign_id: UUID, spec: CampaignSpec) -> list[Arena]:
    """The one of the search first."""
    return [get_arena_of(session, campaign_id, name) for name in (spec.arena, *spec.held_out_arenas)]


def get_arena(session: Session, name: str) -> Arena:
    """The row that an arena's name means now."""
    document = find_document(name)
    if document is not None:
        built_in = add_arena(session, document)[0]
        refresh_calibration(built_in)
        return built_in
    row = find_operators_arena(session, name)
    if row is None:
        raise NotFound(f"There is no arena {name}: it {tell_arenas(_names(session))}.")
    return row


def refresh_calibration(arena: Arena) -> None:
    """Of a built-in one whose row has none yet: the package's of its content.

    Figures that are there stay: two versions of a fleet would overwrite each other's at every look.
    """
    if arena.calibration is None:
        arena.calibration = find_calibration(arena.content_sha256)


def keep_calibration(session: Session, name: str, content_sha256: str, calibration: dict[str, Any]) -> Arena:
    """Of an operator's arena. NotFound where there is none of that name, Conflict where it is none of that content."""
    if find_document(name) is not None:
        raise Conflict(f"{name} is built in: its figures come with the package.")
    named = find_operators_arena(session, name)
    if named is None:
        raise NotFound(f"There is no arena {name}: it {tell_arenas(_names(session))}.")
    is_of_version = "@" not in name or named.content_sha256 == content_sha256
    query = select(Arena).where(Arena.name == name.partition("@")[0], Arena.content_sha256 == content_sha256)
    row = session.scalar(query.with_for_update()) if is_of_version else None
    if row is None:
        raise Conflict(f"No version of {name} has the content {content_sha256}: calibrate the one that is registered.")
    row.calibration = calibration
    return row


def pin_arenas(session: Session, spec: CampaignSpec) -> CampaignSpec:
    """The spec with each operator's arena as `NAME@VERSION`, so that a campaign stays in what it began with.

    UnusableFields where one is unknown, of another family or named twice.
    """
    held_out = {f"held_out_arenas.{place}": name for place, name in enumerate(spec.held_out_arenas)}
    pinned, wrong = [], {}
    for field, name in {"arena": spec.arena, **held_out}.items():
        try:
            pinned.append(_pin(session, spec.family, name))
        except Unprocessable as error:
            wrong[f"body.spec.{field}"] = error.detail
    if not wrong and len(set(pinned)) < len(pinned):
        wrong["body.spec.held_out_arenas"] = "names an arena twice; a held-out one must be fresh"
    if wrong:
        raise UnusableFields(wrong)
    return spec.model_copy(update={"arena": pinned[0], "held_out_arenas": pinned[1:]})


def _pin(session: Session, family: Family, name: str) -> str:
    if find_arena(name) is not None:  # whose family the spec has looked at
        return name
    row = find_operators_arena(session, name)
    if row is None:
        raise Unprocessable(tell_arenas(_names(session)))
    if row.family != family:
        raise Unprocessable(tell_arenas_of(family, name, _names(session, family)))
    return pinned_name(row.name, row.content_sha256)


def _names(session: Session, family: Family | None = None) -> list[str]:
    return [*arena_names(family), *(each.name for each in list_operators_arenas(session, family))]

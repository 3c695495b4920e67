"""Rows of searches that nobody ran, written where they are read: candidates with three screen draws each."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES
from discovery_service.domain.measuring import Setting, hash_key
from discovery_service.engine.arenas import get_arena
from discovery_service.engine.campaigns import create_campaign

ARENA = "panel:mini"
SETTING = Setting(1.0, 1.5e-3, 120)
DRAWS, FINALISTS = 3, 3
ROUND_SIZE = 20


@dataclass(frozen=True)
class Searches:
    """So many, each of so many candidates, among them the library's in its first round."""

    name: str
    campaigns: int
    candidates: int


def write(session: Session, searches: Searches) -> list[UUID]:
    """Their ids. What is proposed is as good as chance has it, the same at every run; DPO is first in each library."""
    arena = get_arena(session, ARENA)
    library = list(KNOWN_LOSSES[Family.PAIRWISE][:ROUND_SIZE])
    spec = CampaignSpec(arena=ARENA, library=library)
    model = create_campaign(session, name=searches.name, notes="", spec=spec, created_by=None)
    session.flush()
    values = {
        "search": searches.name,
        "campaigns": searches.campaigns,
        "candidates": searches.candidates,
        "model": model.id,
        "arena": arena.id,
        "content": arena.content_sha256,
        "size": ROUND_SIZE,
        "draws": DRAWS,
        "finalists": FINALISTS,
        "library": library,
        "beta": SETTING.beta,
        "rate": SETTING.learning_rate,
        "steps": SETTING.steps,
        "setting_sha256": hash_key(SETTING.document()),
    }
    for statement in _STATEMENTS:
        session.execute(text(statement), values)
    return list(session.scalars(text("SELECT id FROM campaign WHERE name LIKE :search || ' %' ORDER BY name"), values))


_SETTING = "jsonb_build_object('beta', :beta, 'learning_rate', :rate, 'steps', :steps)"
_EACH_CAMPAIGN = "generate_series(0, :campaigns - 1) AS c"
_EACH_ROUND = f"{_EACH_CAMPAIGN}, generate_series(0, (:candidates - 1) / :size) AS r"
_EACH_LOSS = f"{_EACH_CAMPAIGN}, generate_series(0, :candidates - 1) AS i"
_EACH_DRAW = f"{_EACH_LOSS}, generate_series(0, :draws - 1) AS d"


def _id(kind: str, *numbers: str) -> str:
    """The same row has the same id in every table that refers to it, and they are in no order, which is the worst case
    for an index."""
    return "md5(concat_ws(' ', " + ", ".join((f"CAST(:search AS text), '{kind}'", *numbers)) + "))::uuid"


_DRAW = "jsonb_build_object('purpose', 'screen', 'key', d::text, 'salt', '', 'repeat', 0)"
_KEY = (
    f"jsonb_build_object('graph', {_id('candidate', 'c', 'i')}::text, 'arena', CAST(:content AS text),"
    f" 'base_policy', 0, 'setting', {_SETTING}, 'draw', {_DRAW})"
)

_LACKS = "(i = :candidates - 1 AND d = :draws - 1)"
"""The last draw of the last loss is what is measured next."""
_STATEMENTS = (
    "SELECT setseed(0.5)",
    f"""INSERT INTO campaign (id, name, spec, status)
        SELECT {_id("campaign", "c")}, concat(CAST(:search AS text), ' ', c), spec, 'completed'
        FROM campaign, {_EACH_CAMPAIGN} WHERE campaign.id = :model""",
    f"INSERT INTO campaign_progress (campaign_id) SELECT {_id('campaign', 'c')} FROM {_EACH_CAMPAIGN}",
    f"""INSERT INTO round (id, campaign_id, number, status, stopped_slots, closed_at)
        SELECT {_id("round", "c", "r")}, {_id("campaign", "c")}, r, 'closed', '[]', now() FROM {_EACH_ROUND}""",
    f"""INSERT INTO proposal (id, round_id, slot, proposer, status, request)
        SELECT {_id("proposal", "c", "i")}, {_id("round", "c", "i / :size")}, i % :size,
               CASE WHEN i < :size THEN 'library' ELSE 'symbolic' END, 'answered',
               jsonb_build_object('settings', jsonb_build_object(CAST(:content AS text), jsonb_build_array({_SETTING})))
        FROM {_EACH_LOSS}""",
    f"""INSERT INTO candidate (id, campaign_id, proposal_id, turn, name, author, status, source, source_sha256,
                               passport, graph_sha256)
        SELECT {_id("candidate", "c", "i")}, {_id("campaign", "c")}, {_id("proposal", "c", "i")}, 0,
               CASE WHEN i < :size THEN (CAST(:library AS text[]))[i + 1] ELSE concat('loss_', i) END,
               CASE WHEN i < :size THEN 'library' ELSE 'symbolic' END, 'accepted', 'def loss(): ...', '',
               '{{"uses": {{"beta": true}}}}', {_id("candidate", "c", "i")}::text
        FROM {_EACH_LOSS}""",
    f"""INSERT INTO measurement (id, key_sha256, key, graph_sha256, arena_id, metrics, series, device_seconds)
        SELECT {_id("measurement", "c", "i", "d")}, {_id("measurement", "c", "i", "d")}::text, {_KEY},
               {_id("candidate", "c", "i")}::text, :arena, jsonb_build_object('J', 1 + random() / 10, 'reward', 2,
               'kl', 1), '{{}}', 1.3
        FROM {_EACH_DRAW}""",
    f"""INSERT INTO evaluation (id, campaign_id, candidate_id, arena_id, base_policy, setting, setting_sha256, purpose,
                                draw, status, measurement_id, device_seconds)
        SELECT {_id("evaluation", "c", "i", "d")}, {_id("campaign", "c")}, {_id("candidate", "c", "i")}, :arena, 0,
               {_SETTING}, :setting_sha256, 'screen', d::text, CASE WHEN {_LACKS} THEN 'cancelled' ELSE 'succeeded' END,
               CASE WHEN NOT {_LACKS} THEN {_id("measurement", "c", "i", "d")} END, 1.3
        FROM {_EACH_DRAW}""",
    # What nobody looks at again is derived only when its search is looked at; how it ranks is all that counts here.
    f"""INSERT INTO standing (candidate_id, arena_id, stage, campaign_id, setting, draws, difference, lower, upper,
                              figures)
        SELECT {_id("candidate", "c", "i")}, :arena, 'screen', {_id("campaign", "c")}, {_SETTING}, :draws,
               CASE WHEN i > 0 THEN s END, CASE WHEN i > 0 THEN s - .1 END, CASE WHEN i > 0 THEN s + .1 END, '{{}}'
        FROM (SELECT c, i, random() - .5 AS s FROM {_EACH_LOSS}) AS drawn""",
    f"""INSERT INTO standing (candidate_id, arena_id, stage, campaign_id, setting, draws, difference, lower, upper,
                              verdict, figures)
        SELECT {_id("candidate", "c", "i")}, :arena, 'confirm', {_id("campaign", "c")}, {_SETTING}, 12, s, s - .1,
               s + .1, 'not distinguishable from', '{{}}'
        FROM (SELECT c, i, random() / 10 AS s
              FROM {_EACH_CAMPAIGN}, generate_series(:candidates - :finalists, :candidates - 1) AS i) AS drawn""",
)

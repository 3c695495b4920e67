"""Real replies of language models, in many formats, right and wrong: each is accepted, or refused for its reason."""

from typing import Any

import pytest

from discovery_service.domain.families import Family
from discovery_service.prompts.parse import Reply, ReplyFailure, parse_reply
from tests.gate.conftest import Judge, read_lines
from workers.gate.road import Verdict
from workers.llm.recordings import Recording, list_recordings

REFUSED = {
    "r015": "branch_on_tensor",
    "r018": "truncated",
    "r029": "no_code",
    "r032": "forbidden_import",
    "r040": "scalar_result",
    "a07": "branch_on_batch_size",
}
"""Of the 43; all the others are right."""
TWINS = {"r013": "nca_pair", "r014": "apo_zero", "r030": "dpo", "r053": "robust_dpo", "b01": "modpo"}
RECORDED = list_recordings()


def judge_reply(judge: Judge, reply: dict[str, Any]) -> Verdict | ReplyFailure:
    parsed = parse_reply(reply["reply"])
    if isinstance(parsed, ReplyFailure):
        return parsed
    assert isinstance(parsed, Reply)
    family = Family(reply.get("family", "pairwise"))
    return judge(parsed.code, family, name=parsed.name or None, values=parsed.values)


@pytest.mark.parametrize("reply", read_lines("llm_replies.jsonl"), ids=lambda reply: reply["id"])
def test_a_reply_is_accepted_or_refused_for_its_reason(judge: Judge, reply: dict[str, Any]) -> None:
    said = judge_reply(judge, reply)
    if isinstance(said, ReplyFailure):
        assert said.code == REFUSED[reply["id"]]
        return
    code = said.refusals[0].code.value if said.refusals else None
    assert code == REFUSED.get(reply["id"]), said.refusals
    assert (said.twin.name if said.twin else None) == TWINS.get(reply["id"])


@pytest.mark.parametrize("recording", RECORDED, ids=lambda each: f"{each.arena}-{each.round}-{each.slot}")
def test_a_recorded_reply_is_accepted_unless_it_is_no_json(judge: Judge, recording: Recording) -> None:
    said = judge_reply(judge, {"reply": recording.reply})
    if (recording.arena, recording.round, recording.slot) == ("panel", 4, 3):
        assert isinstance(said, ReplyFailure)
        assert said.code == "invalid_json"
        return
    assert isinstance(said, Verdict)
    assert said.is_accepted, said.refusals
    # The one that smooths labels by .05 is DPO in disguise; one that drops an annotator's rows is not.
    assert (said.twin is not None) == (recording.name == "robust_dpo")


def test_the_tables_name_replies_that_there_are() -> None:
    ids = {reply["id"] for reply in read_lines("llm_replies.jsonl")}
    assert REFUSED.keys() | TWINS.keys() <= ids
    assert len(ids) == 43
    assert len(RECORDED) == 36

"""Real and realistic replies, one row each: what becomes of it when it is read and statically checked."""

import pytest

from discovery_service.domain.families import Family
from discovery_service.losses.refusals import RefusalCode
from discovery_service.prompts.parse import FailureCode, ReplyFailure, parse_reply
from tests.losses.sources import check, codes, rows
from workers.llm.recordings import list_recordings

PASSES = "passes the static check"

# For those that pass and are wrong all the same, what a later stage says stands behind the row.
TABLE = {
    "r001": PASSES,
    "r003": PASSES,
    "r013": PASSES,
    "r014": PASSES,
    "r015": PASSES,  # The compiler: branch_on_tensor.
    "r017": PASSES,
    "r018": FailureCode.TRUNCATED,
    "r019": PASSES,
    "r020": PASSES,
    "r021": PASSES,
    "r022": PASSES,
    "r026": PASSES,
    "r028": PASSES,
    "r029": FailureCode.NO_CODE,
    "r030": PASSES,
    "r031": PASSES,
    "r032": {RefusalCode.FORBIDDEN_IMPORT},
    "r033": PASSES,
    "r036": PASSES,
    "r040": PASSES,  # The graph's check: scalar_result.
    "r042": PASSES,
    "r043": PASSES,
    "r044": PASSES,
    "r046": PASSES,
    "r047": PASSES,
    "r048": PASSES,
    "r050": PASSES,
    "r051": PASSES,
    "r052": PASSES,
    "r053": PASSES,
    "r055": PASSES,
    "r058": PASSES,
    "r059": PASSES,
    "a01": PASSES,
    "a02": PASSES,
    "a04": PASSES,
    "a05": PASSES,
    "a07": {RefusalCode.BRANCH_ON_BATCH_SIZE, RefusalCode.TENSOR_TO_NUMBER},
    "b01": PASSES,
    "b03": PASSES,
    "b04": PASSES,
    "b06": PASSES,
    "b07": PASSES,
}
REPLIES = {row["id"]: row for row in rows("llm_replies.jsonl")}


def test_every_reply_has_its_row() -> None:
    assert list(TABLE) == list(REPLIES)


@pytest.mark.parametrize("id_", REPLIES)
def test_a_reply_is_accepted_or_refused_for_the_right_reason(id_: str) -> None:
    row, expected = REPLIES[id_], TABLE[id_]
    family = Family(row["family"])
    reply = parse_reply(row["reply"])
    if isinstance(reply, ReplyFailure):
        assert reply.code is expected
        return
    found = codes(reply.code, family, name=reply.name, values=reply.values)
    assert (found or PASSES) == expected
    if not found:
        checked = check(reply.code, family, name=reply.name, values=reply.values)
        assert checked.entry.startswith(reply.name)
        assert check(checked.text, family) == checked


def test_of_two_options_the_first_counts() -> None:
    reply = parse_reply(REPLIES["r052"]["reply"])
    assert not isinstance(reply, ReplyFailure)
    assert check(reply.code).entry == "gumbel_link_loss"
    assert len(reply.notes) == 1


def test_of_the_recorded_replies_all_pass_but_the_one_that_is_invalid_json() -> None:
    failed = {}
    for recording in list_recordings():
        reply = parse_reply(recording.reply)
        if isinstance(reply, ReplyFailure):
            failed[recording.name] = reply.code
        else:
            assert reply.name == check(reply.code, name=reply.name).entry == recording.name
    assert failed == {"only_zero_smooth_hinge": FailureCode.INVALID_JSON}


def test_the_reasons_for_unreadable_replies_are_those_of_refusals() -> None:
    assert {code.value for code in FailureCode} <= {code.value for code in RefusalCode}

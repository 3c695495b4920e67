from typing import Any

import pytest
from pydantic import ValidationError

from discovery_service.domain.arenas import hash_document
from discovery_service.domain.user_arenas import EXAMPLE, Contents, UserArena, counted_metric, make_document

SHA = "0" * 64
SMALLEST = {"name": "support", "model_name_or_path": "m", "data": "d.jsonl", "max_steps": 10, "counts": "accuracy"}


def read(**changes: Any) -> UserArena:
    return UserArena.model_validate(SMALLEST | changes)


def refusals(**changes: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        read(**changes)
    return {".".join(str(part) for part in error["loc"]): error["msg"] for error in caught.value.errors()}


def document(**changes: Any) -> dict[str, Any]:
    return make_document(read(**changes), Contents(models_sha256=[SHA], data_sha256=SHA))


def test_the_example_can_be_used() -> None:
    arena = UserArena.model_validate(EXAMPLE)
    assert UserArena.model_validate(arena.model_dump(mode="json")) == arena


def test_one_model_may_be_a_text() -> None:
    assert read().model_name_or_path == ["m"]


def test_a_function_is_a_scorer_by_its_name_alone() -> None:
    scorer = read(evaluation={"scorer": "my_package.scoring:nice"}).evaluation.scorer
    assert scorer is not None
    assert scorer.model_dump() == {"kind": "function", "function": "my_package.scoring:nice"}


@pytest.mark.parametrize("function", ["nice", "my package:nice", "a.b:", "a..b:c", "a:b:c", "a:b()"])
def test_what_is_no_place_of_a_function_is_refused(function: str) -> None:
    assert "MODULE:FUNCTION" in refusals(evaluation={"scorer": function})["evaluation.scorer.function.function"]


def test_an_unknown_kind_of_scorer_is_answered_with_those_there_are() -> None:
    assert "'length'" in refusals(evaluation={"scorer": {"kind": "judge"}})["evaluation.scorer"]


@pytest.mark.parametrize("pattern", ["(", "x{99999999999}", "(" * 490 + ")" * 490])
def test_a_pattern_that_cannot_be_compiled_is_refused_whatever_python_says(pattern: str) -> None:
    scorer = {"kind": "regex", "pattern": pattern}
    assert "is no regular expression" in refusals(evaluation={"scorer": scorer})["evaluation.scorer.regex.pattern"]


@pytest.mark.parametrize("field", ["lora_r", "lora_alpha", "lora_target_modules"])
def test_what_belongs_to_lora_is_not_ignored_without_it(field: str) -> None:
    told = refusals(**{field: "all-linear" if field.endswith("modules") else 4})
    assert f"{field} but not `use_peft: true`" in told[""]


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        (["all-linear"], "all-linear"),
        ("all-linear", "all-linear"),
        (["q_proj"], ["q_proj"]),
        (".*q_proj", ".*q_proj"),
        (["all-linear", "q_proj"], ["all-linear", "q_proj"]),
    ],
)
def test_the_word_for_every_linear_layer_may_stand_in_a_list(given: Any, read_as: Any) -> None:
    lora = document(use_peft=True, lora_target_modules=given)["lora"]
    assert lora["target_modules"] == read_as


@pytest.mark.parametrize("counts", ["score", "J"])
def test_what_counts_a_score_needs_a_scorer(counts: str) -> None:
    assert "evaluation.scorer" in refusals(counts=counts)[""]
    assert read(counts=counts, evaluation={"scorer": {"kind": "length", "words": 3}}).counts == counts


@pytest.mark.parametrize(
    ("changes", "path", "says"),
    [
        ({"name": "plain"}, "name", "built-in"),
        ({"name": "a:b"}, "name", "pattern"),
        ({"family": "crowd"}, "family", "pairwise"),
        ({"per_device_train_batch_size": 1}, "per_device_train_batch_size", "greater than or equal to 2"),
        ({"lr_scheduler": "cosine"}, "lr_scheduler", "lr_scheduler_type"),
        ({"evaluation": {"held_out": 0.9}}, "evaluation.held_out", "0.5"),
        ({"counts": "loss"}, "counts", "accuracy"),
        ({"learning_rate": "1e-5"}, "learning_rate", "number"),
        ({"lr_scheduler_type": "constant", "warmup_steps": 3}, "", "warmup_steps, which lr_scheduler_type constant"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(changes: dict[str, Any], path: str, says: str) -> None:
    assert says in refusals(**changes)[path]


def test_an_arena_of_other_files_or_of_another_training_is_another_arena() -> None:
    other_data = make_document(read(), Contents(models_sha256=[SHA], data_sha256="1" * 64))
    other_model = make_document(read(), Contents(models_sha256=["1" * 64], data_sha256=SHA))
    trained_otherwise = document(warmup_steps=3)
    hashes = {hash_document(each) for each in (document(), other_data, other_model, trained_otherwise)}
    assert len(hashes) == 4
    assert hash_document(document()) in hashes


def test_contents_of_another_arena_are_refused() -> None:
    with pytest.raises(ValueError, match="each model"):
        make_document(read(model_name_or_path=["m", "n"]), Contents(models_sha256=[SHA], data_sha256=SHA))
    with pytest.raises(ValueError, match="scorer"):
        make_document(read(), Contents(models_sha256=[SHA], data_sha256=SHA, scorer_sha256=SHA))


def test_the_document_names_what_counts() -> None:
    assert counted_metric(document()) == "accuracy"
    assert counted_metric({}) == "J"

"""The table of operators says what torch says, and holds nothing that a graph must not do."""

import pytest
import torch

from discovery_service.losses.operator_table import ROWS
from discovery_service.losses.operators import OPERATORS, SIZE_OPERATORS, SYNONYMS, TEXTS, Kind, Operator
from tests.losses.operator_schemas import row_name, schema_row

TABLE = [row for row in ROWS.splitlines() if row and not row.startswith("#")]
FORBIDDEN_TAGS = {torch.Tag.nondeterministic_seeded, torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


def _overload(name: str) -> torch._ops.OpOverload:
    _, packet, overload = name.split(".")
    found: torch._ops.OpOverload = getattr(getattr(torch.ops.aten, packet), overload)
    return found


@pytest.mark.parametrize("row", TABLE, ids=row_name)
def test_a_row_is_torchs_schema(row: str) -> None:
    assert row == schema_row(row_name(row))


def test_each_operator_stands_in_the_table_once() -> None:
    assert len(OPERATORS) == len(TABLE)


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_a_pure_function_of_its_arguments(name: str) -> None:
    overload = _overload(name)
    assert not overload._schema.is_mutable
    assert FORBIDDEN_TAGS.isdisjoint(overload.tags)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_the_number_of_results_is_torchs(operator: Operator) -> None:
    returns = [str(each.type) for each in _overload(operator.name)._schema.returns]
    assert operator.outputs == (None if returns == ["List[Tensor]"] else len(returns))


def test_what_a_dtype_is_asked_of_is_no_integer() -> None:
    # torch shows such an argument as int where one does not ask for its real type, and crashes when it is given one.
    shown_as_integers = {
        (name, argument.name)
        for name in OPERATORS
        for argument in _overload(name)._schema.arguments
        if "ScalarType" in str(argument.real_type)
    }
    kinds = {
        (each.name, parameter.name): parameter.kind for each in OPERATORS.values() for parameter in each.parameters
    }
    assert len(shown_as_integers) > 10
    assert {kinds[place] for place in shown_as_integers} == {Kind.DTYPE}


@pytest.mark.parametrize(
    "packet", ["rand_like", "randn_like", "dropout", "bernoulli", "normal", "multinomial", "empty"]
)
def test_random_and_uninitialised_values_cannot_be_had(packet: str) -> None:
    assert packet not in {each.packet for each in OPERATORS.values()}


@pytest.mark.parametrize(
    "packet", ["as_strided", "from_file", "set_", "item", "nonzero", "index", "embedding", "binary_cross_entropy"]
)
def test_what_reaches_behind_a_tensor_or_asserts_on_the_device_is_left_out(packet: str) -> None:
    assert packet not in {each.packet for each in OPERATORS.values()}


@pytest.mark.parametrize(("synonym", "meant"), [pair for pair in SYNONYMS.items() if pair[1] not in SIZE_OPERATORS])
def test_a_synonym_takes_the_same_and_gives_the_same(synonym: str, meant: str) -> None:
    assert synonym not in OPERATORS
    ours, theirs = _overload(meant)._schema, _overload(synonym)._schema
    assert [str(each.real_type) for each in theirs.arguments] == [str(each.real_type) for each in ours.arguments]
    assert [each.name for each in theirs.arguments if each.kwarg_only] == [
        each.name for each in ours.arguments if each.kwarg_only
    ]
    tensors = [torch.tensor([[1.5, -2.0]]), torch.tensor([[0.5, -2.0]])]
    given = _sample(theirs, [each > 0 for each in tensors] if "__" in synonym else tensors)
    named = {"rounding_mode": "floor"} if synonym.endswith("_mode") else {}
    assert torch.equal(_overload(synonym)(*given, **named), _overload(meant)(*given, **named))


def _sample(schema: torch.FunctionSchema, tensors: list[torch.Tensor]) -> list[object]:
    left = iter(tensors)
    samples: dict[str, object] = {"number": 2, "int": 0, "Optional[number]": 1.0, "List[Tensor]": tensors}
    kinds = [str(each.real_type) for each in schema.arguments if not each.kwarg_only]
    return [samples[kind] if kind in samples else next(left, None) for kind in kinds]


def test_every_word_an_operator_may_be_given_is_listed() -> None:
    texts = {
        parameter.name for each in OPERATORS.values() for parameter in each.parameters if parameter.kind is Kind.TEXT
    }
    assert texts == {*TEXTS, "equation"}

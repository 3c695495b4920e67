"""What would end a process or a device's context is clamped, and what is in range is left alone."""

import pytest
import torch

from discovery_service.losses.refusals import RefusalCode
from tests.losses.graphs import PAIR, GraphMaker, Value
from tests.runtime.inputs import make_inputs
from tests.runtime.programs import make_document, make_program, refusal_of, total


@pytest.mark.parametrize(
    ("operation", "size"),
    [("aten.gather.default", None), ("aten.index_select.default", None)],
    ids=["gather", "select"],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_an_index_out_of_range_is_the_nearest_in_range(operation: str, size: None, by_name: bool) -> None:
    constant = {"dtype": "int64", "shape": [2], "data": [-7, 999_999]}
    maker = GraphMaker(PAIR, constants=[constant])
    z, index = maker.leaf(PAIR[0]), maker.constant(0)
    taken = maker.node(operation, z, dim=0, index=index) if by_name else maker.node(operation, z, -1, index)
    ends = [maker.node("aten.select.int", taken, 0, end) for end in (0, 1)]
    given = make_inputs("pairwise", 5)
    result = make_program(maker.returning(z * 0 + ends[0] + ends[1] * 1000))(given)
    first, last = given[PAIR[0]][0], given[PAIR[0]][-1]
    torch.testing.assert_close(result, (first + last * 1000).expand(5))


def test_an_index_into_nothing_is_refused() -> None:
    def take(maker: GraphMaker, z: Value) -> Value:
        nothing = maker.node("aten.slice.Tensor", z, 0, 0, 0)
        return z + total(
            maker, maker.node("aten.index_select.default", nothing, 0, maker.node("aten.argsort.default", z))
        )

    assert (
        refusal_of(lambda: make_program(make_document(take))(make_inputs("pairwise", 5))) is RefusalCode.WRONG_ARGUMENT
    )


@pytest.mark.parametrize(("probability", "meant"), [(7.0, 1.0), (-3.0, 0.0), ({"f": "nan"}, 0.0), (0.25, 0.25)])
def test_a_probability_out_of_range_is_the_nearest_in_range(probability: object, meant: float) -> None:
    maker = GraphMaker(PAIR, constants=[{"dtype": "float32", "shape": [], "data": [probability]}])
    z = maker.leaf(PAIR[0])
    document = maker.returning(z * 0 + maker.node("aten.quantile.default", z, maker.constant(0)))
    given = make_inputs("pairwise", 5)
    torch.testing.assert_close(make_program(document)(given), torch.quantile(given[PAIR[0]], meant).expand(5))


@pytest.mark.parametrize(("dtype", "smallest"), [("int64", -(1 << 63)), ("int32", -(1 << 31))])
def test_the_quotient_of_the_smallest_integer_and_minus_one_is_no_trap(dtype: str, smallest: int) -> None:
    # torch 2.13 divides such integers with one instruction, which x86 answers with SIGFPE.
    constants = [{"dtype": dtype, "shape": [], "data": [smallest // (1 << 20)]}]
    maker = GraphMaker((*PAIR, "annotator"), constants=constants)
    least = maker.node("aten.mul.Tensor", maker.constant(0), 1 << 20)
    minus_one = maker.node("aten.to.dtype", maker.leaf("annotator"), {"t": dtype})
    quotients = [
        maker.node("aten.div.Tensor_mode", least, minus_one, rounding_mode="trunc"),
        maker.node(
            "aten.div.Scalar_mode", maker.node("aten.add.Tensor", least, minus_one * 0), -1, rounding_mode="trunc"
        ),
        maker.node("aten.div.Tensor_mode", least, minus_one, rounding_mode="floor"),
        maker.node("aten.floor_divide.default", least, minus_one),
        maker.node("aten.remainder.Tensor", least, minus_one),
        maker.node("aten.fmod.Tensor", least, minus_one),
    ]
    loss = maker.leaf(PAIR[0])
    for each in quotients:
        loss = loss + each
    given = make_inputs("pairwise", 20) | {"annotator": torch.full((20,), -1)}
    assert torch.isfinite(make_program(maker.returning(loss))(given)).all()


def test_integer_division_by_zero_is_the_graphs_fault() -> None:
    maker = GraphMaker((*PAIR, "annotator"))
    quotient = maker.node("aten.floor_divide.default", maker.leaf("annotator"), maker.leaf("annotator") + 1)
    program = make_program(maker.returning(maker.leaf(PAIR[0]) + quotient))
    assert program.check_shapes() == 1
    given = make_inputs("pairwise", 3) | {"annotator": torch.full((3,), -1)}
    assert refusal_of(lambda: program(given)) is RefusalCode.WRONG_ARGUMENT

"""What cannot be trained with is refused on the meta device, and no run takes more than its bounds."""

from collections.abc import Callable

import pytest

from discovery_service.losses.refusals import RefusalCode
from tests.losses.graphs import GraphMaker, Value, kto_pair
from tests.runtime.inputs import make_inputs
from tests.runtime.programs import full, make_document, make_program, outer, refusal_of, total


def _outer_sum(maker: GraphMaker, size: int) -> Value:
    return total(maker, outer(maker, full(maker, [size])))


def _add_many(maker: GraphMaker, z: Value) -> Value:
    large = full(maker, [1 << 10, 1 << 10])
    for _ in range(20):
        large = large + 1
    return z * total(maker, large)


SHAPES: dict[str, tuple[Callable[[GraphMaker, Value], Value], RefusalCode]] = {
    "a scalar": ((lambda m, z: m.node("aten.mean.default", z)), RefusalCode.SCALAR_RESULT),
    "three losses a row": ((lambda m, z: m.node("aten.cat.default", [z, z, z])), RefusalCode.WRONG_SHAPE),
    "a matrix": (outer, RefusalCode.WRONG_SHAPE),
    "a fixed number": ((lambda m, z: m.node("aten.slice.Tensor", z, 0, 0, 2)), RefusalCode.WRONG_SHAPE),
    "truth values": ((lambda m, z: z > 0), RefusalCode.WRONG_DTYPE),
    "half precision": (
        (lambda m, z: m.node("aten.to.dtype", z, {"t": "float16"})),
        RefusalCode.WRONG_DTYPE,
    ),
    "no gradient": ((lambda m, z: m.node("aten.detach.default", z)), RefusalCode.NOT_DIFFERENTIABLE),
    "under no_grad": (
        (lambda m, z: m.node("aten.neg.default", z, ng=True)),
        RefusalCode.NOT_DIFFERENTIABLE,
    ),
    "an operation without derivative": (
        (lambda m, z: z + m.node("aten.heaviside.default", z, z)),
        RefusalCode.NOT_DIFFERENTIABLE,
    ),
    "a backward pass that wants one dtype": (
        (lambda m, z: m.node("aten.huber_loss.default", z, m.node("aten.to.dtype", z, {"t": "float64"}), 0)),
        RefusalCode.NOT_DIFFERENTIABLE,
    ),
    "the wrong rank": ((lambda m, z: m.node("aten.mm.default", z, z)), RefusalCode.WRONG_ARGUMENT),
    "a size that fits one batch": (
        (lambda m, z: z + m.node("aten.full.default", [7], 1.0)),
        RefusalCode.WRONG_ARGUMENT,
    ),
    "a dimension out of range": ((lambda m, z: z * m.node("sym_size", z, 5)), RefusalCode.WRONG_ARGUMENT),
    "a division of sizes by zero": (
        (lambda m, z: z * m.node("sym_floordiv", 1, 0)),
        RefusalCode.WRONG_ARGUMENT,
    ),
    "a size that explodes": (
        (lambda m, z: z * m.node("sym_mul", m.node("sym_mul", 1 << 30, 1 << 30), 2)),
        RefusalCode.TOO_MUCH_MEMORY,
    ),
    "a part that is not there": (
        (lambda m, z: m.node("aten.chunk.default", z, 2)[9] + z),
        RefusalCode.WRONG_ARGUMENT,
    ),
    "a target of another shape": (
        (lambda m, z: z + m.node("aten.binary_cross_entropy_with_logits.default", total(m, z), z)),
        RefusalCode.WRONG_ARGUMENT,
    ),
    "five dimensions": (
        (lambda m, z: z + m.node("aten.sum.default", m.node("aten.view.default", z, [1, 1, 1, 1, -1]))),
        RefusalCode.WRONG_SHAPE,
    ),
    "a factory's terabytes": (
        (lambda m, z: z * total(m, full(m, [1 << 20, 1 << 20]))),
        RefusalCode.TOO_MUCH_MEMORY,
    ),
    "a line of a million": (
        (lambda m, z: z * total(m, m.node("aten.linspace.default", 0, 1, (1 << 20))) + _outer_sum(m, 1100)),
        RefusalCode.TOO_MUCH_MEMORY,
    ),
    "a range in tiny steps": (
        (lambda m, z: z * total(m, m.node("aten.arange.start_step", 0, 1, 1e-9))),
        RefusalCode.TOO_MUCH_MEMORY,
    ),
    "an expansion": (
        (lambda m, z: z * total(m, m.node("aten.expand.default", m.node("aten.mean.default", z), [1000] * 3))),
        RefusalCode.TOO_MUCH_MEMORY,
    ),
    "many large ones": ((lambda m, z: _add_many(m, z)), RefusalCode.TOO_MUCH_MEMORY),
    "a broadcast inside a reduction": (
        (lambda m, z: z + m.node("aten.mse_loss.default", full(m, [2048, 1]), full(m, [1, 2048]))),
        RefusalCode.TOO_MUCH_MEMORY,
    ),
    "a million parts": (
        (lambda m, z: z * m.node("aten.split.Tensor", full(m, [1 << 20]), 1)[0]),
        RefusalCode.TOO_MUCH_MEMORY,
    ),
    "a million pieces": (
        (lambda m, z: z * m.node("aten.unbind.int", full(m, [1 << 20]))[0]),
        RefusalCode.TOO_MUCH_MEMORY,
    ),
    "a million chunks": (
        (lambda m, z: z * m.node("aten.chunk.default", full(m, [1 << 20]), 1 << 20)[0]),
        RefusalCode.TOO_MUCH_MEMORY,
    ),
}


@pytest.mark.parametrize(("make", "code"), SHAPES.values(), ids=SHAPES)
def test_what_cannot_be_trained_with_is_refused(make: Callable[[GraphMaker, Value], Value], code: RefusalCode) -> None:
    assert refusal_of(lambda: make_program(make_document(make)).check_shapes()) is code


@pytest.mark.parametrize("name", [name for name, (_, code) in SHAPES.items() if code is RefusalCode.TOO_MUCH_MEMORY])
def test_a_run_without_the_check_is_bounded_as_well(name: str) -> None:
    given = make_inputs("pairwise", 4096 if name == "many large ones" else 3)
    document = make_document(SHAPES[name][0])
    if name in ("many large ones", "a broadcast inside a reduction", "a line of a million"):
        # In bounds in use, which are wider than in the check.
        make_program(document)(given)
    else:
        assert refusal_of(lambda: make_program(document)(given)) is RefusalCode.TOO_MUCH_MEMORY


def test_a_graph_that_explodes_at_another_size_than_the_checked_is_refused_before_it_runs() -> None:
    def explode(maker: GraphMaker, z: Value) -> Value:
        # (B - 2)(B - 3)(B - 7)(B - 64) is 0 at each of the sizes that are checked.
        rows, product = maker.node("sym_size", z, 0), maker.node("sym_add", 0, 1)
        for known in (2, 3, 7, 64):
            product = maker.node("sym_mul", product, maker.node("sym_sub", rows, known))
        length = maker.node("sym_max", product, maker.node("sym_neg", product))
        return z + total(maker, full(maker, [length, 1 << 20]))

    program = make_program(make_document(explode))
    assert program.check_shapes() == 1
    program(make_inputs("pairwise", 7))
    assert refusal_of(lambda: program(make_inputs("pairwise", 5))) is RefusalCode.TOO_MUCH_MEMORY


def test_another_form_at_another_size_is_refused() -> None:
    def shorten(maker: GraphMaker, z: Value) -> Value:
        return maker.node("aten.slice.Tensor", z, 0, 0, 64)

    program = make_program(make_document(shorten))
    assert program.check_shapes() == 1
    assert refusal_of(lambda: program(make_inputs("pairwise", 65))) is RefusalCode.WRONG_SHAPE


def test_the_sizes_of_a_training_can_be_checked_too() -> None:
    matrix = make_document(lambda m, z: z + total(m, outer(m, z)))
    assert make_program(matrix).check_shapes((1024,)) == 1
    assert refusal_of(lambda: make_program(matrix).check_shapes((1025,))) is RefusalCode.TOO_MUCH_MEMORY


def test_two_losses_a_row_are_two_at_every_size() -> None:
    assert make_program(kto_pair()).check_shapes((2, 5, 1000)) == 2

"""What a card says of itself is told from what an operation says of a graph."""

import pytest
import torch

from discovery_service.losses.refusals import RefusalCode
from tests.runtime.inputs import make_inputs
from tests.runtime.programs import make_document, make_program, refusal_of
from workers.runtime.faults import is_of_device
from workers.runtime.graph import BINDINGS

CUBLAS = "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb, m, n, k)`"
NO_KERNEL = "\"histogram_cuda\" not implemented for 'Half'"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError(CUBLAS), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_MAPPING_ERROR"), True),
        (RuntimeError("cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnCreate(handle)`"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (torch.AcceleratorError("it fell off the bus"), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError(NO_KERNEL), False),
        (RuntimeError("cumsum_cuda_kernel does not have a deterministic implementation"), False),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (ValueError("CUDA error"), False),
    ],
)
def test_an_error_of_the_card_is_known_by_its_words(error: Exception, expected: bool) -> None:
    assert is_of_device(error) is expected


def test_a_graph_is_refused_for_what_it_does_and_never_for_a_card_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    document, given = make_document(lambda maker, z: maker.node("aten.exp.default", z)), make_inputs("pairwise", 4)
    said = [CUBLAS, NO_KERNEL]

    def fail(value: torch.Tensor) -> torch.Tensor:
        if value.is_meta:
            return torch.exp(value)
        raise RuntimeError(said.pop(0))

    monkeypatch.setitem(BINDINGS, "aten.exp.default", fail)  # type: ignore[arg-type]
    program = make_program(document)
    with pytest.raises(RuntimeError, match="CUBLAS"):
        program(given)
    assert refusal_of(lambda: program(given)) is RefusalCode.WRONG_ARGUMENT

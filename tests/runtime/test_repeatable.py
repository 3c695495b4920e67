"""What makes results repeat gives the results that torch gives."""

import pytest
import torch

from workers.runtime.repeatable import median, repeatable

ROWS = torch.tensor([[3.0, -1.0, 2.0, 7.0], [1.0, 4.0, 0.5, -2.0]])
MISSING = torch.tensor([[3.0, float("nan"), 2.0], [1.0, 4.0, 0.5]])


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("values", [ROWS, ROWS.double(), ROWS.long(), MISSING, ROWS[:, :1]])
def test_a_median_is_that_of_torch_with_its_place(values: torch.Tensor, dim: int, keepdim: bool) -> None:
    with repeatable():
        found, places = median(values, dim, keepdim)
    wanted = torch.median(values, dim, keepdim)
    assert torch.equal(found.nan_to_num(99), wanted.values.nan_to_num(99))
    assert torch.equal(places, wanted.indices)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_of_nothing_there_is_no_median(device: str) -> None:
    with pytest.raises(IndexError):
        median(torch.empty(3, 0, device=device), 1)


def test_a_number_alone_is_its_own_median() -> None:
    number = torch.tensor(3.0)
    assert [each.shape for each in median(number, 0)] == [(), ()]
    assert median(number, 0)[0] == number


def test_a_median_has_the_gradient_of_torch() -> None:
    slopes = []
    for function in (median, torch.median):
        values = ROWS.clone().requires_grad_()
        (function(values, 1)[0] * torch.tensor([1.0, 3.0])).sum().backward()
        slopes.append(values.grad)
    assert slopes[0] is not None
    assert torch.equal(slopes[0], slopes[1])

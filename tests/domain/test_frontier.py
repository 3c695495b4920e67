"""On the frontier is what nothing else beats in both reward and KL."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from discovery_service.domain.frontier import find_frontier

POINTS = st.dictionaries(st.integers(), st.tuples(*2 * [st.integers(0, 6).map(float)]), max_size=12)


def test_it_goes_from_near_to_far_and_leaves_out_what_is_beaten() -> None:
    points = {
        "far": (2.0, 3.0),
        "near": (0.5, 1.0),
        "beaten": (1.5, 0.9),
        "best of two": (1.0, 2.0),
        "worse": (1.0, 1.5),
    }
    assert find_frontier(points) == ["near", "best of two", "far"]
    assert find_frontier({}) == []


@given(POINTS)
def test_whatever_is_left_out_is_matched_by_one_on_it(points: dict[int, tuple[float, float]]) -> None:
    frontier = find_frontier(points)
    for kl, reward in points.values():
        assert any(points[each][0] <= kl and points[each][1] >= reward for each in frontier)
    for near, far in pairwise(frontier):
        assert points[near][0] < points[far][0]
        assert points[near][1] < points[far][1]

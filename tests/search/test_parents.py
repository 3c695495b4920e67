from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from discovery_service.domain.archive import Archive, Place
from discovery_service.domain.chance import draw_chance
from discovery_service.search.parents import choose_parents, weigh_parents
from tests.search.archives import archives, make_archive, make_library, make_member


def weigh(archive: Archive) -> dict[Place, float]:
    return {member.place: weight for member, weight in weigh_parents(archive)}


@given(st.lists(st.integers(-300, 300).map(lambda each: each / 100), min_size=2, max_size=8, unique=True))
@settings(max_examples=100)
def test_a_better_lower_bound_weighs_more(lowers):
    weights = weigh(make_archive(*(make_member(1, slot, lower) for slot, lower in enumerate(sorted(lowers)))))
    assert list(weights.values()) == sorted(weights.values())
    assert weights[Place(1, len(lowers) - 1)] > weights[Place(1, 0)]


@given(st.floats(-10, 10), st.floats(0.1, 10))
@settings(max_examples=50)
def test_weights_know_neither_the_unit_of_the_bounds_nor_their_zero(shift, scale):
    lowers = [-0.4, -0.1, 0.0, 0.2, 0.9]
    one = weigh(make_archive(*(make_member(1, slot, lower) for slot, lower in enumerate(lowers))))
    moved = weigh(make_archive(*(make_member(1, slot, shift + scale * lower) for slot, lower in enumerate(lowers))))
    assert all(abs(one[place] - moved[place]) < 1e-6 for place in one)


def test_each_child_divides_the_weight():
    parent, other = make_member(1, 0, 0.2), make_member(1, 1, 0.2)
    children = (make_member(2, slot, 0.2, parents=(parent.place,)) for slot in range(3))
    weights = weigh(make_archive(parent, other, *children))
    assert weights[other.place] == 4 * weights[parent.place]


def test_better_ones_are_chosen_more_often():
    archive = make_archive(make_member(1, 0, -1.0), make_member(1, 1, 0.0), make_member(1, 2, 1.0))
    chosen = [choose_parents(archive, 1, draw_chance(seed, 1, 0, "test"))[0].place.slot for seed in range(300)]
    assert chosen.count(2) > chosen.count(1) > chosen.count(0)


def test_the_reference_counts_as_no_difference_at_all():
    better, worse = make_member(1, 0, 0.3), make_member(1, 1, -0.3)
    weights = weigh(make_archive(make_library()[0], better, worse))
    assert weights[better.place] > weights[Place(0, 0)] > weights[worse.place]


def test_what_was_stopped_or_failed_is_no_parent_while_anybody_was_measured():
    archive = make_archive(*make_library(), make_member(1, 0, is_stopped=True), make_member(1, 1, None))
    assert weigh(archive).keys() == {Place(0, 0), Place(0, 1), Place(0, 2)}


def test_without_a_measured_one_all_that_were_not_stopped_are_alike():
    archive = make_archive(make_library()[0], make_member(1, 0), make_member(1, 1), make_member(1, 2, is_stopped=True))
    assert weigh(archive) == {Place(0, 0): 1.0, Place(1, 0): 1.0, Place(1, 1): 1.0}


def test_where_all_were_stopped_they_are_parents_all_the_same():
    archive = make_archive(*(make_member(1, slot, is_stopped=True) for slot in range(3)))
    assert len(weigh(archive)) == 3


def test_a_twin_of_a_known_loss_leaves_it_the_place():
    library = make_library()
    twin = replace(make_member(1, 0, 0.9, twin="exp"))
    elsewhere = make_member(1, 1, 0.9, twin="length_dpo")
    weights = weigh(make_archive(*library, twin, elsewhere))
    assert twin.place not in weights
    assert elsewhere.place in weights, "the known loss is outside the campaign's library"


def test_of_two_known_losses_that_are_each_others_twins_one_stays():
    one, other = make_member(0, 0, 0.1, name="exp", twin="cell"), make_member(0, 1, 0.1, name="cell", twin="exp")
    assert weigh(make_archive(one, other)).keys() == {one.place}


@given(archives(), st.integers(0, 50), st.integers(0, 3))
@settings(max_examples=100)
def test_parents_are_different_and_as_many_as_there_are(archive, seed, count):
    chosen = [each.place for each in choose_parents(archive, count, draw_chance(seed, 1, 0, "test"))]
    assert len(set(chosen)) == len(chosen) == min(count, len(weigh_parents(archive)))

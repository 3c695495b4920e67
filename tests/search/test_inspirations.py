from discovery_service.domain.chance import draw_chance
from discovery_service.search.inspirations import BEST, DIVERSE, choose_inspirations
from tests.search.archives import make_archive, make_library, make_member


def chance(seed: int = 0):
    return draw_chance(seed, 1, 0, "test")


def test_the_best_come_first_and_no_parent_is_among_them():
    found = [make_member(1, slot, lower) for slot, lower in enumerate((0.1, 0.9, 0.5, 0.7))]
    archive = make_archive(*make_library(), *found)
    chosen = choose_inspirations(archive, [found[1]], chance())
    assert chosen[:BEST] == [found[3], found[2]]
    assert found[1] not in chosen
    assert len(chosen) == BEST + DIVERSE


def test_what_is_unlike_the_others_comes_in_though_it_is_bad_or_stopped():
    alike = [make_member(1, slot, 0.5 + slot / 10) for slot in range(4)]
    odd = make_member(2, 0, is_stopped=True, operations=("aten.tanh.default",))
    archive = make_archive(*alike, odd)
    assert all(odd in choose_inspirations(archive, [alike[0]], chance(seed)) for seed in range(20))


def test_what_was_stopped_is_never_among_the_best():
    stopped = [make_member(1, slot, is_stopped=True) for slot in range(3)]
    good = make_member(1, 3, 0.1)
    assert choose_inspirations(make_archive(*stopped, good), [], chance())[0] == good


def test_it_is_not_the_same_oddity_each_time():
    members = [make_member(1, slot, None, operations=(f"aten.{slot}.default",)) for slot in range(9)]
    shown = {
        tuple(each.place.slot for each in choose_inspirations(make_archive(*members), [], chance(seed)))
        for seed in range(9)
    }
    assert len(shown) > 3

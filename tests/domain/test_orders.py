from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.orders import Order

SPEC = CampaignSpec.model_validate(
    {"arena": "panel", "proposers": [{"kind": "symbolic"}, {"kind": "recorded", "share": 2.0}], "guidance": "Be bold."}
)


def test_an_order_changes_what_it_names_and_nothing_else() -> None:
    assert Order().apply(SPEC) == Order.of(None).apply(SPEC) == SPEC
    ordered = Order(size=7, proposer="recorded", guidance="").apply(SPEC)
    assert (ordered.strategy.round_size, [each.kind for each in ordered.proposers]) == (7, ["recorded"])
    assert ordered.guidance == ""
    kept = {"strategy", "proposers", "guidance"}
    assert ordered.model_dump(exclude=kept) == SPEC.model_dump(exclude=kept)
    assert ordered.strategy.model_dump(exclude={"round_size"}) == SPEC.strategy.model_dump(exclude={"round_size"})


def test_an_order_is_stored_as_it_is() -> None:
    order = Order(size=3, guidance="Try a margin.")
    assert Order.of(order.document()) == order

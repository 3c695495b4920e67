"""NOTICE.md of a bundle: whose the code is, under which terms it leaves, and what nobody warrants."""

from collections.abc import Iterator

from discovery_service.domain.authors import Author
from discovery_service.losses.export_words import AUTHORS, NO_DISCOVERY, clean, tell_no_better, tell_shown
from discovery_service.losses.exported import Facts

_RIGHTS = {
    Author.LIBRARY: "The loss is a published one, written anew for discovery-service under the Apache License 2.0.",
    Author.HUMAN: "Whoever sent the loss wrote its code, and what others may do with it is theirs to say.",
    Author.LLM: "The code of the loss was written by that model, under the terms of whoever provides it.",
    Author.RECORDED: "The code of the loss was written by that model, under the terms of whoever provided it then.",
    Author.SYMBOLIC: "The loss was put together by a program of discovery-service, which claims no rights in it.",
}
_CHOICE = (
    "The service chooses no licence for it. Who publishes it names one (an SPDX identifier) that those terms leave"
    " open. This is no legal advice."
)
_WARRANTY = (
    "Everything here comes as it is, without warranty of any kind: neither that the loss suits your model or your data,"
    " nor that it is new, nor that nobody else has rights in it."
)


def tell_notice(facts: Facts, *, trl: str | None) -> str:
    """`trl` are the versions with which the bundle's adapter works; None where it has none."""
    return clean("\n\n".join(_list_parts(facts, trl))) + "\n"


def _list_parts(facts: Facts, trl: str | None) -> Iterator[str]:
    yield f"# {' '.join(facts.name.split())}, a loss of the family {facts.family.value}"
    yield f"**{tell_shown(facts)}**" if facts.is_confirmed else f"**{tell_shown(facts)} {NO_DISCOVERY}**"
    if facts.is_confirmed and (told := list(tell_no_better(facts))):
        yield f"But: {' '.join(told)}"
    yield (
        "Where it was measured, against what and how it was not tested stands in discovered_loss.py, and for programs"
        " in provenance.json. `python test_loss.py`, which needs torch alone, says whether a byte was changed since it"
        " was exported, and whether the loss computes what the gate stored."
    )
    yield "## Who wrote it, and under which terms"
    author = AUTHORS[facts.author].format(model=facts.model or "of an unknown name")
    yield f"{author} From the campaign {facts.campaign!r}. {_RIGHTS[facts.author]}"
    if facts.author is not Author.LIBRARY:
        yield _CHOICE
    ours = "trl_adapter.py and test_loss.py are" if trl else "test_loss.py is"
    yield f"{ours} part of discovery-service, under the Apache License 2.0, as is what is around the loss in its file."
    yield "## No warranty"
    yield _WARRANTY
    yield "## Training with it"
    if trl is None:
        yield (
            "There is no adapter for TRL: its DPOTrainer trains on pairs of answers, and a loss of the family"
            f" {facts.family.value} asks for other inputs. Call the function of discovered_loss.py in your own loop."
        )
    else:
        yield (
            f"trl_adapter.py works with trl {trl}, without images and without rows that stream. recipe.yaml is how it"
            " was evaluated, which is no recommendation for another model."
        )

"""An exported module goes through the gate again as the loss that it was, with whatever somebody added to it."""

import pytest

from discovery_service.domain.families import Family
from discovery_service.losses.export import write_module
from discovery_service.losses.exported_source import take_loss
from discovery_service.losses.refusals import Refused
from discovery_service.losses.source import check_source
from tests.jail.compiler.sources import ACCEPTED
from tests.losses.eager import KNOWN
from tests.losses.test_export import HELPED, METHOD, facts_of

SOURCES = {**{name: each.text for name, each in KNOWN.items()}, **ACCEPTED, "helpers": HELPED}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_it_is_the_same_graph_again(source: str) -> None:
    facts = facts_of(source)
    assert facts_of(take_loss(write_module(facts))).graph_sha256 == facts.graph_sha256


def test_the_numbers_of_a_reply_have_become_the_modules_own() -> None:
    facts = facts_of(METHOD, values={"gap": 0.3})
    assert facts_of(take_loss(write_module(facts))).graph_sha256 == facts.graph_sha256


def test_what_was_added_is_refused_at_its_line() -> None:
    module = write_module(facts_of(HELPED)).replace("import torch\n", "import torch\nimport os\n", 1)
    with pytest.raises(Refused) as refused:
        check_source(take_loss(module), Family.PAIRWISE)
    line = module.splitlines().index("import os") + 1
    assert line in [each.line for each in refused.value.refusals]


@pytest.mark.parametrize("text", [HELPED, "GRAPH_SHA256 = 1; _check_against_stored(", ""])
def test_what_is_no_exported_module_stays_as_it_is(text: str) -> None:
    assert take_loss(text) == text

"""A gate and campaigns for reproductions; each paper's quick run is one fixture of its module."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch

from discovery_service.cli.library_campaigns import LibraryCampaigns
from discovery_service.settings import get_settings
from workers.gate.process import make_jail
from workers.reproduce.arms import Admission
from workers.reproduce.names import PaperName
from workers.reproduce.papers import PAPERS
from workers.reproduce.run import Campaigns, Run

Told = Mapping[str, Any]
"""A claim's document."""
Quickly = Callable[[PaperName], list[Told]]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Worlds this small take several times as long on two, where another process wants the second core too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def _one_slot() -> Iterator[None]:
    """Beside other tests a second one costs its start and gains nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCOVERY__WORKER__SLOTS", "1")
        patch.setenv("DISCOVERY__WORKER__DEVICES", "cpu")
        get_settings.cache_clear()
        yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def admission() -> Iterator[Admission]:
    with make_jail() as jail:
        yield Admission(jail)


@pytest.fixture(scope="session")
def campaigns() -> Iterator[Campaigns]:
    """On a local stack, which the first one starts."""
    with LibraryCampaigns() as made:
        yield made


@pytest.fixture(scope="session")
def quickly(admission: Admission, campaigns: Campaigns) -> Quickly:
    """The claims of a paper, on three seeds against halved lines."""
    return lambda paper: [each.document() for each in PAPERS[paper].reproduce(Run(admission, campaigns, is_quick=True))]


def find(claims: list[Told], words: str) -> Told:
    (found,) = [each for each in claims if words in each["claim"]]
    return found

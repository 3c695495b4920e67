"""What tests of arenas share: one thread, a cache for the whole session, the small base policies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from discovery_service.domain.arenas import ARENAS
from discovery_service.domain.worlds import RECIPES, ArenaSize
from workers.arenas.cache import Cache
from workers.arenas.policies import load_policy
from workers.arenas.synthetic import SyntheticArena

torch.set_num_threads(1)

LoadPolicy = Callable[[float, int], Any]
OpenMini = Callable[..., SyntheticArena]


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arenas")


@pytest.fixture(scope="session")
def mini_policy(cache_dir: Path) -> LoadPolicy:
    return lambda p_stop, number: load_policy(RECIPES[ArenaSize.MINI], p_stop, number, Cache(cache_dir))


@pytest.fixture(scope="session")
def open_mini(cache_dir: Path) -> OpenMini:
    def open_(name: str, directory: Path = cache_dir) -> SyntheticArena:
        return SyntheticArena(ARENAS[name].document(ArenaSize.MINI), torch.device("cpu"), Cache(directory))

    return open_

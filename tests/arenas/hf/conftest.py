"""An operator's arena in a folder of the test's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from discovery_service.domain.measuring import Draw
from discovery_service.domain.states import Purpose
from discovery_service.domain.user_arenas import Contents, UserArena, make_document
from tests.arenas.hf.tiny import make_rows, save_folder, write_rows
from workers.arenas.cache import Cache
from workers.arenas.hf.arena import HfArena
from workers.arenas.hf.contents import hash_file, hash_folder

CPU = torch.device("cpu")
ROWS = 40
DRAW = Draw(Purpose.TUNE, "0")
KIND = {"kind": "regex", "pattern": "lovely|great|fine|kind|bright"}
Open = Callable[..., HfArena]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tmp_path_factory.mktemp("model"))


def describe(
    folder: Path,
    data: Path,
    *,
    evaluation: dict[str, Any] | None = None,
    scorer_sha256: str | None = None,
    **changes: Any,
) -> dict[str, Any]:
    plan = {"held_out": 0.25, "prompts": 8, "max_new_tokens": 8, "scorer": KIND} | (evaluation or {})
    described = {
        "name": "support",
        "model_name_or_path": str(folder),
        "data": str(data),
        "max_steps": 12,
        "per_device_train_batch_size": 4,
        "max_length": 100,
        "counts": "accuracy",
        "evaluation": plan,
    }
    arena = UserArena.model_validate(described | changes)
    contents = Contents(
        models_sha256=[hash_folder(Path(path)) for path in arena.model_name_or_path],
        data_sha256=hash_file(data),
        scorer_sha256=scorer_sha256,
    )
    return make_document(arena, contents)


@pytest.fixture
def open_(folder: Path, tmp_path: Path) -> Open:
    def make(*, style: str = "standard", rows: list[Any] | None = None, **changes: Any) -> HfArena:
        data = write_rows(tmp_path / "rows.jsonl", make_rows(ROWS, style=style) if rows is None else rows)
        return HfArena(describe(folder, data, **changes), CPU, Cache(tmp_path / "cache"))

    return make

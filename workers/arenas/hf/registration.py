"""From an operator's file to an arena that can be registered: fields, paths, rows and scorer are looked at first.

The weights are only counted and not loaded: an operator's desk need not hold what a worker's card does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from discovery_service.domain.user_arenas import Contents, FunctionScorer, UserArena, make_document
from discovery_service.errors import UsageError
from workers.arenas.hf.arena import count_rows, read_items
from workers.arenas.hf.contents import FilesChanged, hash_file, hash_folder
from workers.arenas.hf.division import check_every_draw
from workers.arenas.hf.folders import UnusableFolder, check_adapter, check_weights, load_tokenizer
from workers.arenas.hf.scorers import ScorerFailed, check_is_installed, make_scorer, read_scoring_package


@dataclass(frozen=True)
class Prepared:
    arena: UserArena
    """With absolute paths."""
    contents: Contents
    document: dict[str, Any]
    rows: int


def prepare(body: Mapping[str, Any], file: Path) -> Prepared:
    """What the file describes, its paths being beside it. UsageError says what is wrong with it, or with its rows."""
    arena = _place(_validate(body, file), file.absolute().parent)
    try:
        contents = _find_contents(arena)
        document = make_document(arena, contents)
        return Prepared(arena, contents, document, _check_rows(document))
    except OSError as error:
        raise UsageError(f"{file}: {error.filename} cannot be read: {error.strerror}.") from error
    except (UnusableFolder, ScorerFailed, FilesChanged, ValueError) as error:
        raise UsageError(f"{file}: {error}") from error


def _validate(body: Mapping[str, Any], file: Path) -> UserArena:
    try:
        return UserArena.model_validate(body)
    except ValidationError as error:
        told = [f"  {'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors()]
        raise UsageError("\n".join([f"{file} describes no arena.", *told])) from error


def _place(arena: UserArena, folder: Path) -> UserArena:
    """As a worker finds its files, which starts in a folder of its own."""
    models = [str(folder / path) for path in arena.model_name_or_path]
    return arena.model_copy(update={"model_name_or_path": models, "data": str(folder / arena.data)})


def _find_contents(arena: UserArena) -> Contents:
    scorer = arena.evaluation.scorer
    return Contents(
        models_sha256=[hash_folder(Path(path)) for path in arena.model_name_or_path],
        data_sha256=hash_file(Path(arena.data)),
        scorer_sha256=_hash_scorer(scorer) if isinstance(scorer, FunctionScorer) else None,
    )


def _hash_scorer(scorer: FunctionScorer) -> str:
    check_is_installed(scorer.function)
    sha256 = read_scoring_package(scorer.function).sha256
    make_scorer(scorer.model_dump() | {"sha256": sha256})
    return sha256


def _check_rows(document: Mapping[str, Any]) -> int:
    """How many there are. Each base policy reads them with a tokenizer of its own; every draw has to leave a batch."""
    for number, model in enumerate(document["models"]):
        tokenizer = load_tokenizer(model["path"])
        check_weights(model["path"])
        if document["lora"] is not None:
            check_adapter(model["path"], document["lora"])
        items = read_items(document, number, tokenizer)
        check_every_draw(items, held_out=document["evaluation"]["held_out"], batch=count_rows(document))
    return len(items)

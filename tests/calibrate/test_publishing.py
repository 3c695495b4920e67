"""What is measured of built-in arenas is kept in the package's own file, each piece beside the others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from discovery_service.domain import published
from discovery_service.domain.arenas import find_document, hash_document
from discovery_service.domain.published import Figures, find_calibration, find_figures
from workers.calibrate import publishing
from workers.calibrate.publishing import publish_figures, publish_library

FIGURES = Figures(policy_sha256="0", j_ref=0.0, j_ref_se=0.02, j_best=1.6, j_best_se=0.02)


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "published.json"
    path.write_text('{"arenas": {"gone": {"name": "old:mini", "base_policies": {}}}}')
    for module in (published, publishing):
        monkeypatch.setattr(module, "published_path", lambda: path)
    published.read_published.cache_clear()
    yield path
    published.read_published.cache_clear()


def document(name: str) -> dict[str, Any]:
    found = find_document(name)
    assert found is not None
    return found


def test_publishing_keeps_the_others_and_forgets_arenas_that_are_no_more(path: Path) -> None:
    plain, fog = document("plain:mini"), document("fog:base")
    publish_figures(plain, 0, FIGURES)
    publish_library(plain, {"sd": 0.1}, "0")
    publish_figures(plain, 2, FIGURES)
    publish_figures(fog, 1, FIGURES)
    assert find_figures(hash_document(plain), 0) == find_figures(hash_document(fog), 1) == FIGURES
    assert find_figures(hash_document(fog), 0) is None
    found = find_calibration(hash_document(plain))
    assert found is not None
    assert found["library"]["sd"] == 0.1
    assert "machine" in found["library"]
    assert "gone" not in path.read_text()

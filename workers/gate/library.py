"""What the gate finds out about the library's losses, stored as data of the package for processes without torch.

`python -m workers.gate.library` writes it anew; a test holds it equal to what the gate says today.
"""

import base64
import json
from typing import Any

from discovery_service.domain.families import Family
from discovery_service.losses.described import described_path
from discovery_service.losses.fingerprints import VERSION
from discovery_service.losses.known import KnownLoss, list_known
from workers.gate.road import Passed, Submission, pass_gate
from workers.gate.twins import Archive, find_twins
from workers.supervisor.jail import Jail


def describe_family(jail: Jail, family: Family) -> dict[str, Any]:
    """Raises RuntimeError for a loss of the library that the gate refuses: that is a fault of ours."""
    passed = {known.name: _pass(jail, known) for known in list_known(family)}
    archive = {name: each.fingerprint for name, each in passed.items()}
    return {
        "fingerprint_version": VERSION,
        "losses": {name: _describe(name, each, archive) for name, each in passed.items()},
    }


def _pass(jail: Jail, known: KnownLoss) -> Passed:
    verdict = pass_gate(jail, Submission(known.text, known.family), Archive(()))
    if verdict.passed is None or not verdict.is_accepted:
        raise RuntimeError(f"{known.family}/{known.name}: {verdict.refusals[0].message}")
    return verdict.passed


def _describe(name: str, passed: Passed, archive: dict[str, bytes]) -> dict[str, Any]:
    others = Archive((other, fingerprint) for other, fingerprint in archive.items() if other != name)
    return {
        "graph": passed.graph.document(),
        "graph_sha256": passed.graph_sha256,
        "formula": passed.formula,
        "passport": passed.passport,
        "curve": passed.curve,
        "fingerprint": base64.b64encode(passed.fingerprint).decode(),
        "neighbours": [each.document() for each in find_twins(passed.fingerprint, others)],
    }


def main() -> None:
    with Jail() as jail:
        for family in Family:
            if list_known(family):
                document = json.dumps(describe_family(jail, family), indent=1, sort_keys=True)
                described_path(family).write_text(document + "\n")


if __name__ == "__main__":
    main()

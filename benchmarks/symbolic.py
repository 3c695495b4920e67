"""What the symbolic proposer draws from a library alone: `python -m benchmarks.symbolic [--json]`.

As many proposals as are asked for of each seed, as if they were the rounds of a campaign in which nothing was measured
yet, through the gate in its jail: how many are refused, twins of known losses, or twins of each other; and how near the
first forty come to what is planted in an arena, which the library lacks. Five minutes of a core; nothing is trained.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.planted import WINNERS, planted_source
from benchmarks.search_figures import find_share
from benchmarks.search_plan import CANDIDATES, LIBRARY, Part
from discovery_service.domain.archive import Archive, Member, Place
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Strategy
from discovery_service.domain.families import Family
from discovery_service.losses.described import list_described
from discovery_service.search.ask import ask
from workers.gate.archives import library_archive
from workers.gate.road import Submission, Verdict, pass_gate
from workers.gate.twins import Archive as Fingerprints
from workers.gate.twins import find_twins
from workers.supervisor.jail import Jail
from workers.symbolic.propose import Proposed, propose

FAMILY = Family.PAIRWISE
EARLY = CANDIDATES[Part.OUTCOMES]
"""So many are looked at for what is planted."""


def make_archive() -> Archive:
    described = list_described(FAMILY)
    members = [
        Member(Place(0, slot), name, Author.LIBRARY, "", described[name].graph, described[name].passport)
        for slot, name in enumerate(LIBRARY)
    ]
    return Archive((0,), tuple(members))


def draw(archive: Archive, seed: int, count: int) -> list[Proposed]:
    strategy = Strategy()
    drawn = []
    for place in range(count):
        number, slot = 1 + place // strategy.round_size, place % strategy.round_size
        request = ask(strategy, archive, seed=seed, round_index=number, slot=slot)
        drawn.append(propose(request, archive, FAMILY, seed=seed, round_index=number, slot=slot))
    return drawn


class Gate:
    """As a campaign's: a proposal is compared with its library, and here also with all that came before it."""

    def __init__(self, jail: Jail) -> None:
        self._jail = jail
        known = library_archive(FAMILY)
        self._library = known.choose([place for place, name in enumerate(known.names) if name in LIBRARY])

    def judge(self, source: str, *, may_be_twin: bool = False) -> Verdict:
        return pass_gate(self._jail, Submission(source, FAMILY, may_be_twin=may_be_twin), self._library)


def describe(gate: Gate, drawn: Sequence[Proposed], planted: Fingerprints) -> dict[str, Any]:
    codes: Counter[str] = Counter()
    accepted: list[tuple[str, bytes]] = []
    nearest: dict[str, dict[str, Any]] = {}
    for number, each in enumerate(drawn):
        verdict = gate.judge(each.source)
        if verdict.passed is None or not verdict.is_accepted:
            codes[verdict.refusals[0].code.value] += 1
            continue
        fingerprint = verdict.passed.fingerprint
        if any(twin.is_twin for twin in find_twins(fingerprint, Fingerprints(accepted), limit=1)):
            codes["duplicate of another proposal"] += 1
            continue
        accepted.append((each.name, fingerprint))
        if number < EARLY:
            _note_nearest(nearest, each, fingerprint, planted)
    told = {name: find_share(count, len(drawn)) for name, count in sorted(codes.items())}
    return {"drawn": len(drawn), "accepted": find_share(len(accepted), len(drawn)), "refused": told, "nearest": nearest}


def _note_nearest(
    nearest: dict[str, dict[str, Any]], proposed: Proposed, fingerprint: bytes, planted: Fingerprints
) -> None:
    for near in find_twins(fingerprint, planted, limit=len(planted.names)):
        if near.name not in nearest or near.cosine > nearest[near.name]["cosine"]:
            nearest[near.name] = {"cosine": near.cosine, "is_twin": near.is_twin, "thought": proposed.thought}


def make_planted(gate: Gate) -> Fingerprints:
    """Fingerprints of the arenas' winners, by arena."""
    found = []
    for arena in WINNERS:
        passed = gate.judge(planted_source(arena), may_be_twin=True).passed
        assert passed is not None, f"the winner of {arena} passes the gate"
        found.append((arena, passed.fingerprint))
    return Fingerprints(found)


def tabulate(seed: int, told: dict[str, Any]) -> str:
    shares = {"accepted": told["accepted"], **told["refused"]}
    lines = [
        f"seed {seed}: {told['drawn']} proposals",
        *(f"  {name:32}{each['share']:7.1%} [{each['low']:.1%}, {each['high']:.1%}]" for name, each in shares.items()),
    ]
    for arena, near in sorted(told["nearest"].items()):
        twin = ", a twin" if near["is_twin"] else ""
        lines.append(
            f"  of the first {EARLY} nearest to what is planted in {arena}: cosine {near['cosine']:.3f}{twin}:"
            f" {near['thought']}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="figures to stdout, and the table to stderr")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--proposals", type=int, default=200, help="of each seed")
    arguments = parser.parse_args()
    archive, told = make_archive(), {}
    with Jail() as jail:
        gate = Gate(jail)
        planted = make_planted(gate)
        for seed in range(1, arguments.seeds + 1):
            told[seed] = describe(gate, draw(archive, seed, arguments.proposals), planted)
            print(tabulate(seed, told[seed]), file=sys.stderr if arguments.json else sys.stdout, flush=True)
    if arguments.json:
        print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()

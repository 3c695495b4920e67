"""A zygote with one more job, which production never has: it runs any source with full builtins and no check at all.

`python -I entry.py KIND DESCRIPTOR PARENT`. Kinds: `bare` (without torch, it starts at once), `warm` (what the attacks
import is loaded, as if an honest job had needed it), and faulty ones that a supervisor has to see through.
`python -I entry.py unlocked NAME...` runs attacks in its own process, which no lock holds.
"""

import importlib
import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workers.jail import canaries, landlock, seccomp, zygote

ATTACKS = Path(__file__).parents[1] / "data" / "attacks.jsonl"
IMPORT = re.compile(r"^(?:import|from) ([\w.]+(?:, ?[\w.]+)*)", re.MULTILINE)
INPUTS = ("policy_chosen_logps", "policy_rejected_logps", "reference_chosen_logps", "reference_rejected_logps")


def run_unchecked(request: dict[str, Any]) -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": "candidate", "torch": sys.modules.get("torch")}
    scope["F"] = sys.modules.get("torch.nn.functional")
    _execute(request["source"], scope)
    if "loss" in scope and not str(scope.get("RESULT")).startswith("PWNED"):
        import torch

        weight = torch.nn.Parameter(torch.ones(1))
        batch = {name: -torch.arange(1.0, 7.0) for name in INPUTS}
        for name in INPUTS[:2]:
            batch[name] = batch[name] * weight
        value = scope["loss"](*batch.values(), 0.1)
        scope.setdefault("RESULT", f"returned {tuple(getattr(value, 'shape', ()))}")
    return {"result": str(scope.get("RESULT"))[:400]}


def _execute(source: str, scope: dict[str, Any]) -> None:
    """What a hostile source cannot import is no lack of ours, which an ImportError in a locked child is."""
    try:
        exec(compile(source, "<candidate>", "exec"), scope)
    except ImportError as error:
        lack = str(error)
    else:
        return
    raise RuntimeError(lack)


def run_lacking(request: dict[str, Any]) -> dict[str, Any]:
    """What code of ours does that needs more than it has."""
    scope: dict[str, Any] = {}
    exec(request["source"], scope)
    scope["RESULT"]()
    return {}


def load_bare() -> Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    import ctypes  # noqa: F401
    import signal  # noqa: F401

    return {"canary": canaries.run_canary, "unchecked": run_unchecked, "lacking": run_lacking}


def load_warm() -> Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.save(torch.ones(1), io.BytesIO())  # loads what saving needs
    for attack in map(json.loads, ATTACKS.read_text().splitlines()):
        for names in IMPORT.findall(attack["source"]):
            for name in names.replace(" ", "").split(","):
                importlib.import_module(name)
    run_unchecked({"source": f"def loss({', '.join(INPUTS)}, beta):\n    return policy_chosen_logps * beta\n"})
    return load_bare()


def load_with_a_thread() -> Mapping[str, Any]:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return load_bare()


def load_nothing() -> Mapping[str, Any]:
    raise RuntimeError("torch is broken")


def run_unlocked(names: list[str]) -> int:
    """Attacks in this very process, the way that the jail runs them but for its lock."""
    load_warm()
    attacks = {each["name"]: each["source"] for each in map(json.loads, ATTACKS.read_text().splitlines())}
    results = {name: run_unchecked({"source": attacks[name]})["result"] for name in names}
    os.write(1, json.dumps(results).encode())
    os._exit(0)


def main(kind: str, argv: list[str]) -> int:
    match kind:
        case "unlocked":
            return run_unlocked(argv)
        case "leaky":
            seccomp.NUMBERS["kill"] = 62
            seccomp.ALLOWED += ("kill",)
        case "pretending":
            landlock.deny_all = lambda: None
        case "dying":
            zygote._watch = lambda *_: os._exit(1)
    loaders = {"warm": load_warm, "threaded": load_with_a_thread, "broken": load_nothing}
    return zygote.main(argv, loaders.get(kind, load_bare))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

"""An evaluate worker with the real task, whose runtimes know the toy arena: `python -m tests.workers.toys NAME`.

Those of a worker whose name begins with "broken" do not start.
"""

import sys
from pathlib import Path

from workers import slots
from workers.kinds import WorkerKind
from workers.start import run_worker

TOY = Path(__file__).parents[1] / "runtime" / "toy.py"
BROKEN = "broken"

if __name__ == "__main__":
    name = sys.argv[1]
    program = "/nowhere/toy.py" if name.startswith(BROKEN) else str(TOY)
    slots.COMMAND = (sys.executable, "-I", program)
    sys.exit(run_worker(WorkerKind.EVALUATE, name))

"""The jobs that a child can be asked for, by name. Their modules are imported inside the zygote alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from workers.jail.child import JobFunction


@dataclass(frozen=True)
class Job:
    module: str
    function: str
    runs_python: bool = False
    """Executes the candidate's own Python, which is for level "full" alone."""
    only_computes: bool = False
    """Waits for nothing, neither for a lock nor for a clock: if it is late, something kept it from computing."""


JOBS: Mapping[str, Job] = MappingProxyType(
    {
        "canary": Job("workers.jail.canaries", "run_canary"),
        "compile": Job("workers.jail.compiler", "compile_request", only_computes=True),
        "examine": Job("workers.jail.examine_graph", "examine_request", only_computes=True),
        "execute": Job("workers.jail.execute", "execute_request", runs_python=True),
    }
)


def load_jobs() -> dict[str, JobFunction]:
    """Import and warm all of them, torch with one thread."""
    import torch

    from workers.jail.warm_up import warm_up

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    # oneDNN writes machine code as it runs, which no locked child may; torch's own kernels do without.
    torch.backends.mkldnn.set_flags(False)
    # Autograd counts devices when it first runs, and starts a thread for each. It has to run before the first tracing:
    # from then on a CUDA build that sees no device has a stand-in with eight, and a zygote must have one thread.
    torch.ones(1, requires_grad=True).sum().backward()
    jobs = {name: getattr(import_module(job.module), job.function) for name, job in JOBS.items()}
    warm_up()
    return jobs

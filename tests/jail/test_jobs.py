"""The zygote of production: its jobs, and what it takes."""

import subprocess
import sys

import pytest
import torch

from discovery_service.losses.refusals import RefusalCode
from workers.jail.jobs import JOBS
from workers.supervisor.jail import Jail

# What a CUDA build loads beside it takes 350 MB more, used or not.
MOST_ZYGOTE_BYTES = 400e6 if torch.version.cuda is None else 800e6


def test_it_has_the_jobs_of_the_registry_and_no_other(production_jail: Jail) -> None:
    with pytest.raises(ValueError, match=f"only {', '.join(sorted(JOBS))}\\."):
        production_jail.run("unchecked", {"source": "RESULT = 1"})


def test_only_the_job_that_executes_wants_the_full_level() -> None:
    assert [name for name, job in JOBS.items() if job.runs_python] == ["execute"]


def test_its_memory_is_bounded(production_jail: Jail) -> None:
    assert production_jail.zygote_rss_bytes is not None
    assert production_jail.zygote_rss_bytes <= MOST_ZYGOTE_BYTES


def test_a_refusal_of_a_job_arrives_as_such(production_jail: Jail) -> None:
    source = "def loss(policy_chosen_logps):\n    return policy_chosen_logps if policy_chosen_logps.sum() > 0 else 0\n"
    outcome = production_jail.run("compile", {"source": source, "family": "pairwise"})
    assert outcome.refusal is not None
    assert outcome.refusal.code is RefusalCode.BRANCH_ON_TENSOR


def test_warnings_of_torch_fill_no_log(production_jail: Jail) -> None:
    """One a batch of the probes would pass for a flood."""
    margin = "z = policy_chosen_logps - policy_rejected_logps"
    source = f"def loss(policy_chosen_logps, policy_rejected_logps):\n    {margin}\n    return z + z[:, None].std(1)\n"
    compiled = production_jail.run("compile", {"source": source, "family": "pairwise"})
    assert compiled.answer is not None
    examined = production_jail.run("examine", {"graph": compiled.answer["graph"]})
    assert examined.log == ""
    assert examined.answer is not None
    assert examined.answer["refusals"][0]["code"] == "non_finite"


def test_the_supervisor_loads_no_torch() -> None:
    code = "import sys, workers.supervisor.jail; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_what_one_dnn_would_compile_as_it_runs_is_computed_without_it(approximate: str, production_jail: Jail) -> None:
    source = (
        "def loss(policy_chosen_logps, policy_rejected_logps, beta):\n"
        "    z = policy_chosen_logps - policy_rejected_logps\n"
        f"    return F.gelu(-beta * z, approximate='{approximate}')\n"
    )
    compiled = production_jail.run("compile", {"source": source, "family": "pairwise"})
    assert compiled.answer is not None
    examined = production_jail.run("examine", {"graph": compiled.answer["graph"]})
    assert examined.refusal is None
    assert examined.answer is not None
    assert examined.answer["refusals"] == []

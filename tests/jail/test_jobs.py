"""The zygote of production: its jobs, and that its warm-up loads whatever they need."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from discovery_service.domain.families import Family
from discovery_service.domain.isolation import Level
from discovery_service.losses.known import KnownLoss, list_known
from discovery_service.losses.refusals import RefusalCode
from workers.jail.jobs import JOBS
from workers.supervisor.jail import Jail

MOST_ZYGOTE_BYTES = 400e6
KNOWN = [known for family in Family for known in list_known(family)]


@pytest.fixture(scope="module")
def production_jail() -> Iterator[Jail]:
    with Jail(Level.FULL) as opened:
        yield opened


def test_it_has_the_jobs_of_the_registry_and_no_other(production_jail: Jail) -> None:
    with pytest.raises(ValueError, match=f"only {', '.join(sorted(JOBS))}\\."):
        production_jail.run("unchecked", {"source": "RESULT = 1"})


def test_only_the_job_that_executes_wants_the_full_level() -> None:
    assert [name for name, job in JOBS.items() if job.runs_python] == ["execute"]


def test_it_takes_no_more_than_400_mb(production_jail: Jail) -> None:
    assert production_jail.zygote_rss_bytes is not None
    assert production_jail.zygote_rss_bytes <= MOST_ZYGOTE_BYTES


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.family}-{known.name}")
def test_no_job_on_a_known_loss_lacks_what_it_could_only_load_before_the_lock(
    known: KnownLoss, production_jail: Jail
) -> None:
    source = {"source": known.text, "family": known.family.value}
    compiled = production_jail.run("compile", source)
    assert compiled.refusal is None, compiled
    assert compiled.answer is not None
    executed = production_jail.run("execute", source)
    computed, examined = (
        production_jail.run(job, {"graph": compiled.answer["graph"]}) for job in ("compute", "examine")
    )
    for outcome in (compiled, executed, computed, examined):
        assert (outcome.refusal, outcome.log) == (None, "")


def test_a_refusal_of_a_job_arrives_as_such(production_jail: Jail) -> None:
    source = "def loss(policy_chosen_logps):\n    return policy_chosen_logps if policy_chosen_logps.sum() > 0 else 0\n"
    outcome = production_jail.run("compile", {"source": source, "family": "pairwise"})
    assert outcome.refusal is not None
    assert outcome.refusal.code is RefusalCode.BRANCH_ON_TENSOR


def test_the_supervisor_loads_no_torch() -> None:
    code = "import sys, workers.supervisor.jail; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

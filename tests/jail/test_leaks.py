"""Many jobs, of which most fail, leave nothing behind; `python -m benchmarks.jail` runs a thousand of them."""

from dataclasses import replace

from benchmarks.jail import MIXED, count_holdings, run_mixed_jobs
from workers.supervisor.jail import Jail

MARGIN_BYTES = 1 << 20


def test_mixed_jobs_leave_no_memory_descriptor_or_process(jail: Jail) -> None:
    run_mixed_jobs(jail, len(MIXED))
    before = count_holdings(jail)
    run_mixed_jobs(jail, 12 * len(MIXED))
    after = count_holdings(jail)
    assert replace(after, zygote_rss_bytes=0) == replace(before, zygote_rss_bytes=0)
    assert after.zygote_rss_bytes <= before.zygote_rss_bytes + MARGIN_BYTES

"""`discovery reproduce`: the claims of one paper or of all, as one document."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from workers.gate.process import make_jail
from workers.progress import progress_bar
from workers.reproduce import papers
from workers.reproduce.arms import Admission
from workers.reproduce.claims import Claim
from workers.reproduce.drawing import check_plots
from workers.reproduce.names import PaperName
from workers.reproduce.run import Campaigns, Run, open_pool
from workers.reproduce.training import WorldFailed
from workers.supervisor.jail import JailUnavailable
from workers.trainings import TrainingsBroke


def reproduce(
    paper: PaperName, campaigns: Campaigns, *, seeds: int | None, is_quick: bool, plots: Path | None
) -> dict[str, Any]:
    """`status` is measured, whatever the verdicts; failed, with a message, where a paper's could not be measured, with
    the claims of the others; unavailable where there is no jail.

    UsageError where the pictures cannot be kept.
    """
    if plots is not None:
        check_plots(plots)
    names = list(papers.PAPERS) if paper is PaperName.ALL else [paper]
    try:
        with make_jail() as jail, open_pool() as pool:
            claims, failed = _measure(names, Run(Admission(jail), campaigns, seeds, is_quick, plots, pool))
    except JailUnavailable as error:
        return {"status": "unavailable", "message": str(error), "claims": []}
    found = {"is_quick": is_quick, "claims": [each.document() for each in claims]}
    return {"status": "failed", "message": "\n".join(failed), **found} if failed else {"status": "measured", **found}


def _measure(names: Sequence[PaperName], run: Run) -> tuple[list[Claim], list[str]]:
    """What could be measured, and why the rest could not be."""
    claims, failed = list[Claim](), list[str]()
    with _bar(names) as tell:
        for name in names:
            try:
                claims += papers.reproduce(name, replace(run, tell=tell(name)))
            except (WorldFailed, TrainingsBroke) as error:
                failed.append(f"{name}: {error}")
    return claims, failed


@contextmanager
def _bar(names: Sequence[PaperName]) -> Iterator[Callable[[PaperName], Callable[[float], None]]]:
    """Of each paper what hears which share of it is done."""
    seconds = {name: papers.PAPERS[name].total_seconds for name in names}
    with progress_bar(sum(seconds.values())) as tell:

        def tell_of(name: PaperName) -> Callable[[float], None]:
            before = sum(seconds[each] for each in names[: names.index(name)])
            tell(name.value, before)
            return lambda share: tell(name.value, before + share * seconds[name])

        yield tell_of

"""Interval bars of a comparison as a PNG. matplotlib is an extra, and imported only here."""

import os
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discovery_service.domain.verdicts import Verdict
from discovery_service.errors import UsageError
from workers.compare.sentences import tell_level, tell_setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

Document = Mapping[str, Any]

# Of Okabe and Ito's palette, which colour-blind people tell apart; the marks say the same without any colour.
_LOOKS = {
    Verdict.BETTER: ("#0072B2", "^"),
    Verdict.WORSE: ("#D55E00", "v"),
    Verdict.NOT_DISTINGUISHABLE: ("#767676", "o"),
}
_WIDTH, _ROW_HEIGHT, _FRAME_HEIGHT = 9.0, 0.55, 1.9
"""Inches."""
_DPI = 150


def check_plot(file: Path) -> None:
    """Before anything is trained. UsageError where the picture could not be made or kept."""
    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'discovery-service[plot]'.")
    folder = file.absolute().parent
    if file.is_dir() or not folder.is_dir() or not os.access(file if file.exists() else folder, os.W_OK):
        raise UsageError(f"--plot: {file} cannot be written.")


def plot(comparison: Document, file: Path) -> None:
    """A row for each loss beside the reference, the greatest difference on top. UsageError where it cannot be kept."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    losses = sorted(comparison["losses"][1:], key=_find_place)
    figure = Figure(figsize=(_WIDTH, _FRAME_HEIGHT + _ROW_HEIGHT * len(losses)), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color="black", linewidth=1)
    shown = set()
    for row, loss in enumerate(losses):
        _draw(axes, row, loss, label=None if loss["verdict"] in shown else f"{loss['verdict']} {comparison['against']}")
        shown.add(loss["verdict"])
    _label(axes, losses, comparison)
    if axes.get_legend_handles_labels()[0]:
        legend = figure.legend(loc="outside lower center", ncols=len(_LOOKS), fontsize=8, frameon=False)
        _read_literally(legend.get_texts())
    try:
        FigureCanvasAgg(figure).print_png(file)
    except OSError as error:
        raise UsageError(f"--plot: {file} cannot be written: {error.strerror}.") from error


def _find_place(loss: Document) -> float:
    return -loss["difference"]["mean"] if loss["difference"] else float("inf")


def _draw(axes: "Axes", row: int, loss: Document, label: str | None) -> None:
    difference = loss["difference"]
    if difference is None:
        axes.text(0, row, f" {_WITHOUT[loss['status']]}", va="center", color="#767676", style="italic")
        return
    colour, mark = _LOOKS[Verdict(loss["verdict"])]
    axes.plot([difference["low"], difference["high"]], [row, row], color=colour, linewidth=3, solid_capstyle="butt")
    axes.plot(difference["mean"], row, mark, color=colour, markersize=9, label=label)


_WITHOUT = {
    "untuned": "could not be tuned",
    "failed": "failed on some of the draws",
    "tuned": "not confirmed",
    "confirmed": "compared with nothing",
}
"""What stands in place of an interval."""


def _label(axes: "Axes", losses: list[Document], comparison: Document) -> None:
    names = [f"{each['name']}\n{tell_setting(each['setting']) if each['setting'] else ''}" for each in losses]
    axes.set_yticks(range(len(losses)), names, fontsize=9)
    _read_literally(axes.get_yticklabels())
    axes.set_ylim(len(losses) - 0.5, -0.5)
    axes.grid(axis="x", linewidth=0.5, alpha=0.5)
    against, counts = comparison["against"], comparison["counts"]
    where = ", at the hardest of its settings" if any(each["against_others"] for each in losses) else ""
    axes.set_xlabel(f"{counts} less that of {against}{where}", parse_math=False)
    axes.set_title(
        f"{comparison['arena']}: {comparison['draws']} draws under {len(comparison['base_policies'])} base policies,"
        f" intervals of {tell_level(comparison['level'])}",
        fontsize=11,
        parse_math=False,
    )


def _read_literally(texts: "Iterable[Text]") -> None:
    """A dollar in a file's name is no formula."""
    for each in texts:
        each.set_parse_math(False)

"""A bar on the terminal while a command works; nothing where no person looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[str, float], None]
"""What is being done, and how much of everything is done."""


@contextmanager
def progress_bar(of: float) -> Iterator[Tell]:
    """On stderr, and gone when the work is."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    times = (TimeElapsedColumn(), TextColumn("and"), TimeRemainingColumn(), TextColumn("left"))
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), *times)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=of)
        yield lambda doing, done: bar.update(task, description=doing, completed=done)

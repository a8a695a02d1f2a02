"""What a person sees while a job runs: a bar with rate and time left on a terminal, plain lines elsewhere.

Everything goes to standard error, so standard output stays for results.
"""

import errno
import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

_LINE_SECONDS = 10.0
# Before this share is done a first guess of the time left would be wild.
_SURE_SHARE = 0.02
# What says that a line cannot be shown, and nothing of the job itself.
_NOT_TAKEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# A log file has no width of its own.
console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 140)


class Progress:
    """The progress of one job: `with Progress("filter", total=8, unit="shards") as progress: progress.set(3)`."""

    def __init__(self, label: str, *, total: int | None, unit: str) -> None:
        self._label = label
        self._total = total
        self._unit = unit
        self._started = self._last_line = time.monotonic()
        self._first_done: int | None = None
        self._begun: tuple[float, int] | None = None
        self._state = ""
        self._bars = _bars(unit) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
            self._task = self._bars.add_task(self._label, total=self._total, state="")
        return self

    def set(self, done: int, *, records: int | None = None, text: str = "") -> None:
        """Shows that `done` units are done; `records` gives a rate, `text` whatever else is worth a word."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        if self._first_done is None:
            self._first_done = done
        if self._begun is None and done > self._first_done:
            self._begun = (seconds, done)
        if self._unit == "records":
            records = done - self._first_done
        speed = (records or 0) / seconds
        rate = f"{speed:,.{0 if speed >= 10 else 1}f} records/s" if records else ""
        self._state = " · ".join(part for part in (rate, text) if part)
        if self._bars is not None:
            self._bars.update(self._task, completed=done, state=self._state)
        elif time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._last_line = time.monotonic()
            self._print(done, seconds)

    def _print(self, done: int, seconds: float) -> None:
        total = f" of {self._total:,}" if self._total is not None else ""
        left = self._left(done, seconds)
        state = f" ({self._state})" if self._state else ""
        self.note(f"{self._label}: {done:,}{total} {self._unit} in {_roughly(seconds)}{left}{state}")

    def _left(self, done: int, seconds: float) -> str:
        """The time left, from the speed since the first unit was done: what came before was starting, and comes once."""
        if not self._total or self._begun is None or done >= self._total:
            return ""
        since, fresh = seconds - self._begun[0], done - self._begun[1]
        if since < _LINE_SECONDS / 2:
            since, fresh = seconds, done - (self._first_done or 0)
            if fresh < self._total * _SURE_SHARE:
                return ""
        if fresh <= 0:  # the quick ones came at once, and say nothing of the others
            return ""
        return f", {_roughly(since / fresh * (self._total - done))} left"

    def __exit__(self, *error: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    @staticmethod
    def note(line: str) -> None:
        """Prints one line above whatever bar is showing. A job of hours does not fail for a log that is on a full disk."""
        try:
            if console.is_terminal:
                console.print(line, markup=False)
            else:
                print(line, file=sys.stderr, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:  # nor for a terminal that was closed
            if error.errno not in _NOT_TAKEN:
                raise


def _roughly(seconds: float) -> str:
    """A time as far as somebody who waits wants to know it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _bars(unit: str) -> Bars:
    return Bars(
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
        console=console,
        transient=False,
    )

"""Commands in processes of their own, as a person gives them, without paying for the imports each time.

`Commands` keeps a server that has imported what the jobs need; each command is a process forked from
it, with a session, a standard output and a standard error of its own. `tests/test_cli.py` also runs
`python -m jobs` itself.
"""

import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_IMPORTS = [
    "jobs.cli", "jobs.run", "jobs.explain", "jobs.shell", "jobs.verify", "jobs.tokens", "jobs.generate", "jobs.ingest", "jobs.crawl",
    "jobs.curate", "jobs.count", "jobs.train_tokenizer", "jobs.pack", "jobs.train", "jobs.evaluate", "jobs.report", "torch._dynamo", "trafilatura",
]  # fmt: skip
_POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def sentences(self) -> list[str]:
        """The lines in which the command says why it failed."""
        return [line for line in self.err.splitlines() if line.startswith("corpusmill: ")]


class Running:
    """A command that may still be running."""

    def __init__(self, process: Any, out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err

    def send(self, number: int) -> None:
        """Sends a signal to the command alone, as `kill PID` does."""
        os.kill(self.process.pid, number)

    def interrupt(self) -> None:
        """Sends SIGINT to the whole group, as Ctrl-C on a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """Kills the whole group without warning."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()

    def wait_for(self, condition: Any, seconds: float = 60.0) -> bool:
        """Whether `condition()` held before the command ended."""
        limit = time.monotonic() + seconds
        while self.process.is_alive() and time.monotonic() < limit:
            if condition():
                return True
            self.process.join(_POLL_SECONDS)
        return False

    def ended(self, seconds: float = 120.0) -> Ended:
        """The end of the command, which must come within `seconds`."""
        self.process.join(seconds)
        late = self.process.is_alive()
        if late:
            self.kill()
        err = self._err.read_text("utf-8", "replace")
        assert not late, f"the command did not end within {seconds} s; it said:\n{err}"
        return Ended(self.process.exitcode, self._out.read_text("utf-8", "replace"), err)


class Commands:
    """Starts commands in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_IMPORTS)
        self._number = 0

    def start(self, *arguments: object, max_file_bytes: int | None = None, stdin: str = "") -> Running:
        """Starts `corpusmill ARGUMENTS`; no file that it writes may be larger than `max_file_bytes`."""
        self._number += 1
        places = [self.folder / f"command-{os.getpid()}-{self._number}.{name}" for name in ("in", "out", "err")]
        places[0].write_text(stdin, "utf-8")
        words = [str(argument) for argument in arguments]
        process = self._context.Process(
            target=_command, args=(words, str(self.folder), [str(place) for place in places], max_file_bytes)
        )
        process.start()
        return Running(process, places[1], places[2])

    def run(self, *arguments: object, seconds: float = 120.0, **options: Any) -> Ended:
        """Runs `corpusmill ARGUMENTS` to its end."""
        return self.start(*arguments, **options).ended(seconds)


def _command(arguments: list[str], folder: str, places: list[str], max_file_bytes: int | None) -> None:
    """What the forked process does: it becomes `corpusmill ARGUMENTS`."""
    os.setsid()
    os.chdir(folder)
    for number, place in enumerate(places):
        descriptor = os.open(place, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", buffering=1, closefd=False)
        for number in range(3)
    )
    if max_file_bytes is not None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    from jobs import cli

    # what the console script does
    sys.argv = ["corpusmill", *arguments]
    cli.entry()

"""What the tests of processes ask of the system."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SECONDS = 60.0


def lives(pid: int) -> bool:
    """Whether it runs: a process that nobody has waited for does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] not in "ZX"
    return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])


def soon(is_so: Callable[[], bool]) -> bool:
    limit = time.monotonic() + SECONDS
    while not is_so():
        if time.monotonic() > limit:
            return False
        os.sched_yield()
    return True

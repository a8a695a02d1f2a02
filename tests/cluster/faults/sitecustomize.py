"""Kills a worker process where a test wants it: on its path for modules, Python imports this before anything else.

The file that FAULT_FILE names says where: `record TEXT N` (as record N of a shard is begun), `shard TEXT` (as a shard
is begun) or `file TEXT` (as a file is written and not yet under its name); TEXT is part of a path. The process that
takes the file away is the one that is killed, so each fault happens once.
"""

import os
import signal
from typing import Any

from pipeline.atomic import AtomicFile
from pipeline.heartbeat import Heartbeat

PLACE = os.environ.get("FAULT_FILE", "")


def die_if(kind: str, path: str, number: int = 0) -> None:
    try:
        with open(PLACE, encoding="utf-8") as file:
            wanted, text, *least = file.read().split()
        if wanted == kind and text in path and number >= int(least[0] if least else 0):
            os.rename(PLACE, PLACE + ".done")
            os.kill(os.getpid(), signal.SIGKILL)
    except FileNotFoundError:
        pass


begin, at, end = Heartbeat.__enter__, Heartbeat.at, AtomicFile.__exit__


def enter(self: Any) -> Any:
    entered = begin(self)
    self.num_records = 0
    die_if("shard", self._path)
    return entered


def note(self: Any, record: str) -> None:
    at(self, record)
    self.num_records += 1
    die_if("record", self._path, self.num_records)


def leave(self: Any, *error: Any) -> Any:
    die_if("file", self.path)
    return end(self, *error)


if PLACE:
    Heartbeat.__enter__, Heartbeat.at, AtomicFile.__exit__ = enter, note, leave  # type: ignore[method-assign]

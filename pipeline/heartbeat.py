"""Signs of life of the workers, for a driver that watches from afar: a small file for each shard under way.

ATTEMPT/alive/SHARD.json says how much processor time the work on it has used, how many records were begun and which one it
was at. It is written when the work on the shard begins and every few seconds from then on, on any engine; the receipt replaces it. Time is that
of the thread at work, not of its process: some engines ask their workers for progress many times a second. Where
the attempt lies on a local disk, ATTEMPT/alive/SHARD.at also holds the name of every record as it is begun, so that
the one that killed a worker is known. Neither is a dataset, and no byte of a dataset depends on them. No Beam here.
"""

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline import storage
from pipeline.places import is_local, join, on_disk

ALIVE = "alive"
SECONDS = 10.0
_NAME_BYTES = 1024
_RECORD, _BEAT = ".at", ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What the last sign of life from a shard said."""

    cpu_seconds: float
    beat: int
    record: str
    num_records: int = 0


class Heartbeat:
    """Tells about the work on one shard while its block runs. `at` names the record that is begun."""

    def __init__(self, attempt_folder: str, shard: str, *, seconds: float = SECONDS) -> None:
        self._path = join(attempt_folder, ALIVE, shard)
        self._seconds = seconds
        self._record = b""
        self._num_records = 0
        self._beat = 0
        self._file: int | None = None
        self._ended = threading.Event()
        self._clock: int | None = None
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        with suppress(AttributeError, OSError):  # not every system has such clocks
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._write()
        if is_local(self._path):
            with suppress(OSError):
                self._file = os.open(on_disk(self._path + _RECORD), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._thread.start()
        return self

    def at(self, record: str) -> None:
        """Notes the record that is begun: for one system call at most, and never a reason to fail."""
        self._record = record.encode("utf-8", "replace")[:_NAME_BYTES]
        self._num_records += 1
        if self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, self._record.ljust(_NAME_BYTES), 0)

    def __exit__(self, kind: object, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._file is not None:
            os.close(self._file)
        if kind is None:  # a failure leaves its traces
            for suffix in (_RECORD, _BEAT):
                with suppress(Exception):
                    storage.remove_tree(self._path + suffix)

    def _go_on(self) -> None:
        while not self._ended.wait(self._seconds):
            self._write()

    def _write(self) -> None:
        self._beat += 1
        record = self._record.decode("utf-8", "replace")
        with suppress(Exception):  # a full disk or a store that fails: the work itself says so
            value = {"cpu_seconds": self._cpu_seconds(), "beat": self._beat, "record": record}
            storage.write_json(self._path + _BEAT, value | {"num_records": self._num_records}, durable=False)

    def _cpu_seconds(self) -> float:
        return time.process_time() if self._clock is None else time.clock_gettime(self._clock)


def signs(attempt_folder: str) -> Mapping[str, Sign]:
    """The last sign of life of each shard under way, by its name."""
    folder = join(attempt_folder, ALIVE)
    found = {}
    for path in storage.list_files(folder):
        if path.endswith(_BEAT):
            with suppress(Exception):  # it may end between the list and the look
                value = json.loads(storage.read_bytes(path))
                name = path[len(folder.rstrip("/")) + 1 :].removesuffix(_BEAT)
                record = _record_of(path.removesuffix(_BEAT)) or str(value["record"])
                seconds, beat, number = (
                    float(value["cpu_seconds"]),
                    int(value["beat"]),
                    int(value.get("num_records", 0)),
                )
                found[name] = Sign(cpu_seconds=seconds, beat=beat, record=record, num_records=number)
    return found


def _record_of(path: str) -> str:
    if not is_local(path):
        return ""
    with suppress(OSError):
        return Path(on_disk(path + _RECORD)).read_bytes().decode("utf-8", "replace").strip()
    return ""

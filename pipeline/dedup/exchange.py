"""Files that carry small records from the shards of one phase to the shards of the next.

Each writer leaves one file with the records sorted by destination, in blocks that fit in memory, and
an index at its end; a reader opens all files and reads its own byte ranges. So a shuffle needs the
memory of one block, survives the death of a worker, and comes out the same on any engine.

    block 0: destination 0 | destination 1 | …   block 1: …   index: int64[blocks, destinations + 1]   trailer
"""

from collections.abc import Iterable
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError
from pipeline.storage import AtomicFile, open_read

Records = npt.NDArray[np.void]

_TRAILER = np.dtype([("magic", "<u8"), ("blocks", "<i8"), ("destinations", "<i8"), ("item", "<i8"), ("size", "<i8")])
_MAGIC = 0x65676E6168637865  # "exchange"
_BLOCK_BYTES = 32 << 20


class ExchangeWriter:
    """Writes records of one dtype to the file `path`, each for one of `num_destinations`."""

    def __init__(self, path: str, dtype: np.dtype[np.void], num_destinations: int) -> None:
        self._sink = AtomicFile(path)
        self._dtype = dtype
        self._num_destinations = num_destinations
        self._held: list[tuple[Records, npt.NDArray[np.int64]]] = []
        self._held_records = 0
        self._bounds: list[npt.NDArray[np.int64]] = []
        self.num_records = 0

    def __enter__(self) -> Self:
        self._sink.__enter__()
        return self

    def add(self, records: Records, destinations: npt.NDArray[np.integer]) -> None:
        """Adds records with the destination of each."""
        self._held.append((records, destinations.astype(np.int64)))
        self._held_records += len(records)
        self.num_records += len(records)
        if self._held_records * self._dtype.itemsize >= _BLOCK_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._held_records:
            return
        records = np.concatenate([held for held, _ in self._held])
        destinations = np.concatenate([held for _, held in self._held])
        order = np.argsort(destinations, kind="stable")
        sizes = np.bincount(destinations, minlength=self._num_destinations)
        start = self._sink.tell()
        self._bounds.append(start + np.concatenate(([0], np.cumsum(sizes))) * self._dtype.itemsize)
        self._sink.write(records[order].tobytes())
        self._held, self._held_records = [], 0

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._flush()
            self._sink.write(b"".join(bounds.astype("<i8").tobytes() for bounds in self._bounds))
            size = self._sink.tell() + _TRAILER.itemsize
            trailer = (_MAGIC, len(self._bounds), self._num_destinations, self._dtype.itemsize, size)
            self._sink.write(np.array([trailer], dtype=_TRAILER).tobytes())
        self._sink.__exit__(kind, error, trace)  # type: ignore[arg-type]


def write_exchange(path: str, records: Records, destinations: npt.NDArray[np.integer], num_destinations: int) -> None:
    """Writes all records for one file at once."""
    with ExchangeWriter(path, records.dtype, num_destinations) as writer:
        writer.add(records, destinations)


def read_exchange(path: str, dtype: np.dtype[np.void], destination: int) -> Records:
    """The records of one destination in one file, in the order in which they were added.

    Raises:
        DataError: the file is not an exchange of this kind.
    """
    with open_read(path) as file:
        size = file.seek(0, 2)
        if size < _TRAILER.itemsize:
            raise DataError(f"{path} is damaged: it is too short")
        file.seek(size - _TRAILER.itemsize)
        trailer = np.frombuffer(file.read(_TRAILER.itemsize), dtype=_TRAILER)[0]
        if trailer["magic"] != _MAGIC or trailer["size"] != size:
            raise DataError(f"{path} is damaged: it is not an exchange, or a part of it is missing")
        if trailer["item"] != dtype.itemsize or not 0 <= destination < trailer["destinations"]:
            raise DataError(f"{path} holds no records of {dtype.itemsize} bytes for a destination {destination}")
        blocks, width = int(trailer["blocks"]), int(trailer["destinations"]) + 1
        file.seek(size - _TRAILER.itemsize - blocks * width * 8)
        bounds = np.frombuffer(file.read(blocks * width * 8), dtype="<i8").reshape(blocks, width)
        pieces = []
        for start, end in bounds[:, destination : destination + 2]:
            file.seek(int(start))
            piece = file.read(int(end - start))
            pieces.append(np.frombuffer(piece, dtype=dtype))
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype)


def gather(paths: Iterable[str], dtype: np.dtype[np.void], destination: int) -> Records:
    """The records of one destination in all files, file by file."""
    pieces = [read_exchange(path, dtype, destination) for path in paths]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype)

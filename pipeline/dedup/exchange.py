"""Files that carry small records from the shards of one phase to the shards of the next.

Each writer leaves one file with the records sorted by destination, in blocks that fit in memory, and
an index at its end; a reader opens all files and reads its own byte ranges. So a shuffle needs the
memory of one block, survives the death of a worker, and comes out the same on any engine. Of an index a
reader reads its own entries alone. Where there are many files, `merging` makes few of them first.

    block 0: destination 0 | destination 1 | …   block 1: …
    index: RANGE[destinations, blocks]   trailer

What all shards of a phase sent, and what arrived at those of the next, is counted and summed without order
(`sent`, `received`), and compared when the job is done.
"""

import zlib
from collections.abc import Iterable
from typing import IO, Self

import numpy as np
import numpy.typing as npt

from pipeline.atomic import AtomicFile
from pipeline.dedup.shingles import mixed
from pipeline.errors import DataError
from pipeline.storage import open_read
from tokenizer.compiling import kept

Records = npt.NDArray[np.void]

# Where the records of one destination in one block lie, and their CRC-32.
RANGE = np.dtype([("start", "<i8"), ("end", "<i8"), ("sum", "<u4")])
_TRAILER = np.dtype([("magic", "<u8"), ("blocks", "<i8"), ("destinations", "<i8"), ("item", "<i8"), ("size", "<i8")])
_MAGIC = 0x33676E6168637865  # "exchang3"
_BLOCK_BYTES = 32 << 20


@kept(nogil=True)
def _sum(words: npt.NDArray[np.uint64], width: int) -> np.uint64:
    total = np.uint64(0)
    for start in range(0, words.shape[0], width):
        value = np.uint64(width)
        for place in range(width):
            value = mixed(value ^ words[start + place])
        total += value >> np.uint64(32)
    return total


def checksum(records: Records) -> int:
    """A sum over the records that does not depend on their order; they are of whole numbers of 8 bytes."""
    words = np.ascontiguousarray(records).view("<u8").reshape(-1)
    return int(_sum(words, records.dtype.itemsize // 8))


def received(kind: str, records: Records) -> dict[str, int]:
    """What a shard counts of the records that arrived at it."""
    return {f"received/{kind}": len(records), f"received/{kind}/sum": checksum(records)}


class ExchangeWriter:
    """Writes records of one dtype to the file `path`, each for one of `num_destinations`."""

    def __init__(self, path: str, dtype: np.dtype[np.void], num_destinations: int) -> None:
        self._sink = AtomicFile(path)
        self._dtype = dtype
        self._num_destinations = num_destinations
        self._held: list[tuple[Records, npt.NDArray[np.int64]]] = []
        self._held_records = 0
        self._index: list[Records] = []
        self._sum = 0
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

    def sent(self, kind: str) -> dict[str, int]:
        """What a shard counts of the records that it sent, once all are written."""
        return {f"sent/{kind}": self.num_records, f"sent/{kind}/sum": self._sum}

    def _flush(self) -> None:
        if not self._held_records:
            return
        records = np.concatenate([held for held, _ in self._held])
        destinations = np.concatenate([held for _, held in self._held])
        ordered = records[np.argsort(destinations, kind="stable")]
        sizes = np.bincount(destinations, minlength=self._num_destinations) * self._dtype.itemsize
        if self._dtype.itemsize % 8 == 0:
            self._sum += checksum(ordered)
        start, content = self._sink.tell(), memoryview(ordered.tobytes())
        ranges = np.zeros(self._num_destinations, RANGE)
        ranges["end"] = np.cumsum(sizes)
        ranges["start"] = ranges["end"] - sizes
        bounds = ranges[["start", "end"]].tolist()
        ranges["sum"] = [zlib.crc32(content[first:end]) for first, end in bounds]
        ranges["start"] += start
        ranges["end"] += start
        self._index.append(ranges)
        self._sink.write(content)
        self._held, self._held_records = [], 0

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._flush()
            write_index(self._sink, self._index, self._num_destinations, self._dtype.itemsize)
        self._sink.__exit__(kind, error, trace)  # type: ignore[arg-type]


def write_index(sink: AtomicFile, blocks: list[Records], num_destinations: int, item_bytes: int) -> None:
    """Ends an exchange file: the ranges of each block, those of one destination together, and the trailer."""
    if blocks:
        sink.write(np.stack(blocks, 1).tobytes())
    size = sink.tell() + _TRAILER.itemsize
    sink.write(np.array([(_MAGIC, len(blocks), num_destinations, item_bytes, size)], dtype=_TRAILER).tobytes())


def write_exchange(
    path: str, records: Records, destinations: npt.NDArray[np.integer], num_destinations: int
) -> ExchangeWriter:
    """Writes all records for one file at once; returns its writer, which knows what was sent."""
    with ExchangeWriter(path, records.dtype, num_destinations) as writer:
        writer.add(records, destinations)
    return writer


class ExchangeFile:
    """An exchange file opened for reading.

    Raises:
        DataError: the file is no exchange, or damaged.
    """

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self._path, self._file = path, file
        size = file.seek(0, 2)
        if size < _TRAILER.itemsize:
            raise DataError(f"{path} is damaged: it is too short")
        file.seek(size - _TRAILER.itemsize)
        trailer = np.frombuffer(file.read(_TRAILER.itemsize), dtype=_TRAILER)[0]
        if trailer["magic"] != _MAGIC or trailer["size"] != size:
            raise DataError(f"{path} is damaged: it is not an exchange, or a part of it is missing")
        self._blocks = int(trailer["blocks"])
        self.num_destinations, self.item_bytes = int(trailer["destinations"]), int(trailer["item"])
        self._index = size - _TRAILER.itemsize - self._blocks * self.num_destinations * RANGE.itemsize

    def ranges(self, first: int, end: int) -> Records:
        """The ranges of the destinations from `first` up to `end`, by destination and block."""
        row_bytes = self._blocks * RANGE.itemsize
        self._file.seek(self._index + first * row_bytes)
        found = np.frombuffer(self._file.read((end - first) * row_bytes), dtype=RANGE)
        return found.reshape(end - first, self._blocks)

    def pieces(self, ranges: Records, first: int) -> list[list[memoryview]]:
        """For each of some neighbouring destinations, the first of which is `first`, its bytes in each block: of a
        block they are read at once.

        Raises:
            DataError: they are not those that were written.
        """
        found: list[list[memoryview]] = [[] for _ in ranges]
        for block in ranges.T:
            start = int(block["start"][0])
            self._file.seek(start)
            content = memoryview(self._file.read(int(block["end"][-1]) - start))
            for place, (low, high, expected) in enumerate(block.tolist()):
                piece = content[low - start : high - start]
                if zlib.crc32(piece) != expected or len(piece) != high - low:
                    raise DataError(
                        f"{self._path} is damaged: the records for {first + place} are not those that were written"
                    )
                found[place].append(piece)
        return found


def read_exchange(path: str, dtype: np.dtype[np.void], destination: int) -> Records:
    """The records of one destination in one file, in the order in which they were added.

    Raises:
        DataError: the file is not an exchange of this kind.
    """
    with open_read(path) as file:
        exchange = ExchangeFile(path, file)
        if exchange.item_bytes != dtype.itemsize or not 0 <= destination < exchange.num_destinations:
            raise DataError(f"{path} holds no records of {dtype.itemsize} bytes for a destination {destination}")
        pieces = exchange.pieces(exchange.ranges(destination, destination + 1), destination)[0]
    return np.concatenate([np.zeros(0, dtype), *(np.frombuffer(piece, dtype=dtype) for piece in pieces)])


def gather(paths: Iterable[str], dtype: np.dtype[np.void], destination: int) -> Records:
    """The records of one destination in all files, file by file."""
    pieces = [read_exchange(path, dtype, destination) for path in paths]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype)

"""Many exchange files made few, so that the shards of the next phase read long ranges of few files.

Without it each of P partitions reads its range of each of N files: N · P small reads, more than a store of objects
serves in good time. Groups of `plan.MERGED_FILES` files are merged into one each, many destinations at a time: the
files are read in long pieces, and each destination then lies in one range. The order in which `gather` finds the
records stays the same, so merging changes no output. Memory: `_MERGE_BYTES`, or what one file holds for one
destination, and the indexes of a group.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.atomic import AtomicFile
from pipeline.dedup.exchange import RANGE, ExchangeFile, write_index
from pipeline.dedup.plan import Plan
from pipeline.errors import DataError
from pipeline.steps import Shard
from pipeline.storage import open_read

if TYPE_CHECKING:
    from pipeline.stage import Outputs

_MERGE_BYTES = 128 << 20


def merge_exchanges(paths: Sequence[str], target: str) -> int:
    """Writes the records of some exchange files as one, those of a destination file by file; returns how many.

    Raises:
        DataError: a file is damaged, or of another kind than the others.
    """
    with ExitStack() as stack:
        sources = [ExchangeFile(path, stack.enter_context(open_read(path))) for path in paths]
        item_bytes, num = sources[0].item_bytes, sources[0].num_destinations
        for path, source in zip(paths, sources, strict=True):
            if (source.item_bytes, source.num_destinations) != (item_bytes, num):
                raise DataError(f"{path} holds other records than {paths[0]}: they cannot be merged")
        indexes = [source.ranges(0, num) for source in sources]
        sizes = sum((ranges["end"] - ranges["start"]).sum(axis=1) for ranges in indexes)
        merged = np.zeros(num, RANGE)
        with AtomicFile(target) as sink:
            for first, end in runs(np.asarray(sizes)):
                found: Iterable[list[list[memoryview]]] = (
                    source.pieces(ranges[first:end], first) for source, ranges in zip(sources, indexes, strict=True)
                )
                if end - first > 1:  # a single destination may be larger than memory
                    found = list(found)
                for place in range(first, end):
                    merged[place] = _written(sink, (piece for of_one in found for piece in of_one[place - first]))
            write_index(sink, [merged], num, item_bytes)
    return int(np.sum(sizes)) // item_bytes


def _written(sink: AtomicFile, pieces: Iterable[memoryview]) -> tuple[int, int, int]:
    start, total = sink.tell(), 0
    for piece in pieces:
        sink.write(piece)
        total = zlib.crc32(piece, total)
    return start, sink.tell(), total


def runs(sizes: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Neighbouring destinations of together at most `_MERGE_BYTES`, or one that is larger."""
    first = held = 0
    for place, size in enumerate(sizes.tolist()):
        if place > first and held + size > _MERGE_BYTES:
            yield first, place
            first, held = place, 0
        held += size
    yield first, len(sizes)


@dataclass(kw_only=True)
class MergeExchanges:
    """A group of files of one kind each: leaves them as one file."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Merges one group."""
        kind, group, numbers = shard.work["kind"], shard.work["group"], range(*shard.work["numbers"])
        paths = [self.plan.work(kind, number) for number in numbers]
        merge_exchanges(paths, self.plan.merged(kind, group))
        return {"merged_files": len(paths)}

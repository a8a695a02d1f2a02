"""What every phase of one deduplication knows: the input parts, the settings, and where work files lie.

A document is referred to by a number, part << 32 | row; every time a number is turned into a document
again, its id and the hash of its content are compared, so that a lost or moved record is found out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.config import DedupConfig
from pipeline.errors import DataError
from pipeline.places import join
from pipeline.steps import ATTEMPTS, Shard

STEP = "dedup"
DOCUMENTS_OUTPUT, REJECTED_OUTPUT, DUPLICATES_OUTPUT, SIGNATURES_OUTPUT = (
    "documents",
    "rejected/dedup",
    "duplicates",
    "signatures",
)
CONTAMINATION_OUTPUT, PASSAGES_OUTPUT = "contamination", "passages"
OUTPUTS = (DOCUMENTS_OUTPUT, DUPLICATES_OUTPUT, REJECTED_OUTPUT)
ROW_BITS = np.uint64(32)
ROW_MASK = np.uint64(0xFFFFFFFF)
# A document, by reference and id, and the one (`by`) that stands for it.
STANDING_FOR = [
    ("ref", "<u8"), ("id_high", "<u8"), ("id_low", "<u8"), ("by", "<u8"), ("by_high", "<u8"), ("by_low", "<u8"),
]  # fmt: skip

References = npt.NDArray[np.uint64]

_PARTITION_RECORDS = 1_000_000
MERGED_FILES = 128  # work files that are merged into one, where there are more


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`parts` are files: first `num_earlier` signature tables of earlier corpora, then the input files in order of
    name. `num_documents` (of all parts) sizes the partitions of the exchanges; `num_near_files` hold the decisions
    about near duplicates."""

    run: str
    config: DedupConfig
    parts: tuple[str, ...]
    num_documents: int
    num_earlier: int = 0
    num_near_files: int = 1
    measures: str = ""

    @property
    def own_parts(self) -> range:
        """The numbers of the input files."""
        return range(self.num_earlier, len(self.parts))

    @property
    def all_parts(self) -> range:
        """The numbers of the earlier tables and of the input files."""
        return range(len(self.parts))

    @property
    def identity_partitions(self) -> range:
        """The numbers of the partitions by id and by text hash."""
        return range(self.num_identity_partitions)

    @property
    def band_partitions(self) -> range:
        """The numbers of the partitions by band key."""
        return range(self.num_band_partitions)

    @property
    def num_identity_partitions(self) -> int:
        """Partitions of the exchanges by id and by text hash."""
        return max(1, -(-self.num_documents // _PARTITION_RECORDS))

    @property
    def num_band_partitions(self) -> int:
        """Partitions of the exchange by band key: a million records each, so a constant amount of memory."""
        return max(1, -(-self.num_documents * self.config.banding.bands // _PARTITION_RECORDS))

    def part_name(self, part: int) -> str:
        """The name of an input part, without its folder and suffix."""
        return self.parts[part].rsplit("/", 1)[-1].removesuffix(".parquet")

    def work(self, kind: str, index: int, suffix: str = ".bin") -> str:
        """The path of a work file; work files vanish with the attempt when the step is committed."""
        return join(self.run, ATTEMPTS, STEP, "work", kind, f"{index:05d}{suffix}")

    def signature_table(self, part: int) -> str:
        """The signature table of a part."""
        return self.work("signatures", part, ".parquet") if part >= self.num_earlier else self.parts[part]

    def work_files(self, kind: str, count: int, suffix: str = ".bin") -> list[str]:
        """The paths of the work files of all shards of a phase."""
        return [self.work(kind, index, suffix) for index in range(count)]

    def merged(self, kind: str, group: int) -> str:
        """The path of the file that a group of work files is merged into."""
        return self.work(f"{kind}-merged", group)

    def groups(self, numbers: range) -> list[range]:
        """The groups in which the work files of the shards `numbers` are merged: none where they are few."""
        if len(numbers) <= MERGED_FILES:
            return []
        return [numbers[start : start + MERGED_FILES] for start in range(0, len(numbers), MERGED_FILES)]

    def arrivals(self, kind: str, numbers: range) -> list[str]:
        """The files in which a phase finds what the shards `numbers` of the phase before sent."""
        groups = self.groups(numbers)
        if groups:
            return [self.merged(kind, group) for group in range(len(groups))]
        return [self.work(kind, number) for number in numbers]

    def where(self, part: int, row: int) -> str:
        """A document's place, for messages."""
        return f"{self.parts[part]} row {row}"


def shard(phase: str, index: int, name: str = "") -> Shard:
    """The shard `index` of a phase."""
    return Shard(name=name or f"{phase}/{index:05d}", work={"phase": phase, "index": index})


def own(refs: References, plan: Plan) -> npt.NDArray[np.bool_]:
    """Which documents are of the input, not of an earlier corpus."""
    return refs >= np.uint64(plan.num_earlier) << ROW_BITS


def check_places(kind: str, places: npt.NDArray[np.int64], index: int) -> None:
    """Compares where records belong with where they arrived.

    Raises:
        DataError: one belongs elsewhere.
    """
    moved = places[places != index]
    if len(moved):
        raise DataError(f"a record ({kind}) for {moved[0]} arrived at {index}: it moved between phases")


def phase_of(work: Any) -> str:
    """The phase that a shard belongs to."""
    return str(work["phase"])


def references(part: int, rows: npt.NDArray[np.integer]) -> References:
    """The numbers of documents of one part."""
    return (np.uint64(part) << ROW_BITS) | rows.astype(np.uint64)


def parts_of(refs: References) -> npt.NDArray[np.int64]:
    """The part of each document."""
    return (refs >> ROW_BITS).astype(np.int64)


def rows_of(refs: References) -> npt.NDArray[np.int64]:
    """The row of each document in its part."""
    return (refs & ROW_MASK).astype(np.int64)


def partition_of(hashes: npt.NDArray[np.uint64], num_partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each hash, by its upper bits."""
    return ((hashes >> np.uint64(32)) * np.uint64(num_partitions) >> np.uint64(32)).astype(np.int64)


def id_numbers(ids: list[str], where: str) -> npt.NDArray[np.uint64]:
    """Ids of 32 hex digits as two numbers each, whose order is that of the ids.

    Raises:
        DataError: one is not such an id.
    """
    try:
        if all(len(value) == 32 for value in ids):
            return np.frombuffer(bytes.fromhex("".join(ids)), dtype=">u8").astype(np.uint64).reshape(-1, 2)
    except ValueError:
        pass
    raise DataError(f"{where} holds an id that is not 32 hex digits: {next((i for i in ids if not _is_id(i)), '')!r}")


def _is_id(value: str) -> bool:
    return len(value) == 32 and all(digit in "0123456789abcdef" for digit in value)


def id_texts(numbers: npt.NDArray[np.uint64]) -> pa.StringArray:
    """The ids that pairs of numbers stand for, one a row."""
    data = np.ascontiguousarray(numbers).astype(">u8").tobytes().hex().encode()
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(data))


def id_text(high: int, low: int) -> str:
    """The id that two numbers stand for."""
    return f"{int(high):016x}{int(low):016x}"

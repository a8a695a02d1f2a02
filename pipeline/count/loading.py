"""Reads count tables whole: for learning merges, for judging a tokenizer, for merging tables. No Beam."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.count.table import (
    GROUPS_FILE,
    Group,
    TableInfo,
    counts_in,
    first_rows,
    joined,
    read_batches,
    read_info,
    spelled,
)
from pipeline.errors import DataError
from pipeline.manifests import damage_of, read_manifest
from pipeline.places import join
from tokenizer.training import LARGEST_MASS, WordCounts, narrowed


@dataclass(frozen=True, kw_only=True)
class Table:
    """A count table in memory: one entry a pre-token, `rows` by pre-token and group behind it.

    Row r is of pre-token `word_of[r]` in group `group_of[r]`, and counts `counts[r]`. `words` has the
    sums over groups, each multiplied by the weight of its source. `counts` are int64, or Python's integers in a
    table of so much text that a sum over it might not fit.
    """

    info: TableInfo
    words: WordCounts
    word_of: npt.NDArray[np.int64]
    group_of: npt.NDArray[np.int32]
    counts: npt.NDArray[Any]


def load_table(folder: str, *, weights: Mapping[str, int] | None = None) -> Table:
    """The table in `folder`.

    Raises:
        DataError: it is damaged, or a weight is for a source that the table does not have.
    """
    info = read_info(join(folder, GROUPS_FILE))
    table = read_table(folder)
    if not table.num_rows:
        raise DataError(
            f"{folder} holds no pre-token: there was no text to count; corpusmill report shows why pages were refused"
        )
    starts = first_rows(table["pretoken"])
    groups = table["group"].to_numpy()
    data, offsets = spelled(table["pretoken"].take(pa.array(starts)))
    word_of = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(groups))))
    sizes = np.diff(offsets)
    counts = narrowed(counts_in(table), sizes[word_of])
    sums = _weighted_sums(counts, _weights_of(info.groups, weights or {})[groups], sizes[word_of], starts)
    return Table(
        info=info,
        words=WordCounts(data=data, offsets=offsets, counts=narrowed(sums, sizes)),
        word_of=word_of,
        group_of=groups,
        counts=counts,
    )


def read_table(folder: str, partition: int | None = None) -> pa.Table:
    """The rows of one partition of a table, or of all of them one behind the other.

    Raises:
        DataError: a file is not what the manifest says: counts that changed would make another tokenizer.
    """
    entries = [entry for entry in read_manifest(folder).files if entry.path.endswith(".arrow")]
    chosen = entries if partition is None else entries[partition : partition + 1]
    for entry in chosen:
        if fault := damage_of(folder, entry):
            raise DataError(fault)
    return joined(batch for entry in chosen for batch in read_batches(join(folder, entry.path))).combine_chunks()


def prune(words: WordCounts, min_count: int) -> tuple[WordCounts, tuple[int, int]]:
    """The words that count at least `min_count` (and at least 1), and what that dropped: pre-tokens and bytes."""
    kept = words.counts >= max(1, min_count)
    if kept.all():
        return words, (0, 0)
    sizes = np.diff(words.offsets)
    dropped = words.counts[~kept].astype(object)
    mass = (int(dropped.sum()), int(np.dot(dropped, sizes[~kept].astype(object))))
    data = words.data[np.repeat(kept, sizes)]
    offsets = np.concatenate(([0], np.cumsum(sizes[kept]))).astype(np.int64)
    return WordCounts(data=data, offsets=offsets, counts=narrowed(words.counts[kept], sizes[kept])), mass


def _weights_of(groups: Sequence[Group], weights: Mapping[str, int]) -> npt.NDArray[Any]:
    unknown = sorted(set(weights) - {group.source for group in groups})
    if unknown:
        known = ", ".join(sorted({repr(group.source) for group in groups}))
        raise DataError(
            f"tokenizer.source_weights names the source {unknown[0]!r}, which the count table does not have; it has {known}"
        )
    return np.array([weights.get(group.source, 1) for group in groups], dtype=object)


def _weighted_sums(counts: Any, weights: Any, sizes: Any, starts: Any) -> npt.NDArray[Any]:
    """The sums of `counts * weights` from each start to the next, exactly."""
    mass = np.dot(counts.astype(np.float64) * weights.astype(np.float64), sizes)
    kind = np.int64 if counts.dtype == np.int64 and mass < LARGEST_MASS else object
    sums: npt.NDArray[Any] = np.add.reduceat(counts.astype(kind) * weights.astype(kind), starts)
    return sums

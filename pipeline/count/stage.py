"""Counts pre-tokens over a corpus, in two passes over shards.

In: document files. Out: the count table (see `pipeline.count.table`). First, each file of documents is
counted by itself into a file of *runs*: sorted, spread over partitions by a hash of the pre-token. Then
each partition is summed up over all files. Nothing but these files meets across shards, so memory is
bounded by `max_types` and by one partition, and the table depends on the documents and settings alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.count.config import CountConfig
from pipeline.count.table import (
    ROWS,
    Group,
    GroupKey,
    TableInfo,
    first_rows,
    in_order,
    pruned,
    read_info,
    spelled,
    summed,
    write_info,
    write_rows,
)
from pipeline.errors import DataError
from pipeline.places import join
from pipeline.stage import Outputs, ProcessShards
from pipeline.steps import Shard, Step
from pipeline.storage import open_read
from pipeline.tables import read_batches as read_documents
from tokenizer.compiling import read_only
from tokenizer.counting import CountingMethod, Counts, HashedCounts
from tokenizer.patterns import pattern_named
from tokenizer.tallying import hash_bytes_of

PRETOKENS, COUNTS = "pretokens", "counts"
_DOCUMENT_ROWS = 512
_MERGE_ROWS = 1 << 22
_SPARE_BITS = np.uint64(20)  # the low bits of FNV-1a are its weakest


class CountPretokens(beam.PTransform):
    """Shards of documents → receipts of shards whose runs are written."""

    def __init__(self, step: Step, config: CountConfig) -> None:
        super().__init__()
        self._work = ProcessShards(step, CountDocuments(config=config))

    def expand(self, shards: Any) -> Any:
        """Counts each file by itself."""
        return shards | "CountDocuments" >> self._work


class SumPartitions(beam.PTransform):
    """Partitions → receipts of partitions whose table files are written."""

    def __init__(self, step: Step, config: CountConfig, runs: str, groups: tuple[Group, ...]) -> None:
        super().__init__()
        self._work = ProcessShards(step, SumPartition(config=config, runs=runs, groups=groups))

    def expand(self, partitions: Any) -> Any:
        """Sums each partition over all files of runs."""
        return partitions | "SumRuns" >> self._work


class _GroupTally:
    """The counter and the totals of one group while a shard is read."""

    def __init__(self, counter: Counts, key: GroupKey) -> None:
        self.counter = counter
        self.group = Group(source=key.source, language=key.language)

    def add(self, texts: pa.Array) -> None:
        data, offsets = _buffers(texts)
        self.counter.add(data, offsets)
        self.group = replace(
            self.group,
            documents=self.group.documents + len(texts),
            text_bytes=self.group.text_bytes + int(offsets[-1] - offsets[0]),
            words=self.group.words + _num_words(texts),
        )

    def finished(self) -> Group:
        return replace(self.group, long_pretokens=self.counter.num_long, long_bytes=self.counter.long_bytes)


@dataclass(kw_only=True)
class CountDocuments:
    """The worker of the first pass: a file of documents → a file of runs and its groups."""

    config: CountConfig

    def setup(self) -> None:
        """Makes the tables of characters."""
        self._method = CountingMethod(pattern_named(self.config.pattern), longest=self.config.max_pretoken_bytes)

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        """Counts the documents of one file; a run is written whenever the counters are full."""
        tallies: dict[GroupKey, _GroupTally] = {}
        with outputs.file(PRETOKENS, ".arrow") as sink, pa.ipc.new_file(pa.PythonFile(sink, mode="w"), ROWS) as writer:
            for batch in read_documents(shard.work, ["text", "source", "language"], _DOCUMENT_ROWS):
                for key, texts in _by_group(batch, self.config.by_language):
                    if key not in tallies:
                        tallies[key] = _GroupTally(self._method.counter(), key)
                    tallies[key].add(texts)
                if sum(len(tally.counter) for tally in tallies.values()) >= self.config.max_types:
                    self._write_run(writer, tallies)
            self._write_run(writer, tallies)
        groups = tuple(tallies[key].finished() for key in sorted(tallies))
        num_rows = sum(group.pretokens for group in groups)
        outputs.add(PRETOKENS, sink.entry(num_records=num_rows))
        info = TableInfo(
            pattern=pattern_named(self.config.pattern).label, max_pretoken_bytes=self.config.max_pretoken_bytes,
            min_count=1, partitions=self.config.partitions, groups=groups,
        )  # fmt: skip
        outputs.add(PRETOKENS, write_info(outputs.path(PRETOKENS, ".groups.json"), info))
        return {
            "read": sum(group.documents for group in groups),
            "text_bytes": sum(group.text_bytes for group in groups),
        }

    def _write_run(self, writer: Any, tallies: dict[GroupKey, _GroupTally]) -> None:
        """Writes one batch a partition, empty ones too: batch number i belongs to partition i modulo their number."""
        parts: list[list[pa.Table]] = [[] for _ in range(self.config.partitions)]
        for place, key in enumerate(sorted(tallies)):
            counted = tallies[key].counter.take()
            tallies[key].group = replace(
                tallies[key].group, pretokens=tallies[key].group.pretokens + int(counted.words.counts.sum())
            )
            for partition, rows in enumerate(_partitioned(counted, place, self.config.partitions)):
                parts[partition].append(rows)
        for rows_of_groups in parts:
            table = in_order(pa.concat_tables(rows_of_groups)) if rows_of_groups else ROWS.empty_table()
            batches = table.combine_chunks().to_batches()
            writer.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], schema=ROWS))


@dataclass(kw_only=True)
class SumPartition:
    """The worker of the second pass: one partition of all runs → one file of the table. `work` is [partition, files of runs]."""

    config: CountConfig
    runs: str
    groups: tuple[Group, ...]

    def setup(self) -> None:
        """Numbers the groups."""
        self._place_of = {group.key: place for place, group in enumerate(self.groups)}

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        """Sums one partition."""
        partition, names = shard.work
        where = outputs.path(COUNTS, ".arrow")
        rows = self._summed(partition, names, where)
        kept, mass = pruned(rows, self.config.min_count)
        outputs.add(COUNTS, write_rows(where, kept))
        counts = {"rows": kept.num_rows, "types": len(first_rows(kept["pretoken"]))}
        for place, (pretokens, num_bytes) in mass.items():
            counts |= {f"dropped/{place}/pretokens": pretokens, f"dropped/{place}/bytes": num_bytes}
        return counts

    def _summed(self, partition: int, names: list[str], where: str) -> pa.Table:
        held: list[pa.Table] = [ROWS.empty_table()]
        held_rows = 0
        for name in names:
            for table in self._runs_of(name, partition):
                held.append(table)
                held_rows += table.num_rows
                if held_rows >= _MERGE_ROWS + 2 * held[0].num_rows:
                    held, held_rows = [summed(held, where=where)], 0
        return summed(held, where=where)

    def _runs_of(self, name: str, partition: int) -> Iterator[pa.Table]:
        path = join(self.runs, name)
        groups = read_info(path.removesuffix(".arrow") + ".groups.json").groups
        places = pa.array([self._place_of[group.key] for group in groups], pa.int32())
        try:
            with open_read(path) as file, pa.ipc.open_file(file) as reader:
                for number in range(partition, reader.num_record_batches, self.config.partitions):
                    batch = reader.get_batch(number)
                    yield pa.table([batch["pretoken"], places.take(batch["group"]), batch["count"]], schema=ROWS)
        except pa.ArrowInvalid as error:
            raise DataError(f"{path} is not readable as Arrow: {error}") from None


def _by_group(batch: pa.RecordBatch, by_language: bool) -> Iterator[tuple[GroupKey, pa.Array]]:
    """The texts of a batch by group, in order of group."""
    sources = pc.fill_null(batch["source"], "")
    languages = pc.fill_null(batch["language"], "") if by_language else pa.array([""] * batch.num_rows, pa.string())
    table = pa.table({"source": sources, "language": languages})
    for key in sorted(set(zip(sources.to_pylist(), languages.to_pylist(), strict=True))):
        chosen = pc.and_(pc.equal(table["source"], key[0]), pc.equal(table["language"], key[1]))
        yield GroupKey(*key), batch["text"].filter(chosen.combine_chunks())


def _buffers(texts: pa.Array) -> tuple[Any, Any]:
    """The bytes of all texts one behind the other, and the offsets of the texts in them. Null is an empty text."""
    texts = pc.fill_null(texts, "").cast(pa.large_string())
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int64, count=len(texts) + 1, offset=8 * texts.offset)
    data = np.frombuffer(texts.buffers()[2] or b"", dtype=np.uint8)
    return data[: offsets[-1]], offsets


def _num_words(texts: pa.Array) -> int:
    trimmed = pc.utf8_trim_whitespace(texts)
    words = pc.utf8_split_whitespace(trimmed.filter(pc.greater(pc.binary_length(trimmed), 0)))
    return int(pc.sum(pc.list_value_length(words)).as_py() or 0)


def _partitioned(counted: HashedCounts, group: int, partitions: int) -> list[pa.Table]:
    """Counts as rows of the table, by partition, unsorted."""
    words = counted.words
    offsets = pa.py_buffer(np.ascontiguousarray(words.offsets))
    pretokens = pa.Array.from_buffers(
        pa.large_binary(), len(words), [None, offsets, pa.py_buffer(np.ascontiguousarray(words.data))]
    )
    rows = pa.table([pretokens, pa.array(np.full(len(words), group, np.int32)), pa.array(words.counts)], schema=ROWS)
    chosen = _partition_of(counted.hashes, partitions)
    return [rows.filter(pa.array(chosen == partition)) for partition in range(partitions)]


def partition_of(pretokens: pa.ChunkedArray, partitions: int) -> Any:
    """The partition of each pre-token of a column."""
    data, offsets = spelled(pretokens)
    return _partition_of(hash_bytes_of(read_only(data), read_only(offsets)), partitions)


def _partition_of(hashes: Any, partitions: int) -> Any:
    return (hashes >> _SPARE_BITS) % np.uint64(partitions)

"""The count table: how often each pre-token occurs, by group of documents. No Beam.

A group is a source and a language. A table is a folder of Arrow IPC files `part-*.arrow` and
`groups.json`. Each row says that `pretoken` (bytes of UTF-8) occurs `count` times in group `group` (its
place in `groups.json`). A pre-token is in the file that its hash chooses; each file is sorted by pre-token
and group. Counts are 64-bit and checked: they never wrap.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import DataError
from pipeline.storage import AtomicFile, FileEntry, open_read, read_json, write_json

GROUPS_FILE = "groups.json"
BATCH_ROWS = 1 << 16
ROWS = pa.schema([("pretoken", pa.large_binary()), ("group", pa.int32()), ("count", pa.int64())])
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")
_HALF = 32


class GroupKey(NamedTuple):
    """What the documents of a group share."""

    source: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is known of the text of one group. `words` are stretches without white space.

    `long_…` is what the length limit kept out of the table, `dropped_…` what pruning dropped from it.
    """

    source: str
    language: str
    documents: int = 0
    text_bytes: int = 0
    words: int = 0
    pretokens: int = 0
    long_pretokens: int = 0
    long_bytes: int = 0
    dropped_pretokens: int = 0
    dropped_bytes: int = 0

    @property
    def key(self) -> GroupKey:
        """What the documents share."""
        return GroupKey(self.source, self.language)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """What `groups.json` says: how text was cut, what was dropped, and the groups in order."""

    pattern: str
    max_pretoken_bytes: int
    min_count: int
    partitions: int
    groups: tuple[Group, ...]


def merged_groups(tables: Iterable[Iterable[Group]]) -> tuple[Group, ...]:
    """The groups of several tables, equal keys added up, in order of key."""
    total: dict[GroupKey, Group] = {}
    for groups in tables:
        for group in groups:
            total[group.key] = _added(total[group.key], group) if group.key in total else group
    return tuple(total[key] for key in sorted(total))


def _added(one: Group, other: Group) -> Group:
    numbers = [field.name for field in fields(Group) if field.name not in ("source", "language")]
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in numbers})


def write_info(path: str, info: TableInfo) -> FileEntry:
    """Writes a `groups.json`."""
    return write_json(path, asdict(info))


def read_info(path: str) -> TableInfo:
    """What a `groups.json` says.

    Raises:
        DataError: it is damaged.
    """
    value = read_json(path)
    try:
        groups = tuple(Group(**group) for group in value.pop("groups"))
        return TableInfo(groups=groups, **value)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not the description of a count table: {error}") from None


def write_rows(path: str, tables: Iterable[pa.Table]) -> FileEntry:
    """Writes sorted rows to one file of a table, in batches."""
    num_rows = 0
    with AtomicFile(path) as sink, pa.ipc.new_file(pa.PythonFile(sink, mode="w"), ROWS, options=_OPTIONS) as writer:
        for table in tables:
            num_rows += table.num_rows
            writer.write_table(table.combine_chunks(), max_chunksize=BATCH_ROWS)
    return sink.entry(num_records=num_rows)


def read_batches(path: str) -> Iterator[pa.RecordBatch]:
    """The batches of one file of a table, in order.

    Raises:
        DataError: it is not one, or is damaged.
    """
    try:
        with open_read(path) as file, pa.ipc.open_file(file) as reader:
            if reader.schema != ROWS:
                raise DataError(f"{path} is not a count table: its columns are {reader.schema.names}")
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not readable as Arrow: {error}") from None


def summed(batches: Sequence[pa.RecordBatch | pa.Table], *, where: str) -> pa.Table:
    """All rows, equal (pre-token, group) added up, sorted.

    Raises:
        DataError: a sum does not fit into 63 bits; the sentence names `where`.
    """
    table = pa.concat_tables(
        [pa.Table.from_batches([each]) if isinstance(each, pa.RecordBatch) else each for each in batches]
    )
    low = pc.bit_wise_and(table["count"], (1 << _HALF) - 1)
    halves = pa.table(
        {
            "pretoken": table["pretoken"],
            "group": table["group"],
            "high": pc.shift_right(table["count"], _HALF),
            "low": low,
        }
    )
    # Arrow sums wrap silently, so each half of the numbers is summed apart: neither sum can wrap.
    sums = halves.group_by(["pretoken", "group"], use_threads=False).aggregate([("high", "sum"), ("low", "sum")])
    high = pc.add(sums["high_sum"], pc.shift_right(sums["low_sum"], _HALF))
    if sums.num_rows and pc.max(high).as_py() >= 1 << 31:
        raise DataError(f"{where}: a pre-token occurs 2^63 times or more, which a count table does not hold")
    count = pc.add(pc.shift_left(high, _HALF), pc.bit_wise_and(sums["low_sum"], (1 << _HALF) - 1))
    return in_order(pa.table([sums["pretoken"], sums["group"], count], schema=ROWS))


def in_order(rows: pa.Table) -> pa.Table:
    """`rows` sorted by pre-token and group."""
    return rows.take(pc.sort_indices(rows, [("pretoken", "ascending"), ("group", "ascending")]))


def pruned(rows: pa.Table, min_count: int) -> tuple[pa.Table, Mapping[int, tuple[int, int]]]:
    """The rows of pre-tokens that occur `min_count` times over all groups, and what was dropped: pre-tokens and bytes by group."""
    if min_count <= 1 or not rows.num_rows:
        return rows, {}
    starts = first_rows(rows["pretoken"])
    totals = np.add.reduceat(rows["count"].to_numpy().astype(object), starts)
    sizes = np.diff(np.append(starts, rows.num_rows))
    kept = np.repeat(totals >= min_count, sizes)
    dropped = rows.filter(pa.array(~kept))
    mass: dict[int, tuple[int, int]] = {}
    lengths = pc.binary_length(dropped["pretoken"]).to_pylist()
    for group, count, length in zip(dropped["group"].to_pylist(), dropped["count"].to_pylist(), lengths, strict=True):
        pretokens, num_bytes = mass.get(group, (0, 0))
        mass[group] = (pretokens + count, num_bytes + count * length)
    return rows.filter(pa.array(kept)), mass


def first_rows(pretokens: pa.ChunkedArray) -> Any:
    """The numbers of the rows at which a new pre-token starts, in a sorted column."""
    column = pretokens.combine_chunks() if isinstance(pretokens, pa.ChunkedArray) else pretokens
    if not len(column):
        return np.empty(0, dtype=np.int64)
    changes = pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate(([0], np.flatnonzero(changes) + 1))


def with_dropped(groups: Sequence[Group], mass: Mapping[int, tuple[int, int]]) -> tuple[Group, ...]:
    """`groups` with dropped mass (by place) added."""
    result = list(groups)
    for place, (pretokens, num_bytes) in mass.items():
        group = result[place]
        result[place] = replace(
            group, dropped_pretokens=group.dropped_pretokens + pretokens, dropped_bytes=group.dropped_bytes + num_bytes
        )
    return tuple(result)


def spelled(column: Any) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of a column of pre-tokens one behind the other, and their offsets."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    _, offsets_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64, count=len(column) + 1, offset=8 * column.offset)
    data = np.frombuffer(data_buffer, dtype=np.uint8)[offsets[0] : offsets[-1]]
    return data.copy(), offsets - offsets[0]

"""The count table: how often each pre-token occurs, by group of documents. No Beam.

A group is a source and a language. A table is a folder of Arrow IPC files `part-*.arrow` and
`groups.json`. Each row says that `pretoken` (bytes of UTF-8) occurs `count` times in group `group` (its
place in `groups.json`). A pre-token is in the file that its hash chooses; each file is sorted by pre-token
and group. Sums never wrap: `count` is int64 in a file that needs no more, and a whole decimal number of 38
or 76 digits in one that does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.atomic import AtomicFile, FileEntry
from pipeline.errors import DataError
from pipeline.storage import open_read, read_json, write_json

GROUPS_FILE = "groups.json"
BATCH_ROWS = 1 << 16
ROWS = pa.schema([("pretoken", pa.large_binary()), ("group", pa.int32()), ("count", pa.int64())])
_LIMITS = {pa.int64(): 1 << 63, pa.decimal128(38, 0): 10**38, pa.decimal256(76, 0): 10**76}
_WIDEST = pa.decimal256(76, 0)
_SCHEMAS = [ROWS.set(2, pa.field("count", count_type)) for count_type in _LIMITS]
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


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


def write_rows(path: str, rows: pa.Table) -> FileEntry:
    """Writes sorted rows to one file of a table, in batches, with the narrowest type that holds the counts."""
    rows = _with_counts_as(_narrowest(rows["count"]), rows)
    with (
        AtomicFile(path) as sink,
        pa.ipc.new_file(pa.PythonFile(sink, mode="w"), rows.schema, options=_OPTIONS) as writer,
    ):
        writer.write_table(rows.combine_chunks(), max_chunksize=BATCH_ROWS)
    return sink.entry(num_records=rows.num_rows)


def read_batches(path: str) -> Iterator[pa.RecordBatch]:
    """The batches of one file of a table, in order.

    Raises:
        DataError: it is not one, or is damaged.
    """
    try:
        with open_read(path) as file, pa.ipc.open_file(file) as reader:
            if reader.schema not in _SCHEMAS:
                columns = ", ".join(f"{field.name} ({field.type})" for field in reader.schema)
                raise DataError(f"{path} is not a count table: its columns are {columns}")
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                if any(column.null_count for column in batch.columns) or pc.any(pc.less(batch["count"], 0)).as_py():
                    raise DataError(f"{path} is damaged: a row is without a value, or its count is negative")
                yield batch
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not readable as Arrow: {error}") from None


def joined(tables: Iterable[pa.RecordBatch | pa.Table]) -> pa.Table:
    """All rows one behind the other, with counts of the widest type among them."""
    wholes = [pa.Table.from_batches([each]) if isinstance(each, pa.RecordBatch) else each for each in tables]
    types = {each.schema.field("count").type for each in wholes}
    widest = max(types, key=_LIMITS.__getitem__, default=pa.int64())
    return pa.concat_tables(
        [ROWS.empty_table(), *wholes] if widest == pa.int64() else [_with_counts_as(widest, each) for each in wholes]
    )


def counts_in(rows: pa.Table) -> npt.NDArray[Any]:
    """The counts of rows: int64 where the column is, else Python's integers."""
    column = rows["count"]
    if column.type == pa.int64():
        numbers: npt.NDArray[Any] = column.to_numpy()
        return numbers
    return np.array([int(count) for count in column.to_pylist()], dtype=object)


def _narrowest(counts: pa.ChunkedArray) -> pa.DataType:
    largest = int(pc.max(counts).as_py() or 0)
    return next(count_type for count_type, limit in _LIMITS.items() if largest < limit)


def _with_counts_as(count_type: pa.DataType, rows: pa.Table) -> pa.Table:
    if rows.schema.field("count").type == count_type:
        return rows
    return rows.set_column(2, pa.field("count", count_type), rows["count"].cast(count_type))


def summed(batches: Sequence[pa.RecordBatch | pa.Table], *, where: str) -> pa.Table:
    """All rows, equal (pre-token, group) added up, sorted. Exact: counts get a wider type where they need one.

    Raises:
        DataError: all counts together come to 10^76 or more; the sentence names `where`.
    """
    rows = joined(batches)
    # Arrow sums wrap silently. Floating point is near enough to tell whether that could happen at all.
    total = pc.sum(rows["count"].cast(pa.float64(), safe=False)).as_py() or 0.0
    if total >= _LIMITS[_WIDEST]:
        raise DataError(f"{where}: the pre-tokens count 10^76 times or more, which a count table does not hold")
    if total >= 1 << 62:
        rows = _with_counts_as(_WIDEST, rows)
    sums = rows.group_by(["pretoken", "group"], use_threads=False).aggregate([("count", "sum")])
    counts = sums["count_sum"]
    fitting = counts.cast(_narrowest(counts))
    return in_order(pa.table({"pretoken": sums["pretoken"], "group": sums["group"], "count": fitting}))


def in_order(rows: pa.Table) -> pa.Table:
    """`rows` sorted by pre-token and group."""
    return rows.take(pc.sort_indices(rows, [("pretoken", "ascending"), ("group", "ascending")]))


def pruned(rows: pa.Table, min_count: int) -> tuple[pa.Table, Mapping[int, tuple[int, int]]]:
    """The rows of pre-tokens that occur `min_count` times over all groups, and what was dropped: pre-tokens and bytes by group."""
    if min_count <= 1 or not rows.num_rows:
        return rows, {}
    starts = first_rows(rows["pretoken"])
    totals = np.add.reduceat(counts_in(rows).astype(object), starts)
    sizes = np.diff(np.append(starts, rows.num_rows))
    kept = np.repeat(totals >= min_count, sizes)
    dropped = rows.filter(pa.array(~kept))
    mass: dict[int, tuple[int, int]] = {}
    lengths = pc.binary_length(dropped["pretoken"]).to_pylist()
    for group, count, length in zip(dropped["group"].to_pylist(), counts_in(dropped).tolist(), lengths, strict=True):
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

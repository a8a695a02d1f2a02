"""Pages in Parquet. The place of a page is the number of its row."""

import bisect
import itertools
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import jsonl
from pipeline.ingest.captures import Capture, Found, Place, Refusal
from pipeline.ingest.config import FieldNames
from pipeline.ingest.fields import columns_among, found_in_fields
from pipeline.ingest.kept import has_kept
from pipeline.tables import KEPT

_BATCH_ROWS = 64
_BATCH_BYTES = 32 << 20
UNREADABLE = (pa.ArrowException, OSError, ValueError)  # what pyarrow raises for a broken file
_NO_VALUE = (ValueError, OverflowError, KeyError)  # of a value, or its time zone, that Python does not have


def found_in_rows(
    raw: IO[bytes], names: FieldNames, limit: int, *, first: int = 0, end: int | None = None
) -> Iterator[Found]:
    """The pages in the row groups from `first` up to `end`."""
    position = 0
    try:
        with pq.ParquetFile(raw) as file:
            groups = range(first, min(end if end is not None else file.num_row_groups, file.num_row_groups))
            position = sum(_group_sizes(file)[:first])
            for row in _rows(file, names, groups):
                yield _found_in_row(row, names, position, limit)
                position += 1
    except UNREADABLE as error:
        detail = f"not readable as Parquet from row {position} on: {' '.join(str(error).split())[:200]}"
        yield Refusal(place=Place(kind="parquet", position=position), reason="unreadable_file", detail=detail)


class RowReader:
    """Finds rows again by number: one pass for rows that ascend, row groups without a wanted row not read."""

    def __init__(self, raw: IO[bytes], names: FieldNames, limit: int) -> None:
        self._raw, self._names, self._limit = raw, names, limit
        self._file: pq.ParquetFile | None = None
        self._ends: list[int] = []
        self._group, self._next = -1, 0
        self._rows: Iterator[_Row] = iter(())

    def at(self, position: int, length: int) -> Found | None:
        """The page in the row `position`, or None where no such row can be read."""
        try:
            row = self._row(position)
        except UNREADABLE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk or the network, not the file
            return None
        if row is None:
            return None
        return _found_in_row(row, self._names, position, self._limit)

    def _row(self, position: int) -> "_Row | None":
        if self._file is None:
            self._file = pq.ParquetFile(self._raw)
            self._ends = list(itertools.accumulate(_group_sizes(self._file)))
        group = bisect.bisect_right(self._ends, position)
        if position < 0 or group == len(self._ends):
            return None
        if group != self._group or position < self._next:
            self._group, self._next = group, self._ends[group - 1] if group else 0
            self._rows = _rows(self._file, self._names, [group])
        row = next(itertools.islice(self._rows, position - self._next, None), None)
        self._next = position + 1
        return row

    def close(self) -> None:
        """Closes the file."""
        self._raw.close()


def _group_sizes(file: pq.ParquetFile) -> list[int]:
    return [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]


def _rows(file: pq.ParquetFile, names: FieldNames, groups: Sequence[int]) -> Iterator["_Row"]:
    columns = columns_of(file, names)
    ours = bool(names.keep) and has_kept(file.schema_arrow)
    for group in groups:
        about = file.metadata.row_group(group)
        rows = _BATCH_BYTES * about.num_rows // max(1, about.total_byte_size)  # large rows come few at a time
        for batch in file.iter_batches(
            batch_size=min(max(rows, 1), _BATCH_ROWS), row_groups=[group], columns=columns, use_threads=False
        ):
            yield from (_Row(row, ours) for row in records_of(batch))


def records_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of a batch by column; of a value that Python does not have what `_value` makes of it."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except _NO_VALUE:  # the others count
        columns = [[_value(scalar) for scalar in column] for column in batch.columns]
        rows = [dict(zip(batch.schema.names, values, strict=True)) for values in zip(*columns, strict=True)]
    return rows


def _value(scalar: pa.Scalar) -> Any:
    """A value; bytes where text is not UTF-8, text where a time is outside of the years 1 to 9999, None for what is neither."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return scalar.as_buffer().to_pybytes() if hasattr(scalar, "as_buffer") else None
    except _NO_VALUE:
        return _as_text(scalar)


def _as_text(scalar: pa.Scalar) -> str | None:
    try:
        text = scalar.cast(pa.string()).as_py()
    except (pa.ArrowException, ValueError, OverflowError):
        return None
    return None if text is None or text.startswith("<") else str(text)  # `<value out of range: …>`


class _Row(NamedTuple):
    """A row, and whether it is a document of a run, which kept fields of its own inputs in `metadata`."""

    fields: dict[str, Any]
    ours: bool


def _found_in_row(row: _Row, names: FieldNames, position: int, limit: int) -> Capture | Refusal:
    earlier = _object(row.fields[KEPT]) if row.ours else {}
    return found_in_fields(row.fields, names, Place(kind="parquet", position=position), limit, earlier)


def _object(text: Any) -> dict[str, Any]:
    try:
        return jsonl.parsed(str(text).encode())
    except ValueError:
        return {}


def columns_of(file: pq.ParquetFile, names: FieldNames) -> list[str]:
    """The columns of `file` that hold fields we look for."""
    also = (KEPT,) if names.keep and has_kept(file.schema_arrow) else ()
    return columns_among(file.schema_arrow, names, *also)

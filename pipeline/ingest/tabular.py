"""Pages in Arrow and CSV files, which are read from front to back. The place of a page is the number of its row.

Arrow is the file format (also called Feather 2) or the stream format, as `datasets` of Hugging Face saves them. CSV is that of RFC 4180 in
UTF-8: its first row names the fields; commas, or where that row has none, semicolons or tabs stand between them.
"""

import csv
import itertools
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO, Any, NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.ingest.captures import Found, Place, Refusal
from pipeline.ingest.config import FieldNames
from pipeline.ingest.fields import columns_among, found_in_fields
from pipeline.ingest.parquet import records_of
from pipeline.streams import ByteStream, open_stream

_FILE_MAGIC = b"ARROW1"
_ROWS_AT_A_TIME = 64
_DELIMITERS = ",;\t"
_OTHER_FIELDS_BYTES = 1 << 20
_UNREADABLE = (pa.ArrowException, OSError, ValueError, csv.Error)


class _Bad(NamedTuple):
    """A row that is none, and why."""

    detail: str


_Row = dict[str, Any] | _Bad


def found_in_table(path: str, kind: str, names: FieldNames, limit: int) -> Iterator[Found]:
    """The pages in the rows of a file; what cannot be read on from some row is one refusal."""
    position = 0
    with ExitStack() as stack:
        rows = _rows(path, kind, names, limit, stack)
        while True:
            try:
                row = next(rows, None)
            except _UNREADABLE as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the disk or the network, not the file
                detail = f"not readable as {kind} from row {position} on: {' '.join(str(error).split())[:200]}"
                yield Refusal(place=Place(kind=kind, position=position), reason="unreadable_file", detail=detail)
                return
            if row is None:
                return
            yield _found(row, kind, position, names, limit)
            position += 1


class TableReader:
    """Finds rows again by number; a row before the last one begins anew."""

    def __init__(self, path: str, kind: str, names: FieldNames, limit: int) -> None:
        self._path, self._kind, self._names, self._limit = path, kind, names, limit
        self._stack = ExitStack()
        self._next = 0
        self._rows: Iterator[_Row] | None = None

    def at(self, position: int, length: int) -> Found | None:
        """The page in the row `position`, or None where no such row can be read."""
        if self._rows is None or position < self._next:
            self._stack.close()
            self._rows, self._next = _rows(self._path, self._kind, self._names, self._limit, self._stack), 0
        try:
            row = next(itertools.islice(self._rows, position - self._next, None), None)
        except _UNREADABLE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk or the network, not the file
            row = None
        if row is None:
            self._rows = None
            return None
        self._next = position + 1
        return _found(row, self._kind, position, self._names, self._limit)

    def close(self) -> None:
        """Closes the file."""
        self._stack.close()


def _found(row: _Row, kind: str, position: int, names: FieldNames, limit: int) -> Found:
    place = Place(kind=kind, position=position)
    if isinstance(row, _Bad):
        return Refusal(place=place, reason="malformed", detail=row.detail)
    return found_in_fields(row, names, place, limit)


def _rows(path: str, kind: str, names: FieldNames, limit: int, stack: ExitStack) -> Iterator[_Row]:
    """The rows of a file, which `stack` closes."""
    if kind == "arrow":
        return _arrow_rows(stack.enter_context(storage.open_read(path)), names)
    return _csv_rows(stack.enter_context(open_stream(path)), limit)


def _arrow_rows(raw: IO[bytes], names: FieldNames) -> Iterator[dict[str, Any]]:
    is_file = raw.read(len(_FILE_MAGIC)) == _FILE_MAGIC
    raw.seek(0)
    reader = pa.ipc.open_file(raw) if is_file else pa.ipc.open_stream(raw)
    batches: Iterable[pa.RecordBatch] = (
        map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader  # a stream knows no number
    )
    columns = columns_among(reader.schema, names)
    for batch in batches:
        batch.validate(full=True)  # offsets of a hostile file lead out of it
        wanted = batch.select(columns)
        for start in range(0, wanted.num_rows, _ROWS_AT_A_TIME):
            yield from records_of(wanted.slice(start, _ROWS_AT_A_TIME))


def _csv_rows(stream: ByteStream, limit: int) -> Iterator[_Row]:
    """The rows behind that of the names.

    Raises:
        ValueError: a line or field is longer than any page may be, as behind a quotation mark that is not closed; or the
            compressed data is damaged.
    """
    csv.field_size_limit(limit + _OTHER_FIELDS_BYTES)  # in characters; it holds for the process
    lines = _lines(stream, limit + _OTHER_FIELDS_BYTES)
    first = next(lines, "")
    rows = _parsed(itertools.chain([first], lines), _delimiter(first))
    header = next(rows, [])
    for row in rows:
        if stream.damage is not None and not stream.peek(1):
            break  # it may be cut off
        if isinstance(row, _Bad) or isinstance(header, _Bad):
            yield row if isinstance(row, _Bad) else _Bad("the first row of the file is not CSV")
        elif len(row) == len(header):
            yield _decoded(dict(zip(header, row, strict=True)))
        elif row:
            yield _Bad(f"the row has {len(row)} fields, the first one {len(header)}")
    if stream.damage is not None:
        raise ValueError(stream.damage.detail)


def _parsed(lines: Iterator[str], delimiter: str) -> Iterator[list[str] | _Bad]:
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            if "field limit" in str(error):
                raise
            yield _Bad(f"the row is not CSV: {error}")


def _lines(stream: ByteStream, longest: int) -> Iterator[str]:
    start = b"\xef\xbb\xbf"
    while line := stream.readline(longest):
        if len(line) == longest and not line.endswith(b"\n"):
            raise ValueError(f"a line has more than {longest} bytes")
        yield line.removeprefix(start).decode("utf-8", "surrogateescape")
        start = b""


def _delimiter(first: str) -> str:
    return next((sign for sign in _DELIMITERS if sign in first), ",")


def _decoded(row: dict[str, str]) -> _Row:
    for name, value in row.items():
        try:
            value.encode()
        except UnicodeEncodeError:
            return _Bad(f"the field {name!r} is not UTF-8")
    return row

"""Pages in Arrow and CSV files, which are read from front to back. The place of a page is the number of its row.

Arrow is the file format (also called Feather 2) or the stream format, as `datasets` of Hugging Face saves them. CSV is that of RFC 4180 in
UTF-8: its first row names the fields; commas, or where that row has none, semicolons or tabs stand between them.
"""

import csv
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Any, NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.codecs import compression_of
from pipeline.ingest.captures import Found, Place, Refusal
from pipeline.ingest.config import FieldNames
from pipeline.ingest.fields import columns_among, found_in_fields
from pipeline.ingest.jsonl import UTF_16, UTF_16_WANTED
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
    """The rows of a file.

    Raises:
        ValueError: it is compressed as a whole.
    """
    head = raw.read(len(_FILE_MAGIC))
    if packed := compression_of(head):
        raise ValueError(f"it is compressed as a whole ({packed}); unpack it, for Arrow compresses within the file")
    raw.seek(0)
    for batch in _file_batches(raw, names) if head == _FILE_MAGIC else _stream_batches(raw, names):
        batch.validate(full=True)  # offsets of a hostile file lead out of it
        for start in range(0, batch.num_rows, _ROWS_AT_A_TIME):
            yield from records_of(batch.slice(start, _ROWS_AT_A_TIME))


def _file_batches(raw: IO[bytes], names: FieldNames) -> Iterator[pa.RecordBatch]:
    reader = pa.ipc.open_file(raw, options=_wanted_of(pa.ipc.open_file(raw).schema, names))
    return map(reader.get_batch, range(reader.num_record_batches))


def _stream_batches(raw: IO[bytes], names: FieldNames) -> Iterator[pa.RecordBatch]:
    """The batches of a stream, and of those that stand behind it, as `cat` leaves them."""
    more = True
    while more:
        start = raw.tell()
        options = _wanted_of(pa.ipc.open_stream(raw).schema, names)
        raw.seek(start)
        yield from pa.ipc.open_stream(raw, options=options)
        end = raw.tell()
        more = bool(raw.read(1))
        raw.seek(end)


def _wanted_of(schema: pa.Schema, names: FieldNames) -> pa.ipc.IpcReadOptions:
    """Reads the columns that hold fields we look for: by number, as two may have one name. One of any, to count rows by."""
    wanted = set(columns_among(schema, names))
    numbers = [at for at, name in enumerate(schema.names) if name in wanted]
    return pa.ipc.IpcReadOptions(included_fields=numbers or [0] * bool(schema.names))


def _csv_rows(stream: ByteStream, limit: int) -> Iterator[_Row]:
    """The rows behind that of the names.

    Raises:
        ValueError: a line or field is longer than any page may be, as behind a quotation mark that is not closed; the
            row of the names is not CSV, or the file is in UTF-16; or the compressed data is damaged.
    """
    if stream.peek(2).startswith(UTF_16):
        raise ValueError(f"the file is in {UTF_16_WANTED}")
    csv.field_size_limit(limit + _OTHER_FIELDS_BYTES)  # in characters; it holds for the process
    lines = _lines(stream, limit + _OTHER_FIELDS_BYTES)
    first = next((line for line in lines if line.strip()), "")
    rows = _parsed(itertools.chain([first], lines), _delimiter(first))
    header = next(rows, [])
    if isinstance(header, _Bad):
        raise ValueError(f"the row of the names: {header.detail}")
    for row in rows:
        if stream.damage is not None and not stream.peek(1):
            break  # it may be cut off
        if isinstance(row, _Bad):
            yield row
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
            lone = "new-line character" in str(error)
            yield _Bad(f"the row is not CSV: {'a carriage return stands alone and is not quoted' if lone else error}")


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

"""JSON lines, streaming: gzip, zstd, bz2, xz, lz4 or plain in, gzip, zstd or plain out, `-` for the standard streams.

Lines end at `\\n` only: the other characters that Python takes for line ends are legal inside JSON text.
"""

import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import IO, Any, NamedTuple, Protocol, cast

import zstandard

from pipeline.atomic import AtomicFile
from pipeline.codecs import compression_of
from pipeline.disk import followed
from pipeline.errors import InputError
from pipeline.streams import ByteStream, open_stream

MAX_LINE_BYTES = 512 << 20
_ZSTD_LEVEL = 3
_KINDS = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}


class Line(NamedTuple):
    """One line without its end. `position` counts decoded bytes from the start of the stream, `size` its full length,
    `number` the lines from 1 on, blank ones included.

    `data` is None where the line is longer than allowed: it was passed over without being held.
    """

    position: int
    data: bytes | None
    size: int
    number: int


def lines(stream: ByteStream, *, limit: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """The lines of a stream that are not blank, each of at most `limit` bytes."""
    for number in count(1):
        position = stream.tell()
        line = stream.readline(limit + 1)
        if not line:
            return
        if not line.endswith(b"\n") and len(line) > limit:
            yield Line(position, None, len(line) + stream.skip_line(), number)
        elif line.strip():
            yield Line(position, line.rstrip(b"\r\n"), len(line), number)


def parsed(line: bytes) -> dict[str, Any]:
    """The JSON object in one line.

    Raises:
        ValueError: the line is not one JSON object; the message says why.
    """
    try:
        value = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    except json.JSONDecodeError as error:  # its own words count lines within this one
        raise ValueError(f"{error.msg} at column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.object[error.start]:#04x} at column {error.start + 1} is not UTF-8") from None
    if not isinstance(value, dict):
        raise ValueError(f"the line holds {_KINDS.get(type(value), 'a number')}, not an object")
    return value


def read_records(path: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON lines file (`-` is standard input), in order.

    Raises:
        InputError: the file is missing, damaged or cut off, or a line is not an object; the sentence names the line.
    """
    return (record for _, record in numbered_records(path))


def numbered_records(
    path: str, broken: Callable[[Line, str], None] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON lines file, each behind the number of its line; `broken` gets the lines that are no objects, and why.

    Raises:
        InputError: see `read_records`; lines that are no objects only without `broken`.
    """

    def refuse(line: Line, why: str) -> None:
        raise InputError(f"{path}: the record at line {line.number} {why}")

    take = broken or refuse
    with _reading(path) as stream:
        num_records = 0
        for line in lines(stream):
            if line.data is None:
                take(line, f"has {line.size} bytes; allowed are {MAX_LINE_BYTES}")
                continue
            try:
                record = parsed(line.data)
            except ValueError as error:
                if stream.damage is not None and not stream.peek(1):
                    break
                take(line, f"is not a JSON object: {error}")
                continue
            num_records += 1
            yield line.number, record
        if stream.damage is not None:
            raise InputError(
                f"{path} is broken at byte {stream.damage.position}, behind record {num_records}: {stream.damage.detail}"
            )


@contextmanager
def _reading(path: str) -> Iterator[ByteStream]:
    if path != "-":
        with open_stream(path) as stream:
            yield stream
        return
    yield stream_of(sys.stdin.buffer)


def stream_of(source: IO[bytes]) -> ByteStream:
    """A stream over a file that cannot seek, such as standard input."""
    pipe = _Pipe(source)
    head = pipe.head
    return ByteStream(cast("IO[bytes]", pipe), compression=compression_of(head))


class _Pipe:
    """A source that can only be read onwards, its first bytes seen twice."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.head = source.read(64)
        self._pending = self.head

    def read(self, size: int) -> bytes:
        if self._pending:
            data, self._pending = self._pending, b""
            return data
        return self._source.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        assert (position, whence) == (0, 0), "a pipe starts at its beginning"
        return 0

    def close(self) -> None:
        self._source.close()


def encoded(record: Mapping[str, Any]) -> bytes:
    """`record` as one line with its end."""
    try:
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # lone surrogates have no UTF-8 form, but JSON can escape them
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"


class Sink(Protocol):
    """Takes bytes."""

    def write(self, data: bytes) -> object:
        """Takes `data`."""


class RecordWriter:
    """Writes objects as JSON lines, keys in the order in which they come, non-ASCII text as it is."""

    def __init__(self, sink: Sink, compression: str) -> None:
        self._sink = sink
        self._compressor: Any = None
        if compression == "gzip":
            self._compressor = zlib.compressobj(6, zlib.DEFLATED, 31)  # its header holds no clock
        elif compression == "zstd":
            self._compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()
        self.num_records = 0

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends one object."""
        line = encoded(record)
        self._sink.write(self._compressor.compress(line) if self._compressor else line)
        self.num_records += 1

    def finish(self) -> None:
        """Writes what is still held back."""
        if self._compressor is not None:
            self._sink.write(self._compressor.flush())


@contextmanager
def writing(path: str) -> Iterator[RecordWriter]:
    """A writer to `path` (`-`: standard output), gzip or zstd by its ending; if the block raises, nothing appears."""
    if path == "-":
        writer = RecordWriter(sys.stdout.buffer, "")
        yield writer
        sys.stdout.buffer.flush()
        return
    with AtomicFile(followed(path)) as file:
        writer = RecordWriter(file, _compression_for(path))
        yield writer
        writer.finish()


def _compression_for(path: str) -> str:
    return {".gz": "gzip", ".zst": "zstd"}.get(os.path.splitext(path)[1].lower(), "")

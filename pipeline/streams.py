"""Byte streams that undo compression, know where they are in the file, and end at damage instead of raising.

An archive is a chain of compressed members (gzip members, zstd or lz4 frames, …). A `ByteStream` hands
out the bytes of all members as one stream and remembers at which byte of the file each member begins,
so that a record can be found again by one seek. A member that is cut off or does not decode ends the
stream: what came before it has been handed out, and `damage` says where and why. Memory is bounded,
whatever the bytes claim.
"""

from collections import deque
from collections.abc import Iterator
from typing import IO, NamedTuple, Self

import zstandard

from pipeline import storage
from pipeline.codecs import DECODING_ERRORS, HEADS, Codec, codec_factory, compression_of, zstd_dictionary

READ_BYTES = 1 << 16


class Damage(NamedTuple):
    """Where in a file a stream ended early, and why. `position` is where the broken member begins."""

    position: int
    reason: str
    detail: str


class ByteStream:
    """The decoded bytes of `raw` from byte `start` on (the beginning of a member), forwards only.

    `tell` counts decoded bytes from there; `member()` is the place in the file of the member that
    begins exactly at the next byte, if one does. Of an uncompressed file every byte begins one.
    """

    def __init__(
        self,
        raw: IO[bytes],
        *,
        compression: str,
        start: int = 0,
        first_read: int = READ_BYTES,
        dictionary: zstandard.ZstdCompressionDict | None = None,
    ) -> None:
        self.raw = raw
        self.start = start
        self.compression = compression
        self.damage: Damage | None = None
        self._make = codec_factory(compression, dictionary)
        self._codec: Codec | None = None if compression else self._make()
        self._more = False
        self._input = b""
        self._read_bytes = first_read
        self._taken = start  # bytes of the file read so far, those in _input included
        self._member_start = start
        self._members: deque[tuple[int, int]] = deque()
        self._buffer, self._at, self._base = b"", 0, 0
        self._ended = False
        raw.seek(start)

    def tell(self) -> int:
        """Decoded bytes handed out so far."""
        return self._base + self._at

    def member(self) -> int | None:
        """The place in the file of the member that begins at the next byte, or None in the middle of one."""
        here = self.tell()
        if not self.compression:
            return self.start + here
        if self._at == len(self._buffer):
            self._fill()
        members = self._members
        while members and (members[0][0] < here or (len(members) > 1 and members[1][0] == here)):
            members.popleft()  # of empty members the last one counts
        return members[0][1] if members and members[0][0] == here else None

    def raw_position(self) -> int:
        """The place in the file up to which members have been taken in: the end of a record that was just read."""
        if not self.compression:
            return self.start + self.tell()
        return self._taken - len(self._input)

    def _fill(self) -> bool:
        """Decodes one more piece; false at the end or at damage."""
        while not self._ended:
            if not self._input and not self._more and not self._take():
                return False
            try:
                if self._codec is None and not self._begin_member():
                    return False
                assert self._codec is not None
                piece = self._codec.step(self._input)
            except DECODING_ERRORS as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the disk or the network failed, not the data
                return self._end("unreadable_file", f"{self.compression} data does not decode: {error}")
            self._input, self._more = piece.rest, piece.pending
            if piece.ended:
                self._codec = None
            if piece.out:
                self._append(piece.out)
                return True
        return False

    def _take(self) -> bool:
        self._input = self.raw.read(self._read_bytes)
        self._read_bytes = READ_BYTES
        self._taken += len(self._input)
        if self._input:
            return True
        if self._codec is not None and self.compression:
            return self._end("truncated_file", f"the file ends inside a {self.compression} member")
        self._ended = True
        return False

    def _begin_member(self) -> bool:
        """Starts the next member at the next byte that is not zero padding; false where there is none."""
        self._input = self._input.lstrip(b"\0")
        while len(self._input) < 6 and (more := self.raw.read(READ_BYTES)):
            self._taken += len(more)
            self._input = (self._input + more).lstrip(b"\0")
        self._member_start = self._taken - len(self._input)
        if not self._input:
            self._ended = True
            return False
        if not HEADS[self.compression].match(self._input):
            return self._end("unreadable_file", f"what follows is not {self.compression}")
        self._members.append((self._base + len(self._buffer), self._member_start))
        self._codec = self._make()
        return True

    def _end(self, reason: str, detail: str) -> bool:
        self.damage = Damage(self._member_start if self.compression else self._taken, reason, detail)
        self._ended = True
        return False

    def _append(self, out: bytes) -> None:
        if self._at == len(self._buffer):
            self._base += self._at
            self._buffer, self._at = out, 0
        else:
            self._base += self._at
            self._buffer, self._at = self._buffer[self._at :] + out, 0

    def peek(self, size: int) -> bytes:
        """The next bytes without taking them: `size` of them, fewer only at the end."""
        while len(self._buffer) - self._at < size and self._fill():
            pass
        return self._buffer[self._at : self._at + size]

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        if len(self._buffer) - self._at >= size:
            self._at += size
            return self._buffer[self._at - size : self._at]
        return b"".join(self._pieces(size))

    def skip(self, size: int) -> int:
        """Passes over `size` bytes without holding them; returns how many there were."""
        if not self.compression and size > len(self._buffer) - self._at + READ_BYTES:
            return self._seek_over(size)
        return sum(len(piece) for piece in self._pieces(size))

    def _seek_over(self, size: int) -> int:
        end = self.raw.seek(0, 2)
        target = min(self.start + self.tell() + size, end)
        skipped = target - self.start - self.tell()
        self.raw.seek(target)
        self._taken, self._input = target, b""
        self._base, self._buffer, self._at = target - self.start, b"", 0
        return skipped

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size > 0:
            if self._at == len(self._buffer) and not self._fill():
                return
            piece = self._buffer[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def readline(self, limit: int) -> bytes:
        """The next line with its end; at most `limit` bytes of it. Empty only at the end."""
        found = self._buffer.find(b"\n", self._at, self._at + limit)
        if found >= 0:
            line = self._buffer[self._at : found + 1]
            self._at = found + 1
            return line
        return b"".join(self._line_pieces(limit))

    def _line_pieces(self, limit: int) -> Iterator[bytes]:
        while limit > 0:
            if self._at == len(self._buffer) and not self._fill():
                return
            found = self._buffer.find(b"\n", self._at, self._at + limit)
            stop = found + 1 if found >= 0 else min(len(self._buffer), self._at + limit)
            piece = self._buffer[self._at : stop]
            self._at = stop
            limit -= len(piece)
            yield piece
            if found >= 0:
                return

    def skip_line(self) -> int:
        """Passes over the rest of a line; returns how many bytes it had, its end included."""
        skipped = 0
        while True:
            if self._at == len(self._buffer) and not self._fill():
                return skipped
            found = self._buffer.find(b"\n", self._at)
            stop = found + 1 if found >= 0 else len(self._buffer)
            skipped += stop - self._at
            self._at = stop
            if found >= 0:
                return skipped

    def close(self) -> None:
        """Closes the file."""
        self.raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_stream(path: str, *, start: int = 0) -> ByteStream:
    """`path` as a stream of decoded bytes; its compression is read off its first bytes, not its name.

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    raw = storage.open_read(path)
    head = raw.read(4096)
    compression = compression_of(head)
    return ByteStream(
        raw, compression=compression, start=start, dictionary=zstd_dictionary(raw) if compression == "zstd" else None
    )

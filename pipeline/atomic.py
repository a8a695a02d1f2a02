"""Files that are written whole or not at all, and what a manifest says of each."""

import hashlib
import os
import posixpath
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

from pipeline.disk import is_special
from pipeline.places import filesystem, is_local, is_object_store, naming, on_disk

if TYPE_CHECKING:
    import fsspec

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a dataset. `path` is relative to the folder of the dataset once in a manifest."""

    path: str
    sha256: str
    num_bytes: int
    num_records: int

    def relative_to(self, folder: str) -> "FileEntry":
        """The same entry with its path relative to `folder`."""
        return FileEntry(
            path=posixpath.relpath(self.path, folder) if is_local(folder) else self.path[len(folder.rstrip("/")) + 1 :],
            sha256=self.sha256,
            num_bytes=self.num_bytes,
            num_records=self.num_records,
        )


@contextmanager
def only_while(check: Callable[[], None]) -> Iterator[None]:
    """Calls `check` before each file that this block writes gets its name; what it raises keeps the file from it."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


class Sink:
    """What pyarrow asks of something that can only be appended to, beside `write`, `tell` and `flush`."""

    def writable(self) -> bool:
        """True."""
        return True

    def readable(self) -> bool:
        """False."""
        return False

    def seekable(self) -> bool:
        """False: what passed has gone into a checksum."""
        return False

    def close(self) -> None:
        """Nothing: pyarrow closes its sinks, we close at the end of the block."""


class AtomicFile(Sink):
    """A file that is written under another name and takes its own when it is whole.

    Use as a context manager; if the block raises, nothing appears at `path`. A pipe or a device, like /dev/null,
    takes what is written at once, and stays what it is. It hashes what passes
    through, so it can only be appended to. Safe against two writers of the same bytes. One that is not `durable` may be
    lost with the power, and spares the disk a wait.
    """

    def __init__(self, path: str, *, durable: bool = True) -> None:
        self.path = path
        self._durable = durable
        self._hash = hashlib.sha256()
        self._num_bytes = 0
        self._file: IO[bytes] | None = None
        self._fs: fsspec.AbstractFileSystem | None = None  # None on the local disk
        self._target = ""
        self._temporary = ""  # empty on an object store, where nothing appears before the end anyway
        self.closed = False

    def __enter__(self) -> Self:
        with naming(self.path):
            if is_local(self.path):
                self._target = on_disk(self.path)
                os.makedirs(os.path.dirname(self._target) or ".", exist_ok=True)
                if not is_special(self._target):
                    self._temporary = f"{self._target}.{uuid.uuid4().hex[:8]}.tmp"
                self._file = open(self._temporary or self._target, "wb")
            else:
                self._fs, self._target = filesystem(self.path)
                if not is_object_store(self.path):
                    self._fs.makedirs(posixpath.dirname(self._target), exist_ok=True)
                    self._temporary = f"{self._target}.{uuid.uuid4().hex[:8]}.tmp"
                self._file = cast("IO[bytes]", self._fs.open(self._temporary or self._target, "wb"))
        return self

    def write(self, data: bytes | memoryview) -> int:
        """Appends `data`."""
        assert self._file is not None
        view = memoryview(data)
        with naming(self.path):
            self._file.write(view)
        self._hash.update(view)
        self._num_bytes += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """The number of bytes written so far."""
        return self._num_bytes

    def flush(self) -> None:
        """Flushes to the operating system; durability comes at the end."""
        assert self._file is not None
        self._file.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self.closed = True
        if kind is not None:
            self._abandon()
            return
        try:
            with naming(self.path):
                self._finish(self._file)
        except BaseException:
            self._abandon()
            raise

    def _finish(self, file: IO[bytes]) -> None:
        check = _check.get()
        if check is not None:
            check()
        file.flush()
        if self._fs is None and self._temporary and self._durable:
            os.fsync(file.fileno())
        file.close()
        if self._fs is None and self._temporary:
            os.replace(self._temporary, self._target)
        elif self._fs is not None and self._temporary:
            self._fs.mv(self._temporary, self._target)

    def _abandon(self) -> None:
        """Leaves nothing behind, as far as the storage still answers."""
        file: Any = self._file
        with suppress(OSError):  # a full disk fails once more on the flush
            if self._temporary or self._fs is None:
                file.close()
            else:
                file.discard()
                file.closed = True  # or else fsspec closes, and so completes, the object when it is collected
        if self._fs is None and self._temporary:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary)
        elif self._fs is not None and self._temporary:
            with suppress(OSError):
                self._fs.rm_file(self._temporary)

    def entry(self, *, num_records: int) -> FileEntry:
        """What a manifest says of this file, once it is whole."""
        assert self.closed, f"{self.path} is not whole yet"
        return FileEntry(
            path=self.path, sha256=self._hash.hexdigest(), num_bytes=self._num_bytes, num_records=num_records
        )

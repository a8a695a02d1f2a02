"""Files on a disk or an object store: read, listed, removed, written whole or not at all, with checksums.

Any path may be an fsspec URL (`s3://`, `gs://`, `memory://`, …). A file appears under its name only when it is whole
(temporary name, fsync and rename on a disk; on an object store an object appears when it is closed).
"""

import errno
import hashlib
import json
import os
import posixpath
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

from pipeline import web_files
from pipeline.errors import CorpusmillError, DataError, InputError

if TYPE_CHECKING:
    import fsspec

_CHUNK_BYTES = 1 << 20
_FILES_AT_A_TIME = 256
_NO_SUCH_FILE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG))
# Where an object appears only when it is closed, and where listings must not be remembered: other processes write, too.
_OBJECT_STORES = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss"))

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


def join(*parts: str) -> str:
    """`parts` as one path with forward slashes, URL schemes left alone."""
    return posixpath.join(*parts)


def user_cache(*parts: str) -> str:
    """A path in the folder where what can be made or fetched again is kept for this user (`XDG_CACHE_HOME`)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "corpusmill", *parts)


def filesystem(path: str) -> tuple["fsspec.AbstractFileSystem", str]:
    """The file system that `path` lies on, and the path inside it.

    Raises:
        InputError: the scheme of `path` is unknown or its optional package is not installed.
    """
    if web_files.is_of_the_web(path):
        return web_files.web(), path
    import fsspec  # here: `corpusmill --help` needs none, and it is a third of what that imports

    options = {"use_listings_cache": False} if _is_object_store(path) else {}
    try:
        with naming(path):  # some connect here
            return cast("tuple[fsspec.AbstractFileSystem, str]", fsspec.core.url_to_fs(path, **options))
    except (ImportError, ValueError) as error:
        raise InputError(f"cannot open {path!r}: {error}") from error


def is_local(path: str) -> bool:
    """Whether `path` is on the local disk."""
    return "://" not in path or path.startswith("file://")


def _is_object_store(path: str) -> bool:
    return path.partition("://")[0] in _OBJECT_STORES


def open_read(path: str) -> IO[bytes]:
    """`path` opened for reading bytes, seekable.

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    if is_local(path):
        local = path.removeprefix("file://")
        try:
            return open(local, "rb")
        except FileNotFoundError:
            raise InputError(f"no such file: {path}") from None
        except (PermissionError, IsADirectoryError) as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None
    fs, inner = filesystem(path)
    try:
        with naming(path):
            file = cast("IO[bytes]", fs.open(inner, "rb"))
            if not web_files.is_of_the_web(path) or web_files.gives_parts(file):
                return file
            file.close()
            return web_files.copied(fs, inner, path)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None


def gives_parts(path: str) -> bool:
    """Whether parts of a file can be had without the rest of it: some web servers give nothing but the whole.

    Raises:
        InputError: there is no such file.
    """
    if not web_files.is_of_the_web(path):
        return True
    fs, inner = filesystem(path)
    try:
        with naming(path), fs.open(inner, "rb") as file:
            return web_files.gives_parts(file)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None


def exists(path: str) -> bool:
    """Whether a file or folder is there.

    Raises:
        OSError: that cannot be told; taking it for "no" would have finished work thrown away.
    """
    if is_local(path):
        return _status(path.removeprefix("file://")) is not None
    fs, inner = filesystem(path)
    try:
        with naming(path):
            fs.info(inner)
    except FileNotFoundError:
        return False
    return True


def _status(path: str) -> os.stat_result | None:
    """What the disk says of a path, links followed; None where nothing has this name."""
    try:
        return os.stat(path)
    except ValueError:  # no name may hold a NUL
        return None
    except OSError as error:
        if error.errno in _NO_SUCH_FILE:
            return None
        raise


def is_link(path: str) -> bool:
    """Whether `path` is a symbolic link on a disk."""
    return is_local(path) and os.path.islink(path.removeprefix("file://"))


def list_files(path: str) -> list[str]:
    """Every file below the folder `path`, sorted, as paths of the same form as `path`. Links to other folders are not followed."""
    if is_local(path):
        return sorted(_local_files(path))
    fs, inner = filesystem(path)
    if not exists(path):  # not fs.exists: that takes a store which does not answer for one without the file
        return []
    with naming(path):
        found = fs.find(inner)
    root = inner.rstrip("/")
    return sorted(join(path, str(name)[len(root) :].lstrip("/")) for name in found)


def _local_files(path: str) -> Iterator[str]:
    """As `list_files`, without asking the disk for more than names: people poll folders of many files."""
    root = path.removeprefix("file://")
    if os.path.isfile(root):
        yield path
    for folder, _, names in os.walk(root, onerror=_raise):
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        yield from (join(path, name) if below == "." else join(path, below, name) for name in names)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # another process may remove a folder meanwhile
        raise error


def remove_tree(path: str) -> None:
    """Removes the folder or file `path`; nothing happens where there is none. Of a link the link alone is removed."""
    if is_local(path):
        with naming(path), suppress(FileNotFoundError, NotADirectoryError):
            _remove(path.removeprefix("file://"))
        return
    fs, inner = filesystem(path)
    if exists(path):
        with naming(path):
            fs.rm(inner, recursive=True)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def move_tree(source: str, target: str) -> None:
    """Gives the folder `source` the name `target`, which is free; nothing happens where there is no `source`.

    On a disk that is one rename; an object store copies each object and then removes the old ones.
    """
    if not exists(source):
        return
    if is_local(source):
        old, new = source.removeprefix("file://"), target.removeprefix("file://")
        os.makedirs(os.path.dirname(new), exist_ok=True)
        with naming(source):
            os.rename(old, new)
        return
    names = list_files(source)
    fs = filesystem(source)[0]
    old_names, new_names = (
        [str(fs._strip_protocol(join(folder, name[len(source.rstrip("/")) + 1 :]))) for name in names]
        for folder in (source, target)
    )
    with naming(source):
        for folder in sorted({posixpath.dirname(name) for name in new_names}):
            if not _is_object_store(target):
                fs.makedirs(folder, exist_ok=True)
        fs.copy(old_names, new_names)
    remove_tree(source)


def move(source: str, target: str) -> None:
    """Gives the file `source` the name `target`, in place of what had it: at once on a disk, by a copy on an object store."""
    with naming(target):
        if is_local(source) and is_local(target):
            place = target.removeprefix("file://")
            os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
            os.replace(source.removeprefix("file://"), place)
            return
        fs, inner = filesystem(source)
        fs.mv(inner, filesystem(target)[1])


def read_bytes(path: str) -> bytes:
    """The whole of a small file."""
    with open_read(path) as file:
        return file.read()


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Gives errors of the storage the name of the file, for the sentence that a person reads."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            temporary = str(error.filename or "").startswith(f"{path.removeprefix('file://')}.")
            error.filename = path if temporary else error.filename or path
        elif not isinstance(error, CorpusmillError) and path not in getattr(error, "__notes__", ()):
            error.add_note(path)  # errors of object stores have no other place for it
        raise


def read_many(paths: Sequence[str]) -> Iterator[bytes]:
    """The wholes of many small files, in order; on an object store many are asked for at a time."""
    for start in range(0, len(paths), _FILES_AT_A_TIME):
        batch = paths[start : start + _FILES_AT_A_TIME]
        if is_local(batch[0]):
            yield from map(read_bytes, batch)
            continue
        fs = filesystem(batch[0])[0]
        inner = [str(fs._strip_protocol(path)) for path in batch]
        with naming(batch[0]):
            contents = fs.cat(inner)
        yield from (contents[path] for path in inner)


def write_bytes(path: str, content: bytes, *, durable: bool = True) -> "FileEntry":
    """Writes a small file atomically."""
    with AtomicFile(path, durable=durable) as file:
        file.write(content)
    return file.entry(num_records=0)


def json_bytes(value: object) -> bytes:
    """`value` as sorted, indented JSON."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: str, value: object, *, durable: bool = True) -> "FileEntry":
    """Writes `value` as sorted, indented JSON, atomically."""
    return write_bytes(path, json_bytes(value), durable=durable)


def read_json(path: str) -> Any:
    """The JSON value in a file of ours.

    Raises:
        DataError: the file does not hold JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from None


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


def _is_special(path: str) -> bool:
    """Whether something has this name that is neither a file nor a folder: a pipe, a device."""
    status = _status(path)
    return status is not None and not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode)


def followed(path: str) -> str:
    """What a link of the user's leads to, so that writing does not put a file in place of the link; else `path`."""
    if not is_link(path) or _is_special(path.removeprefix("file://")):
        return path
    return os.path.realpath(path.removeprefix("file://"))


@contextmanager
def only_while(check: Callable[[], None]) -> Iterator[None]:
    """Calls `check` before each file that this block writes gets its name; what it raises keeps the file from it."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


class AtomicFile:
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
                self._target = self.path.removeprefix("file://")
                os.makedirs(os.path.dirname(self._target) or ".", exist_ok=True)
                if not _is_special(self._target):
                    self._temporary = f"{self._target}.{uuid.uuid4().hex[:8]}.tmp"
                self._file = open(self._temporary or self._target, "wb")
            else:
                self._fs, self._target = filesystem(self.path)
                if not _is_object_store(self.path):
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

    def writable(self) -> bool:
        """True: pyarrow asks."""
        return True

    def readable(self) -> bool:
        """False: pyarrow asks."""
        return False

    def seekable(self) -> bool:
        """False: what passed has been hashed."""
        return False

    def close(self) -> None:
        """Nothing: pyarrow closes its sinks, we close at the end of the block."""

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


def checksum(path: str) -> tuple[str, int]:
    """The SHA-256 and the size of a file, read in pieces."""
    digest, size = hashlib.sha256(), 0
    with open_read(path) as file:
        for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size

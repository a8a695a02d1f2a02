"""Byte ranges of shard files: mapped memory on a local disk, a bounded cache on disk for a remote one."""

import hashlib
import os
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import pyarrow as pa

from pipeline.errors import InputError, SettingError
from pipeline.storage import filesystem, is_local, join

DEFAULT_CACHE_BYTES = 16 << 30


class BatchStore(Protocol):
    """Reads byte ranges of numbered files. `max_held_bytes` bounds the ranges that a caller should keep."""

    max_held_bytes: int
    num_readers: int

    def read(self, file: int, offset: int, num_bytes: int) -> pa.Buffer:
        """The bytes of a range; fewer if the file does not reach so far."""

    def forget(self, file: int, offset: int, num_bytes: int) -> None:
        """Makes sure that the next read of a range comes from the file itself."""

    def close(self) -> None:
        """Lets go of whatever is open."""


def open_store(folder: str, files: Sequence[str], cache_folder: str = "", cache_bytes: int = 0) -> BatchStore:
    """The store of `files` that suits where `folder` lies.

    Raises:
        SettingError: the files are remote and no cache folder is given.
    """
    if is_local(folder):
        return MappedStore(folder, files)
    if not cache_folder:
        raise SettingError(f"{folder} is remote: name a local cache folder for its batches")
    return CachedStore(folder, files, cache_folder, cache_bytes or DEFAULT_CACHE_BYTES)


class MappedStore:
    """Local files, mapped when first touched; a range is a view, never a copy."""

    max_held_bytes = 1 << 62
    num_readers = 1

    def __init__(self, folder: str, files: Sequence[str]) -> None:
        self._folder = folder.removeprefix("file://")
        self._files = files
        self._maps: dict[int, pa.Buffer] = {}

    def read(self, file: int, offset: int, num_bytes: int) -> pa.Buffer:
        """The bytes of a range; none if the file does not reach so far."""
        mapped = self._maps.get(file)
        if mapped is None:
            path = join(self._folder, self._files[file])
            try:
                mapped = self._maps[file] = pa.memory_map(path).read_buffer()
            except FileNotFoundError:
                raise InputError(f"{path} is missing, although the batch index names it") from None
        return mapped.slice(offset, num_bytes) if offset + num_bytes <= mapped.size else pa.py_buffer(b"")

    def forget(self, file: int, offset: int, num_bytes: int) -> None:
        """Nothing to forget: the file itself was read."""

    def close(self) -> None:
        """Lets go of the mappings; views of them stay valid."""
        self._maps.clear()


class CachedStore:
    """Remote files: each range is fetched once and kept in a local folder of bounded size.

    Any number of processes may share the folder: a range appears by rename, and the ones that were
    read longest ago go first when the folder outgrows its bound. Names hold the remote path, the
    range and nothing of this machine, so a cache survives restarts. What callers keep is mapped from
    it, and may take up to a quarter more of the disk where another process removes it meanwhile. The
    caller checks checksums.
    """

    num_readers = 16

    def __init__(self, folder: str, files: Sequence[str], cache_folder: str, max_bytes: int) -> None:
        self._remote, self._root = filesystem(folder)
        self._name = folder
        self._files = files
        self._folder = cache_folder
        self._max_bytes = max_bytes
        self.max_held_bytes = max_bytes // 4
        self._lock = threading.Lock()
        os.makedirs(cache_folder, exist_ok=True)
        self._held_bytes = sum(size for _, size, _ in self._held())

    def read(self, file: int, offset: int, num_bytes: int) -> pa.Buffer:
        """The bytes of a range, from the cache if they are there."""
        path = self._path(file, offset, num_bytes)
        try:
            os.utime(path)
            return pa.memory_map(path).read_buffer()
        except FileNotFoundError:
            return self._fetch(file, offset, num_bytes, path)

    def forget(self, file: int, offset: int, num_bytes: int) -> None:
        """Drops a range from the cache, so that the next read fetches it again."""
        path = self._path(file, offset, num_bytes)
        if os.path.exists(path):
            os.unlink(path)

    def close(self) -> None:
        """Nothing is open between reads."""

    def _fetch(self, file: int, offset: int, num_bytes: int, path: str) -> pa.Buffer:
        try:
            data = self._remote.cat_file(join(self._root, self._files[file]), start=offset, end=offset + num_bytes)
        except FileNotFoundError:
            name = join(self._name, self._files[file])
            raise InputError(f"{name} is missing, although the batch index names it") from None
        os.makedirs(self._folder, exist_ok=True)
        with self._lock:
            self._held_bytes += len(data)
            if self._held_bytes > self._max_bytes:
                self._evict(len(data))
        temporary = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
        with open(temporary, "wb") as sink:
            sink.write(data)
        os.replace(temporary, path)
        try:
            return pa.memory_map(path).read_buffer()
        except FileNotFoundError:  # another process has removed it already
            return pa.py_buffer(data)

    def _evict(self, incoming_bytes: int) -> None:
        """Removes the ranges read longest ago until a tenth of the bound is free beside `incoming_bytes`."""
        held = sorted(self._held())
        total = sum(size for _, size, _ in held) + incoming_bytes
        for _, size, path in held:
            if total <= self._max_bytes * 9 // 10:
                break
            with suppress(FileNotFoundError):  # another process was faster
                os.unlink(path)
            total -= size
        self._held_bytes = total

    def _held(self) -> list[tuple[int, int, str]]:
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(".batch"):
                    try:
                        stat = entry.stat()
                    except FileNotFoundError:
                        continue
                    found.append((stat.st_mtime_ns, stat.st_size, entry.path))
        return found

    def _path(self, file: int, offset: int, num_bytes: int) -> str:
        key = hashlib.blake2b(join(self._name, self._files[file]).encode(), digest_size=12).hexdigest()
        return os.path.join(self._folder, f"{key}-{offset}-{num_bytes}.batch")

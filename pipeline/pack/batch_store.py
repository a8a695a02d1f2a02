"""Byte ranges of shard files: mapped memory on a local disk, and for remote ones a bounded cache on disk, or none."""

import hashlib
import os
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol, cast

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.places import filesystem, is_local, join, naming, on_disk

DEFAULT_CACHE_BYTES = 16 << 30
_HELD_WITHOUT_CACHE_BYTES = 256 << 20
_LOOKS = 64


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
    """The store of `files` that suits where `folder` lies: remote ones are kept if a cache folder is named."""
    if is_local(folder):
        return MappedStore(folder, files)
    if not cache_folder:
        return FetchingStore(folder, files)
    return CachedStore(folder, files, cache_folder, cache_bytes or DEFAULT_CACHE_BYTES)


class MappedStore:
    """Local files, mapped when first touched; a range is a view, never a copy."""

    max_held_bytes = 1 << 62
    num_readers = 1

    def __init__(self, folder: str, files: Sequence[str]) -> None:
        self._folder = on_disk(folder)
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


class FetchingStore:
    """Remote files whose ranges are fetched each time: for who reads everything once, or a row here and there."""

    max_held_bytes = _HELD_WITHOUT_CACHE_BYTES
    num_readers = 16

    def __init__(self, folder: str, files: Sequence[str]) -> None:
        self._remote, self._root = filesystem(folder)
        self._name = folder
        self._files = files

    def read(self, file: int, offset: int, num_bytes: int) -> pa.Buffer:
        """The bytes of a range; fewer if the file does not reach so far."""
        return pa.py_buffer(self._fetched(file, offset, num_bytes))

    def forget(self, file: int, offset: int, num_bytes: int) -> None:
        """Nothing to forget: nothing is kept."""

    def close(self) -> None:
        """Nothing is open between reads."""

    def _fetched(self, file: int, offset: int, num_bytes: int) -> bytes:
        name = join(self._name, self._files[file])
        try:
            with naming(name):
                path = join(self._root, self._files[file])
                return cast("bytes", self._remote.cat_file(path, start=offset, end=offset + num_bytes))
        except FileNotFoundError:
            raise InputError(f"{name} is missing, although the batch index names it") from None


class CachedStore(FetchingStore):
    """Remote files: each range is fetched once and kept in a local folder of bounded size.

    Any number of processes may share the folder: a range appears by rename, and the ones that were
    read longest ago go first when the folder outgrows its bound. Names hold the remote path, the
    range and nothing of this machine, so a cache survives restarts. A process looks what the folder
    holds whenever it has added a 64th of the bound, so that n processes may exceed it by n 64ths; what
    is fetched while other fetches take all of the room is not kept. What callers hold is mapped from
    it, and may take up to a quarter more of the disk where another process removes it meanwhile. The
    caller checks checksums. A disk too full for the cache costs speed only.
    """

    def __init__(self, folder: str, files: Sequence[str], cache_folder: str, max_bytes: int) -> None:
        super().__init__(folder, files)
        self._folder = cache_folder
        self._max_bytes = max_bytes
        self.max_held_bytes = max_bytes // 4
        self._lock = threading.Lock()
        self._coming = f".{uuid.uuid4().hex[:8]}.tmp"  # how the names of what this store is writing end
        os.makedirs(cache_folder, exist_ok=True)
        self._coming_bytes = 0  # fetched, and not yet in the folder
        self._added_bytes = max_bytes  # since the last look; now, look before the first range is added

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

    def _fetch(self, file: int, offset: int, num_bytes: int, path: str) -> pa.Buffer:
        data = self._fetched(file, offset, num_bytes)
        if not self._make_room(len(data)):
            return pa.py_buffer(data)
        try:
            self._keep(path, data)
            return pa.memory_map(path).read_buffer()
        except OSError:  # the disk is full, or another process has removed it already
            return pa.py_buffer(data)
        finally:
            with self._lock:
                self._coming_bytes -= len(data)

    def _make_room(self, num_bytes: int) -> bool:
        """Reserves `num_bytes` of the folder; False if all that could leave it would not be enough."""
        with self._lock:
            self._coming_bytes += num_bytes
            self._added_bytes += num_bytes
            if self._added_bytes <= self._max_bytes // _LOOKS:
                return True
            if self._evict():
                self._added_bytes = 0
                return True
            self._coming_bytes -= num_bytes
            return False

    def _keep(self, path: str, data: bytes) -> None:
        """Puts `data` into the cache.

        Raises:
            OSError: there is no room for it; half of it is not left behind.
        """
        os.makedirs(self._folder, exist_ok=True)
        temporary = f"{path}.{threading.get_ident()}{self._coming}"
        try:
            with open(temporary, "wb") as sink:
                sink.write(data)
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            raise

    def _evict(self) -> bool:
        """If what comes is too much, removes what was read longest ago until a tenth of the bound is free.

        Returns whether what comes has room now.
        """
        held = sorted(self._held())
        total = sum(size for _, size, _ in held) + self._coming_bytes
        spare = self._max_bytes // _LOOKS  # is added before the next look
        if total + spare <= self._max_bytes:
            return True
        for _, size, path in held:
            if total <= self._max_bytes * 9 // 10:
                break
            with suppress(FileNotFoundError):  # another process was faster, or it has its final name by now
                os.unlink(path)
                total -= size
        return total + spare <= self._max_bytes

    def _held(self) -> list[tuple[int, int, str]]:
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(self._coming):
                    continue
                if entry.name.endswith((".batch", ".tmp")):  # the latter may be left by a process that was killed
                    try:
                        stat = entry.stat()
                    except FileNotFoundError:
                        continue
                    found.append((stat.st_mtime_ns, stat.st_size, entry.path))
        return found

    def _path(self, file: int, offset: int, num_bytes: int) -> str:
        key = hashlib.blake2b(join(self._name, self._files[file]).encode(), digest_size=12).hexdigest()
        return os.path.join(self._folder, f"{key}-{offset}-{num_bytes}.batch")

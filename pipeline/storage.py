"""Files on a disk, an object store or the web: read, listed, removed, moved, written, with checksums.

Any path may be an fsspec URL (`s3://`, `gs://`, `memory://`, …). A file appears under its name only when it is whole
(temporary name, fsync and rename on a disk; on an object store an object appears when it is closed).
"""

import hashlib
import json
import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Any, cast

from pipeline import web_files
from pipeline.atomic import AtomicFile, FileEntry
from pipeline.disk import files_below, remove, status_of
from pipeline.errors import DataError, InputError
from pipeline.places import filesystem, is_local, is_object_store, join, naming, on_disk

_CHUNK_BYTES = 1 << 20
_FILES_AT_A_TIME = 256


def open_read(path: str) -> IO[bytes]:
    """`path` opened for reading bytes, seekable.

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    if is_local(path):
        local = on_disk(path)
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
        return status_of(on_disk(path)) is not None
    fs, inner = filesystem(path)
    try:
        with naming(path):
            fs.info(inner)
    except FileNotFoundError:
        return False
    return True


def list_files(path: str) -> list[str]:
    """Every file below the folder `path`, sorted, as paths of the same form as `path`. Links to other folders are not followed."""
    if is_local(path):
        return sorted(files_below(path))
    fs, inner = filesystem(path)
    if not exists(path):  # not fs.exists: that takes a store which does not answer for one without the file
        return []
    with naming(path):
        found = fs.find(inner)
    root = inner.rstrip("/")
    return sorted(join(path, str(name)[len(root) :].lstrip("/")) for name in found)


def remove_tree(path: str) -> None:
    """Removes the folder or file `path`; nothing happens where there is none. Of a link the link alone is removed."""
    if is_local(path):
        with naming(path), suppress(FileNotFoundError, NotADirectoryError):
            remove(on_disk(path))
        return
    fs, inner = filesystem(path)
    if exists(path):
        with naming(path):
            fs.rm(inner, recursive=True)


def move_tree(source: str, target: str) -> None:
    """Gives the folder `source` the name `target`, which is free; nothing happens where there is no `source`.

    On a disk that is one rename; an object store copies each object and then removes the old ones.
    """
    if not exists(source):
        return
    if is_local(source):
        old, new = on_disk(source), on_disk(target)
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
            if not is_object_store(target):
                fs.makedirs(folder, exist_ok=True)
        fs.copy(old_names, new_names)
    remove_tree(source)


def move(source: str, target: str) -> None:
    """Gives the file `source` the name `target`, in place of what had it: at once on a disk, by a copy on an object store."""
    with naming(target):
        if is_local(source) and is_local(target):
            place = on_disk(target)
            os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
            os.replace(on_disk(source), place)
            return
        fs, inner = filesystem(source)
        fs.mv(inner, filesystem(target)[1])


def read_bytes(path: str) -> bytes:
    """The whole of a small file."""
    with open_read(path) as file:
        return file.read()


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


def write_bytes(path: str, content: bytes, *, durable: bool = True) -> FileEntry:
    """Writes a small file atomically."""
    with AtomicFile(path, durable=durable) as file:
        file.write(content)
    return file.entry(num_records=0)


def json_bytes(value: object) -> bytes:
    """`value` as sorted, indented JSON."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: str, value: object, *, durable: bool = True) -> FileEntry:
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


def checksum(path: str) -> tuple[str, int]:
    """The SHA-256 and the size of a file, read in pieces."""
    digest, size = hashlib.sha256(), 0
    with open_read(path) as file:
        for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size

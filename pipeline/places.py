"""Where a path leads: to the disk, to the web, or to a store that fsspec knows; and how its errors name the file."""

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from pipeline import web_files
from pipeline.errors import CorpusmillError, InputError

if TYPE_CHECKING:
    import fsspec

# Where an object appears only when it is closed, and where listings must not be remembered: other processes write, too.
_OBJECT_STORES = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss"))


def join(*parts: str) -> str:
    """`parts` as one path with forward slashes, URL schemes left alone."""
    return posixpath.join(*parts)


def user_cache(*parts: str) -> str:
    """A path in the folder where what can be made or fetched again is kept for this user (`XDG_CACHE_HOME`)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "corpusmill", *parts)


def is_local(path: str) -> bool:
    """Whether `path` is on the local disk."""
    return "://" not in path or path.startswith("file://")


def on_disk(path: str) -> str:
    """What the system calls a local `path`."""
    return path.removeprefix("file://")


def is_object_store(path: str) -> bool:
    """Whether `path` is on a store of whole objects, which has no folders."""
    return path.partition("://")[0] in _OBJECT_STORES


def filesystem(path: str) -> tuple["fsspec.AbstractFileSystem", str]:
    """The file system that `path` lies on, and the path inside it.

    Raises:
        InputError: the scheme of `path` is unknown or its optional package is not installed.
    """
    if web_files.is_of_the_web(path):
        return web_files.web(), path
    import fsspec  # here: `corpusmill --help` needs none, and it is a third of what that imports

    options = {"use_listings_cache": False} if is_object_store(path) else {}
    try:
        with naming(path):  # some connect here
            return cast("tuple[fsspec.AbstractFileSystem, str]", fsspec.core.url_to_fs(path, **options))
    except (ImportError, ValueError) as error:
        raise InputError(f"cannot open {path!r}: {error}") from error


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

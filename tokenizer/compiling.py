"""Compiles numeric inner loops to machine code with numba, once per machine."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy.typing as npt
from numba.core.caching import FunctionCache

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class _Cache(FunctionCache):  # type: ignore[misc]
    """numba's cache of a function on disk. One that is damaged, or whose disk is full, costs time and fails nothing."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What is kept for a signature; None where that cannot be read, and it is emptied then."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a pickle that is cut off raises whatever it likes
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps what was compiled for a signature, if the disk takes it."""
        with suppress(OSError):
            super().save_overload(sig, data)


def kept(**options: Any) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Decorates a function to be machine code, by the options of `numba.njit`, that is kept on disk for the next process.

    It lies beside the source, else in the cache folder of the user, else in a folder of the user's own among the temporary
    files. Where none of them can be written, each process compiles for itself.
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        dispatcher = numba.njit(**options)(function)
        cache = _cache(function)
        if cache is not None and hasattr(dispatcher, "_cache"):
            dispatcher._cache = cache
        return cast("Callable[Parameters, Result]", dispatcher)

    return decorate


def _cache(function: Any) -> _Cache | None:
    try:
        return _Cache(function)
    except RuntimeError:  # numba: no locator available
        pass
    with suppress(RuntimeError, OSError):
        numba.config.CACHE_DIR = _private_folder()  # type: ignore[attr-defined]
        return _Cache(function)
    return None


def _private_folder() -> str:
    """A folder among the temporary files into which nobody else can put machine code.

    Raises:
        OSError: there can be none, or somebody else has made it.
    """
    folder = os.path.join(tempfile.gettempdir(), f"corpusmill-numba-{os.getuid()}")
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(folder)
    return folder


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """`function` as machine code. The result is kept on disk beside the source, or in the cache folder of the user.

    Numbers wrap as in C and indexes are not checked: whoever calls passes arrays that fit.
    """
    return cast("Callable[Parameters, Result]", _kept(function, nogil=True, boundscheck=False))


def compiled_part(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """As `compiled`, for small functions that make no arrays and are called from compiled ones: no reference counting."""
    return cast("Callable[Parameters, Result]", _kept(function, nogil=True, boundscheck=False, _nrt=False))


def _sources() -> str:
    """A hash of all modules of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_SOURCES = _sources()


def _kept(function: Any, **options: Any) -> Any:
    """`function`, compiled and kept as long as no source of the package changes.

    numba compares only the file of the function itself with what it kept, so it would go on using machine
    code with the old form of functions from other files in it.
    """
    dispatcher: Any = kept(**options)(function)
    index: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if not hasattr(index, "_source_stamp"):  # rather compiled by each process than out of date
        return numba.njit(**options)(function)
    index._source_stamp = _SOURCES
    return dispatcher


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that cannot be written: buffers of Arrow are such, and machine code is made for one kind only."""
    view = array.view()
    view.setflags(write=False)
    return view

"""Compiles numeric inner loops to machine code with numba, once per machine."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy.typing as npt

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


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
    dispatcher = numba.njit(cache=True, **options)(function)
    index: Any = getattr(dispatcher._cache, "_cache_file", None)
    if not hasattr(index, "_source_stamp"):
        return numba.njit(**options)(function)
    index._source_stamp = _SOURCES
    return dispatcher


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that cannot be written: buffers of Arrow are such, and machine code is made for one kind only."""
    view = array.view()
    view.setflags(write=False)
    return view

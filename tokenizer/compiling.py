"""Compiles numeric inner loops to machine code with numba, once per machine."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy.typing as npt

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """`function` as machine code. The result is kept on disk beside the source, or in the cache folder of the user.

    Numbers wrap as in C and indexes are not checked: whoever calls passes arrays that fit.
    """
    return cast("Callable[Parameters, Result]", numba.njit(cache=True, nogil=True, boundscheck=False)(function))


def compiled_part(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """As `compiled`, for small functions that make no arrays and are called from compiled ones: no reference counting."""
    options: dict[str, Any] = {"cache": True, "nogil": True, "boundscheck": False, "_nrt": False}
    return cast("Callable[Parameters, Result]", numba.njit(**options)(function))


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that cannot be written: buffers of Arrow are such, and machine code is made for one kind only."""
    view = array.view()
    view.setflags(write=False)
    return view

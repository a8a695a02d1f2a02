"""Measures of the user's own: functions of a document that settings name, compared with bounds like any other measure.

A function is called once a document, after the measures of ours, with the text as C4's rules about lines leave it. It returns a
number, or None where it has nothing to say. The same document must give the same number: no clock, no chance, no order.
"""

import hashlib
import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import SettingError
from pipeline.filter.config import OwnMeasureConfig
from pipeline.records import Document

PREFIX = "own_"
Function = Callable[[Document], Any]


def own_measures(own: Mapping[str, OwnMeasureConfig]) -> tuple[str, ...]:
    """The names of the measures, in order."""
    return tuple(PREFIX + name for name in sorted(own))


def load_functions(own: Mapping[str, OwnMeasureConfig]) -> dict[str, Function]:
    """The function of each measure.

    Raises:
        SettingError: it cannot be imported, or is none.
    """
    return {PREFIX + name: _function(name, own[name].function) for name in sorted(own)}


def number_of(name: str, function: Function, document: Document) -> float:
    """What `function` says of `document`; NaN where it says nothing.

    Raises:
        TypeError: it is no number. The document is then refused with that error as the reason.
    """
    value = function(document)
    if value is None:
        return math.nan
    if not isinstance(value, (bool, int, float)) and not hasattr(value, "__float__"):
        raise TypeError(f"{name} gave {value!r:.80}; expected a number or None")
    return float(value)


def code_sha256(own: Mapping[str, OwnMeasureConfig]) -> str:
    """What names the functions in the fingerprint of a step: the source of their modules.

    Raises:
        SettingError: a module cannot be found.
    """
    digest = hashlib.sha256()
    for module in sorted({config.function.partition(":")[0] for config in own.values()}):
        source = _source(module)
        digest.update(f"{module} {len(source)}\n".encode() + source)
    return digest.hexdigest()


def _source(module: str) -> bytes:
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None or found.origin is None or not Path(found.origin).is_file():
        raise SettingError(f"filter.own names the module {module}, which is not found; put its folder on PYTHONPATH")
    return Path(found.origin).read_bytes()


def _function(name: str, path: str) -> Function:
    module, _, attribute = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # whatever the module does when it is loaded
        raise SettingError(
            f"filter.own.{name}.function is {path!r}, and {module} cannot be imported: {type(error).__name__}: {error}; "
            "its folder must be on PYTHONPATH, on the workers too"
        ) from None
    if not callable(function):
        raise SettingError(f"filter.own.{name}.function is {path!r}; {module} has no function {attribute!r}")
    return function  # type: ignore[no-any-return]

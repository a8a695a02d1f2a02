"""Strict settings: TOML tables into frozen dataclasses and back.

An unknown key, a wrong type or a value outside of what is allowed is a `SettingError` that names the
key, the value and what is known or allowed. Nothing is dropped silently.
"""

import dataclasses
import difflib
import math
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin

import tomli_w

from pipeline.errors import InputError, SettingError
from pipeline.storage import exists, open_read

T = TypeVar("T")
_MOST_BYTES = 16 << 20


def read_toml(path: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InputError: there is no such file.
        SettingError: it is not TOML, and the sentence gives line and column; or it is far too long for settings.
    """
    if not exists(path):
        raise InputError(f"no such settings file: {path}")
    with open_read(path) as file:
        content = file.read(_MOST_BYTES + 1)  # somebody may name the data, or a device that has no end
    if len(content) > _MOST_BYTES:
        raise SettingError(f"{path} has more than {_MOST_BYTES} bytes, so it holds no settings; name a TOML file")
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} is not valid TOML: {error}") from None


def override(tables: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """`tables` with each `table.key=value` applied; values are TOML, and bare words are strings.

    Raises:
        SettingError: an assignment has no `=`, names no table or is not UTF-8.
    """
    result: dict[str, Any] = _copied(tables)
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        path = [part.strip() for part in dotted.split(".")]
        if not equals or len(path) < 2 or not all(path):
            raise SettingError(f"--set {assignment!r}: expected table.key=value, for example pack.sequence_length=1024")
        if not is_utf8(assignment):
            raise SettingError(f"--set {assignment!r}: the value is not UTF-8, as settings are; rename what it names")
        table = result
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise SettingError(f"--set {assignment!r}: {part} is a value, not a table")
        table[path[-1]] = _toml_value(text.strip())
    return result


def is_utf8(text: str) -> bool:
    """Whether `text`, of a command line or of a file system, was UTF-8 there; else no settings could hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _copied(value: Any) -> Any:
    return {key: _copied(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _toml_value(text: str) -> Any:
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["value"] if len(found) == 1 else text  # a second line would be dropped


def build(cls: type[T], table: Any, path: str = "") -> T:
    """`table` as an instance of the dataclass `cls`.

    Raises:
        SettingError: a key is unknown, a value has the wrong type, or the dataclass refuses it.
    """
    where = f"[{path}]" if path else "the settings"
    if not isinstance(table, Mapping):
        raise SettingError(f"{where} must be a table, not {table!r}")
    known = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise SettingError(
                f"unknown setting {key!r} in {where}{_closest(key, known)}; known are {', '.join(sorted(known))}"
            )
    hints = typing.get_type_hints(cls)
    values = {key: _value(hints[key], value, f"{path}.{key}" if path else key) for key, value in table.items()}
    missing = [name for name, field in known.items() if name not in values and _required(field)]
    if missing:
        raise SettingError(f"{where} needs the setting {missing[0]!r}")
    try:
        return cls(**values)
    except ValueError as error:  # the tokenizer package imports nobody of ours and raises plain ones
        message = str(error)
        raise SettingError(message if not path or path in message else f"[{path}] {message}") from None


def _required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _closest(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _value(kind: Any, value: Any, path: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return build(kind, value, path)  # type: ignore[arg-type]
    if origin is Literal:
        if not any(type(each) is type(value) and each == value for each in arguments):  # True is not 1
            raise SettingError(f"{path} is {value!r}; allowed are {', '.join(map(repr, arguments))}")
        return value
    if origin in (typing.Union, types.UnionType):
        return _one_of(arguments, value, path)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise SettingError(f"{path} is {value!r}; expected a list{_list_of(path, value)}")
        return tuple(_value(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if origin is dict or origin is Mapping:
        if not isinstance(value, Mapping):
            raise SettingError(f"{path} is {value!r}; expected a table")
        return {str(key): _value(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    return _scalar(kind, value, path)


def _list_of(path: str, value: Any) -> str:
    """How a text would look as a list, for who forgot brackets, or quotes that the shell leaves in place."""
    if not isinstance(value, str):
        return ""
    items = [item.strip(" \t\"'") for item in value.strip("[]").split(",")]
    return f""", for example --set '{path}=[{", ".join(f'"{item}"' for item in items)}]'"""


def _one_of(kinds: Sequence[Any], value: Any, path: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    errors = []
    for kind in kinds:
        if kind is types.NoneType:
            continue
        try:
            return _value(kind, value, path)
        except SettingError as error:
            errors.append(error)
    raise errors[0]


_SCALARS = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}


def _scalar(kind: Any, value: Any, path: str) -> Any:
    if kind not in _SCALARS:
        raise TypeError(f"setting {path} has a type that TOML cannot hold: {kind}")  # a defect of ours
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(
        value
    ):  # TOML has `inf` and `nan`; manifests, which are JSON, have not
        raise SettingError(f"{path} is {value!r}; expected a finite number")
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise SettingError(f"{path} is {value!r}; expected {_SCALARS[kind]}")
    if isinstance(value, str) and "\0" in value:
        raise SettingError(f"{path} is {value!r}; no text may hold a NUL, and no file has one in its name")
    return value


def plain(settings: Any) -> Any:
    """A dataclass of settings as JSON values."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return {field.name: plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}
    if isinstance(settings, Mapping):
        return {key: plain(value) for key, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [plain(value) for value in settings]
    return settings


def to_toml(settings: Any) -> str:
    """A dataclass of settings as TOML that `build` reads back to an equal one; None is left out."""
    return tomli_w.dumps(_without_none(plain(settings)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value

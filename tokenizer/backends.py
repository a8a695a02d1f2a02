"""The libraries that can encode, behind one shape: `tokenizers` is the reference, the others are faster.

Each gets a `tokenizer.json` value without special tokens (see `tokenizer.encoding`). Each runs on the
calling thread: parallelism is the pipeline's, and thread pools deadlock after a fork.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[Any]


class Backend(Protocol):
    """Encodes batches of clean Unicode text (no lone surrogates)."""

    name: str

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text."""
        ...


class HuggingFace:
    """The reference: `tokenizers`."""

    name = "tokenizers"

    def __init__(self, value: dict[str, Any]) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(_text(value))
        self._tokenizer.encode_special_tokens = True

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.asarray(encoding.ids, dtype=np.uint32) for encoding in encodings]


class Gigatoken:
    """The package `gigatoken`."""

    name = "gigatoken"

    def __init__(self, value: dict[str, Any]) -> None:
        import gigatoken

        self._tokenizer = gigatoken.Tokenizer.from_json(_text(value))

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text."""
        layout = self._tokenizer.encode_batch(list(texts), parallel=False).layout
        return _cut(np.asarray(layout.content.data), np.asarray(layout.offsets.data))


class Fastokens:
    """The package `fastokens`."""

    name = "fastokens"

    def __init__(self, value: dict[str, Any]) -> None:
        from fastokens._native import Tokenizer

        with _one_thread():
            self._tokenizer = Tokenizer.from_json_str(_text(value))

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text."""
        ids, offsets = self._tokenizer.encode_batch_flat(list(texts))
        return _cut(np.frombuffer(ids, dtype="<u4"), np.frombuffer(offsets, dtype="<u8"))


class Tokie:
    """The package `tokie`."""

    name = "tokie"

    def __init__(self, value: dict[str, Any]) -> None:
        import tokie

        with tempfile.TemporaryDirectory() as folder:  # it reads files only
            path = os.path.join(folder, "tokenizer.json")
            with open(path, "w", encoding="utf-8") as file:
                file.write(_text(value))
            self._tokenizer = tokie.Tokenizer.from_json(path)

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text."""
        return [np.asarray(self._tokenizer.encode_bytes(text.encode()), dtype=np.uint32) for text in texts]


def _native(value: dict[str, Any]) -> Backend:
    from tokenizer.native import Native  # here: importing numba takes half a second

    return Native(value)


REFERENCE = HuggingFace.name
MAKERS: dict[str, Callable[[dict[str, Any]], Backend]] = {
    "corpusmill": _native,
    Gigatoken.name: Gigatoken,
    Fastokens.name: Fastokens,
    Tokie.name: Tokie,
}


class Renewed:
    """A backend that is made anew after so many bytes, so that whatever it caches stays bounded."""

    def __init__(self, make: Callable[[], Backend], *, every_bytes: int = 1 << 28) -> None:
        self._make = make
        self._every_bytes = every_bytes
        self._backend = make()
        self._done_bytes = 0
        self.name = self._backend.name

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text."""
        if self._done_bytes > self._every_bytes:
            self._backend, self._done_bytes = self._make(), 0
        self._done_bytes += sum(map(len, texts))
        return self._backend.encode_batch(texts)


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cut(ids: Ids, offsets: Ids) -> list[Ids]:
    """A copy of each stretch of `ids`: a view would keep the whole batch alive."""
    bounds = offsets.tolist()
    return [ids[start:end].copy() for start, end in pairwise(bounds)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Rust thread pools that start inside have one thread, unless the user says otherwise."""
    given = os.environ.get("RAYON_NUM_THREADS")
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    try:
        yield
    finally:
        if given is None:
            os.environ.pop("RAYON_NUM_THREADS", None)

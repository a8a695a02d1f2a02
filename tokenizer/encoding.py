"""Text to token ids and back. No text can ever produce a special id.

A `tokenizer.json` as others read it turns the literal `<|endoftext|>` in a document into the special
token. Here text is encoded by a variant from which the special tokens are gone: from the list of added
tokens and, where the model itself lists them, from its vocabulary (see `plain_text_value`). So there is
no flag to forget, and nothing that a pickle or a save could lose: an encoder pickles as its JSON.
"""

import copy
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.alphabet import to_bytes
from tokenizer.backends import REFERENCE
from tokenizer.choosing import FASTEST, Choice, choose_backend
from tokenizer.locking import check_lock
from tokenizer.vocabulary import END_OF_TEXT

Ids = npt.NDArray[Any]

AUTO = "auto"
_CHARACTERS_BEFORE_CHOICE = 1 << 20

# The first line of a rank file: a token in base64 and a number.
_RANKS = re.compile(r"[A-Za-z0-9+/]+={0,2} \d+\n")
# Contains what byte-level text never contains (a raw space), so that no text can match it.
_UNREACHABLE = "special token {token_id}"


class Encoder:
    """Encodes text with a byte-level `tokenizer.json`.

    `vocab_size` is one more than the largest id, `end_of_text_id` the id of the token that separates
    documents, `hash` names everything that decides ids, `dtype` is the smallest type that holds them.

    `backend` names the library that encodes (see `tokenizer.choosing`). `auto` starts with `tokenizers`
    and goes over to the fastest when a megabyte has been encoded, for choosing takes seconds; `fastest`
    chooses at once. The ids are the same in any case.
    """

    def __init__(self, text: str, *, backend: str = AUTO) -> None:
        value = json.loads(text)
        self._text = text
        self._requested = backend
        self._bytes = _token_bytes(value)
        self._plain = plain_text_value(value)
        self._composes = _composes(value) and not self._plain["normalizer"]
        self.specials = special_ids(value)
        self.vocab_size = max(self._bytes) + 1
        self.end_of_text_id = _end_of_text(self.specials)
        self.hash = hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        self.dtype: type[np.uint16] | type[np.uint32] = np.uint16 if self.vocab_size <= 1 << 16 else np.uint32
        self._left_characters = _CHARACTERS_BEFORE_CHOICE if backend == AUTO else None
        self._choice = self._chosen(REFERENCE if backend == AUTO else backend)

    def __reduce__(self) -> tuple[Any, ...]:
        return Encoder._rebuilt, (self._text, self._requested)

    @classmethod
    def _rebuilt(cls, text: str, backend: str) -> "Encoder":
        return cls(text, backend=backend)

    @property
    def backend(self) -> str:
        """The name of the library that encodes now."""
        return self._choice.backend.name

    @property
    def choice(self) -> Choice:
        """The library that encodes now, with the speeds that decided for it where they were measured."""
        return self._choice

    def encode(self, text: str) -> list[int]:
        """The ids of one text."""
        ids: list[int] = self.encode_batch([text])[0].tolist()
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text, as arrays of `dtype`.

        Lone surrogates, which no UTF-8 text holds, count as U+FFFD. A tokenizer with the normalizer NFC, which documents
        of a run have gone through already, gets that form of the text.
        """
        clean = [_without_surrogates(text) for text in texts]
        if self._composes:
            clean = [unicodedata.normalize("NFC", text) for text in clean]
        if self._left_characters is not None:
            self._left_characters -= sum(map(len, clean))
            if self._left_characters < 0:
                self._left_characters = None
                self._choice = self._chosen(FASTEST)
        return [ids.astype(self.dtype, copy=False) for ids in self._choice.backend.encode_batch(clean)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that are not UTF-8 become U+FFFD, special tokens their names."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`, exactly.

        Raises:
            ValueError: an id is of no token.
        """
        try:
            return b"".join([self._bytes[int(token_id)] for token_id in ids])
        except KeyError as error:
            raise ValueError(f"token id {error.args[0]} is not in this vocabulary of {self.vocab_size}") from None

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one token."""
        return self._bytes[token_id]

    def learned_ids(self) -> list[int]:
        """The ids of all tokens but single bytes and special ones."""
        special = set(self.specials.values())
        return [
            token_id for token_id in sorted(self._bytes) if token_id not in special and len(self._bytes[token_id]) > 1
        ]

    @property
    def text(self) -> str:
        """The `tokenizer.json`."""
        return self._text

    def value(self) -> dict[str, Any]:
        """The `tokenizer.json` as a JSON value."""
        value: dict[str, Any] = json.loads(self._text)
        return value

    def _chosen(self, name: str) -> Choice:
        """The backend `name`, which does not turn the names of special tokens into special ids."""
        canary = "".join(self.specials)
        choice = choose_backend(name, self._plain, also=[canary])
        backend = choice.backend
        ids = backend.encode_batch([canary])[0].tolist()
        if set(ids) & set(self.specials.values()) or self.decode(ids) != canary:
            raise ValueError(f"encoder {backend.name} turns the text {canary!r} into special ids")
        return choice


def load_encoder(path: str, *, backend: str = AUTO) -> Encoder:
    """The encoder of a `tokenizer.json` on disk or on any fsspec URL.

    `backend` is as for `Encoder`. A `tokenizer.lock` in the same folder must fit.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a byte-level BPE tokenizer, or the backend is unknown or disagrees.
    """
    import fsspec

    with fsspec.open(path, "rb") as file:
        content = file.read()
    lock = _lock_beside(path)
    try:
        text = content.decode("utf-8")
        if _RANKS.match(text):
            raise ValueError(
                "it is a rank file of tiktoken; `tokenizer.existing` takes that, and makes the tokenizer.json of a run from it"
            )
        encoder = Encoder(text, backend=backend)
        if lock is not None:
            check_lock(lock, text, encoder.specials, encoder.hash)
        return encoder
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a usable byte-level tokenizer.json: {error}") from error


def _lock_beside(path: str) -> str | None:
    import fsspec

    folder, _, name = path.rpartition("/")
    if name != "tokenizer.json":
        return None
    try:
        with fsspec.open(f"{folder}/tokenizer.lock" if folder else "tokenizer.lock", "rb") as file:
            lock: str = file.read().decode("utf-8", "replace")
            return lock
    except FileNotFoundError:
        return None


def special_ids(value: dict[str, Any]) -> dict[str, int]:
    """The special tokens of a `tokenizer.json` value, in order of id."""
    tokens = [token for token in value.get("added_tokens") or () if token["special"]]
    return {token["content"]: token["id"] for token in sorted(tokens, key=lambda token: int(token["id"]))}


def plain_text_value(value: dict[str, Any]) -> dict[str, Any]:
    """`value` without any way for text to reach a special token, all other ids unchanged."""
    plain = copy.deepcopy(value)
    special = special_ids(value)
    plain["added_tokens"] = [token for token in plain.get("added_tokens") or () if not token["special"]]
    plain["post_processor"] = None
    plain["truncation"] = plain["padding"] = None
    if not _normalizers(value) or (_composes(value) and not plain["added_tokens"]):
        plain["normalizer"] = None  # `Encoder` does it; added tokens would have to be found before
    vocab = plain["model"]["vocab"]
    plain["model"]["vocab"] = {
        _UNREACHABLE.format(token_id=token_id) if name in special else name: token_id
        for name, token_id in vocab.items()
    }
    merges = (
        tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in plain["model"]["merges"]
    )
    plain["model"]["merges"] = [list(pair) for pair in merges if not special.keys() & {*pair, "".join(pair)}]
    return plain


def _token_bytes(value: dict[str, Any]) -> dict[int, bytes]:
    if value["model"]["type"] != "BPE" or value["model"].get("byte_fallback"):
        raise ValueError("the model is not byte-level BPE")
    added = {token["id"]: token["content"].encode() for token in value.get("added_tokens") or ()}
    plain = {token_id: to_bytes(name) for name, token_id in value["model"]["vocab"].items() if token_id not in added}
    _check_text_is_kept(value)
    return plain | added


def _check_text_is_kept(value: dict[str, Any]) -> None:
    """Refuses what changes text before it is cut: decoding could not give the text back."""
    if _normalizers(value) and not _composes(value):
        names = ", ".join(str(each.get("type")) for each in _normalizers(value))
        raise ValueError(f"it normalises text ({names}), which decoding cannot undo")
    steps = value.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps])
    if not any(step.get("type") == "ByteLevel" for step in steps):
        raise ValueError("its pre-tokenizer is not byte-level")
    if any(step.get("add_prefix_space") for step in steps):
        raise ValueError("it adds a space before each text, which decoding cannot tell from the text")
    removing = [step["type"] for step in steps if step.get("behavior", "Isolated").lower() == "removed"]
    if removing or any(step.get("type") == "WhitespaceSplit" for step in steps):
        raise ValueError("its pre-tokenizer removes part of the text")


def _normalizers(value: dict[str, Any]) -> list[dict[str, Any]]:
    """What is done to text before it is cut; a sequence as its parts."""
    normalizer = value.get("normalizer") or {"type": "Sequence", "normalizers": []}
    return normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]


def _composes(value: dict[str, Any]) -> bool:
    """Whether NFC is all that it does to text (Qwen's): decoding gives every text in that form back."""
    return [each.get("type") for each in _normalizers(value)] == ["NFC"]


def _end_of_text(specials: dict[str, int]) -> int:
    """The token between documents, under the name of one of the usual families: `<｜end▁of▁sentence｜>` is DeepSeek's, `[EOS]` Kimi's."""
    for name in (END_OF_TEXT, "<|end_of_text|>", "</s>", "<|im_end|>"):
        if name in specials:
            return specials[name]
    for name, token_id in specials.items():
        if re.sub(r"[\W_▁]", "", name).lower() in (
            "endoftext",
            "endofsentence",
            "endofdocument",
            "eos",
            "eostoken",
            "eod",
        ):
            return token_id
    known = ", ".join(map(repr, list(specials)[:8])) or "none"
    raise ValueError(
        f"there is no special token {END_OF_TEXT}, or another for the end of a text, to separate documents; there are {known}"
    )


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text

"""Our own encoder: cuts and merges in machine code, for byte-level BPE with a known pattern.

Special tokens do not exist for it, so no text can reach one. It gives the ids of `tokenizers`, at some
60 to 150 MB a second on one core, in bounded memory: pieces seen before are kept in a table that starts
over when it is full.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.alphabet import to_bytes
from tokenizer.applying import encode_pieces, rank_table
from tokenizer.characters import tokenizers_classes
from tokenizer.compiling import read_only
from tokenizer.patterns import GPT2, Pattern, pattern_of_regex
from tokenizer.scanning import rules_of

Ids = npt.NDArray[Any]

_MOST_KEPT = 1 << 19
_BATCH_BYTES = 1 << 22


class Native:
    """Encodes with machine code.

    Raises:
        ValueError: the tokenizer does something that this encoder does not.
    """

    name = "corpusmill"

    def __init__(self, value: dict[str, Any]) -> None:
        pattern = pattern_of(value)
        rules = rules_of(pattern) if pattern is not None else None
        if rules is None:
            raise ValueError("its pattern is not a known one")
        self._rules = rules
        self._model = Model(value)
        self._classes = tokenizers_classes()

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text."""
        result: list[Ids] = []
        for batch in _batches([text.encode() for text in texts]):
            result += self._model.encode(batch, self._rules, self._classes.page_of, self._classes.pages)
        return result


class Model:
    """The merges of a tokenizer and the pieces seen so far."""

    def __init__(self, value: dict[str, Any]) -> None:
        model = value["model"]
        _check(value)
        vocab: dict[str, int] = model["vocab"]
        self._id_of_byte = np.full(256, -1, dtype=np.int64)
        spelled = {name: to_bytes(name) for name in vocab if " " not in name}
        for name, token in spelled.items():
            if len(token) == 1:
                self._id_of_byte[token[0]] = vocab[name]
        if (self._id_of_byte < 0).any():
            raise ValueError("a byte has no token")
        pairs = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
        merges = np.array([(vocab[left], vocab[right]) for left, right in pairs], dtype=np.int64).reshape(-1, 2)
        made = np.array([vocab[left + right] for left, right in pairs], dtype=np.int64)
        self._ranks = rank_table(merges, made)
        self._shifting = len(np.unique(made)) == len(made)
        self._clear()

    def _clear(self) -> None:
        self._state: tuple[Any, ...] = (
            np.zeros((2 * _MOST_KEPT, 4), np.uint64), np.empty(1 << 16, np.uint8), np.empty(1 << 16, np.int64), 0, 0, 0,
        )  # fmt: skip

    def encode(self, texts: Sequence[bytes], rules: int, page_of: Any, pages: Any) -> list[Ids]:
        """The ids of each text; with `rules` -1 the texts are pre-tokens and not cut."""
        data = np.frombuffer(b"".join(texts), dtype=np.uint8)
        documents = np.concatenate(([0], np.cumsum([len(text) for text in texts], dtype=np.int64))).astype(np.int64)
        ids, ends = self._encode(data, documents, rules, page_of, pages)
        bounds = [0, *ends.tolist()]
        return [ids[start:end].copy() for start, end in pairwise(bounds)]

    def encode_pieces(self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> tuple[Ids, Ids]:
        """The ids of pre-tokens, which are not cut again, one behind the other, and the bounds of each."""
        none = np.empty(0, np.uint16)
        ids, ends = self._encode(data, offsets, -1, none, none.reshape(0, 0))
        return ids, np.concatenate(([0], ends))

    def _encode(self, data: Ids, documents: Ids, rules: int, page_of: Ids, pages: Ids) -> tuple[Ids, Ids]:
        if self._state[3] >= _MOST_KEPT:
            self._clear()
        tables = (page_of, pages, rules, self._id_of_byte, self._ranks, self._shifting, _MOST_KEPT)
        ids, ends, *state = encode_pieces(read_only(data), read_only(documents), *tables, *self._state)
        self._state = tuple(state)
        return ids, ends


def pattern_of(value: dict[str, Any]) -> Pattern | None:
    """The known pattern that a `tokenizer.json` value cuts with, if it is one and nothing else is done to text."""
    steps = value["pre_tokenizer"]
    if steps and steps["type"] == "ByteLevel" and steps.get("use_regex", True) and not steps["add_prefix_space"]:
        return GPT2
    if not steps or steps["type"] != "Sequence" or len(steps["pretokenizers"]) != 2:
        return None
    split, byte_level = steps["pretokenizers"]
    if (
        split["type"] != "Split"
        or split["behavior"] != "Isolated"
        or split.get("invert")
        or "Regex" not in split["pattern"]
    ):
        return None
    if byte_level["type"] != "ByteLevel" or byte_level["add_prefix_space"] or byte_level.get("use_regex", True):
        return None
    return pattern_of_regex(split["pattern"]["Regex"])


def _check(value: dict[str, Any]) -> None:
    model = value["model"]
    if value.get("normalizer") or value.get("added_tokens"):
        raise ValueError("it normalises text or has added tokens that are not special")
    for name in (
        "dropout",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "fuse_unk",
        "byte_fallback",
        "ignore_merges",
    ):
        if model.get(name):
            raise ValueError(f"its model sets {name}")


def _batches(texts: Sequence[bytes]) -> list[list[bytes]]:
    """The texts in batches of a few megabytes, so that working memory stays small."""
    batches: list[list[bytes]] = [[]]
    size = 0
    for text in texts:
        if size + len(text) > _BATCH_BYTES and batches[-1]:
            batches.append([])
            size = 0
        batches[-1].append(text)
        size += len(text)
    return batches

"""Our own encoder: cuts and merges in machine code, for byte-level BPE with a known pattern.

Special tokens do not exist for it, so no text can reach one. It gives the ids of `tokenizers`, at some
60 to 120 MB a second on one core, in memory that does not grow.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.alphabet import to_bytes
from tokenizer.applying import RECENT, SPARE, encode_documents
from tokenizer.characters import tokenizers_classes
from tokenizer.compiling import read_only
from tokenizer.joining import MOST_IDS, pair_table
from tokenizer.matching import NUM_ANSWERS, longest_prefixes, merge_parts, own_tokens, search_tree
from tokenizer.patterns import GPT2, Pattern, pattern_of_regex
from tokenizer.pieces import COLUMNS, piece_table
from tokenizer.scanning import rules_of

Ids = npt.NDArray[Any]

_BATCH_BYTES = 1 << 18  # what fits into the caches of a core


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
        id_of_byte = np.full(256, -1, dtype=np.int64)
        spelled = {name: to_bytes(name) for name in vocab if " " not in name}
        for name, token in spelled.items():
            if len(token) == 1:
                id_of_byte[token[0]] = vocab[name]
        if (id_of_byte < 0).any():
            raise ValueError("a byte has no token")
        pairs = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
        merges = np.array([(vocab[left], vocab[right]) for left, right in pairs], dtype=np.int64).reshape(-1, 2)
        made = np.array([vocab[left + right] for left, right in pairs], dtype=np.int32)
        if max(vocab.values()) >= MOST_IDS - 1 or len(made) >= MOST_IDS:
            raise ValueError(f"it has {MOST_IDS} tokens or more")
        table = pair_table(merges)
        tokens = {vocab[name]: token for name, token in spelled.items()}
        tree = _search_tree(id_of_byte, merges, made, table, tokens)
        whole = _pieces_kept_whole(tokens if model.get("ignore_merges") else {})
        self._dtype = np.uint16 if max(vocab.values()) < 1 << 16 else np.uint32
        self._model: tuple[Any, ...] = (id_of_byte, table, made, tree, whole)
        self._recent = np.zeros((RECENT, 4), np.uint64)
        self._result = np.empty(0, np.uint32)

    def encode(self, texts: Sequence[bytes], rules: int, page_of: Any, pages: Any) -> list[Ids]:
        """The ids of each text, in the smallest type that holds them; with `rules` -1 the texts are pre-tokens and not cut."""
        data, documents = _joined(texts)
        ids, ends = self._encode(data, documents, rules, page_of, pages)
        bounds = [0, *ends.tolist()]
        return [ids[start:end].astype(self._dtype) for start, end in pairwise(bounds)]

    def encode_pieces(
        self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], pattern: Pattern | None = None
    ) -> tuple[Ids, Ids]:
        """The ids of pre-tokens, one behind the other, and the bounds of each. They are cut again if a pattern is given."""
        rules = rules_of(pattern) if pattern else None
        if rules is not None:
            classes = tokenizers_classes()
            ids, ends = self._encode(data, offsets, rules, classes.page_of, classes.pages)
        else:
            none = np.empty(0, np.uint16)
            ids, ends = self._encode(data, offsets, -1, none, none.reshape(0, 0))
        return ids.copy(), np.concatenate(([0], ends))

    def _encode(self, data: Ids, documents: Ids, rules: int, page_of: Ids, pages: Ids) -> tuple[Ids, Ids]:
        """The ids of all documents, which stand until the next call, and where those of each end."""
        if len(data) + SPARE > len(self._result):
            self._result = np.empty(len(data) + SPARE, np.uint32)
        tables: tuple[Any, ...] = (self._model, self._recent, self._result)
        ends: Ids = encode_documents(read_only(data), read_only(documents), page_of, pages, rules, *tables)
        return self._result[: ends[-1] if len(ends) else 0], ends


def _search_tree(id_of_byte: Ids, merges: Ids, made: Ids, pairs: Ids, bytes_of: dict[int, bytes]) -> tuple[Ids, ...]:
    """The arrays of `tokenizer.matching`, empty where an id is made by several merges."""
    num_ids = max(bytes_of) + 1
    tokens = sorted({*id_of_byte.tolist(), *made.tolist()}, key=lambda token_id: (len(bytes_of[token_id]), token_id))
    data, offsets = _joined([bytes_of[token_id] for token_id in tokens])
    if len(tokens) < 256 + len(made) or num_ids + len(data) >= MOST_IDS:
        none = np.empty(0, np.int32)
        numbers = none.astype(np.int64)
        return none, none, numbers, none, none.astype(np.uint8), numbers, numbers
    own = own_tokens(data, offsets, id_of_byte, pairs, made, len(bytes_of[tokens[-1]]))
    found = [token_id for token_id, is_own in zip(tokens, own.tolist(), strict=True) if is_own]
    texts = [bytes_of[token_id] for token_id in found]
    sizes, prefixes = np.zeros(num_ids, np.int32), np.full(num_ids, -1, np.int32)
    sizes[found] = [len(text) for text in texts]
    prefixes[found] = [found[number] if number >= 0 else -1 for number in longest_prefixes(texts)]
    branches, within = search_tree(*_joined(texts), np.array(found, np.int64), sizes, prefixes)
    return sizes, prefixes, branches, within, *merge_parts(merges, made, num_ids), np.full(NUM_ANSWERS, -1, np.int64)


def _pieces_kept_whole(bytes_of: dict[int, bytes]) -> tuple[Ids, Ids]:
    """The table of `tokenizer.pieces` of tokens, their ids in its third column; empty where there are none."""
    if not bytes_of:
        return np.empty((0, COLUMNS), np.uint64), np.empty(0, np.uint8)
    table, spelled = piece_table(*_joined(bytes_of.values()), np.array([*bytes_of], np.int64))
    return table, spelled


def _joined(texts: Collection[bytes]) -> tuple[Ids, Ids]:
    """The bytes of all texts one behind the other, and the offsets of the texts in them."""
    offsets = np.concatenate(([0], np.cumsum([len(text) for text in texts], dtype=np.int64))).astype(np.int64)
    return read_only(np.frombuffer(b"".join(texts), dtype=np.uint8)), offsets


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

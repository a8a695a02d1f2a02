"""Writes a vocabulary for others: `tokenizer.json` (Hugging Face), tiktoken ranks. Text in memory, no I/O."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizer.alphabet import to_characters
from tokenizer.patterns import Pattern
from tokenizer.vocabulary import Vocabulary


def tokenizer_json(vocabulary: Vocabulary, pattern: Pattern) -> str:
    """`vocabulary` as a standard `tokenizer.json`, equal for equal input.

    It loads in `tokenizers` and in `transformers.PreTrainedTokenizerFast`.
    """
    return json.dumps(tokenizer_value(vocabulary, pattern), ensure_ascii=False, indent=1) + "\n"


def tokenizer_value(vocabulary: Vocabulary, pattern: Pattern) -> dict[str, Any]:
    """As `tokenizer_json`, as a JSON value."""
    assert all(min(pair) >= len(vocabulary.specials) for pair in vocabulary.merges), (
        "a special token is never part of a merge"
    )
    names = [*vocabulary.specials, *(to_characters(token) for token in vocabulary.tokens)]
    vocab = {name: token_id for token_id, name in enumerate(names)}
    merges = [(names[left], names[right]) for left, right in vocabulary.merges]
    return value_of(
        vocab, merges, [added_token(token_id, name) for token_id, name in enumerate(vocabulary.specials)], pattern
    )


def value_of(
    vocab: Mapping[str, int], merges: Iterable[tuple[str, str]], added: Sequence[dict[str, Any]], pattern: Pattern
) -> dict[str, Any]:
    """A `tokenizer.json` value of a vocabulary that is spelled in the byte alphabet."""
    split = {"type": "Split", "pattern": {"Regex": pattern.regex}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": sorted(added, key=lambda token: int(token["id"])),
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": dict(vocab),
            "merges": [list(pair) for pair in merges],
        },
    }


def added_token(token_id: int, name: str) -> dict[str, Any]:
    """A special token as `tokenizer.json` lists it."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token_id, "content": name, **flags}


def tiktoken_ranks(vocabulary: Vocabulary) -> bytes:
    """The tokens as a tiktoken rank file: one line a token, base64 of its bytes and its rank.

    Ranks start at 0 with the single bytes; special tokens have none (tiktoken takes them apart).
    """
    lines = (f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(vocabulary.tokens))
    return "".join(lines).encode()

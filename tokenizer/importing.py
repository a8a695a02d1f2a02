"""Takes over the vocabularies of others: tiktoken rank files, and GPT-2's `encoder.json` with `vocab.bpe`.

A Hugging Face `tokenizer.json` needs no import: `tokenizer.encoding` reads it as it is.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tokenizer.alphabet import to_characters
from tokenizer.patterns import Pattern
from tokenizer.writing import added_token, value_of


def from_tiktoken(ranks: bytes, pattern: Pattern, specials: Mapping[str, int] | Sequence[str]) -> dict[str, Any]:
    """A `tokenizer.json` value with the ids of a tiktoken rank file, `specials` added.

    These are name and id, or names alone, which get the ids behind the last rank.

    Rank files hold no merges; they are recovered: the pair that makes a token is what the tokens of
    lower rank leave of its bytes.

    Raises:
        ValueError: the file is not a rank file, or a token cannot be made from two of lower rank.
    """
    rank_of = _parsed(ranks)
    missing = [byte for byte in range(256) if bytes([byte]) not in rank_of]
    if missing:
        raise ValueError(f"the rank file has no token for the byte {missing[0]}")
    if not isinstance(specials, Mapping):
        first = max(rank_of.values()) + 1
        specials = {name: first + place for place, name in enumerate(specials)}
    taken = set(rank_of.values())
    clash = next((name for name, token_id in specials.items() if token_id in taken), None)
    if clash is not None:
        raise ValueError(
            f"special token {clash!r} has the id {specials[clash]}, which the rank file gives to another token"
        )
    merges = [_parents(token, rank_of) for token in sorted(rank_of, key=rank_of.__getitem__) if len(token) > 1]
    vocab = {to_characters(token): rank for token, rank in rank_of.items()}
    pairs = [(to_characters(left), to_characters(right)) for left, right in merges]
    return value_of(vocab, pairs, [added_token(token_id, name) for name, token_id in specials.items()], pattern)


def from_gpt2_files(encoder_json: str, vocab_bpe: str, pattern: Pattern, specials: Sequence[str]) -> dict[str, Any]:
    """A `tokenizer.json` value from the two files of GPT-2; `specials` are names that `encoder_json` has.

    Raises:
        ValueError: a special token is not in the vocabulary, or a line is not a merge.
    """
    vocab: dict[str, int] = json.loads(encoder_json)
    unknown = [name for name in specials if name not in vocab]
    if unknown:
        raise ValueError(f"the vocabulary has no token {unknown[0]!r}")
    lines = [line for line in vocab_bpe.split("\n") if line and not line.startswith("#version")]
    pairs = [tuple(line.split(" ")) for line in lines]
    wrong = next((line for line, pair in zip(lines, pairs, strict=True) if len(pair) != 2), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is not a merge of two tokens")
    return value_of(
        vocab, [(pair[0], pair[1]) for pair in pairs], [added_token(vocab[name], name) for name in specials], pattern
    )


def _parsed(ranks: bytes) -> dict[bytes, int]:
    result: dict[bytes, int] = {}
    for number, line in enumerate(ranks.splitlines(), start=1):
        if not line:
            continue
        try:
            token, rank = line.split()
            result[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            raise ValueError(f"line {number} of the rank file is not a token in base64 and its rank") from None
    return result


def _parents(token: bytes, rank_of: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens whose merge is `token`."""
    own = rank_of[token]
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        ranks = [rank_of.get(left + right, own) for left, right in pairwise(parts)]
        best = min(range(len(ranks)), key=ranks.__getitem__)
        if ranks[best] >= own:
            raise ValueError(f"token {token!r} of rank {own} cannot be made from two tokens of lower rank")
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]

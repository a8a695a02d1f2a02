"""What a tokenizer is worth on a corpus, from its count table alone: no text is read again.

Fertility is tokens per word. All numbers are exact sums over the table; what the length limit kept out
of it, or pruning dropped, is not in them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.encoding import Encoder, plain_text_value
from tokenizer.native import Model, pattern_of
from tokenizer.patterns import pattern_named
from tokenizer.training import WordCounts

Numbers = npt.NDArray[Any]  # int64, or Python's integers where counts are (see `tokenizer.training.narrowed`)

HARDLY_USED = 20  # times; a token that occurs less often is hardly trained
_LISTED = 40
_PROBES = {
    "digits": ("7", "42", "365", "2024", "65536", "1234567", "3.14159", "1,000,000", "192.168.0.1", "2024-02-29"),
    "white space": ("\n", "\n\n", "\r\n", "\t", "    ", "        ", "            ", "                ", "\n    ", "\n        "),
    "code": (
        "def main(argv: list[str]) -> int:", "for (int i = 0; i < n; ++i) {", "    return self._value", "if __name__ == \"__main__\":",
        "SELECT id, name FROM users WHERE id = ?;", "<div class=\"row\">", "https://example.org/path?query=1", "HTTPServerFactory", "snake_case_name",
    ),
}  # fmt: skip


class PieceTokens:
    """The tokens of each pre-token of a table: of number w, `ids[bounds[w]:bounds[w + 1]]`.

    `cut_by` is the label of the pattern of the table; a tokenizer with another known pattern cuts them again.
    """

    def __init__(self, value: Mapping[str, Any], words: WordCounts, *, cut_by: str) -> None:
        plain = plain_text_value(dict(value))
        pattern = pattern_of(plain)
        same = pattern is None or pattern.regex == pattern_named(cut_by).regex
        self.ids, self.bounds = Model(plain).encode_pieces(words.data, words.offsets, None if same else pattern)
        self.sizes = np.diff(self.bounds)


def totals(tokens: Numbers, num_bytes: Numbers, counts: Numbers, num_words: int) -> dict[str, float | int]:
    """The figures of some rows: tokens and bytes of each row's pre-token, how often it occurs, and words in all."""
    all_tokens, all_bytes = int(np.dot(tokens, counts)), int(np.dot(num_bytes, counts))
    pretokens = int(counts.sum())
    return {
        "bytes": all_bytes,
        "tokens": all_tokens,
        "bytes_per_token": round(all_bytes / max(all_tokens, 1), 4),
        "tokens_per_word": round(all_tokens / max(num_words, 1), 4),
        "tokens_per_pretoken": round(all_tokens / max(pretokens, 1), 4),
        "single_token_share": round(int(counts[tokens == 1].sum()) / max(pretokens, 1), 4),
    }


def uses(pieces: PieceTokens, counts: Numbers, vocab_size: int) -> Numbers:
    """How often each token id occurs, when pre-token w occurs `counts[w]` times."""
    result = np.zeros(vocab_size, dtype=counts.dtype)
    np.add.at(result, pieces.ids, np.repeat(counts, pieces.sizes))
    return result


def vocabulary_use(encoder: Encoder, used: Numbers) -> dict[str, Any]:
    """Which learned tokens the corpus does not, or hardly, use; single bytes and special tokens left aside."""
    learned = [token_id for token_id in encoder.learned_ids()]
    least = sorted(learned, key=lambda token_id: (int(used[token_id]), -token_id))[:_LISTED]
    longest = sorted(learned, key=lambda token_id: (-len(encoder.token_bytes(token_id)), token_id))[:_LISTED]
    number = max(len(learned), 1)
    return {
        "learned_tokens": len(learned),
        "never_used_share": round(sum(int(used[token_id]) == 0 for token_id in learned) / number, 4),
        "hardly_used_share": round(sum(int(used[token_id]) < HARDLY_USED for token_id in learned) / number, 4),
        "hardly_used_below": HARDLY_USED,
        "least_used": [_described(encoder, used, token_id) for token_id in least],
        "longest": [_described(encoder, used, token_id) for token_id in longest],
    }


def _described(encoder: Encoder, used: Numbers, token_id: int) -> dict[str, Any]:
    return {
        "id": token_id,
        "token": encoder.token_bytes(token_id).decode("utf-8", "backslashreplace"),
        "uses": int(used[token_id]),
    }


def probes(encoder: Encoder) -> dict[str, dict[str, list[str]]]:
    """How fixed strings are cut: digits, white space, code."""
    return {name: {text: _cut(encoder, text) for text in texts} for name, texts in _PROBES.items()}


def _cut(encoder: Encoder, text: str) -> list[str]:
    return [encoder.token_bytes(token_id).decode("utf-8", "backslashreplace") for token_id in encoder.encode(text)]


def by_key(keys: Sequence[str], places: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[np.bool_]]:
    """For each different key, which rows are of a group with it; `places` are the groups of the rows."""
    names = np.array(keys, dtype=object)
    return {name: np.isin(places, np.flatnonzero(names == name)) for name in sorted(set(keys))}

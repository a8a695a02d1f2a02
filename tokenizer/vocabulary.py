"""A byte-level BPE vocabulary: tokens as bytes, merges in order, special tokens apart. No I/O."""

import hashlib
from dataclasses import dataclass, replace

from tokenizer.alphabet import BYTE_TOKENS

END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What a tokenizer knows.

    Ids: `specials` first (id = position), then `tokens` (id = len(specials) + position), of which
    the first 256 are the single bytes. `merges[i]` is a pair of ids, and `merge_counts[i]` how often
    the pair stood in the training table when it was merged.
    """

    specials: tuple[str, ...]
    tokens: tuple[bytes, ...]
    merges: tuple[tuple[int, int], ...]
    merge_counts: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.specials) + len(self.tokens)

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes of a token, of a special one those of its name."""
        first = len(self.specials)
        return self.specials[token_id].encode() if token_id < first else self.tokens[token_id - first]

    def prefix(self, size: int) -> "Vocabulary":
        """The vocabulary that training would have stopped at with `size` tokens: same ids, fewer of them.

        Raises:
            ValueError: `size` is smaller than specials and bytes, or larger than this vocabulary.
        """
        smallest = len(self.specials) + len(BYTE_TOKENS)
        if not smallest <= size <= len(self):
            raise ValueError(
                f"vocabulary size is {size}; this vocabulary has prefixes of {smallest} to {len(self)} tokens"
            )
        merges = self._num_merges_within(size)
        return replace(
            self,
            tokens=self.tokens[: size - len(self.specials)],
            merges=self.merges[:merges],
            merge_counts=self.merge_counts[:merges],
        )

    def _num_merges_within(self, size: int) -> int:
        """How many merges training had made when the vocabulary had `size` tokens.

        Training stops at the merge that adds the last token; merges that make a known token again
        (a + aa after aa + a) add none and count if they came before it.
        """
        if size == len(self):
            return len(self.merges)
        last_token = self.tokens[size - 1 - len(self.specials)]
        made = (self.bytes_of(left) + self.bytes_of(right) for left, right in self.merges)
        return next((index + 1 for index, token in enumerate(made) if token == last_token), 0)

    def hash(self) -> str:
        """The SHA-256 of ids, tokens and merges."""
        digest = hashlib.sha256()
        for part in (*(name.encode() for name in self.specials), b"\0specials", *self.tokens, b"\0tokens"):
            digest.update(len(part).to_bytes(4, "little") + part)
        for left, right in self.merges:
            digest.update(left.to_bytes(4, "little") + right.to_bytes(4, "little"))
        return digest.hexdigest()

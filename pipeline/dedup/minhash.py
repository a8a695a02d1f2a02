"""MinHash signatures, bit for bit those of datasketch 2 (scheme `affine32`) on the same shingle hashes.

Of a shingle hash the low 32 bits enter, are mixed once by MurmurHash3's finaliser, and permuted by
`a · h + b mod 2³²` with odd `a`; the signature holds the least value of each permutation. datasketch
is not imported: its permutations are two draws from numpy's frozen `RandomState`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.dedup.shingles import Bytes, Hashes, Shingling, join_words, scan, shingle_size
from tokenizer.compiling import kept

VERSION = "affine32"
COMPILED_WITH = "shingles-4"
EMPTY = np.uint32(0xFFFFFFFF)
_BLOCK = 4096  # hashes that are mixed at a time: they stay in the first-level cache

Values = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Permutations:
    """`num_permutations` maps h → a·h + b mod 2³², those that datasketch draws from `seed`."""

    a: Values
    b: Values

    @classmethod
    def draw(cls, num_permutations: int, seed: int = 1) -> "Permutations":
        """The permutations of `datasketch.MinHash(num_permutations, seed)`."""
        generator = np.random.RandomState(seed)
        a = generator.randint(0, 1 << 31, num_permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
        return cls(a, generator.randint(0, 1 << 32, num_permutations, dtype=np.uint32))


@kept(nogil=True)
def fill_signature(hashes: Hashes, a: Values, b: Values, block: Values, out: Values) -> None:
    """Writes the signature of a set of shingle hashes (repeats do no harm) to `out`; `EMPTY` where there are none."""
    out[:] = EMPTY
    for start in range(0, hashes.shape[0], _BLOCK):
        length = min(_BLOCK, hashes.shape[0] - start)
        for i in range(length):
            h = np.uint32(hashes[start + i])
            h = np.uint32(h ^ (h >> np.uint32(16)))
            h = np.uint32(h * np.uint32(0x85EBCA6B))
            h = np.uint32(h ^ (h >> np.uint32(13)))
            h = np.uint32(h * np.uint32(0xC2B2AE35))
            block[i] = np.uint32(h ^ (h >> np.uint32(16)))
        for k in range(a.shape[0]):  # the inner loop is one that compilers vectorise
            factor, term, least = a[k], b[k], out[k]
            for i in range(length):
                value = np.uint32(factor * block[i] + term)
                least = value if value < least else least
            out[k] = least


@kept(nogil=True)
def _sign(
    data: Bytes, bounds: npt.NDArray[np.int64], table: Values, by_words: int, by_characters: int, a: Values, b: Values,
    text_hashes: npt.NDArray[np.uint64], num_shingles: npt.NDArray[np.int32], signatures: npt.NDArray[np.uint32],
) -> None:  # fmt: skip
    longest = 0
    for i in range(bounds.shape[0] - 1):
        longest = max(longest, bounds[i + 1] - bounds[i])
    words, shingles = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.uint64)
    block, nowhere = np.empty(_BLOCK, np.uint32), np.empty(0, np.int64)
    for i in range(bounds.shape[0] - 1):
        num_words, num_unspaced = scan(data, bounds[i], bounds[i + 1], table, words, text_hashes[i], nowhere)
        size = shingle_size(num_words, num_unspaced, by_words, by_characters)
        num_shingles[i] = join_words(words, num_words, size, shingles)
        fill_signature(shingles[: num_shingles[i]], a, b, block, signatures[i])


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What is computed from texts, one row each: the 128-bit hash of the normalised text, the number of
    shingles (repeats counted) and the signature."""

    text_hashes: npt.NDArray[np.uint64]
    num_shingles: npt.NDArray[np.int32]
    signatures: npt.NDArray[np.uint32]


def sign_texts(data: Bytes, bounds: npt.NDArray[np.int64], shingling: Shingling, permutations: Permutations) -> Signed:
    """The hashes and signatures of the texts `data[bounds[i]:bounds[i + 1]]`."""
    rows = len(bounds) - 1
    signed = Signed(
        text_hashes=np.empty((rows, 2), np.uint64),
        num_shingles=np.empty(rows, np.int32),
        signatures=np.empty((rows, len(permutations.a)), np.uint32),
    )
    _sign(
        data, bounds, shingling.table(), shingling.words, shingling.characters, permutations.a, permutations.b,
        signed.text_hashes, signed.num_shingles, signed.signatures,
    )  # fmt: skip
    return signed


def signature(hashes: Hashes, permutations: Permutations) -> Values:
    """The signature of one set of shingle hashes."""
    out = np.empty(len(permutations.a), np.uint32)
    fill_signature(
        np.ascontiguousarray(hashes, np.uint64), permutations.a, permutations.b, np.empty(_BLOCK, np.uint32), out
    )
    return out


def estimate(first: Values, second: Values) -> float:
    """The Jaccard similarity that two signatures suggest: the share of equal values."""
    return float(np.count_nonzero(first == second)) / len(first)

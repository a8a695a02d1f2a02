"""Signatures against datasketch, and what they estimate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.minhash import EMPTY, Permutations, estimate, sign_texts, signature
from pipeline.dedup.shingles import Shingling, shingle_hashes, text_buffers

datasketch = pytest.importorskip("datasketch")


def of_datasketch(hashes: list[int], num_permutations: int, seed: int) -> list[int]:
    sketch = datasketch.MinHash(num_permutations, seed=seed, hashfunc=lambda value: value, scheme="affine32")
    sketch.update_batch([value & 0xFFFFFFFF for value in hashes])
    return list(sketch.hashvalues.tolist())


@settings(max_examples=50, deadline=None)
@given(
    hashes=st.lists(st.integers(0, 2**64 - 1), max_size=200),
    num_permutations=st.integers(1, 130),
    seed=st.integers(0, 2**32 - 1),
)
def test_signatures_equal_those_of_datasketch(hashes: list[int], num_permutations: int, seed: int) -> None:
    permutations = Permutations.draw(num_permutations, seed)
    found = signature(np.array(hashes, np.uint64), permutations)
    assert found.tolist() == of_datasketch(hashes, num_permutations, seed)


@pytest.mark.parametrize("size", [4095, 4096, 4097, 20_000])  # around the block that is mixed at a time
def test_long_sets_equal_datasketch_too(size: int) -> None:
    hashes = np.random.default_rng(size).integers(0, 2**64, size, dtype=np.uint64)
    assert signature(hashes, Permutations.draw(112)).tolist() == of_datasketch(hashes.tolist(), 112, 1)


def test_texts_in_a_batch_are_signed_as_alone() -> None:
    import pyarrow as pa

    texts = ["the quick brown fox jumps over the lazy dog", "", "one two", "中文" * 20, "a b c d e f g " * 50]
    permutations = Permutations.draw(112)
    signed = sign_texts(*text_buffers(pa.array(texts)), Shingling(), permutations)
    for text, one, count in zip(texts, signed.signatures, signed.num_shingles, strict=True):
        hashes = shingle_hashes(text)
        assert count == len(hashes)
        assert one.tolist() == signature(hashes, permutations).tolist() == of_datasketch(hashes.tolist(), 112, 1)
    assert (signed.signatures[1] == EMPTY).all()


@pytest.mark.parametrize("jaccard", [0.1, 0.5, 0.8, 0.95])
def test_estimates_lie_around_the_true_similarity(jaccard: float) -> None:
    generator, permutations = np.random.default_rng(3), Permutations.draw(112)
    common = int(1000 * jaccard)
    errors = []
    for _ in range(60):
        hashes = generator.integers(0, 2**64, 2000 - common, dtype=np.uint64)
        first, second = hashes[:1000], hashes[1000 - common :]
        true = common / (2000 - common)
        errors.append(estimate(signature(first, permutations), signature(second, permutations)) - true)
    # 60 pairs × 112 values: the mean error has a standard deviation of at most 0.0061.
    assert abs(np.mean(errors)) < 4 * 0.0061
    assert np.std(errors) < 0.06

"""The slow, obvious learner: what `tokenizer.training` must equal. For tests and for reading.

It does literally what byte-pair encoding says, with the order of Hugging Face `tokenizers`: count all
pairs, merge the commonest everywhere, the smaller pair of ids on a tie. Time grows with types × merges.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from tokenizer.alphabet import BYTE_TOKENS


def learn_slowly(counts: Mapping[bytes, int], *, num_tokens: int, first_id: int = 0) -> list[tuple[int, int]]:
    """The merges, as pairs of ids, that bring the vocabulary to `num_tokens` (single bytes included).

    Ids start at `first_id`; counts may be of any size. Stops early when no pair is left. Holds for
    tables in which no token arises from two different pairs (see `learn_merges` for those).
    """
    id_of = {token: first_id + index for index, token in enumerate(BYTE_TOKENS)}
    words = [([id_of[bytes([byte])] for byte in word], count) for word, count in counts.items()]
    merges: list[tuple[int, int]] = []
    while len(BYTE_TOKENS) + len(merges) < num_tokens:
        pairs: Counter[tuple[int, int]] = Counter()
        for ids, count in words:
            for pair in pairwise(ids):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        new_id = first_id + len(BYTE_TOKENS) + len(merges)
        words = [(merged(ids, best, new_id), count) for ids, count in words]
        merges.append(best)
    return merges


def merged(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """`ids` with each occurrence of `pair`, from the left, replaced by `new_id`."""
    result: list[int] = []
    index = 0
    while index < len(ids):
        if tuple(ids[index : index + 2]) == pair:
            result.append(new_id)
            index += 2
        else:
            result.append(ids[index])
            index += 1
    return result

"""The tensors of a batch beside a slow reading, position by position, for every method and any lengths."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.batch import IGNORE, collate
from pipeline.pack.config import PackConfig
from pipeline.pack.packing import Method
from pipeline.pack.rows import pack_blocks
from pipeline.records import PackedRow
from tests.pack.shard_maker import documents_of, spec_of


def owners(row: PackedRow, length: int) -> list[int]:
    """The number of the document at each position, -1 on padding."""
    found = [-1] * length
    for number, (start, end) in enumerate(zip(row.starts, row.ends, strict=True)):
        for position in range(start, end):
            assert found[position] == -1
            found[position] = number
    return found


# Documents without a token, with one, that end a row exactly, and that run on for several rows.
lengths = st.lists(st.one_of(st.integers(0, 2), st.integers(0, 40)), min_size=1, max_size=30)


@pytest.mark.parametrize("method", ["best_fit", "concat", "one_per_row"])
@pytest.mark.parametrize("vocab_size", [1000, 65_536, 65_537])
@given(lengths=lengths, length=st.integers(2, 12), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_tensors_are_what_a_slow_reading_says(
    method: Method, vocab_size: int, lengths: list[int], length: int, seed: int
) -> None:
    spec = spec_of(length, vocab_size=vocab_size)
    documents = documents_of(lengths, source="web", spec=spec)
    documents[0].tokens[:] = vocab_size - 1  # the widest id there is
    config = PackConfig(sequence_length=length, method=method)
    places = [(block, i) for block in pack_blocks(documents, config, spec) for i in range(len(block.tokens))]
    np.random.default_rng(seed).shuffle(places)  # type: ignore[arg-type]
    batch = collate(places, length)
    borders, longest, num_labels, gaps = [0], 0, 0, []
    for number, (block, place) in enumerate(places):
        row = block.row(place)
        owner = owners(row, length)
        assert batch.tokens[number].tolist() == list(row.tokens)
        assert batch.inputs[number].tolist() == list(row.tokens[:-1])
        assert batch.loss_mask[number].tolist() == [who >= 0 for who in owner]
        assert batch.labels[number].tolist() == [
            label if who >= 0 else IGNORE for label, who in zip(row.tokens[1:], owner, strict=True)
        ]
        changes = [p for p in range(1, length) if owner[p] != owner[p - 1]]
        segments = [sum(change <= p for change in changes) for p in range(length)]
        assert batch.segment_ids[number].tolist() == segments
        assert batch.position_ids[number].tolist() == [
            p - max([0, *(c for c in changes if c <= p)]) for p in range(length)
        ]
        edges = [0, *changes, length]
        borders += [number * length + edge for edge in edges[1:]]
        longest = max(longest, *(b - a for a, b in pairwise(edges)))
        gaps += [(number * length + a, number * length + b) for a, b in pairwise(edges) if owner[a] < 0]
        num_labels += sum(who >= 0 for who in owner)
    assert batch.cu_seqlens.tolist() == borders
    assert batch.cu_seqlens.dtype == torch.int32
    assert (batch.max_seqlen, batch.num_labels, batch.gaps) == (longest, num_labels, tuple(gaps))


def test_hand_worked_batch() -> None:
    """T = 7: a document of nine tokens, of which three labels go over; one of two; an empty one."""
    spec = spec_of(7)
    documents = {len(document.tokens): document for document in documents_of([9, 2, 0], source="web", spec=spec)}
    (block,) = pack_blocks(documents.values(), PackConfig(sequence_length=7), spec)
    batch = collate([(block, i) for i in range(len(block.tokens))], 7)
    nine, two = documents[9].tokens.tolist(), documents[2].tokens.tolist()
    assert batch.inputs.tolist() == [
        [0, *nine[:6]],
        [*nine[6:], 0, *two, 0],  # the rest begins with the token before the cut; the last position is padding
        [0, 0, 0, 0, 0, 0, 0],  # an empty document is its end-of-text; six of padding
    ]
    assert batch.labels.tolist() == [nine[:7], [*nine[7:], 0, *two, 0, IGNORE], [0, *[IGNORE] * 6]]
    assert batch.cu_seqlens.tolist() == [0, 7, 10, 13, 14, 15, 21]
    assert batch.position_ids.tolist() == [[*range(7)], [0, 1, 2, 0, 1, 2, 0], [0, *range(6)]]
    assert batch.gaps == ((13, 14), (15, 21))
    assert (batch.num_labels, batch.max_seqlen) == (10 + 3 + 1, 7)

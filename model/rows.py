"""Rows to score, as batches: those of a held-out split with the language of each document, or documents of ids alone.

Shapes: B rows, T positions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from model.objectives import NO_LABEL
from pipeline.pack.shards import ShardSet
from pipeline.records import PackedRow


class Span(NamedTuple):
    """The positions of one document in a row, and its language."""

    start: int
    end: int
    language: str


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """Rows as `model.source.PackedBatch` describes them; `spans` are the documents of each row, where known."""

    inputs: Tensor
    labels: Tensor
    segment_ids: Tensor
    sources: tuple[str, ...]
    spans: tuple[tuple[Span, ...], ...] = ()


def heldout_rows(
    shards: ShardSet, languages: Mapping[str, str], *, batch_rows: int, max_rows: int | None = None
) -> Iterator[ScoredRows]:
    """The rows of a split, source after source; `languages` are those of documents by id."""
    rows = (shards.row(source, number) for source in shards.sources for number in range(shards.num_rows(source)))
    limited = islice(rows, max_rows)
    while batch := list(islice(limited, batch_rows)):
        yield _collated(batch, languages)


def _collated(rows: Sequence[PackedRow], languages: Mapping[str, str]) -> ScoredRows:
    tokens = torch.tensor([row.tokens for row in rows], dtype=torch.long)
    segments = torch.full((len(rows), tokens.shape[1] - 1), -1)
    spans = []
    for number, row in enumerate(rows):
        pieces = list(zip(row.starts, row.ends, row.doc_ids, strict=True))
        for place, (start, end, _) in enumerate(pieces):
            segments[number, start:end] = place
        spans.append(tuple(Span(start, end, languages.get(name.hex(), "")) for start, end, name in pieces))
    return ScoredRows(
        inputs=tokens[:, :-1],
        labels=torch.where(segments >= 0, tokens[:, 1:], NO_LABEL),
        segment_ids=segments,
        sources=tuple(row.source for row in rows),
        spans=tuple(spans),
    )


def rows_of_documents(
    documents: Sequence[Sequence[int]], *, end_id: int, length: int, batch_rows: int
) -> Iterator[ScoredRows]:
    """Documents laid end to end and cut into rows: every token of each, and its end, is a label once.

    A document that meets the end of a row is cut there.
    """
    inputs = [token for document in documents for token in (end_id, *document)]
    labels = [token for document in documents for token in (*document, end_id)]
    numbers = [number for number, document in enumerate(documents) for _ in range(len(document) + 1)]
    rows = -(-len(labels) // length)
    missing = rows * length - len(labels)
    shaped = [
        torch.tensor(values + [fill] * missing, dtype=torch.long).view(rows, length)
        for values, fill in ((inputs, end_id), (labels, NO_LABEL), (numbers, -1))
    ]
    for parts in zip(*(torch.split(tensor, batch_rows) for tensor in shaped), strict=True):
        yield ScoredRows(inputs=parts[0], labels=parts[1], segment_ids=parts[2], sources=("",) * len(parts[0]))

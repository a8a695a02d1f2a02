"""Documents of ids as batches, for text that lies in no shards: laid end to end and cut into rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.objectives import NO_LABEL


@dataclass(frozen=True, kw_only=True)
class TextBatch:
    """Rows as `model.source.PackedBatch` describes them."""

    inputs: Tensor
    labels: Tensor
    segment_ids: Tensor
    sources: tuple[str, ...]


def batches_of_documents(documents: Sequence[Sequence[int]], *, end_id: int, length: int, batch_rows: int) -> Iterator[TextBatch]:
    """Every token of every document, and its end, is a label once; a document that meets the end of a row is cut there."""
    inputs = [token for document in documents for token in (end_id, *document)]
    labels = [token for document in documents for token in (*document, end_id)]
    numbers = [number for number, document in enumerate(documents) for _ in range(len(document) + 1)]
    rows = -(-len(labels) // length)
    filled = rows * length - len(labels)
    shaped = [
        torch.tensor(values + [fill] * filled, dtype=torch.long).view(rows, length)
        for values, fill in ((inputs, end_id), (labels, NO_LABEL), (numbers, -1))
    ]
    for parts in zip(*(torch.split(tensor, batch_rows) for tensor in shaped), strict=True):
        yield TextBatch(inputs=parts[0], labels=parts[1], segment_ids=parts[2], sources=("",) * len(parts[0]))

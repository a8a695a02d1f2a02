"""Who may look at whom. True means that the query may look at the key.

Shapes: B batch, T length (queries and keys alike), S key length.
"""

import torch
from torch import Tensor


def causal_mask(num_queries: int, num_keys: int, device: torch.device | None = None) -> Tensor:
    """(T, S): each query sees itself and what lies before it; the queries are the last of the keys."""
    mask = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device)
    return mask.tril(num_keys - num_queries)


def document_mask(documents_BT: Tensor, *, causal: bool = True) -> Tensor:
    """(B, 1, T, T): each token sees only tokens of its own document, and with `causal` none behind it.

    `documents` numbers the documents of a row; padding carries a number of its own, so that it sees
    itself and no softmax is over nothing.
    """
    same = documents_BT[:, :, None] == documents_BT[:, None, :]
    if causal:
        same &= causal_mask(same.shape[1], same.shape[2], same.device)
    return same[:, None]


def prefix_mask(prefix_lengths_B: Tensor, length: int) -> Tensor:
    """(B, 1, T, T): the prefix of a row sees itself in both directions, the rest is causal (prefix LM)."""
    in_prefix = torch.arange(length, device=prefix_lengths_B.device) < prefix_lengths_B[:, None]
    both = in_prefix[:, :, None] & in_prefix[:, None, :]
    return (both | causal_mask(length, length, prefix_lengths_B.device))[:, None]


def positions_in_documents(documents_BT: Tensor) -> Tensor:
    """(B, T): how far each token is from the start of its document."""
    length = documents_BT.shape[1]
    index = torch.arange(length, device=documents_BT.device).expand_as(documents_BT)
    starts = torch.ones_like(documents_BT, dtype=torch.bool)
    starts[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    return index - torch.where(starts, index, 0).cummax(dim=1).values

"""Attention inside documents by taking them one after the other: no pair of two documents is ever computed.

For processors, where attention over a long row costs more than one over each of its documents; on a GPU the number of
kernels would cost more than it saves.

Shapes: B batch, T length, N = B · T, H heads, K groups that share keys, D head size.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Documents(NamedTuple):
    """How long the documents of a batch are, row behind row; padding counts as a document."""

    lengths: tuple[int, ...]


def documents_of(documents_BT: Tensor) -> Documents:
    """The lengths, from the number of its document at each place."""
    starts_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    starts_BT[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    places = [*starts_BT.flatten().nonzero()[:, 0].tolist(), starts_BT.numel()]
    return Documents(tuple(end - start for start, end in pairwise(places)))


def attend_apart(
    query_BHTD: Tensor, key_BKTD: Tensor, value_BKTD: Tensor, documents: Documents, *, causal: bool, dropout: float
) -> Tensor:
    """Scaled dot-product attention within each document: (B, H, T, D of the values), in the type of the values.

    Computed in 32 bits at least: torch's kernel for bfloat16 on processors is the slower one on short sequences.
    """
    groups = query_BHTD.shape[1] // key_BKTD.shape[1]
    query, key, value = (_in_one_row(x) for x in (query_BHTD, key_BKTD, value_BKTD))
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    parts = zip(*(x.split(documents.lengths, dim=2) for x in (query, key, value)), strict=True)
    with torch.autocast(query.device.type, enabled=False):
        mixed = [
            F.scaled_dot_product_attention(q, k, v, is_causal=causal and q.shape[2] > 1, dropout_p=dropout)
            for q, k, v in parts
        ]
    mixed_NHD = torch.cat([each.transpose(1, 2) for each in mixed], dim=1)[0]
    out: Tensor = mixed_NHD.unflatten(0, (query_BHTD.shape[0], -1)).transpose(1, 2)
    return out.to(value_BKTD.dtype)


def _in_one_row(x_BHTD: Tensor) -> Tensor:
    """(1, H, N, D), in 32 bits or more."""
    wide = x_BHTD.float() if x_BHTD.dtype in (torch.bfloat16, torch.float16) else x_BHTD
    return wide.transpose(1, 2).flatten(0, 1).transpose(0, 1)[None]

"""Attention inside documents by torch's flex attention: blocks of a row that no document reaches are not computed.

The same as `masks.document_mask` in fewer operations, for GPUs, where it is compiled to one kernel. On a CPU torch
has a plain reference of it, forward alone, which is there to be compared with.

Shapes: B batch, T length, H heads, K groups that share keys, D head size.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention


def document_blocks(documents_BT: Tensor, *, causal: bool = True) -> BlockMask:
    """Which blocks of (query, key) hold pairs of one document, and which pairs within them."""

    def may_look(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        same = documents_BT[row, query] == documents_BT[row, key]
        return same & (query >= key) if causal else same

    rows, length = documents_BT.shape
    make = _compiled(create_block_mask) if documents_BT.is_cuda else create_block_mask
    blocks: BlockMask = make(may_look, rows, None, length, length, device=documents_BT.device)
    return blocks


def attend_blocks(query_BHTD: Tensor, key_BKTD: Tensor, value_BKTD: Tensor, blocks: BlockMask) -> Tensor:
    """Scaled dot-product attention within `blocks`: (B, H, T, D of the values)."""
    plain: Any = flex_attention  # a union of overloads that mypy cannot call
    run = _compiled(plain) if query_BHTD.is_cuda and not torch.compiler.is_compiling() else plain
    narrow = value_BKTD.dtype  # turned queries and keys may be wider; autocast does not reach in here
    mixed: Tensor = run(
        query_BHTD.to(narrow),
        key_BKTD.to(narrow),
        value_BKTD,
        block_mask=blocks,
        enable_gqa=query_BHTD.shape[1] != key_BKTD.shape[1],
    )
    return mixed


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False)

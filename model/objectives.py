"""What a model learns to predict: the next token of a packed row, or tokens under a mask.

Shapes: B batch, T inputs of a row, E hidden size.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from model.apart import documents_of
from model.config import Architecture
from model.cross_entropy import linear_cross_entropy
from model.masks import document_mask, positions_in_documents
from model.train_config import AttentionPath
from model.transformer import Transformer

if TYPE_CHECKING:
    from model.attention import Mask

NO_LABEL = -100


class Example(NamedTuple):
    """A batch as the model takes it; `mask` and `positions` as in `Transformer.forward`, no loss where a label is `NO_LABEL`."""

    inputs_BT: Tensor
    labels_BT: Tensor
    mask: "Mask | None" = None
    positions: Tensor | None = None


def packed_rows(
    inputs_BT: Tensor,
    labels_BT: Tensor,
    documents_BT: Tensor,
    *,
    within_documents: bool,
    absolute: bool,
    path: AttentionPath = "mask",
) -> Example:
    """Next-token prediction over packed rows.

    `documents` numbers the documents of a row. With `within_documents` attention stays inside each of
    them, so that packing changes nothing; positions that are `absolute` then count from its start. `path`
    is how: by a mask, by the blocks of flex attention, or by taking the documents apart.
    """
    if not within_documents:
        return Example(inputs_BT, labels_BT)
    positions = positions_in_documents(documents_BT) if absolute else None
    if path == "flex":
        from model.flex import document_blocks

        return Example(inputs_BT, labels_BT, document_blocks(documents_BT), positions)
    mask = documents_of(documents_BT) if path == "apart" else document_mask(documents_BT)
    return Example(inputs_BT, labels_BT, mask, positions)


def attention_path(architecture: Architecture, device: torch.device, *, compiled: bool = False) -> AttentionPath:
    """The fastest that always works: documents apart on processors, where nothing is compiled for each set of lengths."""
    apart = device.type == "cpu" and not compiled and architecture.positions != "relative"
    return "apart" if apart else "mask"


def masked_tokens(
    tokens_BT: Tensor,
    *,
    mask_id: int,
    vocab_size: int,
    special_BT: Tensor,
    generator: torch.Generator,
    share: float = 0.15,
) -> Example:
    """Masked language modelling (Devlin et al. 2019): `share` of the tokens are to be found again.

    Of those, 80 % are replaced by `mask_id`, 10 % by a random token, 10 % stay. Tokens where `special`
    is true are never chosen.
    """
    chosen = (torch.rand(tokens_BT.shape, generator=generator) < share) & ~special_BT
    fate = torch.rand(tokens_BT.shape, generator=generator)
    random_ids = torch.randint(vocab_size, tokens_BT.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, tokens_BT)
    inputs = torch.where(chosen & (fate >= 0.9), random_ids, inputs)
    return Example(inputs, torch.where(chosen, tokens_BT, NO_LABEL))


class SummedLoss(nn.Module):
    """The model with its loss: what is compiled, replicated over ranks or split over them as one module."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, example: Example) -> Tensor:
        """The sum of the cross-entropies of all labels, in nats, with the softmax in 32 bits."""
        inputs, labels_BT, mask, positions = example
        hidden_BTE = self.model.model(inputs, mask=mask, positions=positions)
        return linear_cross_entropy(hidden_BTE.flatten(0, 1), self.model.output_weight, labels_BT.flatten())

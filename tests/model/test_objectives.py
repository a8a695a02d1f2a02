"""Masked language modelling: which tokens are masked, what stands there instead, and that an encoder learns it."""

import pytest
import torch

from model.config import ModelConfig
from model.objectives import NO_LABEL, SummedLoss, masked_tokens
from model.transformer import Transformer

MASK, VOCAB = 3, 1000


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(4, VOCAB, (400, 500), generator=torch.Generator().manual_seed(1))


def test_fifteen_of_a_hundred_are_chosen_and_eight_of_ten_of_them_masked(tokens: torch.Tensor) -> None:
    """Devlin et al. 2019, section 3.1, over 200,000 tokens: a share p is found within 5 sqrt(p (1-p) / n)."""
    special = torch.zeros_like(tokens, dtype=torch.bool)
    special[:, ::50] = True
    example = masked_tokens(
        tokens, mask_id=MASK, vocab_size=VOCAB, special_BT=special, generator=torch.Generator().manual_seed(0)
    )
    inputs, labels = example.inputs_BT, example.labels_BT
    chosen = labels != NO_LABEL
    assert not (chosen & special).any()
    assert torch.equal(labels[chosen], tokens[chosen])
    assert torch.equal(inputs[~chosen], tokens[~chosen])
    number = int(chosen.sum())
    shares = {
        "chosen": (number / int((~special).sum()), 0.15),
        "masked": (float((inputs[chosen] == MASK).float().mean()), 0.8 + 0.1 / VOCAB),
        "kept": (float((inputs[chosen] == tokens[chosen]).float().mean()), 0.1 + 0.1 / VOCAB),
    }
    for name, (found, expected) in shares.items():
        assert found == pytest.approx(expected, abs=5 * (expected * (1 - expected) / number) ** 0.5), name
    replaced = inputs[chosen & (inputs != MASK) & (inputs != tokens)]
    assert len(replaced.unique()) > 0.8 * VOCAB  # any token, not one of a few


def test_the_same_seed_masks_the_same(tokens: torch.Tensor) -> None:
    def masked(seed: int) -> torch.Tensor:
        special = torch.zeros_like(tokens, dtype=torch.bool)
        generator = torch.Generator().manual_seed(seed)
        return masked_tokens(tokens, mask_id=MASK, vocab_size=VOCAB, special_BT=special, generator=generator).inputs_BT

    assert torch.equal(masked(0), masked(0))
    assert not torch.equal(masked(0), masked(1))


def test_an_encoder_learns_to_fill_the_gaps() -> None:
    """Each row counts upwards from somewhere: a gap is told by its neighbours on either side."""
    torch.manual_seed(0)
    config = ModelConfig(hidden_size=32, num_layers=1, num_heads=2, ffn_size=64, causal=False)
    model = Transformer(config.architecture(vocab_size=40, context_length=16))
    objective, optimizer = SummedLoss(model), torch.optim.AdamW(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(80):
        rows = 4 + (torch.randint(36, (16, 1), generator=generator) + torch.arange(16)) % 36
        special = torch.zeros_like(rows, dtype=torch.bool)
        example = masked_tokens(rows, mask_id=MASK, vocab_size=40, special_BT=special, generator=generator)
        loss = objective(example) / (example.labels_BT != NO_LABEL).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.7 * losses[0]

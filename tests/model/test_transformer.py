"""The whole model: packing changes nothing, recomputing changes nothing, every combination of parts trains."""

import itertools

import pytest
import torch

from model.apart import documents_of
from model.attention import Context, attend
from model.config import ModelConfig
from model.masks import causal_mask, document_mask, positions_in_documents, prefix_mask
from model.objectives import Example, SummedLoss, packed_rows
from model.train_config import AttentionPath
from model.transformer import Transformer

TINY = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 48, "initial_std": 0.1}


def tiny(**parts: object) -> Transformer:
    torch.manual_seed(0)
    return Transformer(ModelConfig(**{**TINY, **parts}).architecture(vocab_size=50, context_length=64))  # type: ignore[arg-type]


CASES = [("gqa", positions) for positions in ("rope", "sinusoidal", "learned", "relative", "none")] + [("mla", "rope")]


# A bias over a whole row needs a mask; settings refuse the other.
@pytest.mark.parametrize(
    ("attention", "positions", "path"),
    [(*case, path) for case in CASES for path in ("mask", "apart") if (case[1], path) != ("relative", "apart")],
)
def test_a_packed_row_gives_the_logits_and_gradients_of_its_documents(
    attention: str, positions: str, path: AttentionPath
) -> None:
    parts = {"attention": attention, "positions": positions} | ({"num_kv_heads": None} if attention == "mla" else {})
    model = tiny(**parts).double()
    lengths = (7, 1, 20, 12)
    documents = [torch.randint(50, (1, length + 1)) for length in lengths]
    packed = torch.cat([document[:, :-1] for document in documents], dim=1)
    labels = torch.cat([document[:, 1:] for document in documents], dim=1)
    numbers = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[None]
    example = packed_rows(
        packed, labels, numbers, within_documents=True, absolute=positions in ("sinusoidal", "learned"), path=path
    )
    apart = torch.cat([model(document[:, :-1]) for document in documents], dim=1)
    torch.testing.assert_close(
        model(packed, mask=example.mask, positions=example.positions), apart, rtol=1e-5, atol=1e-6
    )
    objective = SummedLoss(model)
    together = torch.autograd.grad(objective(example), list(model.parameters()))
    summed = sum(objective(Example(document[:, :-1], document[:, 1:])) for document in documents)
    for one, other in zip(together, torch.autograd.grad(summed, list(model.parameters())), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("attention", "positions"), [case for case in CASES if case[1] != "relative"])
@pytest.mark.parametrize("length", [40, 300])  # within a block of 128 positions, and over several
def test_flex_attention_gives_what_the_mask_gives(attention: str, positions: str, length: int) -> None:
    """On a CPU, where torch has its plain reference, forward alone; `test_gpu.py` has the kernel and its gradients."""
    parts = {"attention": attention, "positions": positions} | ({"num_kv_heads": None} if attention == "mla" else {})
    torch.manual_seed(0)
    model = Transformer(ModelConfig(**{**TINY, **parts}).architecture(vocab_size=50, context_length=300))  # type: ignore[arg-type]
    row = torch.randint(50, (2, length))
    numbers = (torch.rand(2, length) < 0.05).cumsum(dim=1)
    numbers[:, -5:] = -1  # padding
    settings = {"within_documents": True, "absolute": positions in ("sinusoidal", "learned")}
    with torch.inference_mode():
        logits = [
            model(row, mask=example.mask, positions=example.positions)
            for example in (packed_rows(row, row, numbers, path=path, **settings) for path in ("mask", "flex"))  # type: ignore[arg-type]
        ]
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_documents_taken_apart_give_what_the_mask_gives(kv_heads: int, causal: bool, dtype: torch.dtype) -> None:
    """Over several rows, whose last and first documents bear the same number, and with padding."""
    torch.manual_seed(0)
    numbers = (torch.rand(3, 50) < 0.1).cumsum(dim=1) % 2
    numbers[:, -5:] = -1
    query, key, value = (torch.randn(3, heads, 50, 8).to(dtype).requires_grad_() for heads in (4, kv_heads, kv_heads))
    gradient = torch.randn(3, 4, 50, 8).to(dtype)
    found = []
    distinct = torch.cat((torch.zeros(3, 1, dtype=torch.long), numbers[:, 1:] != numbers[:, :-1]), dim=1).cumsum(dim=1)
    for mask in (document_mask(distinct, causal=causal), documents_of(numbers)):
        mixed = attend(query, key, value, Context(causal=causal, mask=mask))
        assert mixed.dtype == dtype
        found.append((mixed, *torch.autograd.grad(mixed, (query, key, value), gradient)))
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 4e-2}
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, **close)


def test_without_document_masks_neighbours_are_seen() -> None:
    model = tiny()
    row = torch.randint(50, (1, 20))
    numbers = torch.arange(20)[None] // 10
    example = packed_rows(row, row, numbers, within_documents=False, absolute=False)
    assert example.mask is None
    changed = row.clone()
    changed[0, 3] = (row[0, 3] + 1) % 50
    assert not torch.allclose(model(row)[0, 15], model(changed)[0, 15])
    mask = document_mask(numbers)
    torch.testing.assert_close(model(row, mask=mask)[0, 15], model(changed, mask=mask)[0, 15])


def test_masks_by_hand() -> None:
    assert document_mask(torch.tensor([[0, 0, 1]]))[0, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert document_mask(torch.tensor([[0, 0, 1]]), causal=False)[0, 0].int().tolist() == [
        [1, 1, 0],
        [1, 1, 0],
        [0, 0, 1],
    ]
    assert prefix_mask(torch.tensor([2]), 3)[0, 0].int().tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 1]]
    assert causal_mask(2, 3).int().tolist() == [[1, 1, 0], [1, 1, 1]]
    assert positions_in_documents(torch.tensor([[4, 4, 4, 7, 7, 4]])).tolist() == [[0, 1, 2, 0, 1, 0]]


@pytest.mark.parametrize(("attention", "positions"), CASES)
def test_recomputing_activations_changes_no_gradient(attention: str, positions: str) -> None:
    model = tiny(attention=attention, positions=positions, num_kv_heads=None)
    tokens = torch.randint(50, (2, 16))
    gradients = []
    for recompute in (False, True):
        model.model.recompute = recompute
        loss = SummedLoss(model)(Example(tokens[:, :-1], tokens[:, 1:]))
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed, rtol=0, atol=0)


FFN = ("relu", "relu2", "gelu", "silu", "swish", "bilinear", "glu", "reglu", "geglu", "swiglu")
COMBINATIONS = list(itertools.chain(
    ({"ffn": ffn, "norm": norm, "norm_place": place} for ffn, norm, place in itertools.product(FFN, ("rmsnorm", "layernorm"), ("pre", "post"))),
    ({"tie_embeddings": tied, "biases": biases, "query_key_norm": qk} for tied, biases, qk in itertools.product((True, False), repeat=3)),
))  # fmt: skip


@pytest.mark.parametrize("parts", COMBINATIONS, ids=str)
def test_every_combination_learns_one_batch(parts: dict[str, object]) -> None:
    model = tiny(**parts)
    tokens = torch.randint(50, (4, 17), generator=torch.Generator().manual_seed(1))
    example = Example(tokens[:, :-1], tokens[:, 1:])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    objective, losses = SummedLoss(model), []
    for _ in range(8):
        loss = objective(example)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    assert all(parameter.grad is not None for parameter in model.parameters())

"""That a model on a GPU leaves nothing on the processor: with tensors that have a device and a shape, and no values.

torch's fake tensors refuse what a real GPU refuses, operands on two devices, and need none. The kernels, the backward
pass and their numbers are `test_gpu.py`'s.
"""

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from model.config import ModelConfig
from model.objectives import SummedLoss, packed_rows
from model.optimizer import Optimizers
from model.train_config import OptimizerConfig
from model.transformer import Transformer

pytestmark = pytest.mark.skipif(torch.version.cuda is None, reason="this torch is built without CUDA")
GPU = torch.device("cuda", 0)
LENGTH = 16


@pytest.mark.parametrize(
    "switches",
    [
        {"num_kv_heads": 2, "dropout": 0.1},
        {"attention": "mqa", "query_key_norm": True, "biases": True, "tie_embeddings": False},
        {"attention": "mla", "latent_key_size": 8, "latent_query_size": 8, "rotary_size": 4, "ffn": "bilinear"},
        {"positions": "sinusoidal", "norm": "layernorm", "norm_place": "post", "ffn": "swish"},
        {"positions": "learned", "ffn": "relu2"},
        {"positions": "relative", "ffn": "geglu"},
    ],
)
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_step_stays_on_the_gpu(switches: dict[str, Any], optimizer: str) -> None:
    with FakeTensorMode():
        model = model_of(switches)
        tokens = torch.randint(64, (2, LENGTH + 1), device=GPU)
        example = packed_rows(
            tokens[:, :-1],
            tokens[:, 1:],
            torch.zeros(2, LENGTH, dtype=torch.long, device=GPU),
            within_documents=True,
            absolute=model.architecture.positions in ("sinusoidal", "learned"),
        )
        loss = SummedLoss(model)(example)
        optimizers = Optimizers(model, OptimizerConfig(kind=optimizer))  # type: ignore[arg-type]
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step()
        assert (loss.device, loss.dtype) == (GPU, torch.float32)
        assert {value.device for value in optimizers.state().values()} == {GPU}


@pytest.mark.parametrize("positions", ["rope", "relative", "learned"])
def test_a_cache_grows_on_the_gpu(positions: str) -> None:
    with FakeTensorMode(), torch.no_grad():
        model = model_of({"positions": positions}).eval()
        cache = model.new_cache()
        for length in (5, 1, 3):  # a prompt, a token, several behind others
            logits = model(torch.randint(64, (2, length), device=GPU), cache=cache)
            assert (logits.device, logits.shape) == (GPU, (2, length, 64))


def test_what_lies_elsewhere_is_seen() -> None:
    with FakeTensorMode():
        model = model_of({})
        with pytest.raises(RuntimeError, match="cpu"):
            model(torch.randint(64, (2, 5), device="cpu"))


def model_of(switches: dict[str, Any]) -> Transformer:
    config = ModelConfig(**{"hidden_size": 32, "num_layers": 1, "num_heads": 4, "ffn_size": 48, **switches})
    with GPU:
        return Transformer(config.architecture(vocab_size=64, context_length=LENGTH))

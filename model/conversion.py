"""A trained model with fewer key and value heads: those of each group averaged (GQA, Ainslie et al. 2023).

What comes out computes something near, and is meant to be trained on for a little.
"""

from dataclasses import replace

import torch

from model.attention import pool_key_heads
from model.transformer import Transformer
from pipeline.errors import SettingError


@torch.no_grad()
def with_key_heads(model: Transformer, num_kv_heads: int) -> Transformer:
    """A copy of `model` whose heads share `num_kv_heads` keys and values, each the mean of those that it replaces.

    Raises:
        SettingError: the model has latent keys, or its heads do not divide into so many groups.
    """
    old = model.architecture
    if old.attention == "mla":
        raise SettingError("a model with attention 'mla' has no key heads to pool")
    if num_kv_heads < 1 or old.num_kv_heads % num_kv_heads:
        raise SettingError(
            f"kv_heads is {num_kv_heads}; allowed are the divisors of {old.num_kv_heads}, which the model has"
        )
    pooled = Transformer(replace(old, attention="gqa", num_kv_heads=num_kv_heads)).to(model.device)
    weights = model.state_dict()
    for name, tensor in weights.items():
        if ".k_proj." in name or ".v_proj." in name:
            weights[name] = pool_key_heads(tensor, head_size=old.head_size, num_kv_heads=num_kv_heads)
    pooled.load_state_dict(weights)
    return pooled.eval()

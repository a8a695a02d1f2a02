"""Export to a folder that `transformers.AutoModelForCausalLM` loads, and back. Nothing is renamed.

LLaMA-shaped models become `LlamaForCausalLM`, with normalised queries and keys `Qwen3ForCausalLM`.
Other parts have no class there that computes the same, and are refused by name.
"""

from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch

from model.config import Architecture
from model.transformer import Transformer
from pipeline import storage
from pipeline.errors import DataError, SettingError
from pipeline.storage import FileEntry, join

# Our gated feed-forward layers by the name of their activation there.
_HIDDEN_ACT = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu", "glu": "sigmoid", "bilinear": "linear"}


def export_obstacle(architecture: Architecture) -> str | None:
    """Why this architecture has no class in `transformers`, in a few words; None if it has one."""
    wanted = {"norm": "rmsnorm", "norm_place": "pre", "positions": "rope", "causal": True}
    for name, value in wanted.items():
        if getattr(architecture, name) != value:
            return f"model.{name} is {getattr(architecture, name)!r}, not {value!r}"
    if architecture.ffn not in _HIDDEN_ACT:
        return f"model.ffn is {architecture.ffn!r}, which has no gate"
    if architecture.attention == "mla":
        return "model.attention is 'mla'"
    if architecture.biases and architecture.query_key_norm:
        return "model.biases and model.query_key_norm are both on"
    return None


def export_model(
    model: Transformer, folder: str, *, end_of_text_id: int, tokenizer_json: bytes | None = None
) -> list[FileEntry]:
    """Writes `config.json`, `generation_config.json`, `model.safetensors` and the tokenizer; returns their entries.

    Raises:
        SettingError: `transformers` has no class for this architecture.
    """
    obstacle = export_obstacle(model.architecture)
    if obstacle:
        raise SettingError(f"the model cannot be exported to transformers: {obstacle}")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    special = {"bos_token_id": end_of_text_id, "eos_token_id": end_of_text_id, "pad_token_id": end_of_text_id}
    entries = [
        storage.write_json(join(folder, "config.json"), hf_config(model.architecture) | special),
        storage.write_json(join(folder, "generation_config.json"), special),
        storage.write_bytes(
            join(folder, "model.safetensors"), safetensors.torch.save(weights, metadata={"format": "pt"})
        ),
    ]
    if tokenizer_json is not None:
        entries.append(storage.write_bytes(join(folder, "tokenizer.json"), tokenizer_json))
        entries.append(storage.write_json(join(folder, "tokenizer_config.json"), _tokenizer_config(model.architecture)))
    return entries


def hf_config(architecture: Architecture) -> dict[str, Any]:
    """The `config.json` of the class that computes the same."""
    qwen = architecture.query_key_norm
    config: dict[str, Any] = {
        "architectures": ["Qwen3ForCausalLM" if qwen else "LlamaForCausalLM"],
        "model_type": "qwen3" if qwen else "llama",
        "vocab_size": architecture.vocab_size,
        "max_position_embeddings": architecture.context_length,
        "hidden_size": architecture.hidden_size,
        "intermediate_size": architecture.ffn_size,
        "num_hidden_layers": architecture.num_layers,
        "num_attention_heads": architecture.num_heads,
        "num_key_value_heads": architecture.num_kv_heads,
        "head_dim": architecture.head_size,
        "hidden_act": _HIDDEN_ACT[architecture.ffn],
        "rms_norm_eps": architecture.norm_epsilon,
        "rope_theta": architecture.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": architecture.rope_theta},
        "tie_word_embeddings": architecture.tie_embeddings,
        "attention_bias": architecture.biases,
        "initializer_range": architecture.initial_std,
        "torch_dtype": "float32",
    }
    return config if qwen else config | {"mlp_bias": architecture.biases}


def import_model(folder: str) -> Transformer:
    """The model in a folder that `export_model` or `transformers` wrote, one file of weights.

    Raises:
        DataError: it is of a kind that we cannot compute.
    """
    model = Transformer(architecture_of(storage.read_json(join(folder, "config.json"))))
    try:
        weights = safetensors.torch.load(storage.read_bytes(join(folder, "model.safetensors")))
        model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise DataError(f"{folder} does not hold the weights that its config.json describes: {error}") from None
    return model.eval()


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """Our architecture for a `config.json` of LLaMA or Qwen3.

    Raises:
        DataError: it is another kind, or uses what we do not have.
    """
    acts = {act: ffn for ffn, act in _HIDDEN_ACT.items()}
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if config.get("model_type") not in ("llama", "qwen3") or config.get("hidden_act") not in acts:
        raise DataError(
            f"config.json is of a {config.get('model_type')!r} with {config.get('hidden_act')!r}; we read 'llama' and 'qwen3'"
        )
    if rope.get("rope_type", "default") != "default" or config.get("use_sliding_window"):
        raise DataError("config.json asks for scaled rotary positions or a sliding window, which we do not have")
    if bool(config.get("attention_bias")) != bool(config.get("mlp_bias", config.get("attention_bias"))):
        raise DataError("config.json has biases in attention or in feed-forward layers alone; we have both or none")
    return Architecture(
        vocab_size=config["vocab_size"],
        context_length=config["max_position_embeddings"],
        hidden_size=config["hidden_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        num_kv_heads=config.get("num_key_value_heads") or config["num_attention_heads"],
        head_size=config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"],
        ffn_size=config["intermediate_size"],
        ffn=acts[config["hidden_act"]],  # type: ignore[arg-type]  # the keys of the table above
        norm_epsilon=config["rms_norm_eps"],
        rope_theta=rope.get("rope_theta") or config.get("rope_theta", 10_000.0),
        tie_embeddings=bool(config.get("tie_word_embeddings")),
        biases=bool(config.get("attention_bias")),
        query_key_norm=config["model_type"] == "qwen3",
        initial_std=config.get("initializer_range", 0.02),
    )


def _tokenizer_config(architecture: Architecture) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": architecture.context_length,
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
    }

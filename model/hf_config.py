"""Which class of `transformers` computes the same as an architecture of ours, and its `config.json`, both ways.

LLaMA-shaped models are `LlamaForCausalLM`; with normalised queries and keys `Qwen3ForCausalLM`; without a gate
`ArceeForCausalLM`; with LayerNorm `StableLmForCausalLM`; with latent attention `DeepseekV3ForCausalLM`, all its
layers dense. Their modules have the same names. What none of them computes is refused by name.
"""

from collections.abc import Mapping
from typing import Any

from model.config import Architecture, FfnKind
from pipeline import storage
from pipeline.errors import DataError
from pipeline.places import join

_CLASSES = {
    "llama": "LlamaForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "arcee": "ArceeForCausalLM",
    "stablelm": "StableLmForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
}
# Our feed-forward layers by the name of their activation there.
_GATED_ACT: dict[FfnKind, str] = {
    "swiglu": "silu", "geglu": "gelu", "reglu": "relu", "glu": "sigmoid", "bilinear": "linear",
}  # fmt: skip
_PLAIN_ACT: dict[FfnKind, str] = {"relu": "relu", "relu2": "relu2", "gelu": "gelu", "silu": "silu"}


def model_type(architecture: Architecture) -> str:
    """The name, in `transformers`, of the kind of model that comes nearest."""
    if architecture.attention == "mla":
        return "deepseek_v3"
    if architecture.norm == "layernorm":
        return "stablelm"
    if architecture.query_key_norm:
        return "qwen3"
    return "llama" if architecture.gated else "arcee"


def export_obstacle(architecture: Architecture) -> str | None:
    """Why this architecture has no class in `transformers`, in a few words; None if it has one."""
    kind = model_type(architecture)
    wanted: dict[str, object] = {"norm_place": "pre", "positions": "rope", "causal": True}
    if kind != "llama" and kind != "arcee":
        wanted["biases"] = False
    if kind == "deepseek_v3":
        wanted["norm"] = "rmsnorm"
    if kind == "stablelm":
        wanted |= {"query_key_norm": False, "head_size": architecture.hidden_size / architecture.num_heads}
    for name, value in wanted.items():
        found = getattr(architecture, name)
        if found != value:
            return f"model.{name} is {found!r}, and {_CLASSES[kind]}, the nearest, has only {value!r}"
    acts = _PLAIN_ACT if kind == "arcee" else _GATED_ACT
    if architecture.ffn not in acts:
        return f"model.ffn is {architecture.ffn!r}, and {_CLASSES[kind]}, the nearest, has only {', '.join(acts)}"
    if kind in ("llama", "arcee") and architecture.hidden_size % architecture.num_heads:
        return (
            f"model.hidden_size is {architecture.hidden_size}, and {_CLASSES[kind]} wants a multiple of model.num_heads"
        )
    return None


def hf_config(architecture: Architecture) -> dict[str, Any]:
    """The `config.json` of the class that computes the same."""
    kind = model_type(architecture)
    rope = {"rope_type": "default", "rope_theta": architecture.rope_theta}
    config: dict[str, Any] = {
        "architectures": [_CLASSES[kind]],
        "model_type": kind,
        "vocab_size": architecture.vocab_size,
        "max_position_embeddings": architecture.context_length,
        "hidden_size": architecture.hidden_size,
        "intermediate_size": architecture.ffn_size,
        "num_hidden_layers": architecture.num_layers,
        "num_attention_heads": architecture.num_heads,
        "num_key_value_heads": architecture.num_kv_heads,
        "hidden_act": (_GATED_ACT | _PLAIN_ACT)[architecture.ffn],
        "rms_norm_eps": architecture.norm_epsilon,
        "rope_theta": architecture.rope_theta,
        "rope_parameters": rope,
        "tie_word_embeddings": architecture.tie_embeddings,
        "attention_bias": architecture.biases,
        "initializer_range": architecture.initial_std,
        "torch_dtype": "float32",
    }
    if kind == "deepseek_v3":
        return config | _latent(architecture)
    if kind == "stablelm":
        rope["partial_rotary_factor"] = 1.0
        epsilon = {"layer_norm_eps": config.pop("rms_norm_eps"), "partial_rotary_factor": 1.0}
        return config | epsilon | {"use_qkv_bias": config.pop("attention_bias")}
    config["head_dim"] = architecture.head_size
    return config if kind == "qwen3" else config | {"mlp_bias": architecture.biases}


def _latent(architecture: Architecture) -> dict[str, Any]:
    """Latent attention in the names of DeepSeek-V3, with no layer of experts and no head for later tokens."""
    return {
        "q_lora_rank": architecture.latent_query_size,
        "kv_lora_rank": architecture.latent_key_size,
        "qk_rope_head_dim": architecture.rotary_size,
        "qk_nope_head_dim": architecture.head_size,
        "v_head_dim": architecture.head_size,
        "rope_interleave": False,
        "first_k_dense_replace": architecture.num_layers,
        "num_mtp_layers": 0,
    }


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """Our architecture for a `config.json` of one of these kinds.

    Raises:
        DataError: it is another kind, or uses what we do not have.
    """
    kind = config.get("model_type")
    acts = _PLAIN_ACT if kind == "arcee" else _GATED_ACT
    ffn = next((ffn for ffn, act in acts.items() if act == config.get("hidden_act")), None)
    if kind not in _CLASSES or ffn is None:
        raise DataError(
            f"config.json is of a {kind!r} with {config.get('hidden_act')!r}; we read {', '.join(map(repr, _CLASSES))}"
        )
    _check_absent(config)
    latent = kind == "deepseek_v3"
    try:
        head_size = config["v_head_dim"] if latent else config.get("head_dim")
        return Architecture(
            vocab_size=config["vocab_size"],
            context_length=config["max_position_embeddings"],
            hidden_size=config["hidden_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            num_kv_heads=config.get("num_key_value_heads") or config["num_attention_heads"],
            head_size=head_size or config["hidden_size"] // config["num_attention_heads"],
            ffn_size=config["intermediate_size"],
            ffn=ffn,
            norm="layernorm" if kind == "stablelm" else "rmsnorm",
            norm_epsilon=config["layer_norm_eps" if kind == "stablelm" else "rms_norm_eps"],
            rope_theta=_rope(config).get("rope_theta") or config.get("rope_theta", 10_000.0),
            tie_embeddings=bool(config.get("tie_word_embeddings")),
            biases=bool(config.get("attention_bias")),
            query_key_norm=kind == "qwen3",
            initial_std=config.get("initializer_range", 0.02),
            **(_latent_parts(config) if latent else {}),
        )
    except KeyError as error:
        raise DataError(f"config.json of a {kind!r} does not say {error.args[0]!r}") from None


def _latent_parts(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attention": "mla",
        "latent_query_size": config["q_lora_rank"],
        "latent_key_size": config["kv_lora_rank"],
        "rotary_size": config["qk_rope_head_dim"],
    }


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("rope_parameters") or config.get("rope_scaling") or {}


def _rope_kind(config: Mapping[str, Any]) -> str:
    """How rotary positions are scaled; older files say `type` for it, and some have it beside the newer table."""
    tables = (config.get(name) or {} for name in ("rope_parameters", "rope_scaling"))
    kinds = (table.get("rope_type", table.get("type")) for table in tables)
    return next((kind for kind in kinds if kind not in (None, "default")), "default")


def _check_absent(config: Mapping[str, Any]) -> None:
    """Raises DataError for what these kinds of models may use and we do not have."""
    latent = config["model_type"] == "deepseek_v3"
    partial = _rope(config).get("partial_rotary_factor", config.get("partial_rotary_factor"))
    attention, mlp = (bool(config.get(f"{part}_bias")) for part in ("attention", "mlp"))
    both = config["model_type"] in ("llama", "arcee")
    absent = {
        "scaled rotary positions": _rope_kind(config) != "default",
        "a sliding window": config.get("use_sliding_window"),
        "biases in attention or in feed-forward layers alone": (attention != mlp if both else attention)
        or config.get("use_qkv_bias"),
        "rotary positions on a part of each head": not latent
        and (partial or (0.25 if config["model_type"] == "stablelm" else 1.0)) != 1.0,
        "parallel attention and feed-forward layers": config.get("use_parallel_residual"),
        "norms of queries and keys with a weight for each head": config.get("qk_layernorm"),
        "layers of experts": latent and config.get("first_k_dense_replace", 0) < config.get("num_hidden_layers", 1),
        "interleaved rotary positions": latent and config.get("rope_interleave", True),
        "values of another size than keys": latent and config.get("qk_nope_head_dim") != config.get("v_head_dim"),
    }
    for what, found in absent.items():
        if found:
            raise DataError(f"config.json asks for {what}, which we do not have")


def weight_files(folder: str) -> list[str]:
    """The files of weights in a folder that `transformers` wrote, sorted: those that its index names, or the only one.

    Raises:
        DataError: its index is not one.
    """
    index = join(folder, "model.safetensors.index.json")
    if not storage.exists(index):
        return [join(folder, "model.safetensors")]
    try:
        return [join(folder, name) for name in sorted(set(storage.read_json(index)["weight_map"].values()))]
    except (KeyError, TypeError, AttributeError):
        raise DataError(f"{index} is not an index of weights: it has no weight_map of names and files") from None

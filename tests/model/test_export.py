"""Parity with `transformers`: equal weights give equal logits, gradients and generated tokens."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.beam import beam_search
from model.config import Architecture
from model.decoding import generate
from model.evaluate_config import DecodingConfig
from model.export import export_model, import_as, import_model
from model.hf_config import export_obstacle
from model.transformer import Transformer
from pipeline.errors import DataError, SettingError

transformers = pytest.importorskip("transformers")
END = 0


def architecture(**parts: object) -> Architecture:
    shape = {
        "vocab_size": 256,
        "context_length": 128,
        "hidden_size": 64,
        "num_layers": 3,
        "num_heads": 8,
        "num_kv_heads": 2,
        "head_size": 8,
    }
    return Architecture(**{**shape, "ffn_size": 176, "rope_theta": 5e5, "initial_std": 0.1, **parts})  # type: ignore[arg-type]


def exported(model: Transformer, folder: Path) -> torch.nn.Module:
    export_model(model, str(folder), end_of_text_id=END)
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(1, 256, (2, 40), generator=torch.Generator().manual_seed(1))


CASES = {
    "llama": {},
    "untied": {"tie_embeddings": False},
    "biases": {"biases": True},
    "multi-query": {"num_kv_heads": 1, "attention": "mqa"},
    "multi-head": {"num_kv_heads": 8, "attention": "mha"},
    "geglu": {"ffn": "geglu"},
    "reglu": {"ffn": "reglu"},
    "bilinear": {"ffn": "bilinear"},
    "wide heads": {"head_size": 16},
    "three heads to a key": {"hidden_size": 60, "num_heads": 6, "head_size": 10},
    "normalised queries (Qwen3)": {"query_key_norm": True},
    "relu (Arcee)": {"ffn": "relu"},
    "squared relu, biases (Arcee)": {"ffn": "relu2", "biases": True},
    "gelu (Arcee)": {"ffn": "gelu"},
    "silu, untied (Arcee)": {"ffn": "silu", "tie_embeddings": False},
    "layernorm (StableLM)": {"norm": "layernorm"},
    "layernorm, geglu, untied (StableLM)": {"norm": "layernorm", "ffn": "geglu", "tie_embeddings": False},
    "latent keys (DeepSeek-V3)": {"attention": "mla", "num_kv_heads": 8, "latent_key_size": 24, "rotary_size": 8},
    "latent queries (DeepSeek-V3)": {"attention": "mla", "num_kv_heads": 8, "latent_query_size": 20, "ffn": "reglu"},
}


@pytest.mark.parametrize("parts", CASES.values(), ids=CASES.keys())
def test_equal_logits_and_gradients(parts: dict[str, object], tmp_path: Path, tokens: torch.Tensor) -> None:
    torch.manual_seed(0)
    ours = Transformer(architecture(**parts)).eval()
    for name, parameter in ours.named_parameters():  # zero biases would hide a mistake
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    theirs = exported(ours, tmp_path)
    torch.testing.assert_close(ours(tokens), theirs(tokens).logits, rtol=0, atol=2e-6)
    their_loss = theirs(tokens, labels=tokens).loss
    our_loss = torch.nn.functional.cross_entropy(ours(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    torch.testing.assert_close(our_loss, their_loss)
    their_loss.backward()
    our_loss.backward()
    their_gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, their_gradients[name], rtol=1e-4, atol=2e-6, msg=name)


KINDS = [case for name, case in CASES.items() if "(" in name]


@pytest.mark.parametrize("parts", KINDS, ids=str)
def test_greedy_output_of_every_class(parts: dict[str, object], tmp_path: Path, tokens: torch.Tensor) -> None:
    """With a cache on both sides."""
    torch.manual_seed(1)
    ours = Transformer(architecture(**parts)).eval()
    theirs = exported(ours, tmp_path)
    prompts = tokens[:, :6]
    settings = {"attention_mask": torch.ones_like(prompts), "max_new_tokens": 20, "do_sample": False}
    expected = theirs.generate(prompts, **settings, eos_token_id=None, pad_token_id=END)[:, 6:].tolist()
    assert generate(ours, prompts.tolist(), DecodingConfig(max_tokens=20, temperature=0)) == expected


def test_greedy_and_beam_output_equals_transformers(tmp_path: Path) -> None:
    torch.manual_seed(3)
    ours = Transformer(architecture())
    theirs = exported(ours, tmp_path)
    prompt = [5, 17, 200, 9]
    batch = torch.tensor([prompt])
    greedy = theirs.generate(batch, attention_mask=torch.ones_like(batch), max_new_tokens=40, do_sample=False)[
        0, 4:
    ].tolist()
    assert generate(ours, [prompt], DecodingConfig(max_tokens=40, temperature=0), stop_tokens=[END]) == [greedy]
    for penalty, repeated in ((0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, 1.5)):
        for stop in ([END], [3, 7, 11, 20, 30, 40]):
            result = theirs.generate(
                batch,
                attention_mask=torch.ones_like(batch),
                max_new_tokens=20,
                num_beams=4,
                do_sample=False,
                length_penalty=penalty,
                repetition_penalty=repeated,
                eos_token_id=stop,
                pad_token_id=END,
                num_return_sequences=4,
                return_dict_in_generate=True,
                output_scores=True,
            )
            config = DecodingConfig(num_beams=4, max_tokens=20, length_penalty=penalty, repetition_penalty=repeated)
            beams = beam_search(ours, prompt, config, stop)
            for beam, sequence, score in zip(
                beams, result.sequences[:, 4:].tolist(), result.sequences_scores.tolist(), strict=True
            ):
                assert list(beam.tokens) == sequence[: len(beam.tokens)]
                assert set(sequence[len(beam.tokens) :]) <= {END}
                assert beam.score == pytest.approx(score, abs=1e-4)


def test_import_gives_back_what_was_exported(tmp_path: Path, tokens: torch.Tensor) -> None:
    for index, parts in enumerate(CASES.values()):
        ours = Transformer(architecture(**parts)).eval()
        export_model(ours, str(tmp_path / str(index)), end_of_text_id=END)
        back = import_model(str(tmp_path / str(index)))
        torch.testing.assert_close(back(tokens), ours(tokens), rtol=0, atol=0)


def test_import_of_a_model_that_transformers_saved(tmp_path: Path, tokens: torch.Tensor) -> None:
    config = transformers.LlamaConfig(
        vocab_size=256,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        rope_theta=5e5,
    )
    theirs = transformers.LlamaForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path)
    torch.testing.assert_close(import_model(str(tmp_path))(tokens), theirs(tokens).logits, rtol=0, atol=2e-6)


# Files of weights as other hands leave them: what is changed after `save_pretrained`, or how that is called.
LAYOUTS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "the embeddings a second time, as in Qwen3's": ({"lm_head.weight": "model.embed_tokens.weight"}, {}),
    "frequencies that follow from the config": ({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}, {}),
    "several files": ({}, {"max_shard_size": "20KB"}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_import_of_other_layouts_of_weights(layout: str, tmp_path: Path, tokens: torch.Tensor) -> None:
    added, how = LAYOUTS[layout]
    config = transformers.LlamaConfig(
        vocab_size=256, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        tie_word_embeddings=True,
    )  # fmt: skip
    theirs = transformers.LlamaForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path, **how)
    if added:
        weights = load_file(tmp_path / "model.safetensors")
        weights |= {name: weights[value].clone() if isinstance(value, str) else value for name, value in added.items()}
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    torch.testing.assert_close(import_model(str(tmp_path))(tokens), theirs(tokens).logits, rtol=0, atol=2e-6)


def test_weights_of_another_model_are_one_sentence(tmp_path: Path) -> None:
    export_model(Transformer(architecture()), str(tmp_path), end_of_text_id=END)
    other = tmp_path / "other"
    export_model(Transformer(architecture(num_layers=2)), str(other), end_of_text_id=END)
    (tmp_path / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(DataError, match=r"weights that its config.json describes: Missing key.*layers\.2") as caught:
        import_model(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"norm_place": "post"}, "model.norm_place"),
        ({"causal": False}, "model.causal"),
        ({"ffn": "swish"}, "model.ffn is 'swish'"),
        *(({"positions": each}, "model.positions") for each in ("learned", "sinusoidal", "relative", "none")),
        ({"ffn": "gelu", "query_key_norm": True}, "model.ffn is 'gelu', and Qwen3ForCausalLM"),
        ({"biases": True, "query_key_norm": True}, "model.biases is True, and Qwen3ForCausalLM"),
        ({"biases": True, "norm": "layernorm"}, "model.biases is True, and StableLmForCausalLM"),
        ({"query_key_norm": True, "norm": "layernorm"}, "model.query_key_norm"),
        ({"head_size": 16, "norm": "layernorm"}, "model.head_size is 16"),
        ({"attention": "mla", "num_kv_heads": 8, "norm": "layernorm"}, "model.norm is 'layernorm', and DeepseekV3"),
        ({"attention": "mla", "num_kv_heads": 8, "ffn": "relu2"}, "model.ffn"),
        ({"hidden_size": 60, "head_size": 8}, "model.hidden_size is 60"),
    ],
)
def test_what_transformers_lacks_is_refused_by_name(parts: dict[str, object], named: str, tmp_path: Path) -> None:
    model = Transformer(architecture(**parts))
    assert named in (export_obstacle(model.architecture) or "")
    with pytest.raises(SettingError, match=named):
        export_model(model, str(tmp_path), end_of_text_id=END)


@pytest.mark.parametrize(
    ("parts", "changes", "named"),
    [
        ({}, {"model_type": "gpt2"}, "gpt2"),
        ({}, {"hidden_act": "gelu_new"}, "gelu_new"),
        ({}, {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0}}, "scaled rotary"),
        ({}, {"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 4.0}}, "scaled rotary"),  # old name
        ({}, {"rope_scaling": {"rope_type": "llama3", "factor": 4.0}}, "scaled rotary"),  # beside rope_parameters
        ({}, {"attention_bias": True}, "biases in attention or in feed-forward layers alone"),
        ({}, {"vocab_size": None}, "does not say 'vocab_size'"),
        ({"query_key_norm": True}, {"use_sliding_window": True}, "sliding window"),
        ({"norm": "layernorm"}, {"use_qkv_bias": True}, "biases"),
        ({"norm": "layernorm"}, {"rope_parameters": {"partial_rotary_factor": 0.25}}, "a part of each head"),
        ({"norm": "layernorm"}, {"use_parallel_residual": True}, "parallel"),
        ({"attention": "mla", "num_kv_heads": 8}, {"first_k_dense_replace": 1}, "experts"),
        ({"attention": "mla", "num_kv_heads": 8}, {"rope_interleave": True}, "interleaved"),
        ({"attention": "mla", "num_kv_heads": 8}, {"v_head_dim": 6}, "another size"),
    ],
)
def test_a_foreign_config_is_refused(
    parts: dict[str, object], changes: dict[str, object], named: str, tmp_path: Path
) -> None:
    export_model(Transformer(architecture(**parts)), str(tmp_path), end_of_text_id=END)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    with pytest.raises(DataError, match=named):
        import_model(str(tmp_path))


def test_training_starts_from_a_model_of_the_same_parts_alone(tmp_path: Path) -> None:
    export_model(Transformer(architecture(num_kv_heads=8)), str(tmp_path), end_of_text_id=END)
    import_as(str(tmp_path), architecture(num_kv_heads=8, attention="mha", dropout=0.1))
    for parts, named in (
        ({"num_kv_heads": 8, "attention": "mla"}, "attention 'gqa', and .* says 'mla'"),
        ({"num_kv_heads": 8, "norm": "layernorm"}, "norm 'rmsnorm'"),
        ({"num_kv_heads": 4}, "num_kv_heads 8"),
    ):
        with pytest.raises(DataError, match=named):
            import_as(str(tmp_path), architecture(**parts))

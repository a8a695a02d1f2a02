"""Parity with `transformers`: equal weights give equal logits, gradients and generated tokens."""

from pathlib import Path

import pytest
import torch

from model.beam import beam_search
from model.config import Architecture
from model.decoding import DecodingConfig, generate
from model.export import export_model, export_obstacle, import_model
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
    "normalised queries (Qwen3)": {"query_key_norm": True},
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
    for penalty in (0.0, 1.0, 2.0):
        for stop in ([END], [3, 7, 11, 20, 30, 40]):
            result = theirs.generate(
                batch,
                attention_mask=torch.ones_like(batch),
                max_new_tokens=20,
                num_beams=4,
                do_sample=False,
                length_penalty=penalty,
                eos_token_id=stop,
                pad_token_id=END,
                num_return_sequences=4,
                return_dict_in_generate=True,
                output_scores=True,
            )
            beams = beam_search(ours, prompt, num_beams=4, max_tokens=20, length_penalty=penalty, stop_tokens=stop)
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


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"ffn": "relu"}, "model.ffn"),
        ({"norm": "layernorm"}, "model.norm"),
        ({"norm_place": "post"}, "model.norm_place"),
        ({"positions": "learned"}, "model.positions"),
        ({"attention": "mla", "num_kv_heads": 8}, "model.attention"),
    ],
)
def test_what_transformers_lacks_is_refused_by_name(parts: dict[str, object], named: str, tmp_path: Path) -> None:
    model = Transformer(architecture(**parts))
    assert named in (export_obstacle(model.architecture) or "")
    with pytest.raises(SettingError, match=named):
        export_model(model, str(tmp_path), end_of_text_id=END)


def test_a_foreign_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(DataError, match="gpt2"):
        import_model(str(tmp_path))

"""Decoding: filters equal those of `transformers`, text does not depend on neighbours, caches or pieces."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from model.beam import beam_search
from model.completion import complete, complete_ids, complete_stream, cut
from model.config import ModelConfig
from model.decoding import Sampler, choose, generate, keep_min_p, keep_top_k, keep_top_p, penalise_repetition, stream
from model.evaluate_config import DecodingConfig
from model.transformer import Transformer
from pipeline.errors import SettingError

LOGITS = torch.randn(16, 1000, generator=torch.Generator().manual_seed(0)) * 3


def tiny(context: int = 64, **parts: object) -> Transformer:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 48, "initial_std": 0.3}
    return Transformer(ModelConfig(**{**shape, **parts}).architecture(vocab_size=256, context_length=context)).eval()  # type: ignore[arg-type]


class Bytes:
    """A tokenizer whose ids are bytes; 0 ends a document."""

    end_of_text_id = 0

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return bytes(ids)


def test_filters_equal_those_of_transformers() -> None:
    warpers = pytest.importorskip("transformers.generation.logits_process")
    for k in (1, 2, 50, 1000, 5000):
        assert torch.equal(keep_top_k(LOGITS, k), warpers.TopKLogitsWarper(k)(None, LOGITS))
    for p in (0.1, 0.5, 0.9, 0.95, 0.99):
        assert torch.equal(keep_top_p(LOGITS, p), warpers.TopPLogitsWarper(p)(None, LOGITS))
        assert torch.equal(keep_min_p(LOGITS, p), warpers.MinPLogitsWarper(p)(None, LOGITS))
    prompts = torch.randint(1000, (16, 30))
    seen = torch.zeros(16, 1000, dtype=torch.bool).scatter(1, prompts, True)
    for penalty in (0.5, 1.3):
        theirs = warpers.RepetitionPenaltyLogitsProcessor(penalty)(prompts, LOGITS)
        assert torch.equal(penalise_repetition(LOGITS, seen, penalty), theirs)


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-308, 5e-324])
def test_text_that_is_ever_so_cold_is_the_likeliest(temperature: float) -> None:
    logits = LOGITS.masked_fill(LOGITS < 0, float("-inf"))
    uniform = torch.full((16,), 0.999, dtype=torch.float64)
    for more in ({}, {"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}):
        chosen = choose(logits, DecodingConfig(temperature=temperature, **more), uniform)  # type: ignore[arg-type]
        assert torch.equal(chosen, logits.argmax(dim=-1)), more


@pytest.mark.parametrize("seed", [-(1 << 63), -1, 20_240_601, (1 << 63) - 1])
def test_any_seed_of_64_bits(seed: int) -> None:
    config = DecodingConfig(max_tokens=3, seed=seed)
    assert generate(tiny(), [[1], [2]], config) == generate(tiny(), [[1], [2]], config)


def test_samples_follow_the_probabilities() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.7]]).log().expand(20_000, 3)
    uniform = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for temperature in (1.0, 0.5):
        expected = (torch.tensor([0.1, 0.2, 0.7]) ** (1 / temperature)).div(
            (torch.tensor([0.1, 0.2, 0.7]) ** (1 / temperature)).sum()
        )
        chosen = choose(logits, DecodingConfig(temperature=temperature), uniform)
        torch.testing.assert_close(torch.bincount(chosen, minlength=3) / 20_000, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1.0 - 2**-53])
def test_a_dropped_token_is_never_chosen(uniform: float) -> None:
    logits = torch.tensor([[-5.0, 3.0, 2.9, -5.0]])
    for config in (DecodingConfig(top_k=2), DecodingConfig(top_p=0.9), DecodingConfig(min_p=0.5)):
        assert choose(logits, config, torch.tensor([uniform], dtype=torch.float64)).item() in (1, 2)


def test_temperature_zero_and_one_likely_token_are_argmax() -> None:
    model = tiny()
    greedy = generate(model, [[1, 2, 3]], DecodingConfig(temperature=0, max_tokens=20))
    assert generate(model, [[1, 2, 3]], DecodingConfig(top_k=1, max_tokens=20, seed=7)) == greedy
    tokens = [1, 2, 3]
    for _ in range(20):  # without a cache
        tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    assert greedy == [tokens[3:]]


@pytest.mark.parametrize("positions", ["rope", "sinusoidal", "learned", "relative", "none"])
def test_a_row_does_not_depend_on_its_neighbours(positions: str) -> None:
    model = tiny(positions=positions)
    prompts = [[1], [7, 8, 9, 10, 11, 12], [3, 4, 5]]
    for temperature in (0.0, 1.0):
        together = generate(model, prompts, DecodingConfig(max_tokens=25, temperature=temperature))
        alone = [
            generate(model, [prompt], DecodingConfig(max_tokens=25, temperature=temperature, seed=row))[0]
            for row, prompt in enumerate(prompts)
        ]
        assert together == alone


def test_text_goes_on_beyond_the_context() -> None:
    model = tiny(context=16)
    (text,) = generate(model, [list(range(1, 40))], DecodingConfig(max_tokens=50, temperature=0))
    assert len(text) == 50
    sampler = Sampler(model, [list(range(1, 40))], DecodingConfig(temperature=0))
    first = sampler.step()[0]
    assert first == int(model(torch.tensor([list(range(24, 40))]))[0, -1].argmax())  # the last 16 of the prompt


def test_penalties_by_hand() -> None:
    model = tiny()
    model.model.embed_tokens.weight.data.zero_()  # all logits are equal: argmax takes the first id that is not penalised
    config = DecodingConfig(temperature=0, presence_penalty=1.0, max_tokens=4)
    assert generate(model, [[9]], config) == [[0, 1, 2, 3]]
    assert generate(model, [[9]], DecodingConfig(temperature=0, frequency_penalty=-1.0, max_tokens=3)) == [[0, 0, 0]]


def test_stop_tokens_and_streams() -> None:
    model = tiny()
    (whole,) = generate(model, [[1]], DecodingConfig(max_tokens=30, temperature=0))
    place = next(place for place, token in enumerate(whole) if token not in whole[:place] and place > 2)
    (stopped,) = generate(model, [[1]], DecodingConfig(max_tokens=30, temperature=0), stop_tokens=[whole[place]])
    assert stopped == whole[:place]
    assert list(stream(model, [1], DecodingConfig(max_tokens=30, temperature=0), [whole[place]])) == whole[:place]


@pytest.mark.parametrize(
    ("said", "stop", "expected"),
    [
        ("one two three", (), "one two three"),
        ("one two three", ("two",), "one "),
        ("one two three", ("three", "t"), "one "),  # the first in the text, not in the list
        ("aab", ("ab",), "a"),
        ("déjà vu", ("vu",), "déjà "),
        ("日本語。", (), "日本語。"),
    ],
)
def test_stop_strings_and_characters_in_pieces(
    said: str, stop: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.completion.stream", lambda *arguments: iter(said.encode()))
    pieces = list(complete_stream(tiny(), Bytes(), "", DecodingConfig(stop=stop)))
    assert "".join(pieces) == expected == cut(said, stop)
    assert "\ufffd" not in "".join(pieces)


def test_a_stop_token_of_the_settings_ends_text() -> None:
    model = tiny()
    config = DecodingConfig(max_tokens=20, temperature=0)
    whole = complete_ids(model, Bytes(), [1, 2, 3], config)
    assert len(whole) > 3
    stop = whole[3]
    for beams in (1, 2):
        ended = complete_ids(model, Bytes(), [1, 2, 3], replace(config, stop_tokens=(stop,), num_beams=beams))
        assert stop not in ended
    assert complete_ids(model, Bytes(), [1, 2, 3], replace(config, stop_tokens=(stop,))) == whole[: whole.index(stop)]


def test_streamed_text_is_the_text() -> None:
    model = tiny()
    for config in (DecodingConfig(max_tokens=40), DecodingConfig(max_tokens=40, temperature=0, stop=("\x10",))):
        assert "".join(complete_stream(model, Bytes(), "ab", config)) == complete(model, Bytes(), ["ab"], config)[0]
    assert complete(model, Bytes(), ["ab"], DecodingConfig(num_beams=3, max_tokens=8))[0]


def test_a_wide_enough_beam_finds_the_likeliest_text() -> None:
    model = tiny()
    model.model.embed_tokens.weight.data[6:] = -10 * model.model.embed_tokens.weight.data[6:].abs()  # few tokens matter
    best = beam_search(model, [1], DecodingConfig(num_beams=256, max_tokens=2, length_penalty=0.0))[0]
    logs = model(torch.tensor([[1]]))[0, -1].log_softmax(-1)
    pairs = torch.stack(
        [logs[first] + model(torch.tensor([[1, first]]))[0, -1].log_softmax(-1) for first in range(256)]
    )
    assert best.score == pytest.approx(pairs.max().item(), abs=1e-4)
    assert best.tokens == tuple(divmod(int(pairs.argmax()), 256))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"stop": ("",)}, "stop"),
        ({"num_beams": 0}, "num_beams"),
        ({"seed": 1 << 63}, "seed"),
        ({"frequency_penalty": float("inf")}, "frequency_penalty"),
        ({"length_penalty": float("nan")}, "length_penalty"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        DecodingConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("prompt", "named"), [([], "no tokens"), ([1, 256], "the id 256"), ([-1], "the id -1")])
def test_a_prompt_that_is_none_is_refused(prompt: list[int], named: str) -> None:
    for decode in (
        lambda: generate(tiny(), [prompt], DecodingConfig()),
        lambda: beam_search(tiny(), prompt, DecodingConfig()),
    ):
        with pytest.raises(SettingError, match=named):
            decode()


@pytest.mark.parametrize("positions", ["rope", "learned"])
def test_one_beam_is_greedy_beyond_the_context_too(positions: str) -> None:
    model = tiny(context=16, positions=positions)
    config = DecodingConfig(
        max_tokens=40, temperature=0, length_penalty=0.0, repetition_penalty=1.3, presence_penalty=0.5
    )
    for prompt in ([5, 6, 7], list(range(1, 40))):
        plain = replace(config, repetition_penalty=1.0, presence_penalty=0.0)
        (beam,) = beam_search(model, prompt, plain)
        assert list(beam.tokens) == generate(model, [prompt], plain)[0]
        assert len(beam_search(model, prompt, replace(config, num_beams=3))[0].tokens) == 40


def test_penalties_reach_beams() -> None:
    model = tiny()
    config = DecodingConfig(num_beams=3, max_tokens=12)
    assert len(set(beam_search(model, [1], config)[0].tokens)) < 12
    for penalty in ({"presence_penalty": 1e4}, {"frequency_penalty": 1e4}, {"repetition_penalty": 1e4}):
        assert len(set(beam_search(model, [1], replace(config, **penalty))[0].tokens)) == 12  # type: ignore[arg-type]

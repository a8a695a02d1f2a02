"""Text from a model: how the next token is chosen, and the loop that chooses it for a batch, token by token.

The filters are pure functions of logits, in the order and with the meaning of Hugging Face; presence and
frequency penalties follow OpenAI's formula and count what was generated. Each row of a batch draws from a
generator of its own, so its text does not depend on its neighbours.

Shapes: B batch, T length, S length with the past, V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from model.cache import Cache
from model.evaluate_config import DecodingConfig
from model.masks import causal_mask
from model.transformer import Transformer
from pipeline.errors import SettingError


def keep_top_k(logits_BV: Tensor, k: int) -> Tensor:
    """`logits` with all but the k largest of each row (and those equal to the k-th) at minus infinity."""
    least = logits_BV.topk(min(k, logits_BV.shape[-1]), dim=-1).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < least, float("-inf"))


def keep_top_p(logits_BV: Tensor, p: float) -> Tensor:
    """`logits` with the tail at minus infinity that holds at most 1 - p of the probability; one token always stays."""
    ascending, order = logits_BV.sort(descending=False)
    drop = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - p
    drop[:, -1] = False
    return logits_BV.masked_fill(drop.scatter(1, order, drop), float("-inf"))


def keep_min_p(logits_BV: Tensor, p: float) -> Tensor:
    """`logits` with tokens at minus infinity that are less than p times as likely as the likeliest."""
    probabilities = logits_BV.softmax(dim=-1)
    return logits_BV.masked_fill(probabilities < p * probabilities.amax(dim=-1, keepdim=True), float("-inf"))


def penalise_repetition(logits_BV: Tensor, seen_BV: Tensor, penalty: float) -> Tensor:
    """`logits` of seen tokens divided by `penalty`, or multiplied where negative (Keskar et al. 2019)."""
    penalised = torch.where(logits_BV < 0, logits_BV * penalty, logits_BV / penalty)
    return torch.where(seen_BV, penalised, logits_BV)


def penalised(logits_BV: Tensor, seen_BV: Tensor, counts_BV: Tensor, config: DecodingConfig) -> Tensor:
    """`logits` under all penalties: `seen` tokens occurred, the prompt included, `counts` is how often each was generated."""
    if config.repetition_penalty != 1:
        logits_BV = penalise_repetition(logits_BV, seen_BV, config.repetition_penalty)
    logits_BV = logits_BV - counts_BV * config.frequency_penalty
    return logits_BV - (counts_BV > 0).float() * config.presence_penalty


def check_prompts(model: Transformer, prompts: Sequence[Sequence[int]]) -> None:
    """Raises SettingError for a prompt of nothing, or with ids that the model does not have."""
    if not prompts or not all(prompts):
        raise SettingError("a prompt has no tokens; begin with the end-of-text token")
    vocab = model.architecture.vocab_size
    for token in (token for prompt in prompts for token in prompt if not 0 <= token < vocab):
        raise SettingError(f"a prompt has the id {token}; allowed are those of the vocabulary, 0 to {vocab - 1}")


def choose(logits_BV: Tensor, config: DecodingConfig, uniform_B: Tensor) -> Tensor:
    """The next token of each row: the likeliest at temperature 0, else the one at which `uniform` falls."""
    if config.temperature == 0:
        return logits_BV.argmax(dim=-1)
    logits = logits_BV.double()
    logits = (logits - logits.amax(dim=-1, keepdim=True)) / config.temperature  # nothing overflows, however cold
    if config.top_k is not None:
        logits = keep_top_k(logits, config.top_k)
    if config.top_p is not None and config.top_p < 1:
        logits = keep_top_p(logits, config.top_p)
    if config.min_p is not None:
        logits = keep_min_p(logits, config.min_p)
    total_BV = logits.softmax(dim=-1).cumsum(dim=-1)
    chosen = torch.searchsorted(total_BV, uniform_B.to(total_BV)[:, None] * total_BV[:, -1:], right=True)
    return chosen[:, 0].clamp(max=logits.shape[-1] - 1)


class Sampler:
    """Extends a batch of prompts by one token a row at a time.

    Prompts of different lengths are padded on the left and masked. Only the last `context_length`
    tokens of a prompt are used; when the window is full, it goes on from its last half.
    """

    def __init__(self, model: Transformer, prompts: Sequence[Sequence[int]], config: DecodingConfig) -> None:
        check_prompts(model, prompts)
        self.model = model.eval()
        self.config = config
        self.rows = [list(prompt) for prompt in prompts]
        self._generators = [torch.Generator().manual_seed(config.seed + index) for index in range(len(prompts))]
        vocab = model.architecture.vocab_size
        self._counts_BV = torch.zeros(len(prompts), vocab)
        self._seen_BV = torch.zeros(len(prompts), vocab, dtype=torch.bool)
        for row, prompt in enumerate(prompts):
            self._seen_BV[row, list(prompt)] = True
        self._window = [row[-model.architecture.context_length :] for row in self.rows]
        self._cache: Cache | None = None
        self._padding_B = torch.zeros(len(prompts), dtype=torch.long)

    @torch.inference_mode()
    def step(self) -> list[int]:
        """The next token of each row, appended to `rows`."""
        logits_BV = self._next_logits().float().cpu()
        uniform_B = torch.stack(
            [torch.rand((), generator=generator, dtype=torch.float64) for generator in self._generators]
        )
        if self.config.penalises:
            logits_BV = penalised(logits_BV, self._seen_BV, self._counts_BV, self.config)
        chosen_B = choose(logits_BV, self.config, uniform_B)
        index = torch.arange(len(self.rows))
        self._counts_BV[index, chosen_B] += 1
        self._seen_BV[index, chosen_B] = True
        for row, window, token in zip(self.rows, self._window, chosen_B.tolist(), strict=True):
            row.append(token)
            window.append(token)
        return [row[-1] for row in self.rows]

    def _next_logits(self) -> Tensor:
        context = self.model.architecture.context_length
        if self._cache is not None and self._cache.length >= context:
            self._window = [window[-max(1, context // 2) :] for window in self._window]
            self._cache = None
        if self._cache is None:
            return self._read_window()
        new_B1 = torch.tensor([window[-1:] for window in self._window])
        return self._forward(new_B1)

    def _read_window(self) -> Tensor:
        length = max(len(window) for window in self._window)
        self._padding_B = torch.tensor([length - len(window) for window in self._window])
        tokens_BT = torch.tensor([[0] * (length - len(window)) + window for window in self._window])
        self._cache = self.model.new_cache()
        return self._forward(tokens_BT)

    def _forward(self, tokens_BT: Tensor) -> Tensor:
        """The logits (B, V) behind the last of `tokens`."""
        assert self._cache is not None
        past, length, device = self._cache.length, tokens_BT.shape[1], self.model.device
        mask = positions = None
        if bool(self._padding_B.any()):
            real = torch.arange(past + length) >= self._padding_B[:, None]
            own = torch.eye(past + length, dtype=torch.bool)[past:]  # a padded query must see something
            mask = ((causal_mask(length, past + length) & real[:, None, :]) | own)[:, None].to(device)
            positions = (torch.arange(past, past + length) - self._padding_B[:, None]).clamp(min=0).to(device)
        hidden = self.model.model(tokens_BT.to(device), mask=mask, positions=positions, cache=self._cache)
        return self.model.logits(hidden[:, -1])


def stream(
    model: Transformer, prompt: Sequence[int], config: DecodingConfig, stop_tokens: Sequence[int] = ()
) -> Iterator[int]:
    """The tokens behind `prompt`, one by one, up to a stop token (not given) or the maximum."""
    sampler = Sampler(model, [prompt], config)
    for _ in range(config.max_tokens):
        (token,) = sampler.step()
        if token in stop_tokens:
            return
        yield token


def generate(
    model: Transformer, prompts: Sequence[Sequence[int]], config: DecodingConfig, stop_tokens: Sequence[int] = ()
) -> list[list[int]]:
    """The tokens behind each prompt, each up to a stop token (not included) or the maximum."""
    sampler = Sampler(model, prompts, config)
    results: list[list[int]] = [[] for _ in prompts]
    running = set(range(len(prompts)))
    for _ in range(config.max_tokens):
        for row, token in enumerate(sampler.step()):
            if row in running and token in stop_tokens:
                running.discard(row)
            elif row in running:
                results[row].append(token)
        if not running:
            break
    return results

"""Beam search: the likeliest continuation that a search of limited width finds.

Scores, penalties, length penalty and stopping are those of Hugging Face with its defaults: a hypothesis ends
with a stop token or at the maximum, its score is its log-probability over length**penalty, and the
search ends when the best running one could no longer replace the worst of `num_beams` finished.

Shapes: K beams, V vocabulary.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.cache import Cache
from model.decoding import check_prompts, penalised
from model.evaluate_config import DecodingConfig
from model.transformer import Transformer


class Hypothesis(NamedTuple):
    """A continuation; `score` is its log-probability over its length to the power of the penalty."""

    score: float
    tokens: tuple[int, ...]


@torch.inference_mode()
def beam_search(
    model: Transformer, prompt: Sequence[int], config: DecodingConfig, stop_tokens: Sequence[int] = ()
) -> list[Hypothesis]:
    """The best `num_beams` continuations of `prompt`, best first; a stop token that ends one is part of it.

    Of `config` it takes the penalties, the number of beams and the maximum; it does not sample.
    """
    check_prompts(model, [prompt])
    num_beams, penalty = config.num_beams, config.length_penalty
    window = _Window(model.eval(), prompt)
    running: list[Hypothesis] = [Hypothesis(0.0, ())] + [Hypothesis(-1e9, ())] * (num_beams - 1)
    finished: list[Hypothesis] = []
    width = max(2, 1 + len(stop_tokens)) * num_beams
    for length in range(1, config.max_tokens + 1):
        log_KV = window.logits(running).log_softmax(dim=-1)
        log_KV = _penalised(log_KV, prompt, running, config) + torch.tensor([beam.score for beam in running])[:, None]
        best = log_KV.flatten().topk(min(width, log_KV.numel()))
        parents, going = [], []
        for rank, (score, index) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            parent, token = divmod(index, log_KV.shape[1])
            tokens = (*running[parent].tokens, token)
            if token not in stop_tokens and length < config.max_tokens:
                going.append(Hypothesis(score, tokens))
                parents.append(parent)
            elif rank < num_beams:
                finished.append(Hypothesis(score / length**penalty, tokens))
        finished = sorted(finished, key=lambda beam: -beam.score)[:num_beams]
        running, parents = going[:num_beams], parents[:num_beams]
        hopeless = len(finished) == num_beams and running and running[0].score / length**penalty <= finished[-1].score
        if not running or hopeless:
            break
        window.select(parents)
    return finished


class _Window:
    """The last `context_length` tokens of all beams, behind a cache; when it is full, it goes on from its last half."""

    def __init__(self, model: Transformer, prompt: Sequence[int]) -> None:
        self._model = model
        self._prompt = list(prompt)
        self._cache: Cache | None = None

    def logits(self, beams: Sequence[Hypothesis]) -> Tensor:
        """The logits (K, V) of the next token of each beam."""
        context = self._model.architecture.context_length
        if self._cache is None:
            inputs = [self._prompt[-context:]] * len(beams)
        elif self._cache.length < context:
            inputs = [list(beam.tokens[-1:]) for beam in beams]
        else:
            self._cache = None
            inputs = [[*self._prompt, *beam.tokens][-max(1, context // 2) :] for beam in beams]
        self._cache = self._cache or self._model.new_cache()
        hidden = self._model.model(torch.tensor(inputs, device=self._model.device), cache=self._cache)
        return self._model.logits(hidden[:, -1]).float().cpu()

    def select(self, parents: Sequence[int]) -> None:
        """Goes on with these beams, in this order."""
        if self._cache is not None:
            self._cache.select(torch.tensor(parents, device=self._model.device))


def _penalised(log_KV: Tensor, prompt: Sequence[int], beams: Sequence[Hypothesis], config: DecodingConfig) -> Tensor:
    if not config.penalises:
        return log_KV
    counts_KV = torch.stack(
        [torch.bincount(torch.tensor(beam.tokens, dtype=torch.long), minlength=log_KV.shape[1]) for beam in beams]
    )
    seen_KV = counts_KV > 0
    seen_KV[:, list(prompt)] = True
    return penalised(log_KV, seen_KV, counts_KV, config)

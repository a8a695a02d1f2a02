"""Beam search: the likeliest continuation that a search of limited width finds.

Scores, length penalty and stopping are those of Hugging Face with its defaults: a hypothesis ends
with a stop token or at the maximum, its score is its log-probability over length**penalty, and the
search ends when the best running one could no longer replace the worst of `num_beams` finished.

Shapes: K beams, V vocabulary.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from model.transformer import Transformer


class Hypothesis(NamedTuple):
    """A continuation; `score` is its log-probability over its length to the power of the penalty."""

    score: float
    tokens: tuple[int, ...]


@torch.inference_mode()
def beam_search(
    model: Transformer,
    prompt: Sequence[int],
    *,
    num_beams: int,
    max_tokens: int,
    length_penalty: float = 1.0,
    stop_tokens: Sequence[int] = (),
) -> list[Hypothesis]:
    """The best `num_beams` continuations of `prompt`, best first; a stop token that ends one is part of it."""
    model.eval()
    cache, device = model.new_cache(), model.device
    inputs = torch.tensor([list(prompt)] * num_beams, device=device)
    running: list[Hypothesis] = [Hypothesis(0.0, ())] + [Hypothesis(-1e9, ())] * (num_beams - 1)
    finished: list[Hypothesis] = []
    width = max(2, 1 + len(stop_tokens)) * num_beams
    for length in range(1, max_tokens + 1):
        hidden = model.model(inputs, cache=cache)[:, -1]
        log_KV = (
            model.logits(hidden).float().log_softmax(dim=-1).cpu()
            + torch.tensor([beam.score for beam in running])[:, None]
        )
        best = log_KV.flatten().topk(min(width, log_KV.numel()))
        parents, going = [], []
        for rank, (score, index) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            parent, token = divmod(index, log_KV.shape[1])
            tokens = (*running[parent].tokens, token)
            if token not in stop_tokens and length < max_tokens:
                going.append(Hypothesis(score, tokens))
                parents.append(parent)
            elif rank < num_beams:
                finished.append(Hypothesis(score / length**length_penalty, tokens))
        finished = sorted(finished, key=lambda beam: -beam.score)[:num_beams]
        running, parents = going[:num_beams], parents[:num_beams]
        hopeless = (
            len(finished) == num_beams and running and running[0].score / length**length_penalty <= finished[-1].score
        )
        if not running or hopeless:
            break
        cache.select(torch.tensor(parents, device=device))
        inputs = torch.tensor([beam.tokens[-1:] for beam in running], device=device)
    return finished

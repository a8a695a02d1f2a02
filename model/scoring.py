"""The probability that a model gives to continuations, and how often it prefers the right one of several.

Shapes: B batch, T length, V vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.completion import TextCodec
from model.questions import Question
from model.transformer import Transformer


class Continuation(NamedTuple):
    """What the model makes of a continuation: its log-probability in nats, and whether each token was the likeliest."""

    nats: float
    greedy: bool


def score_continuations(
    model: Transformer, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, batch_tokens: int = 8192
) -> list[Continuation]:
    """The score of each (context, continuation) of ids, in order; contexts must not be empty.

    What is longer than the model's context is cut on the left. Rows of like length share a batch.
    """
    rows = [_row(context, continuation, model.architecture.context_length) for context, continuation in pairs]
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index][0]))
    results: dict[int, Continuation] = {}
    while order:
        size = max(1, batch_tokens // len(rows[order[0]][0]))
        taken, order = order[:size], order[size:]
        results.update(zip(taken, _score(model, [rows[index] for index in taken]), strict=True))
    return [results[index] for index in range(len(rows))]


def _row(context: Sequence[int], continuation: Sequence[int], limit: int) -> tuple[list[int], int]:
    """The tokens of a pair, at most one more than the context of the model, and how many at its end to score."""
    tokens = [*context, *continuation][-(limit + 1) :]
    return tokens, min(len(continuation), len(tokens) - 1)


@torch.inference_mode()
def _score(model: Transformer, rows: Sequence[tuple[list[int], int]]) -> Iterator[Continuation]:
    length = len(rows[0][0]) - 1
    inputs_BT = torch.tensor(
        [tokens[:-1] + [0] * (length + 1 - len(tokens)) for tokens, _ in rows], device=model.device
    )
    logs_BTV = model(inputs_BT).float().log_softmax(dim=-1)  # what pads a row on the right is behind all that counts
    for (tokens, count), logs_TV in zip(rows, logs_BTV, strict=True):
        end = len(tokens) - 1
        wanted: Tensor = torch.tensor(tokens[end - count + 1 :], dtype=torch.long, device=model.device)
        scored = logs_TV[end - count : end]
        nats = float(scored.gather(1, wanted[:, None]).double().sum())
        yield Continuation(nats, bool((scored.argmax(dim=-1) == wanted).all()))


def encode_pair(codec: TextCodec, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """The ids of a context behind the end of a document, and of its continuation.

    Spaces at the end of the context go to the continuation, and both are encoded as one text, so that
    the tokens are those of running text.
    """
    stripped = context.rstrip()
    continuation = context[len(stripped) :] + continuation
    whole, first = codec.encode(stripped + continuation), codec.encode(stripped)
    return [codec.end_of_text_id, *whole[: len(first)]], whole[len(first) :]


def ranking_accuracy(
    model: Transformer, codec: TextCodec, questions: Sequence[Question], *, batch_tokens: int = 8192
) -> dict[str, float]:
    """How often the right option is the likeliest (`accuracy`), and the likeliest a character, a byte and a token.

    Lengths are those of the options without the space before them; the one by characters is `acc_norm` of the harness.
    """
    pairs = [encode_pair(codec, *option) for question in questions for option in question.options]
    scores = iter(zip(score_continuations(model, pairs, batch_tokens=batch_tokens), pairs, strict=True))
    right = dict.fromkeys(("accuracy", "accuracy_by_characters", "accuracy_by_bytes", "accuracy_by_tokens"), 0)
    for question in questions:
        ranked: dict[str, list[float]] = {name: [] for name in right}
        for _, text in question.options:
            score, (_, tokens) = next(scores)
            lengths = (1, len(text.strip()), len(text.strip().encode()), len(tokens))
            for values, length in zip(ranked.values(), lengths, strict=True):
                values.append(score.nats / max(1, length))
        for name, values in ranked.items():
            right[name] += values.index(max(values)) == question.gold
    count = max(1, len(questions))
    return {"questions": len(questions)} | {name: times / count for name, times in right.items()}


def completion_accuracy(
    model: Transformer, codec: TextCodec, questions: Sequence[Question], *, batch_tokens: int = 8192
) -> dict[str, float]:
    """How often the model's own likeliest text is the continuation that is asked for, token by token (`accuracy`).

    `perplexity` is that of a whole continuation, as the harness has it for LAMBADA; `bits_per_byte` does not depend on
    the tokenizer.
    """
    pairs = [encode_pair(codec, *question.options[0]) for question in questions]
    scores = score_continuations(model, pairs, batch_tokens=batch_tokens)
    count, nats = max(1, len(scores)), sum(score.nats for score in scores)
    num_bytes = max(1, sum(len(question.options[0][1].encode()) for question in questions))
    return {
        "questions": len(questions),
        "accuracy": sum(score.greedy for score in scores) / count,
        "perplexity": math.exp(min(700.0, -nats / count)),
        "bits_per_byte": -nats / num_bytes / math.log(2),
    }

"""The probability that a model gives to continuations, and how often it prefers the right one of several.

Shapes: B batch, T length, V vocabulary.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model.completion import TextCodec
from model.transformer import Transformer
from pipeline.errors import DataError


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


@dataclass(frozen=True, kw_only=True)
class Question:
    """Texts of which one is right: pairs of context and continuation."""

    options: tuple[tuple[str, str], ...]
    gold: int


def questions_of(records: Iterable[Mapping[str, Any]], name: str) -> list[Question]:
    """The questions of JSON records, in any of these shapes; `name` says in errors where they are from.

    `query`, `choices`, `gold` · `ctx`, `endings`, `label` (HellaSwag) · `context_options`, `continuation`, `gold` (WinoGrande).

    Raises:
        DataError: a record is of none of these shapes.
    """
    return [_question(record, f"{name}, record {number}") for number, record in enumerate(records, start=1)]


def _question(value: Mapping[str, Any], where: str) -> Question:
    try:
        if "context_options" in value:
            options = [(context.rstrip(), " " + value["continuation"].lstrip()) for context in value["context_options"]]
        else:
            context = value["query"] if "query" in value else value["ctx"]
            endings = value["choices"] if "choices" in value else value["endings"]
            options = [(context.rstrip(), " " + ending.lstrip()) for ending in endings]
        return Question(options=tuple(options), gold=int(value["gold"] if "gold" in value else value["label"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"{where} is not a multiple-choice question: it needs query, choices and gold") from None


def ranking_accuracy(
    model: Transformer, codec: TextCodec, questions: Sequence[Question], *, batch_tokens: int = 8192
) -> dict[str, float]:
    """How often the right option is the likeliest (`accuracy`), and the likeliest a byte (`accuracy_by_bytes`)."""
    pairs = [encode_pair(codec, *option) for question in questions for option in question.options]
    scores = iter(score_continuations(model, pairs, batch_tokens=batch_tokens))
    right = right_by_bytes = 0
    for question in questions:
        nats = [next(scores).nats for _ in question.options]
        by_bytes = [value / max(1, len(text.encode())) for value, (_, text) in zip(nats, question.options, strict=True)]
        right += nats.index(max(nats)) == question.gold
        right_by_bytes += by_bytes.index(max(by_bytes)) == question.gold
    count = max(1, len(questions))
    return {"questions": len(questions), "accuracy": right / count, "accuracy_by_bytes": right_by_bytes / count}

"""Multiple-choice questions and texts to complete from JSON records, in the shapes in which the well-known sets are handed round.

`query`, `choices`, `gold` · `ctx`, `endings`, `label` (HellaSwag) · `context_options`, `continuation`, `gold` (Winograd) ·
`goal`, `sol1`, `sol2`, `label` (PIQA) · `sentence` with a gap `_`, `option1`, `option2`, `answer` (WinoGrande) ·
`question`, `choices`, `answer` or `answerKey` (MMLU, ARC, OpenBookQA, CommonsenseQA).
To complete: `context`, `continuation` (LAMBADA, Jeopardy, BigBench's facts) · `text` alone, whose last word is asked for (LAMBADA as published).
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import DataError

Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Question:
    """Texts of which one is right: pairs of context and continuation. A single one is a text to complete."""

    options: tuple[Pair, ...]
    gold: int

    @property
    def solved(self) -> str:
        """The question with its right answer, as an example for others."""
        return "".join(self.options[self.gold])


def are_completions(questions: Sequence[Question]) -> bool:
    """Whether there is nothing to choose from in any of them."""
    return all(len(question.options) == 1 for question in questions)


def with_shots(questions: Sequence[Question], num_shots: int) -> list[Question]:
    """Each question behind `num_shots` others with their answers, a blank line between; which ones depends on its place alone."""
    most = min(num_shots, len(questions) - 1)
    if most < 1:
        return list(questions)
    shown = []
    for place, question in enumerate(questions):
        drawn = random.Random(place).sample(range(len(questions) - 1), most)
        examples = "".join(f"{questions[other + (other >= place)].solved}\n\n" for other in drawn)
        shown.append(replace(question, options=tuple((examples + context, text) for context, text in question.options)))
    return shown


def questions_of(records: Iterable[Mapping[str, Any]], name: str) -> list[Question]:
    """The questions of JSON records, each in any of the shapes above; `name` says in errors where they are from.

    Raises:
        DataError: a record is of none of these shapes, or its right option is none of those it has.
    """
    return [_question(record, f"{name}, record {number}") for number, record in enumerate(records, start=1)]


def _question(value: Mapping[str, Any], where: str) -> Question:
    try:
        options, gold = _options(value)
        if not 0 <= gold < len(options):
            raise DataError(f"{where} calls option {gold} right, and has {len(options)} options, counted from 0")
        return Question(options=tuple((context.rstrip(), " " + text.lstrip()) for context, text in options), gold=gold)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(
            f"{where} is not a multiple-choice question, which needs query, choices and gold, nor a text to complete, which needs context and continuation"
        ) from None


def _options(value: Mapping[str, Any]) -> tuple[list[Pair], int]:
    if "context_options" in value:
        return [(context, value["continuation"]) for context in value["context_options"]], int(value["gold"])
    if "goal" in value:
        context = f"Question: {value['goal']}\nAnswer:"
        return [(context, value["sol1"]), (context, value["sol2"])], int(value["label"])
    if "sentence" in value:
        before, after = value["sentence"].split("_")
        return [(before + value[name], after) for name in ("option1", "option2")], int(value["answer"]) - 1
    if "query" in value or "ctx" in value:
        context = value["query"] if "query" in value else value["ctx"]
        endings = value["choices"] if "choices" in value else value["endings"]
        return [(context, ending) for ending in endings], int(value["gold"] if "gold" in value else value["label"])
    if "context" in value:
        return [(value["context"], value["continuation"])], 0
    if "text" in value:
        context, last = value["text"].rsplit(maxsplit=1)
        return [(context, last)], 0
    return _asked(value)


def _asked(value: Mapping[str, Any]) -> tuple[list[Pair], int]:
    """A question with labelled answers: `choices` are texts, a table of texts and labels, or a list of such pairs."""
    question = value["question"] if "question" in value else value["question_stem"]
    choices = value.get("choices")
    if isinstance(question, Mapping):
        question, choices = question["stem"], question["choices"]
    if isinstance(choices, Mapping):
        texts, labels = choices["text"], choices["label"]
    elif choices and isinstance(choices[0], Mapping):
        texts, labels = ([choice[name] for choice in choices] for name in ("text", "label"))
    else:
        texts, labels = choices, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    answer = value["answer"] if "answer" in value else value["answerKey"]
    return [(f"Question: {question}\nAnswer:", text) for text in texts], _place(answer, list(labels))


def _place(answer: object, labels: Sequence[object]) -> int:
    """The number of the right answer: its own, or that of its label."""
    return answer if isinstance(answer, int) else labels.index(answer)

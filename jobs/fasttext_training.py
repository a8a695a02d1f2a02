"""Trains a quantised fastText model with one thread: the same examples give the same bytes."""

import hashlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence

import fasttext

from jobs.classifier_config import TrainingConfig
from jobs.classifier_data import Example
from pipeline.filter.classifiers import LABEL
from pipeline.filter.reading import normalise, readable


def fasttext_bytes(config: TrainingConfig, examples: Sequence[Example]) -> bytes:
    """The `.ftz` file of a model trained on `examples`."""
    with tempfile.TemporaryDirectory() as scratch:
        lines = os.path.join(scratch, "train.txt")
        _write_lines(config, examples, lines)
        model = fasttext.train_supervised(
            lines, lr=config.learning_rate, epoch=config.epochs, dim=config.dimensions, wordNgrams=config.word_ngrams, minn=config.min_char_ngram,
            maxn=config.max_char_ngram, bucket=config.buckets, thread=1, seed=config.seed, loss="softmax", verbose=0,
        )  # fmt: skip
        model.quantize(input=lines, cutoff=config.max_features, retrain=True, qnorm=True, thread=1, verbose=0)
        path = os.path.join(scratch, "model.ftz")
        model.save_model(path)
        with open(path, "rb") as file:
            return file.read()


def _write_lines(config: TrainingConfig, examples: Sequence[Example], path: str) -> None:
    """The training file, in order of hash: each group's rarer label repeated towards balance."""
    groups: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
    for example in examples:
        groups[(*example.group, example.bad)].append(normalise(readable(example.text)))
    lines: list[tuple[str, str]] = []
    for (source, language, bad), texts in sorted(groups.items()):
        others = len(groups.get((source, language, not bad), ()))
        repeats = min(config.max_repeats, max(1, round(others / len(texts))))
        lines += [
            (_order(f"{copy}{text}"), f"__label__{LABEL if bad else 'good'} {text}")
            for text in texts
            for copy in range(repeats)
        ]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for _, line in sorted(lines))


def _order(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()

"""Trains a classifier of bad texts from labelled JSON lines, and measures it on what it never saw.

In: records with `text` and `label`, and clean documents, whose text is good whatever it is about. Out: the model, `NAME.json` and `NAME.md` (the card) in OUT.
A fifth of each input, chosen by a hash that near-duplicates share, is held out; the printed figures are of that
fifth. Thresholds and calibration are chosen on the other four, each part scored by a model of the rest. Two runs
over the same records give the same bytes.
"""

import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from jobs.classifier_card import card_text
from jobs.classifier_config import TrainingConfig
from jobs.classifier_data import Example, Source, Split, clean_sentences, fold_of, read_split
from jobs.classifier_scores import (
    Report,
    measure_decisions,
    shown,
    threshold_for_f1,
    threshold_for_precision,
    threshold_for_recall,
    threshold_for_share,
)
from jobs.fasttext_training import fasttext_bytes
from jobs.linear_training import Pieces, calibration_of, costs_of, learn, rounded
from pipeline import storage
from pipeline.errors import CorpusmillError, SettingError
from pipeline.filter.classifiers import (
    LABEL,
    SUFFIXES,
    Classifier,
    FastTextScorer,
    LinearScorer,
    Model,
    Thresholds,
    judge_with,
)
from pipeline.filter.reading import readable, sentences
from pipeline.places import join

__all__ = ["Source", "TrainingConfig", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model as a file, and for each fold one that never saw it."""

    payload: bytes
    folds: tuple[Model, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Texts with their labels and the scores that a model gave which had not seen them."""

    examples: Sequence[Example]
    scores: Sequence[float]

    @property
    def labels(self) -> list[bool]:
        """Whether each is bad."""
        return [example.bad for example in self.examples]

    def by_group(self, threshold: float) -> dict[str, dict[str, Any]]:
        """Figures for each set and language."""
        groups: dict[str, list[int]] = defaultdict(list)
        for position, example in enumerate(self.examples):
            groups[f"{example.source} ({example.language})" if example.language else example.source].append(position)
        labels = self.labels
        return {
            name: measure_decisions([labels[i] for i in chosen], [self.scores[i] for i in chosen], threshold)
            for name, chosen in sorted(groups.items())
        }


def train(config: TrainingConfig, folder: str, *, fifth: int = 0) -> dict[str, Any]:
    """Trains, measures and writes the model; returns its card (what `NAME.json` holds). `fifth` is held out."""
    _check_place(config, folder)
    split = read_split(config.sources, config.clean, config.clean_documents, fifth=fifth)
    examples = [*split.train, *_clean_pieces(config, split.clean_train), *clean_sentences(config.sentences)[0]]
    trained = _linear(config, examples) if config.kind == "linear" else _fasttext(config, examples)
    inside = _out_of_fold(config, trained, split)
    limits = sentence_limits(config, trained)
    thresholds = choose_thresholds(config, trained, inside, split.clean_train, limits)
    entry = storage.write_bytes(join(folder, f"{config.name}.{SUFFIXES[config.kind]}"), trained.payload)
    card: dict[str, Any] = {
        "name": config.name,
        "kind": config.kind,
        "label": LABEL,
        "sha256": entry.sha256,
        "num_bytes": entry.num_bytes,
        "languages": list(config.languages),
        "thresholds": asdict(thresholds),
        "strict": {language: limit for language, limit in limits.items() if limit > thresholds.short},
    }
    storage.write_json(join(folder, f"{config.name}.json"), card)
    return _measured(config, folder, card, split, inside)


def _check_place(config: TrainingConfig, folder: str) -> None:
    """Raises SettingError if the model or its card would be written over something else."""
    names = [f"{config.name}.{ending}" for ending in (SUFFIXES[config.kind], "json", "md")]
    outputs = {os.path.realpath(join(folder, name)): join(folder, name) for name in names}
    for source in (*config.sources, *config.clean, *config.sentences, *config.unseen_sentences):
        if (path := os.path.realpath(source.path)) in outputs:
            raise SettingError(f"{outputs[path]} would replace the input {source.path}; name another folder")
    taken = [path for path in outputs.values() if storage.exists(path)]
    if taken and not _is_card(join(folder, names[1])):
        raise SettingError(f"{taken[0]} is there and of no earlier model; choose another NAME or folder")


def _is_card(path: str) -> bool:
    try:
        value = storage.read_json(path)
    except CorpusmillError:  # there is none, or it is no JSON
        return False
    return isinstance(value, dict) and {"kind", "sha256", "thresholds"} <= value.keys()


def _clean_pieces(config: TrainingConfig, documents: Sequence[Example]) -> list[Example]:
    weights = {source.name: source.weight for source in config.clean}
    return [
        replace(document, text=text, weight=weights[document.source])
        for document in documents
        for text in (document.text, *sentences(document.text)[:: config.clean_every])
    ]


def _linear(config: TrainingConfig, examples: Sequence[Example]) -> Trained:
    pieces = Pieces.of([example.text for example in examples], config.buckets, config.signs)
    bad, costs = np.array([example.bad for example in examples]), costs_of(examples)
    folds = np.array([fold_of(example.key, config.folds) for example in examples])

    def learned(rows: np.ndarray) -> Any:
        return learn(
            pieces, rows, bad, costs,
            num_buckets=config.buckets, epochs=config.epochs, seed=config.seed, contrast=config.contrast,
        )  # fmt: skip

    machines = [learned(np.flatnonzero(folds != fold)) for fold in range(config.folds)]
    margins = np.zeros(len(examples))
    for fold, machine in enumerate(machines):
        rows = np.flatnonzero(folds == fold)
        margins[rows] = machine.margins(pieces, rows)
    labelled = np.array([_is_labelled(config, example) for example in examples])
    if len(set(bad[labelled])) == 1:  # labelled texts of one kind, told from clean ones
        labelled[:] = True
    line = calibration_of(margins[labelled], bad[labelled])
    whole = learned(np.arange(len(examples)))
    return Trained(
        payload=rounded(whole, *line, signs=config.signs).to_bytes(),
        folds=tuple(LinearScorer(rounded(machine, *line, signs=config.signs)) for machine in machines),
    )


def _fasttext(config: TrainingConfig, examples: Sequence[Example]) -> Trained:
    folds = []
    with tempfile.TemporaryDirectory() as scratch:
        for fold in range(config.folds):
            path = os.path.join(scratch, f"{fold}.ftz")
            with open(path, "wb") as file:
                file.write(fasttext_bytes(config, [e for e in examples if fold_of(e.key, config.folds) != fold]))
            folds.append(FastTextScorer(path))
    return Trained(payload=fasttext_bytes(config, examples), folds=tuple(folds))


def _is_labelled(config: TrainingConfig, example: Example) -> bool:
    """Whether it is a text of a labelled set as it stands there, and not a piece of one or of a clean document."""
    return any(example.source == source.name for source in config.sources)


def _out_of_fold(config: TrainingConfig, trained: Trained, split: Split) -> Judged:
    examples = [example for example in split.train if _is_labelled(config, example)]
    scores = [trained.folds[fold_of(example.key, config.folds)].score(readable(example.text)) for example in examples]
    return Judged(examples=examples, scores=scores)


def sentence_limits(config: TrainingConfig, trained: Trained) -> dict[str, float]:
    """For each language of the unseen sentences, the lowest threshold under which few of them are refused."""
    scores: dict[str, list[float]] = defaultdict(list)
    for example in clean_sentences(config.unseen_sentences)[0]:
        scores[example.language].append(trained.folds[fold_of(example.key, config.folds)].score(example.text))
    return {
        language: threshold_for_share(found, config.max_sentences_refused) for language, found in sorted(scores.items())
    }


def choose_thresholds(
    config: TrainingConfig, trained: Trained, inside: Judged, clean: Sequence[Example], limits: dict[str, float]
) -> Thresholds:
    """Thresholds for the wanted precision or the best F1, and under which few clean documents are refused.

    A model for one language has no other threshold than `short`, so that is at least its limit for clean sentences.
    The whole-text score must be at least even; then the smallest share of bad sentences, at least half, that keeps the budget.
    """
    if config.max_missed:
        short = threshold_for_recall(inside.labels, inside.scores, config.max_missed)
    elif config.min_precision:
        short = threshold_for_precision(inside.labels, inside.scores, config.min_precision)
    else:
        short = threshold_for_f1(inside.labels, inside.scores)
    if len(config.languages) == 1:
        short = max(short, limits.get(config.languages[0], 0.0))
    found = [judge_with(trained.folds[fold_of(example.key, config.folds)], example.text, short) for example in clean]
    long = sorted(
        (scores.bad_share for scores in found if scores.num_sentences > 2 and scores.whole >= 0.5), reverse=True
    )
    allowed = int(config.max_clean_refused * len(clean))
    share = max(0.5, long[allowed] + 0.05 if len(long) > allowed else 0.5)
    return Thresholds(short=short, whole=0.5, sentence=short, share=round(min(1.0, share), 3))


def _measured(
    config: TrainingConfig, folder: str, card: dict[str, Any], split: Split, inside: Judged
) -> dict[str, Any]:
    """Measures the written model on the held-out part, and writes both card files."""
    classifier = Classifier(folder, config.name)
    scores = [classifier.model.score(readable(example.text)) for example in split.heldout]
    heldout = Judged(examples=split.heldout, scores=scores)
    short = float(card["thresholds"]["short"])  # of this model, whether or not one for messages lies beside it
    report = Report.of(heldout.labels, scores, short)
    card["heldout"] = heldout.by_group(short)
    card["cross_validated"] = inside.by_group(short)
    card["near_duplicates_left_out"] = split.num_near
    card["clean_documents"] = {"trained_on": len(split.clean_train), "held_out": len(split.clean_heldout)}
    files = ("sources", "clean", "sentences", "unseen_sentences")
    card["settings"] = {name: value for name, value in asdict(config).items() if name not in files}
    card["sources"] = [
        {"name": source.name, "bad": list(source.bad), "skip": list(source.skip), "languages": list(source.languages), "licence": source.licence, "weight": source.weight}
        for source in config.sources
    ]  # fmt: skip
    card["clean"] = [{"name": source.name, "licence": source.licence} for source in config.clean]
    card["sentences"] = [
        {"name": source.name, "languages": list(source.languages), "licence": source.licence, "weight": source.weight}
        for source in config.sentences
    ]
    card["unseen_sentences"] = {
        source.name: _refused(card, classifier.model, clean_sentences([source])[1])
        for source in config.unseen_sentences
    }
    storage.write_json(join(folder, f"{config.name}.json"), card)
    storage.write_bytes(join(folder, f"{config.name}.md"), card_text(card, report).encode())
    print(report.text())
    for name, row in card["heldout"].items():
        print(
            f"  {name}: AUC {shown(row['auc'])}, precision {row['precision']:.3f}, recall {row['recall']:.3f}, F1 {row['f1']:.3f} ({row['number']})"
        )
    print(f"{config.name}: {card['num_bytes']:,} bytes, SHA-256 {card['sha256']}")
    return card


def _refused(card: dict[str, Any], model: Model, heldout: Sequence[Example]) -> dict[str, dict[str, int]]:
    """By language, how many clean sentences were held out, and how many of them are refused."""
    found: dict[str, dict[str, int]] = {}
    for example in heldout:
        row = found.setdefault(example.language, {"held_out": 0, "refused": 0})
        threshold = card["strict"].get(example.language, card["thresholds"]["short"])
        row["held_out"] += 1
        row["refused"] += model.score(example.text) >= threshold
    return dict(sorted(found.items()))

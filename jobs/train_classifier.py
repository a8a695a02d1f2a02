"""Trains a fastText classifier of bad texts from labelled JSON lines, and measures it on what it never saw.

    python -m jobs.train_classifier spam OUT --input sms.jsonl.zst=spam --input mail.jsonl.zst=spam --clean books.jsonl.zst

In: records with `text` and `label` (behind `=` the labels that are bad, behind `:` those to leave out), and
clean documents, whose text is good whatever it is about. Out: `NAME.ftz`, `NAME.json` and `NAME.md` (the card) in OUT.
A fifth of each input, chosen by a hash of its text, is held out; the printed figures are of that fifth. Two runs over
the same records give the same bytes.
"""

import argparse
import hashlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import fasttext

from jobs.classifier_scores import Report, measure_decisions, threshold_for_f1, threshold_for_precision
from pipeline import storage
from pipeline.errors import InputError, SettingError
from pipeline.filter.classifiers import Classifier, Thresholds, normalise, readable, sentences
from pipeline.jsonl import read_records
from pipeline.storage import join

_HOLDOUT = 5


@dataclass(frozen=True, kw_only=True)
class Source:
    """One labelled input: its file, which labels are bad, which are left out, and what the card says of it."""

    path: str
    bad: tuple[str, ...]
    skip: tuple[str, ...] = ()
    licence: str = ""

    @property
    def name(self) -> str:
        """The file's name without its endings."""
        return os.path.basename(self.path).split(".")[0]

    def is_bad(self, label: str) -> bool:
        """Whether a label is one of the bad ones; `!good` in `bad` means every label but that."""
        return label in self.bad or any(bad.startswith("!") and label != bad[1:] for bad in self.bad)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a classifier is trained. `max_features` bounds the size of the model: about 18 bytes each."""

    name: str
    sources: tuple[Source, ...]
    # Files of clean documents, and how many documents of each are used.
    clean: tuple[Source, ...] = ()
    clean_documents: int = 300
    # Of each clean document its whole and every so-many-th sentence are good examples.
    clean_every: int = 4
    languages: tuple[str, ...] = ()
    learning_rate: float = 0.3
    epochs: int = 6
    dimensions: int = 16
    word_ngrams: int = 2
    min_char_ngram: int = 0
    max_char_ngram: int = 0
    buckets: int = 200_000
    max_features: int = 80_000
    max_repeats: int = 8
    # The threshold for short texts is the lowest with this precision on the held-out part; 0 takes the one with the best F1.
    min_precision: float = 0.95
    # Thresholds for documents are set so that at most this share of held-out clean ones is refused.
    max_clean_refused: float = 0.001
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.sources:
            raise SettingError("train-classifier needs at least one --input")
        if not 0 <= self.min_precision < 1:
            raise SettingError(f"min_precision is {self.min_precision}; allowed is 0 to 1, 1 excluded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A labelled text."""

    source: str
    language: str
    text: str
    bad: bool


@dataclass(kw_only=True)
class Split:
    """What is trained on, and what is held out."""

    train: list[Example] = field(default_factory=list)
    heldout: list[Example] = field(default_factory=list)
    clean_train: list[Example] = field(default_factory=list)
    clean_heldout: list[Example] = field(default_factory=list)


def train(config: TrainingConfig, folder: str) -> dict[str, Any]:
    """Trains, measures and writes the model; returns its card (what `NAME.json` holds)."""
    split = read_split(config)
    with tempfile.TemporaryDirectory() as scratch:
        lines = os.path.join(scratch, "train.txt")
        _write_lines(config, split, lines)
        model = fasttext.train_supervised(
            lines, lr=config.learning_rate, epoch=config.epochs, dim=config.dimensions, wordNgrams=config.word_ngrams, minn=config.min_char_ngram,
            maxn=config.max_char_ngram, bucket=config.buckets, thread=1, seed=config.seed, loss="softmax", verbose=0,
        )  # fmt: skip
        model.quantize(input=lines, cutoff=config.max_features, retrain=True, qnorm=True, thread=1, verbose=0)
        local = os.path.join(scratch, f"{config.name}.ftz")
        model.save_model(local)
        with open(local, "rb") as file:
            entry = storage.write_bytes(join(folder, f"{config.name}.ftz"), file.read())
    card = {
        "name": config.name,
        "label": "bad",
        "sha256": entry.sha256,
        "num_bytes": entry.num_bytes,
        "languages": list(config.languages),
    }
    card["thresholds"] = asdict(Thresholds(short=0.5, whole=0.5, sentence=0.5, share=0.5))
    storage.write_json(join(folder, f"{config.name}.json"), card)
    return _measured(config, folder, card, split)


def _measured(config: TrainingConfig, folder: str, card: dict[str, Any], split: Split) -> dict[str, Any]:
    """Chooses thresholds on the held-out part, measures, and writes both card files."""
    classifier = Classifier(folder, config.name)
    scores = classifier.score([readable(example.text) for example in split.heldout])
    labels = [example.bad for example in split.heldout]
    short = (
        threshold_for_precision(labels, scores, config.min_precision)
        if config.min_precision
        else threshold_for_f1(labels, scores)
    )
    thresholds = choose_thresholds(
        classifier, [example.text for example in split.clean_heldout], short, config.max_clean_refused
    )
    report = Report.of(labels, scores, short)
    groups: dict[str, list[int]] = defaultdict(list)
    for position, example in enumerate(split.heldout):
        groups[f"{example.source} ({example.language})" if example.language else example.source].append(position)
    card["thresholds"] = asdict(thresholds)
    card["heldout"] = {
        name: measure_decisions([labels[i] for i in chosen], [scores[i] for i in chosen], short)
        for name, chosen in sorted(groups.items())
    }
    card["heldout_clean_documents"] = len(split.clean_heldout)
    card["settings"] = {name: value for name, value in asdict(config).items() if name not in ("sources", "clean")}
    card["sources"] = [
        {"name": source.name, "bad": list(source.bad), "skip": list(source.skip), "licence": source.licence}
        for source in config.sources
    ]
    card["clean"] = [{"name": source.name, "licence": source.licence} for source in config.clean]
    storage.write_json(join(folder, f"{config.name}.json"), card)
    storage.write_bytes(join(folder, f"{config.name}.md"), card_text(card, report).encode())
    print(report.text())
    for name, row in card["heldout"].items():
        print(
            f"  {name}: AUC {row['auc']:.3f}, precision {row['precision']:.3f}, recall {row['recall']:.3f}, F1 {row['f1']:.3f} ({row['number']})"
        )
    return card


def choose_thresholds(classifier: Classifier, clean: Sequence[str], short: float, budget: float) -> Thresholds:
    """Thresholds under which at most `budget` of the clean documents are refused.

    The whole-text score must be at least even; then the smallest share of bad sentences, at least half, that keeps the budget.
    """
    found = [classifier.judge(text, short) for text in clean]
    long = sorted(
        (scores.bad_share for scores in found if scores.num_sentences > 2 and scores.whole >= 0.5), reverse=True
    )
    allowed = int(budget * len(clean))
    share = max(0.5, long[allowed] + 0.05 if len(long) > allowed else 0.5)
    return Thresholds(short=short, whole=0.5, sentence=short, share=round(min(1.0, share), 3))


def read_split(config: TrainingConfig) -> Split:
    """All examples, each once, divided by a hash of their normalised text."""
    split = Split()
    seen: set[bytes] = set()
    for source in config.sources:
        for record in read_records(source.path):
            _add(split.train, split.heldout, seen, _example(source, record), record)
    for source in config.clean:
        for number, record in enumerate(read_records(source.path)):
            if number >= config.clean_documents:
                break
            example = Example(
                source=source.name, language=str(record.get("lang", "")), text=str(record["text"])[:16_000], bad=False
            )
            _add(split.clean_train, split.clean_heldout, seen, example, {})
    if not {True, False} <= {example.bad for example in split.train} | ({False} if split.clean_train else set()):
        raise InputError("the labelled records are all good or all bad; a classifier needs both")
    return split


def _example(source: Source, record: dict[str, Any]) -> Example | None:
    if not isinstance(record.get("text"), str) or "label" not in record:
        raise InputError(f"{source.path}: a record lacks `text` or `label`; it has {', '.join(sorted(record))}")
    label = str(record["label"])
    if label in source.skip:
        return None
    return Example(
        source=source.name, language=str(record.get("lang", "")), text=record["text"], bad=source.is_bad(label)
    )


def _add(
    train: list[Example], heldout: list[Example], seen: set[bytes], example: Example | None, record: dict[str, Any]
) -> None:
    if example is None:
        return
    key = hashlib.sha256(normalise(readable(example.text)).encode()).digest()
    if key in seen:
        return
    seen.add(key)
    if key[0] % _HOLDOUT == 0:
        heldout.append(example)
        return
    train.append(example)
    train.extend(_by_span(example, record))


def _by_span(example: Example, record: dict[str, Any]) -> Iterator[Example]:
    """What marked characters add: the marked words are bad, the text without them and its unmarked sentences good."""
    marked = set(record.get("spans") or ()) if isinstance(record.get("spans"), list) else set()
    if not marked or not all(isinstance(position, int) for position in marked):
        return
    text = example.text
    pieces = [
        ("".join(char if i in marked else " " for i, char in enumerate(text)), True),
        ("".join(" " if i in marked else char for i, char in enumerate(text)), False),
    ]
    start = 0
    for sentence in sentences(text):
        start = max(start, text.find(sentence, start))
        pieces.append((sentence, any(position in marked for position in range(start, start + len(sentence)))))
        start += len(sentence)
    for piece, bad in pieces:
        yield Example(source=f"{example.source} spans", language=example.language, text=piece, bad=bad)


def _write_lines(config: TrainingConfig, split: Split, path: str) -> None:
    """The training file: each source's rarer label repeated towards balance, clean documents by their pieces, all in order of hash."""
    groups: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
    for example in split.train:
        groups[example.source, example.language, example.bad].append(normalise(readable(example.text)))
    lines: list[tuple[str, str]] = []
    for (source, language, bad), texts in sorted(groups.items()):
        others = len(groups.get((source, language, not bad), ()))
        repeats = min(config.max_repeats, max(1, round(others / len(texts))))
        lines += [
            (_order(f"{copy}{text}"), f"__label__{'bad' if bad else 'good'} {text}")
            for text in texts
            for copy in range(repeats)
        ]
    for example in split.clean_train:
        for text in (example.text, *sentences(example.text)[:: config.clean_every]):
            lines.append((_order(text), f"__label__good {normalise(text)}"))
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for _, line in sorted(lines))


def _order(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def card_text(card: dict[str, Any], report: Report) -> str:
    """The card for people."""
    rows = "\n".join(
        f"| {name} | {row['number']} | {row['auc']:.3f} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} |"
        for name, row in card["heldout"].items()
    )
    sources = "\n".join(
        f"* {source['name']}: bad = {', '.join(source['bad'])}{'; left out = ' + ', '.join(source['skip']) if source['skip'] else ''} ({source['licence'] or 'licence not given'})"
        for source in card["sources"]
    )
    clean = "\n".join(f"* {source['name']} ({source['licence'] or 'licence not given'})" for source in card["clean"])
    limits = card["thresholds"]
    return (
        f"# {card['name']}\n\nA quantised fastText classifier, {card['num_bytes']:,} bytes, SHA-256 `{card['sha256']}`, made by `train-classifier`.\n"
        f"Languages: {', '.join(card['languages']) or 'as trained'}.\n\n## Trained on\n\n{sources}\n\nClean text, as good examples:\n\n{clean or '* none'}\n\n"
        f"## Measured on the fifth that it never saw\n\n| set | texts | AUC | precision | recall | F1 |\n|---|---|---|---|---|---|\n{rows}\n\n"
        f"Precision, recall and F1 are at the threshold for short texts, {limits['short']:.3f}.\n\n## Calibration\n\n{report.calibration_table()}\n\n"
        f"## Decision\n\nA text of one or two sentences is refused from a score of {limits['short']:.3f}. A longer one is refused if the whole scores at least\n"
        f"{limits['whole']:.3f} and at least {limits['share']:.1%} of its sentences score {limits['sentence']:.3f} or more.\n"
    )


def _source(value: str) -> Source:
    """`PATH=bad1,bad2:skipped@licence`."""
    value, _, licence = value.partition("@")
    path, _, labels = value.partition("=")
    bad, _, skip = labels.partition(":")
    return Source(
        path=path, bad=tuple(filter(None, bad.split(","))), skip=tuple(filter(None, skip.split(","))), licence=licence
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="train-classifier", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name")
    parser.add_argument("folder", metavar="OUT")
    parser.add_argument(
        "--input", action="append", default=[], type=_source, metavar="PATH=BAD,LABELS[:LEFT,OUT][@LICENCE]"
    )
    parser.add_argument("--clean", action="append", default=[], type=_source, metavar="PATH[@LICENCE]")
    parser.add_argument("--languages", default="")
    for name in (
        "epochs",
        "dimensions",
        "word_ngrams",
        "min_char_ngram",
        "max_char_ngram",
        "buckets",
        "max_features",
        "clean_documents",
        "clean_every",
        "max_repeats",
        "seed",
    ):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=argparse.SUPPRESS)
    for name in ("learning_rate", "min_precision", "max_clean_refused"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=argparse.SUPPRESS)
    options = vars(parser.parse_args(arguments))
    folder = options.pop("folder")
    languages = tuple(filter(None, options.pop("languages").split(",")))
    train(
        TrainingConfig(
            sources=tuple(options.pop("input")), clean=tuple(options.pop("clean")), languages=languages, **options
        ),
        folder,
    )


if __name__ == "__main__":
    main()

"""The command that trains a classifier: its options, and the labelled files as they are named there."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jobs.commands.parts import declare

if TYPE_CHECKING:
    from jobs.classifier_data import Source

_EXAMPLES = """Each record of an input has a `text` and a `label`, and may have a language as `lang`. A fifth of every input is held
out by a hash that near-duplicates share; the figures printed and on the card are of that fifth. OUT gets the
model, NAME.json (what `filter.spam.model` and `filter.toxicity.model` read) and NAME.md (the card).

examples:
  corpusmill train-classifier spam models --input sms.jsonl.zst=spam --clean books.jsonl.zst
  corpusmill train-classifier toxicity models --kind linear --buckets 1000000 --min-precision 0.9 \\
      --input 'tweets.jsonl=hateful,offensive:unsure@CC-BY-4.0' --input 'made.jsonl=!good*0.3'
  corpusmill filter IN OUT --set filter.toxicity.model=models

Files may be JSON lines, plain or compressed, local or remote. What is bad stands behind = ('!good': every label but
that one), what is left out behind :, the licence for the card behind @, and a weight (linear only) behind *."""
_LABELLED = "PATH=BAD,LABELS[:LEFT,OUT][@LICENCE][*WEIGHT]"
_CLEAN = "PATH[@LICENCE][*WEIGHT]"
_SPOKEN = "PATH=LANGUAGE,LANGUAGE[@LICENCE][*WEIGHT]"
# What each option of `TrainingConfig` is, beside its default.
WHOLE = {
    "folds": "parts by which thresholds are chosen, each scored by a model of the others (default: 4)",
    "epochs": "how often each text is seen (default: 6)",
    "buckets": "places for hashed pieces of words; a linear model has a byte for each (default: 200000)",
    "clean-documents": "documents used of each --clean file (default: 300)",
    "clean-every": "of each clean document its whole and every so-many-th sentence are taught (default: 4)",
    "seed": "of the order in which texts are seen (default: 1)",
}
REAL = {
    "min-precision": "the threshold for short texts is the lowest with this precision; 0: that with the best F1 (default: 0.95)",
    "max-missed": "or, where this is not 0, the highest that misses at most this share of the bad texts (default: 0.0)",
    "max-clean-refused": "thresholds for documents refuse at most this share of the clean ones (default: 0.001)",
    "max-sentences-refused": "in each language at most this share of --unseen-sentences is refused (default: 0.005)",
}
LINEAR_REAL = {"contrast": "power of the log-count ratio by which pieces are weighted, 0 to 2 (default: 0.0)"}
FASTTEXT_WHOLE = {
    "dimensions": "size of a word's vector (default: 16)",
    "word-ngrams": "words in a row that count as one feature (default: 2)",
    "min-char-ngram": "the shortest piece of a word (default: 0)",
    "max-char-ngram": "the longest piece of a word; 0: whole words (default: 0)",
    "max-features": "bounds the size of the model, about 18 bytes each (default: 80000)",
    "max-repeats": "how often a text of a rare label is repeated at most (default: 8)",
}
FASTTEXT_REAL = {"learning-rate": "of fastText (default: 0.3)"}


def add(commands: Any) -> None:
    """Declares train-classifier."""
    text = "train a fastText or linear classifier of bad texts from labelled JSON lines"
    command = declare(commands, "train-classifier", text, _train, example=_EXAMPLES)
    command.add_argument("name", metavar="NAME", help="the model's name, and that of its files")
    command.add_argument("out", metavar="OUT", help="folder of the model and its card")
    _take_files(command, "--input", _LABELLED, "labelled texts; may be given again, at least once")
    _take_files(command, "--clean", _CLEAN, "documents that are good, whatever they are about; may be given again")
    _take_files(command, "--sentences", _SPOKEN, "clean sentences, with `lang`, to teach as good ones")
    _take_files(command, "--unseen-sentences", _SPOKEN, "the same, to choose thresholds by and never taught")
    command.add_argument(
        "--kind", choices=("fasttext", "linear"), default=argparse.SUPPRESS,
        help="linear is smaller and better where there is little to learn from (default: fasttext)",
    )  # fmt: skip
    command.add_argument("--languages", metavar="CODES", default="", help="for the card, parted by commas")
    _take_numbers(command, WHOLE, int)
    _take_numbers(command, REAL, float)
    linear = command.add_argument_group("only with --kind linear")
    linear.add_argument("--signs", action="store_true", help="a message's length, prices and numbers count as well")
    _take_numbers(linear, LINEAR_REAL, float)
    fasttext = command.add_argument_group("only with --kind fasttext")
    _take_numbers(fasttext, FASTTEXT_WHOLE, int)
    _take_numbers(fasttext, FASTTEXT_REAL, float)


def _take_files(command: argparse.ArgumentParser, option: str, form: str, text: str) -> None:
    command.add_argument(option, action="append", default=[], metavar="FILE", help=f"{text}: {form}")


def _take_numbers(command: Any, options: dict[str, str], kind: type) -> None:
    for name, text in options.items():
        command.add_argument(
            f"--{name}", type=kind, default=argparse.SUPPRESS, metavar="N" if kind is int else "X", help=text
        )


def _train(options: argparse.Namespace) -> None:
    from jobs.train_classifier import TrainingConfig, train

    given = {
        name: value
        for name, value in vars(options).items()
        if name.replace("_", "-") in {*WHOLE, *REAL, *LINEAR_REAL, *FASTTEXT_WHOLE, *FASTTEXT_REAL, "kind", "signs"}
    }
    config = TrainingConfig(
        name=options.name,
        sources=tuple(map(_labelled, options.input)),
        clean=tuple(map(_labelled, options.clean)),
        sentences=tuple(map(_spoken, options.sentences)),
        unseen_sentences=tuple(map(_spoken, options.unseen_sentences)),
        languages=tuple(filter(None, options.languages.split(","))),
        **given,
    )
    train(config, options.out)


def _labelled(value: str) -> "Source":
    """What `PATH=bad1,bad2:skipped@licence*0.3` says. The path may hold any of these signs but `=`, `*` and `@`."""
    from jobs.classifier_data import Source
    from pipeline.errors import SettingError

    rest, _, weight = value.partition("*")
    rest, _, licence = rest.partition("@")
    path, _, labels = rest.partition("=")
    bad, _, skip = labels.partition(":")
    try:
        number = float(weight or 1)
    except ValueError:
        raise SettingError(f"the weight of {path} is {weight!r}; allowed is a number, as in {path}=bad*0.3") from None
    if not 0 < number < float("inf"):
        raise SettingError(f"the weight of {path} is {weight}; allowed is any number above 0")
    return Source(
        path=path, bad=tuple(filter(None, bad.split(","))), skip=tuple(filter(None, skip.split(","))), licence=licence, weight=number
    )  # fmt: skip


def _spoken(value: str) -> "Source":
    """As `_labelled`, but what stands behind `=` are languages."""
    source = _labelled(value)
    return replace(source, bad=(), languages=source.bad)

"""Commands beside the runs: other formats, count tables, classifiers."""

import argparse
from typing import Any

from jobs.commands.parts import config_of, declare, take_force


def add(commands: Any) -> None:
    """Declares export, convert, merge-counts and train-classifier."""
    command = declare(commands, "export", "write the shards of a run in the format of another trainer", _export)
    command.add_argument("settings", metavar="RUN")
    command.add_argument("--format", choices=("megatron", "mds", "npy"), default="megatron")
    command.add_argument("--out", default="", help="folder (default: RUN/export/FORMAT)")
    take_force(command)
    text = "make a model with fewer key heads from that of a run, by mean pooling"
    example = "example:\n  corpusmill convert runs/demo --kv-heads 1"
    command = declare(commands, "convert", text, _convert, example=example)
    command.add_argument("run", metavar="RUN")
    command.add_argument("--kv-heads", type=int, required=True, metavar="N", help="a divisor of the number it has")
    command.add_argument("--out", default="", help="folder (default: RUN/converted/kv-N)")
    command = declare(commands, "merge-counts", "add count tables to one", _merge_counts)
    command.add_argument("output", metavar="OUT")
    command.add_argument("tables", metavar="COUNTS", nargs="+")
    command.add_argument("--min-count", type=int, default=1)
    take_force(command)
    text = "train a fastText or linear classifier from labelled JSON lines; see train-classifier --help"
    command = commands.add_parser("train-classifier", help=text, add_help=False)
    command.set_defaults(handler=_train_classifier)


def _export(options: argparse.Namespace) -> None:
    from jobs import export

    export.main(config_of(options), format=options.format, out=options.out, force=options.force)


def _convert(options: argparse.Namespace) -> None:
    from jobs import convert

    convert.main(options.run.rstrip("/"), kv_heads=options.kv_heads, out=options.out)


def _merge_counts(options: argparse.Namespace) -> None:
    from jobs import merge_counts

    merge_counts.main(options.output, options.tables, min_count=options.min_count, force=options.force)


def _train_classifier(options: argparse.Namespace) -> None:
    from jobs import train_classifier

    train_classifier.main(options.rest)

"""Commands beside the runs: other formats and count tables."""

import argparse
from typing import Any

from jobs.commands.parts import config_of, declare, take_force

_RUN = "the folder of a run, or its settings"


def add(commands: Any) -> None:
    """Declares export, convert and merge-counts."""
    text = "write the shards of a run in the format of another trainer"
    command = declare(commands, "export", text, _export, example="example:\n  corpusmill export runs/demo --format mds")
    command.add_argument("settings", metavar="RUN", help=_RUN)
    command.add_argument(
        "--format",
        choices=("megatron", "mds", "npy"),
        default="megatron",
        help=".bin and .idx of Megatron (the default), MosaicML's MDS, or flat arrays for numpy",
    )
    command.add_argument("--out", default="", help="folder (default: RUN/export/FORMAT)")
    take_force(command)
    text = "make a model with fewer key heads from that of a run, by mean pooling"
    example = "example:\n  corpusmill convert runs/demo --kv-heads 1"
    command = declare(commands, "convert", text, _convert, example=example)
    command.add_argument("run", metavar="RUN", help="the folder of a run with a model")
    command.add_argument("--kv-heads", type=int, required=True, metavar="N", help="a divisor of the number it has")
    command.add_argument("--out", default="", help="folder (default: RUN/converted/kv-N)")
    example = "example:\n  corpusmill merge-counts all runs/one/counts runs/two/counts --min-count 2"
    command = declare(commands, "merge-counts", "add count tables to one", _merge_counts, example=example)
    command.add_argument("output", metavar="OUT", help="a folder; its counts/ gets the sum")
    command.add_argument("tables", metavar="COUNTS", nargs="+", help="counts/ of a run, or an earlier sum")
    command.add_argument(
        "--min-count", type=int, default=1, metavar="N", help="leave out what is rarer in the sum (default 1: nothing)"
    )
    take_force(command)


def _export(options: argparse.Namespace) -> None:
    from jobs import export

    export.main(config_of(options), format=options.format, out=options.out, force=options.force)


def _convert(options: argparse.Namespace) -> None:
    from jobs import convert

    convert.main(options.run.rstrip("/"), kv_heads=options.kv_heads, out=options.out)


def _merge_counts(options: argparse.Namespace) -> None:
    from jobs import merge_counts

    merge_counts.main(options.output, options.tables, min_count=options.min_count, force=options.force)

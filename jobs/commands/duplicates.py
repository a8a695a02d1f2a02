"""What a person asks about deduplication: how likely pairs are found, and what a kept signature index holds."""

import argparse
from typing import Any

from jobs.commands.parts import declare, plain_config, take_settings

_CURVE_EXAMPLE = """examples:
  corpusmill dedup-curve                              the presets side by side
  corpusmill dedup-curve --target-similarity 0.8      bands and rows chosen for 0.8, and what they miss
  corpusmill dedup-curve --set dedup.preset=14x8 --set dedup.threshold=0.8"""
_INDEX_EXAMPLE = """examples:
  corpusmill dedup-index show runs/my/signatures
  corpusmill dedup-index take-out runs/my/signatures runs/my/signatures-2 --ids removed.txt"""


def add(commands: Any) -> None:
    """Declares `dedup-curve`, `dedup-index show` and `dedup-index take-out`."""
    text = "show how likely a pair of near duplicates is found, by its similarity"
    curve = declare(commands, "dedup-curve", text, _curve, example=_CURVE_EXAMPLE)
    curve.add_argument(
        "--target-similarity", type=float, metavar="S", help="choose bands and rows for this similarity (0 to 1)"
    )
    curve.add_argument("--permutations", type=int, metavar="N", help="the longest signature to choose (default 128)")
    take_settings(curve, required=False)
    text = "show a kept signature index, or take documents out of it"
    index = commands.add_parser(
        "dedup-index", help=text, description=text, epilog=_INDEX_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    actions = index.add_subparsers(metavar="ACTION", required=True)
    text = "say how many documents an index holds and which settings it fits"
    show = declare(actions, "show", text, _show, example=_INDEX_EXAMPLE)
    show.add_argument("folder", metavar="FOLDER", help="signatures/ of a run with dedup.keep_signatures")
    text = "write an index without some documents, for example after a removal request"
    take_out = declare(actions, "take-out", text, _take_out, example=_INDEX_EXAMPLE)
    take_out.add_argument("folder", metavar="FOLDER", help="the index")
    take_out.add_argument("out", metavar="OUT", help="the folder of the smaller index")
    take_out.add_argument(
        "--ids", metavar="FILE", required=True, help="ids of documents, one a line; - for standard input"
    )


def _curve(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from pipeline.dedup.config import DedupConfig
    from pipeline.dedup.curve import compared, described

    given = options.settings or options.set
    config = plain_config(options.settings, options.set).dedup if given else DedupConfig()
    if not given and options.target_similarity is None and options.permutations is None:
        print(compared(config.threshold))
        return
    if options.permutations is not None:
        config = replace(config, num_permutations=options.permutations)
    target = options.target_similarity if options.target_similarity is not None else config.target_similarity
    if target is not None or options.permutations is not None:
        config = replace(config, target_similarity=config.threshold if target is None else target)
    around = config.target_similarity if config.target_similarity is not None else config.threshold
    print(described(config.banding, around))


def _show(options: argparse.Namespace) -> None:
    from pipeline.dedup.index import summary

    print("\n".join(f"{name:14} {value}" for name, value in summary(options.folder).items()))


def _take_out(options: argparse.Namespace) -> None:
    import sys

    from pipeline.dedup.index import take_out
    from pipeline.storage import read_bytes

    text = sys.stdin.read() if options.ids == "-" else read_bytes(options.ids).decode(errors="replace")
    left = take_out(options.folder, text.split(), options.out)
    print(f"{options.out}: {left.num_records} documents, {left.counts['taken_out']} taken out")

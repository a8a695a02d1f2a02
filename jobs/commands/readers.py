"""Commands that look at a run and change nothing in it but its report."""

import argparse
from typing import Any

from jobs.commands.parts import config_of, declare, plain_config, take_overrides, take_settings

_RUN = "the folder of a run, or its settings"
_TOKENS_EXAMPLES = """examples:
  corpusmill tokens runs/demo --row 7 --rows 2
  corpusmill tokens runs/demo --split heldout"""

_STATS_EXAMPLES = """examples:
  corpusmill stats runs/demo
  corpusmill stats runs/my --by host --top 50 --out hosts.csv
  corpusmill stats runs/my --quantiles 0.3 0.6
  corpusmill stats runs/my --by host --measure num_words dup_line_char_share --out words.csv
  corpusmill stats runs/my --measure num_words"""


def add(commands: Any) -> None:
    """Declares report, verify, explain, tokens, replay, stats, fertility, generate and sizes."""
    example = "example:\n  corpusmill report runs/demo"
    take_settings(declare(commands, "report", "write report.html of a run", _report, example=example))
    example = "example:\n  corpusmill verify runs/demo"
    command = declare(commands, "verify", "recompute all checksums and the ledger of a run", _verify, example=example)
    command.add_argument("run", metavar="RUN", help=_RUN)
    example = (
        "examples:\n  corpusmill explain runs/demo http://127.0.0.1:41977/\n"
        "  corpusmill explain runs/demo http://127.0.0.1:41977/ --text"
    )
    command = declare(commands, "explain", "tell what became of a page", _explain, example=example)
    command.add_argument("run", metavar="RUN", help=_RUN)
    command.add_argument("page", metavar="URL|ID", help="of a page that was found, kept or not")
    command.add_argument(
        "--text", action="store_true", help="print its text instead, extracted again if it was refused"
    )
    _add_tokens(commands)
    text = "re-decide from stored measures with other thresholds, and tell what changes"
    example = "example:\n  corpusmill replay runs/demo --set filter.gopher_quality.min_words=40"
    take_settings(declare(commands, "replay", text, _replay, example=example))
    _add_stats(commands)
    example = "example:\n  corpusmill fertility runs/demo other/tokenizer.json"
    command = declare(commands, "fertility", "judge tokenizers on the counts of a run", _fertility, example=example)
    command.add_argument("settings", metavar="RUN", help=_RUN)
    command.add_argument(
        "tokenizers", metavar="TOKENIZER", nargs="*", help="tokenizer.json files (default: that of the run)"
    )
    _add_generate(commands)
    text = "tell what a model costs: parameters, operations, memory, cache; without settings, the presets"
    example = "example:\n  corpusmill sizes --set model.preset=85m --set tokenizer.vocab_size=32000"
    command = declare(commands, "sizes", text, _sizes, example=example)
    command.add_argument("settings", metavar="SETTINGS", nargs="?", help="a TOML file, or the folder of a run")
    take_overrides(command)


def _sizes(options: argparse.Namespace) -> None:
    from jobs import sizes

    print(sizes.main(plain_config(options.settings or "", options.set) if options.settings or options.set else None))


def _report(options: argparse.Namespace) -> None:
    from jobs import report

    report.main(config_of(options))


def _verify(options: argparse.Namespace) -> None:
    from jobs import verify

    print(verify.main(options.run.rstrip("/")))


def _explain(options: argparse.Namespace) -> None:
    from jobs import explain

    explain.main(options.run.rstrip("/"), options.page, text=options.text)


def _add_tokens(commands: Any) -> None:
    text = "show rows of the shards as text, with the pages that they came from"
    command = declare(commands, "tokens", text, _tokens, example=_TOKENS_EXAMPLES)
    command.add_argument("settings", metavar="RUN", help=_RUN)
    command.add_argument(
        "--split", default="train", choices=("train", "heldout"), help="which of the two (default train)"
    )
    command.add_argument("--source", metavar="NAME", help="only its rows, numbered from 0 (default: the first source)")
    command.add_argument("--row", type=int, default=0, metavar="N", help="the first row to show (default 0)")
    command.add_argument("--rows", type=int, default=1, metavar="N", help="how many (default 1)")
    command.add_argument("--document", metavar="ID", help="instead, the rows that hold this document")


def _tokens(options: argparse.Namespace) -> None:
    from jobs import tokens

    tokens.main(
        config_of(options),
        split=options.split,
        source=options.source,
        row=options.row,
        num_rows=options.rows,
        document=options.document,
    )


def _add_stats(commands: Any) -> None:
    text = "show what a corpus is made of: pages and text by host, domain, suffix, language, source or a kept field, and the spread of its measures"
    command = declare(commands, "stats", text, _stats, example=_STATS_EXAMPLES)
    command.add_argument("settings", metavar="RUN", help=_RUN)
    command.add_argument(
        "--by",
        metavar="WHAT",
        help="host, domain (default), suffix, language, source, or a field that ingest.fields.keep has kept",
    )
    command.add_argument(
        "--measure",
        nargs="+",
        metavar="NAME",
        help="tell of these measures alone: with --by mean, quantiles and histogram of each group, else one histogram",
    )
    command.add_argument("--top", type=int, default=20, metavar="N", help="how many groups to show (default 20)")
    command.add_argument("--out", default="", metavar="FILE.csv", help="also write all groups there")
    command.add_argument(
        "--quantiles",
        type=float,
        nargs="+",
        metavar="SHARE",
        help="of the measures, each 0 to 1 (default 0.01 0.1 0.5 0.9 0.99)",
    )


def _stats(options: argparse.Namespace) -> None:
    from jobs import stats
    from pipeline.errors import SettingError

    if options.top < 1:
        raise SettingError(f"--top is {options.top}; allowed is 1 or more")
    if options.measure:
        _spread(options)
        return
    quantiles = options.quantiles or stats.QUANTILES
    if outside := [share for share in quantiles if not 0 <= share <= 1]:
        raise SettingError(f"--quantiles has {outside[0]:g}; allowed is 0 to 1")
    stats.main(
        config_of(options), by=options.by or stats.BY_DEFAULT, top=options.top, out=options.out, quantiles=quantiles
    )


def _spread(options: argparse.Namespace) -> None:
    from jobs import spread
    from pipeline.errors import SettingError

    if options.quantiles:
        raise SettingError("--quantiles stands beside --measure, which shows 10, 50 and 90 %; give one of the two")
    if options.out and not options.by:
        raise SettingError("--out stands beside --measure without --by, where there are no groups to write")
    spread.main(config_of(options).run.folder, options.measure, by=options.by or "", top=options.top, out=options.out)


def _replay(options: argparse.Namespace) -> None:
    from jobs import config as settings
    from jobs import replay

    replay.main(settings.load(options.settings), config_of(options))


def _fertility(options: argparse.Namespace) -> None:
    from jobs import fertility

    fertility.main(config_of(options), tokenizers=options.tokenizers)


def _add_generate(commands: Any) -> None:
    text = "continue a prompt (or each line of standard input) with the model of a run"
    example = """example:
  corpusmill generate runs/demo --prompt "The function returns" --set temperature=0.7 --set max_tokens=80"""
    command = declare(commands, "generate", text, _generate, example=example)
    command.add_argument("settings", metavar="RUN", help="the folder of a run, or its settings")
    command.add_argument("--prompt", help="the text to continue")
    take_overrides(command, "KEY=VALUE", "a decoding setting: temperature, top_k, top_p, max_tokens, num_beams, seed …")


def _generate(options: argparse.Namespace) -> None:
    from jobs import config as settings
    from jobs import generate

    assignments = [item if item.startswith("evaluate.") else f"evaluate.sampling.{item}" for item in options.set]
    config = settings.load(options.settings, assignments)
    generate.main(config, prompt=options.prompt, decoding=config.evaluate.sampling)

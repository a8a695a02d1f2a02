"""The stages as filters over JSON lines, for people at a shell."""

import argparse
from typing import Any

from jobs.commands.parts import declare, plain_config, take_settings

_FILTERS = {
    "extract": "add text, title, author, date and language to records with html",
    "langid": "add the language of each record with text",
    "filter": "keep the records that pass the rules of [filter]",
    "classify": "add spam and toxicity scores and drop what is refused",
    "mask": "replace personal data by placeholders",
    "dedup": "drop exact and near duplicates",
}


def add(commands: Any) -> None:
    """Declares the filters and `tokenize`."""
    for name, text in _FILTERS.items():
        example = f"example:\n  corpusmill {name} in.jsonl.zst out.jsonl.zst --rejected refused.jsonl"
        command = declare(commands, name, text, _filter, example=example)
        command.add_argument("input", metavar="IN", help="JSON lines, .gz or .zst or plain; - for standard input")
        command.add_argument("output", metavar="OUT", help="the same, compressed by its ending; - for standard output")
        command.add_argument(
            "--rejected", metavar="FILE", default="", help="where refused records go (default: OUT with .rejected)"
        )
        command.set_defaults(filter=name)
        take_settings(command, required=False)
    example = (
        "example:\n  corpusmill tokenize in.jsonl.zst out.jsonl.zst --tokenizer runs/demo/tokenizer/tokenizer.json"
    )
    command = declare(commands, "tokenize", "add tokens to records with text", _tokenize, example=example)
    command.add_argument("input", metavar="IN", help="JSON lines, .gz or .zst or plain; - for standard input")
    command.add_argument("output", metavar="OUT", help="the same, compressed by its ending; - for standard output")
    command.add_argument("--tokenizer", metavar="FILE", required=True, help="tokenizer.json")


def _filter(options: argparse.Namespace) -> None:
    from jobs import shell

    config = plain_config(options.settings, options.set)
    if options.filter == "dedup":
        shell.dedup(config, options.input, options.output, options.rejected)
        return
    change = shell.FILTERS[options.filter](config)
    shell.apply(options.filter, change, options.input, options.output, options.rejected)


def _tokenize(options: argparse.Namespace) -> None:
    from jobs import shell

    shell.tokenize(options.tokenizer, options.input, options.output)

"""The command line: `corpusmill JOB …`. Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 130 interrupted."""

import argparse
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from jobs.settings import read_toml
from pipeline.errors import CorpusmillError, SettingError
from pipeline.steps import explained

Handler = Callable[[argparse.Namespace], None]

_EXAMPLES = """examples:
  corpusmill demo                                  crawl a site on this machine and go the whole way to a scored model
  corpusmill run jobs/configs/warc-folder.toml     from a folder of WARC files to shards, model and report
  corpusmill run my.toml --set train.tokens=5_000_000 --workers 2
  corpusmill curate my.toml -- --runner=FlinkRunner --flink_master=localhost:8081
  corpusmill explain runs/my https://example.org/  what became of a page
  corpusmill extract pages.jsonl.zst texts.jsonl   one stage as a filter over JSON lines
"""
_INTERRUPTED = "interrupted; the same command goes on from here"
_SECONDS_TO_CLEAN_UP = 3.0
# name: (what it does, the module in jobs/ whose main(config, engine, force=) does it)
_STEPS = {
    "run": ("do everything that is not up to date: pages, documents, tokenizer, shards, model, scores, report", "run"),
    "crawl": ("fetch pages from seed URLs into WARC files", "crawl"),
    "ingest": ("index the pages of WARC, WET, HTML, JSONL, Parquet and text files", "ingest"),
    "curate": ("extract, filter and deduplicate pages into documents", "curate"),
    "count": ("count the pre-tokens of the documents", "count"),
    "train-tokenizer": ("learn a byte-level BPE tokenizer from the counts (and count, if need be)", "train_tokenizer"),
    "train": ("train the model on the shards", "train"),
    "evaluate": ("score the model on held-out text, beside n-gram baselines", "evaluate"),
    "ablate": ("compare variants of settings by small models with several seeds", "ablate"),
}
_FILTERS = {
    "extract": "add text, title, author, date and language to records with html",
    "langid": "add the language of each record with text",
    "filter": "keep the records that pass the rules of [filter]",
    "classify": "add spam and toxicity scores and drop what is refused",
    "mask": "replace personal data by placeholders",
    "dedup": "drop exact and near duplicates",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one command."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["train-classifier"]:  # has arguments of its own
        return _train_classifier(given[1:])
    own, beam_args = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    options = _parser().parse_args(own)
    options.beam_args = tuple(beam_args)
    _quieten(options.debug)
    try:
        options.handler(options)
    except KeyboardInterrupt:
        return _failed(_INTERRUPTED, 130)
    except SettingError as error:
        return _failed(str(error), 2)
    except CorpusmillError as error:
        return _failed(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        sentence = explained(error)
        if options.debug or sentence is None:
            raise
        return _failed(sentence, 1)
    return 0


def entry() -> NoReturn:
    """Ends the process with the exit code of its command: at once after a failure, as engines may have threads still at work."""
    signal.signal(signal.SIGINT, _interrupted)
    code = main()
    sys.stdout.flush()
    if code:
        os._exit(code)
    sys.exit(0)


def _interrupted(*_signal: object) -> NoReturn:
    """Lets the command clean up after Ctrl-C, but not for long: an engine may swallow or postpone the exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    last_resort = threading.Timer(_SECONDS_TO_CLEAN_UP, _end_now)
    last_resort.daemon = True
    last_resort.start()
    raise KeyboardInterrupt


def _end_now() -> None:
    _failed(_INTERRUPTED, 130)
    os._exit(130)


def _train_classifier(arguments: list[str]) -> int:
    from jobs import train_classifier

    try:
        train_classifier.main(arguments)
    except CorpusmillError as error:
        return _failed(str(error), 2 if isinstance(error, SettingError) else 1)
    return 0


def _failed(sentence: str, code: int) -> int:
    print(f"corpusmill: {sentence}", file=sys.stderr)
    return code


def _quieten(debug: bool) -> None:
    """Engines log a traceback for each failed attempt; people get one sentence instead, unless they ask."""
    logging.basicConfig(level=logging.INFO if debug else logging.CRITICAL)
    if not debug:
        logging.disable(logging.ERROR)
        warnings.simplefilter("ignore")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="corpusmill",
        description="From seed URLs or web archives to clean, deduplicated, tokenised, packed Arrow shards, and a small model that proves their worth.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="JOB", required=True)
    for name, (text, module) in _STEPS.items():
        command = _job(commands, name, text, module)
        if name == "ablate":
            command.add_argument(
                "variants", metavar="VARIANT", nargs="+", help="settings file of a variant, or table.key=value"
            )
            command.add_argument("--seeds", type=int, default=3, help="models to train for each variant (default 3)")
    _add_pack(commands)
    _add_generate(commands)
    _add_readers(commands)
    _add_filters(commands)
    _add_tools(commands)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"corpusmill {version('corpusmill')}"
    except PackageNotFoundError:
        return "corpusmill (not installed)"


def _command(commands: Any, name: str, text: str, handler: Handler, *, example: str = "") -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--debug", action="store_true", help="show the log of the engine and the traceback of any failure"
    )
    command.set_defaults(handler=handler)
    return command


def _settings(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    if required:
        command.add_argument(
            "settings", metavar="SETTINGS", help="a TOML file, or the folder of a run that was made before"
        )
    else:
        command.add_argument("--settings", metavar="FILE", default="", help="a TOML file with the tables of the stages")
    command.add_argument(
        "--set", metavar="TABLE.KEY=VALUE", action="append", default=[], help="override one setting; may be given again"
    )


def _job(commands: Any, name: str, text: str, module: str) -> argparse.ArgumentParser:
    example = f"example:\n  corpusmill {name} my.toml --set run.folder=runs/mine\n\nWhat follows -- goes to Beam, for example -- --runner=FlinkRunner."
    command = _command(commands, name, text, lambda options: _run_job(options, name, module), example=example)
    _settings(command)
    command.add_argument("--force", action="store_true", help="redo it even if it is up to date")
    command.add_argument(
        "--workers", type=int, default=1, metavar="N", help="worker processes on this machine (default 1)"
    )
    return command


def _run_job(options: argparse.Namespace, name: str, module: str) -> None:
    if options.settings.endswith(".toml"):
        read_toml(options.settings)  # what is wrong with the file is said before seconds of imports
    from jobs import config as settings
    from jobs import run
    from jobs.engine import Engine

    config = settings.load(options.settings, options.set)
    engine = Engine(workers=options.workers, beam_args=options.beam_args)
    extra = {"variants": _variants(options, config), "seeds": options.seeds} if name == "ablate" else {}
    with run.opened(config):
        if name == "train-tokenizer":
            import_module("jobs.count").main(config, engine, force=options.force)
        import_module(f"jobs.{module}").main(config, engine, force=options.force, **extra)


def _variants(options: argparse.Namespace, base: Any) -> list[Any]:
    """The settings of each variant: a file of its own, or those of the base with one setting changed."""
    from jobs import config as settings

    found = []
    for number, variant in enumerate(options.variants, 1):
        folder = f"run.folder={base.run.folder}-variant-{number}"
        is_file = variant.endswith(".toml")
        found.append(
            settings.load(variant if is_file else options.settings, [] if is_file else [*options.set, folder, variant])
        )
    return found


def _add_pack(commands: Any) -> None:
    text = "pack the documents of a run into Arrow shards; or, as a filter, records of JSON lines into rows"
    command = _command(
        commands,
        "pack",
        text,
        _pack,
        example="examples:\n  corpusmill pack my.toml\n  corpusmill pack IN.jsonl OUT.jsonl --tokenizer runs/my/tokenizer/tokenizer.json",
    )
    command.add_argument("settings", metavar="SETTINGS|IN")
    command.add_argument("output", metavar="OUT", nargs="?")
    command.add_argument("--tokenizer", metavar="FILE", help="tokenizer.json, for the filter")
    command.add_argument("--set", metavar="TABLE.KEY=VALUE", action="append", default=[])
    command.add_argument("--force", action="store_true")
    command.add_argument("--workers", type=int, default=1, metavar="N")


def _pack(options: argparse.Namespace) -> None:
    if options.output is None:
        _run_job(options, "pack", "pack")
        return
    from jobs import shell

    if not options.tokenizer:
        raise SettingError("pack IN OUT needs --tokenizer FILE, the tokenizer.json to use")
    shell.pack(_plain_config("", options.set), options.tokenizer, options.settings, options.output)


def _add_generate(commands: Any) -> None:
    command = _command(
        commands, "generate", "continue a prompt (or each line of standard input) with the model of a run", _generate,
        example='example:\n  corpusmill generate runs/demo --prompt "The function returns" --set temperature=0.7 --set max_tokens=80',
    )  # fmt: skip
    command.add_argument("settings", metavar="RUN", help="the folder of a run, or its settings")
    command.add_argument("--prompt", help="the text to continue")
    command.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a decoding setting: temperature, top_k, top_p, max_tokens, num_beams, seed …",
    )


def _generate(options: argparse.Namespace) -> None:
    from jobs import config as settings
    from jobs import generate

    assignments = [item if item.startswith("evaluate.") else f"evaluate.sampling.{item}" for item in options.set]
    config = settings.load(options.settings, assignments)
    generate.main(config, prompt=options.prompt, decoding=config.evaluate.sampling)


def _add_readers(commands: Any) -> None:
    command = _command(commands, "report", "write report.html of a run", _report)
    _settings(command)
    command = _command(commands, "verify", "recompute all checksums and the ledger of a run", _verify)
    command.add_argument("run", metavar="RUN")
    command = _command(
        commands,
        "explain",
        "tell what became of a page",
        _explain,
        example="example:\n  corpusmill explain runs/demo http://127.0.0.1:41977/",
    )
    command.add_argument("run", metavar="RUN")
    command.add_argument("page", metavar="URL|ID")
    command = _command(
        commands, "tokens", "show rows of the shards as text, with the pages that they came from", _tokens
    )
    command.add_argument("settings", metavar="RUN")
    command.add_argument("--split", default="train", choices=("train", "heldout"))
    command.add_argument("--source")
    command.add_argument("--row", type=int, default=0)
    command.add_argument("--rows", type=int, default=1)
    command.add_argument("--document", metavar="ID")


def _report(options: argparse.Namespace) -> None:
    from jobs import config as settings
    from jobs import report

    report.main(settings.load(options.settings, options.set))


def _verify(options: argparse.Namespace) -> None:
    from jobs import verify

    print(verify.main(options.run.rstrip("/")))


def _explain(options: argparse.Namespace) -> None:
    from jobs import explain

    explain.main(options.run.rstrip("/"), options.page)


def _tokens(options: argparse.Namespace) -> None:
    from jobs import config as settings
    from jobs import tokens

    config = settings.load(options.settings)
    tokens.main(
        config,
        split=options.split,
        source=options.source,
        row=options.row,
        num_rows=options.rows,
        document=options.document,
    )


def _add_filters(commands: Any) -> None:
    for name, text in _FILTERS.items():
        command = _command(
            commands,
            name,
            text,
            _filter,
            example=f"example:\n  corpusmill {name} in.jsonl.zst out.jsonl.zst --rejected refused.jsonl",
        )
        command.add_argument("input", metavar="IN", help="JSON lines, .gz or .zst or plain; - for standard input")
        command.add_argument("output", metavar="OUT")
        command.add_argument(
            "--rejected", metavar="FILE", default="", help="where refused records go (default: OUT with .rejected)"
        )
        command.set_defaults(filter=name)
        _settings(command, required=False)
    command = _command(commands, "tokenize", "add tokens to records with text", _tokenize)
    command.add_argument("input", metavar="IN")
    command.add_argument("output", metavar="OUT")
    command.add_argument("--tokenizer", metavar="FILE", required=True, help="tokenizer.json")


def _plain_config(path: str, assignments: Sequence[str]) -> Any:
    from jobs import config as settings
    from jobs.settings import build, override

    return settings.load(path, assignments) if path else build(settings.RunConfig, override({}, assignments))


def _filter(options: argparse.Namespace) -> None:
    from jobs import shell

    config = _plain_config(options.settings, options.set)
    if options.filter == "dedup":
        shell.dedup(config, options.input, options.output, options.rejected)
    else:
        shell.apply(
            options.filter, shell.FILTERS[options.filter](config), options.input, options.output, options.rejected
        )


def _tokenize(options: argparse.Namespace) -> None:
    from jobs import shell

    shell.tokenize(options.tokenizer, options.input, options.output)


def _add_tools(commands: Any) -> None:
    command = _command(commands, "demo", "crawl a site on this machine and go the whole way to a scored model", _demo)
    command.add_argument("--folder", default="runs/demo")
    command.add_argument("--set", metavar="TABLE.KEY=VALUE", action="append", default=[])
    command.add_argument("--force", action="store_true")
    command.add_argument("--workers", type=int, default=1, metavar="N")
    command = _command(commands, "export", "write the shards of a run in the format of another trainer", _export)
    command.add_argument("settings", metavar="RUN")
    command.add_argument("--format", choices=("megatron", "mds", "npy"), default="megatron")
    command.add_argument("--out", default="", help="folder (default: RUN/export/FORMAT)")
    command.add_argument("--force", action="store_true")
    command = _command(commands, "fertility", "judge tokenizers on the counts of a run", _fertility)
    command.add_argument("settings", metavar="RUN")
    command.add_argument(
        "tokenizers", metavar="TOKENIZER", nargs="*", help="tokenizer.json files (default: that of the run)"
    )
    command = _command(commands, "merge-counts", "add count tables to one", _merge_counts)
    command.add_argument("output", metavar="OUT")
    command.add_argument("tables", metavar="COUNTS", nargs="+")
    command.add_argument("--min-count", type=int, default=1)
    command.add_argument("--force", action="store_true")
    commands.add_parser(
        "train-classifier", help="train a fastText classifier from labelled JSON lines; see train-classifier --help"
    )
    command = _command(
        commands, "replay", "re-decide from stored measures with other thresholds, and tell what changes", _replay
    )
    _settings(command)
    command = _command(commands, "decontaminate", "find evaluation texts in the documents of a run", _decontaminate)
    _settings(command)
    command.add_argument("--force", action="store_true")
    command.add_argument("--workers", type=int, default=1, metavar="N")


def _demo(options: argparse.Namespace) -> None:
    from jobs.demo import run
    from jobs.engine import Engine

    engine = Engine(workers=options.workers, beam_args=options.beam_args)
    run.main(engine, folder=options.folder, assignments=tuple(options.set), force=options.force)


def _export(options: argparse.Namespace) -> None:
    from jobs import config as settings
    from jobs import export

    export.main(settings.load(options.settings), format=options.format, out=options.out, force=options.force)


def _fertility(options: argparse.Namespace) -> None:
    from jobs import config as settings
    from jobs import fertility

    fertility.main(settings.load(options.settings), tokenizers=options.tokenizers)


def _merge_counts(options: argparse.Namespace) -> None:
    from jobs import merge_counts

    merge_counts.main(options.output, options.tables, min_count=options.min_count, force=options.force)


def _replay(options: argparse.Namespace) -> None:
    from jobs import config as settings
    from jobs import replay

    replay.main(settings.load(options.settings), settings.load(options.settings, options.set))


def _decontaminate(options: argparse.Namespace) -> None:
    from jobs import config as settings
    from jobs import decontaminate
    from jobs.engine import Engine

    engine = Engine(workers=options.workers, beam_args=options.beam_args)
    decontaminate.main(settings.load(options.settings, options.set), engine, force=options.force)

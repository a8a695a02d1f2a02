"""The steps of a run: each is one job, done unless it is up to date."""

import argparse
import re
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jobs.commands.parts import (
    config_of,
    declare,
    engine_of,
    plain_config,
    run_job,
    take_engine,
    take_force,
    take_overrides,
    take_settings,
)
from pipeline.errors import SettingError

if TYPE_CHECKING:
    from jobs.config import RunConfig

# name: (what it does, the module in jobs/ whose main(config, engine, force=) does it)
_STEPS = {
    "run": ("do everything that is not up to date: pages, documents, tokenizer, shards, model, scores, report", "run"),
    "crawl": ("fetch pages from seed URLs into WARC files", "crawl"),
    "ingest": ("index the pages of WARC, WET, HTML, JSONL, Parquet, Arrow, CSV and text files", "ingest"),
    "curate": ("extract, filter and deduplicate pages into documents", "curate"),
    "count": ("count the pre-tokens of the documents", "count"),
}
# The same of those that start no pipeline.
_PLAIN_STEPS = {
    "train": ("train the model on the shards", "train"),
    "evaluate": ("score the model on held-out text, beside n-gram baselines", "evaluate"),
}
_EXAMPLE = """example:
  corpusmill {name} my.toml --set run.folder=runs/mine"""
_BEAM = """

What follows -- goes to Beam, for example -- --runner=FlinkRunner."""

_ABLATE_EXAMPLES = """examples:
  corpusmill ablate my.toml stricter.toml
  corpusmill ablate my.toml filter.gopher_quality.min_words=100 'dedup.threshold=0.8 dedup.preset=14x8' --seeds 5"""


def add(commands: Any) -> None:
    """Declares the steps, in the order in which a run takes them, and the demo."""
    _add_demo(commands)
    for name, (text, module) in _STEPS.items():
        _step(commands, name, text, partial(run_job, module=module))
    text = "learn a byte-level BPE tokenizer from the counts (and count, if need be)"
    _step(commands, "train-tokenizer", text, _train_tokenizer)
    _add_pack(commands)
    for name, (text, module) in _PLAIN_STEPS.items():
        _plain_step(commands, name, text, partial(run_job, module=module))
    text = "find evaluation texts in the documents of a run"
    _step(commands, "decontaminate", text, _decontaminate)
    text = "compare variants of settings by small models with several seeds"
    command = _step(commands, "ablate", text, _ablate, _ABLATE_EXAMPLES)
    command.add_argument(
        "variants", metavar="VARIANT", nargs="+", help="a variant's settings file, or 'table.key=value …'"
    )
    command.add_argument("--seeds", type=int, default=3, help="models to train for each variant (default 3)")


def _step(
    commands: Any, name: str, text: str, handler: Any, example: str = _EXAMPLE + _BEAM
) -> argparse.ArgumentParser:
    command = _plain_step(commands, name, text, handler, example)
    take_engine(command)
    return command


def _plain_step(commands: Any, name: str, text: str, handler: Any, example: str = _EXAMPLE) -> argparse.ArgumentParser:
    command = declare(commands, name, text, handler, example=example.format(name=name))
    take_settings(command)
    take_force(command)
    return command


def _train_tokenizer(options: argparse.Namespace) -> None:
    config, engine = config_of(options), engine_of(options)
    from jobs.checks import check
    from jobs.lock import opened
    from jobs.times import timed

    with opened(config):
        check(config, ["train_tokenizer"])
        for module in ("count", "train_tokenizer"):
            with timed(config.run.folder, module, force=options.force):
                import_module(f"jobs.{module}").main(config, engine, force=options.force)


def _decontaminate(options: argparse.Namespace) -> None:
    config, engine = config_of(options), engine_of(options)
    from jobs import decontaminate
    from jobs.checks import check
    from jobs.lock import held

    with held(config.run.folder):  # its settings are no part of what made the run
        check(config, ["decontaminate"])
        decontaminate.main(config, engine, force=options.force)


def _ablate(options: argparse.Namespace) -> None:
    run_job(options, "ablate", variants=_variants(options, config_of(options)), seeds=options.seeds)


def _variants(options: argparse.Namespace, base: "RunConfig") -> list["RunConfig"]:
    """The settings of each variant: a file of its own, or those of the base with some settings changed."""
    from jobs import config as settings
    from jobs.progress import Progress

    found = []
    for number, variant in enumerate(options.variants, 1):
        if variant.endswith(".toml"):
            found.append(settings.load(variant))
            continue
        folder = f"{base.run.folder}-variant-{number}"
        changes = re.split(r"\s+(?=[\w.]+=)", variant.strip())
        found.append(settings.load(options.settings, [*options.set, f"run.folder={folder}", *changes]))
        Progress.note(f"ablate: {folder.rpartition('/')[2]} is {variant.strip()}")
    return found


def _add_pack(commands: Any) -> None:
    text = "pack the documents of a run into Arrow shards; or, as a filter, records of JSON lines into rows"
    example = """examples:
  corpusmill pack my.toml
  corpusmill pack IN.jsonl OUT.jsonl --tokenizer runs/my/tokenizer/tokenizer.json"""
    command = declare(commands, "pack", text, _pack, example=example)
    command.add_argument(
        "settings", metavar="SETTINGS|IN", help="a TOML file or the folder of a run; with OUT, JSON lines with `text`"
    )
    command.add_argument("output", metavar="OUT", nargs="?", help="JSON lines, a row of tokens each")
    command.add_argument("--tokenizer", metavar="FILE", help="tokenizer.json, for the filter")
    take_overrides(command)
    take_force(command)
    take_engine(command)


def _pack(options: argparse.Namespace) -> None:
    if options.output is None:
        run_job(options, "pack")
        return
    from jobs import shell

    if not options.tokenizer:
        raise SettingError("pack IN OUT needs --tokenizer FILE, the tokenizer.json to use")
    shell.pack(plain_config("", options.set), options.tokenizer, options.settings, options.output)


def _add_demo(commands: Any) -> None:
    text = "crawl a site on this machine and go the whole way to a scored model"
    example = "example:\n  corpusmill demo --set train.tokens=2_000_000"
    command = declare(commands, "demo", text, _demo, example=example)
    command.add_argument("--folder", default="runs/demo", help="where the run goes (default runs/demo)")
    take_overrides(command)
    take_force(command)
    take_engine(command)


def _demo(options: argparse.Namespace) -> None:
    from jobs.demo import run

    run.main(engine_of(options), folder=options.folder, assignments=tuple(options.set), force=options.force)

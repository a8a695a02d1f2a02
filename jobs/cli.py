"""The command line: `corpusmill JOB …`. Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 130 interrupted."""

import argparse
import difflib
import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from jobs.commands import classifier, cluster, duplicates, filters, readers, steps, tools
from jobs.commands.parts import starts_pipelines
from pipeline.errors import CorpusmillError, SettingError
from pipeline.steps import explained

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
_MOST_NAMED = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one command."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, beam_args = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    parser = _parser()
    if not own:
        parser.print_help(sys.stderr)
        return 2
    options = parser.parse_args(own)
    options.beam_args = tuple(beam_args)
    _quieten(getattr(options, "debug", False))
    try:
        if beam_args and not starts_pipelines(options):
            raise SettingError(
                f"{options.job} starts no Beam pipeline, so {beam_args[0]!r} behind -- reaches nobody; leave it out"
            )
        options.handler(options)
        if sys.stdout is not None:  # it is closed
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _failed(_INTERRUPTED, 130)
    except SettingError as error:
        return _failed(str(error), 2)
    except CorpusmillError as error:
        return _failed(str(error), 1)
    except BrokenPipeError:
        _forget_output()
        return 1
    except Exception as error:  # those of object stores are of their libraries' own kinds
        sentence = explained(error)
        if getattr(options, "debug", False) or sentence is None:
            raise
        _forget_output()
        return _failed(sentence, 1)
    return 0


def entry() -> NoReturn:
    """Ends the process with the exit code of its command: at once after a failure, as engines may have threads still at work."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a scheduler that wants the machine back asks by the second
        signal.signal(number, _interrupted)
    _stand_in_for_closed_streams()
    _take_any_text()
    code = main()
    if code:
        os._exit(code)
    sys.exit(0)


def _forget_output() -> None:
    """Lets what standard output has not taken go: nobody reads it, or its disk is full."""
    if sys.stdout is not None:
        with suppress(OSError, ValueError):  # no file stands behind it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stand_in_for_closed_streams() -> None:
    """Takes the numbers of standard streams that are closed: else a dataset would get one, and what libraries print there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1)


def _take_any_text() -> None:
    """Texts hold what a terminal may have no form for, and bytes come in that its encoding does not know."""
    for stream, errors in ((sys.stdout, "backslashreplace"), (sys.stdin, "replace")):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors=errors)


def _interrupted(*_signal: object) -> NoReturn:
    """Lets the command clean up after Ctrl-C, but not for long: an engine may swallow or postpone the exception."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    last_resort = threading.Timer(_SECONDS_TO_CLEAN_UP, _end_now)
    last_resort.daemon = True
    last_resort.start()
    raise KeyboardInterrupt(_INTERRUPTED)  # not without a word: Beam makes another error of one that has none


def _end_now() -> None:
    _failed(_INTERRUPTED, 130)
    os._exit(130)


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


class _Parser(argparse.ArgumentParser):
    """Says of a job that it does not know which one was perhaps meant, in place of all their names."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        near = difflib.get_close_matches(str(value), list(map(str, action.choices)), n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        known = (
            "" if len(list(action.choices)) > _MOST_NAMED else f"; allowed are {', '.join(map(str, action.choices))}"
        )
        raise argparse.ArgumentError(
            action, f"there is no {value!r}{meant}{known or f'; {self.prog} --help names all'}"
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="corpusmill",
        description="From seed URLs or web archives to clean, deduplicated, tokenised, packed Arrow shards, and a small model that proves their worth.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="JOB", required=True)
    for kind in (steps, readers, filters, duplicates, classifier, tools, cluster):
        kind.add(commands)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"corpusmill {version('corpusmill')}"
    except PackageNotFoundError:
        return "corpusmill (not installed)"

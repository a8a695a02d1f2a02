"""What `--help` says: every argument is explained, every command has an example, and every example is one that parses."""

import argparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields

import pytest

from jobs import cli
from jobs.commands import classifier
from jobs.config import RunConfig
from jobs.settings import build, override


def all_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Those that do something."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for command in action.choices.values():
            yield from all_commands(command)


COMMANDS = {command.prog: command for command in all_commands(cli._parser())}
TABLES = "|".join(field.name for field in fields(RunConfig))


def examples(command: argparse.ArgumentParser) -> list[str]:
    joined = (command.epilog or "").replace("\\\n", " ")
    return re.findall(r"^ *corpusmill (.+)$", joined, re.MULTILINE)


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_argument_is_explained(command: argparse.ArgumentParser) -> None:
    assert [action.dest for action in command._actions if not action.help] == []


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_there_is_an_example_and_it_parses(command: argparse.ArgumentParser) -> None:
    assert any(f"corpusmill {line}".startswith(command.prog) for line in examples(command))
    for line in examples(command):
        words = shlex.split(re.split(r"  +(?=[a-z])", line)[0])
        cli._parser().parse_args(words[: words.index("--")] if "--" in words else words)
        # A word may hold several, as a variant does.
        assignments = [one for word in words for one in word.split() if re.match(rf"({TABLES})\.[a-z_0-9.]+=", one)]
        build(RunConfig, override({}, assignments))


def test_the_defaults_that_help_names_are_those_of_the_settings() -> None:
    from jobs.classifier_config import TrainingConfig

    defaults = {field.name.replace("_", "-"): field.default for field in fields(TrainingConfig)}
    tables = (classifier.WHOLE, classifier.REAL, classifier.LINEAR_REAL, classifier.FASTTEXT_WHOLE, classifier.FASTTEXT_REAL)  # fmt: skip
    options = {name: text for table in tables for name, text in table.items()}
    for name, text in options.items():
        assert text.endswith(f"(default: {defaults[name]})"), name

"""Judges tokenizers by count tables: RUN/counts + RUN/tokenizer → RUN/tokenizer/fertility.json.

`report` makes the value that `jobs.train_tokenizer` writes; `main` shows it, or judges any other
`tokenizer.json` by any table.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.count.judging import fertility
from pipeline.count.loading import Table, load_table
from pipeline.errors import InputError
from pipeline.storage import join
from tokenizer.encoding import Encoder, load_encoder

if TYPE_CHECKING:
    from jobs.config import RunConfig

_COLUMNS = ("bytes_per_token", "tokens_per_word", "single_token_share")


def main(config: "RunConfig", *, tokenizers: Sequence[str] = ()) -> dict[str, Any]:
    """Prints a table of the tokenizer of the run (or of `tokenizers`), by language and source, and returns the reports."""
    run = config.run.folder
    paths = list(tokenizers) or [join(run, "tokenizer", "tokenizer.json")]
    table = load_table(join(run, "counts"))
    reports = {path: fertility(open_encoder(path), table) for path in paths}
    sys.stdout.write(as_text(reports))
    return reports


def report(encoder: Encoder, table: Table, compare_with: str = "") -> dict[str, Any]:
    """The report on `encoder`, with the one it is compared with under `compared`."""
    value = fertility(encoder, table)
    return value | {"compared": {compare_with: fertility(open_encoder(compare_with), table)}} if compare_with else value


def open_encoder(path: str) -> Encoder:
    """The encoder of a `tokenizer.json`.

    Raises:
        InputError: there is none, or it is not byte-level BPE.
    """
    try:
        return load_encoder(path)
    except FileNotFoundError:
        raise InputError(f"no such tokenizer: {path}") from None
    except ValueError as error:
        raise InputError(str(error)) from None


def as_text(reports: dict[str, dict[str, Any]]) -> str:
    """The reports as a table for people: a line a tokenizer and language or source."""
    lines = [f"{'':32} {'bytes/token':>12} {'tokens/word':>12} {'one token':>10}"]
    for path, value in reports.items():
        lines.append(path)
        rows = {"total": value["total"]}
        rows |= {f"language {name or '(none)'}": figures for name, figures in value["languages"].items()}
        rows |= {f"source {name or '(none)'}": figures for name, figures in value["sources"].items()}
        for name, figures in rows.items():
            one, two, three = (figures[column] for column in _COLUMNS)
            lines.append(f"  {name:30} {one:12.3f} {two:12.3f} {three:10.1%}")
        use = value["vocabulary"]
        lines.append(
            f"  never used {use['never_used_share']:.1%}, under {use['hardly_used_below']} times {use['hardly_used_share']:.1%}"
        )
    return "\n".join(lines) + "\n"

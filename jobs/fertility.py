"""Judges tokenizers by count tables: RUN/counts + RUN/tokenizer → RUN/tokenizer/fertility.json.

`report` makes the value that `jobs.train_tokenizer` writes; `main` shows it, or judges any other
`tokenizer.json` by any table.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.count.judging import fertility
from pipeline.count.loading import Table, load_table
from pipeline.pack.encoder import open_encoder
from pipeline.places import join
from tokenizer.encoding import Encoder

if TYPE_CHECKING:
    from jobs.config import RunConfig

_NAMED = 8  # tokens that are named in the text
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
        lines += _of_vocabulary(value["vocabulary"])
        for name, cuts in value["probes"].items():
            lines += [f"  {name}: {'|'.join(map(_shown, pieces))}" for pieces in cuts.values()]
    return "\n".join(lines) + "\n"


def _of_vocabulary(use: dict[str, Any]) -> list[str]:
    never, hardly, below = use["never_used_share"], use["hardly_used_share"], use["hardly_used_below"]
    least = ", ".join(f"{_shown(row['token'])} ({row['uses']})" for row in use["least_used"][:_NAMED])
    longest = ", ".join(_shown(row["token"]) for row in use["longest"][:_NAMED])
    return [
        f"  never used {never:.1%}, under {below} times {hardly:.1%}",
        f"  least used: {least}",
        f"  longest: {longest}",
    ]


def _shown(token: str) -> str:
    """The token with its white space visible, without quotes."""
    return repr(token)[1:-1]


def by_language(value: dict[str, Any], most: int = 12) -> dict[str, dict[str, float]]:
    """Bytes per token in all and of the languages with most text, of the tokenizer of a report and of what it is compared with."""
    series = {"this tokenizer": value} | {path.rpartition("/")[2]: other for path, other in _compared(value).items()}
    largest = sorted(value["languages"], key=lambda name: (-value["languages"][name]["bytes"], name))[:most]
    rows = {"all": {name: each["total"]["bytes_per_token"] for name, each in series.items()}}
    for language in largest:
        rows[language or "(none)"] = {
            name: each["languages"][language]["bytes_per_token"] for name, each in series.items()
        }
    return rows


def by_language_and_source(value: dict[str, Any]) -> dict[str, dict[str, float]]:
    """As `by_language`, and the sources with most text if there are several."""
    series = {"this tokenizer": value} | {path.rpartition("/")[2]: other for path, other in _compared(value).items()}
    largest = sorted(value["sources"], key=lambda name: (-value["sources"][name]["bytes"], name))[:_NAMED]
    if len(largest) < 2:
        return by_language(value)
    return by_language(value) | {
        f"source {source or '(none)'}": {
            name: each["sources"][source]["bytes_per_token"] for name, each in series.items()
        }
        for source in largest
    }


def key_figures(value: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of a report that people ask for first, as (name, text)."""
    use, total = value["vocabulary"], value["total"]
    longest = ", ".join(repr(row["token"]) for row in use["longest"][:3])
    return [
        ("tokens in the vocabulary", f"{value['vocab_size']:,}"),
        ("bytes per token", f"{total['bytes_per_token']:.3f}"),
        ("tokens per word", f"{total['tokens_per_word']:.3f}"),
        ("pre-tokens that are one token", f"{total['single_token_share']:.1%}"),
        ("learned tokens never used", f"{use['never_used_share']:.1%}"),
        (f"used fewer than {use['hardly_used_below']} times", f"{use['hardly_used_share']:.1%}"),
        ("longest tokens", longest),
    ]


def _compared(value: dict[str, Any]) -> dict[str, Any]:
    compared: dict[str, Any] = value.get("compared", {})
    return compared

"""Writes RUN/report.html: one file, no scripts, nothing fetched. Reads manifests and small JSON files alone."""

import json
import shlex
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from jobs import examples, fertility, ledger, plots, summary, times
from jobs.bars import Bar, bars, groups
from jobs.config import RunConfig
from jobs.engine import Engine
from jobs.progress import Progress
from pipeline import storage
from pipeline.manifests import RUN_FILE
from pipeline.places import join
from pipeline.tables import read_batches

REPORT = "report.html"
_MAX_LANGUAGES = 12
_TITLES = {"train_tokenizer": "train the tokenizer", "train": "train the model", "evaluate": "score the model"}
_MEANINGS = {
    "page": "fetched, and a page of the run",
    "redirect": "led to another address, which is judged by itself",
    "opt_out": "its owner does not want it in training data",
    "robots": "robots.txt says no",
    "extension": "its ending is that of no page",
    "sitemap": "a list of addresses, read for its links",
    "media_type": "an answer that is neither HTML nor text",
    "empty": "an answer without content",
    "trap/same_payload": "not asked for: many addresses of this pattern gave the very same bytes",
    "trap/": "not asked for: the address looks like one of endlessly many",
    "status/": "the server answered with this status",
    "error/": "no whole answer came",
}


def main(config: RunConfig, engine: Engine | None = None, *, force: bool = False) -> None:
    """Writes the report of what the run has so far. Beam has no part in it."""
    run = config.run.folder
    environment = Environment(
        loader=PackageLoader("jobs"), autoescape=select_autoescape(), trim_blocks=True, lstrip_blocks=True
    )
    html = environment.get_template(REPORT).render(_contents(run))
    storage.write_bytes(join(run, REPORT), html.encode())
    Progress.note(f"report: {join(run, REPORT)}")


def _contents(run: str) -> dict[str, Any]:
    levels = list(summary.funnel(run))
    kept = examples.kept(run)
    scores = summary.scores(run)
    languages = _languages(run)
    steps, losses = _losses(run)
    tokenizer = _tokenizer(run)
    return {
        "name": run.rstrip("/").rpartition("/")[2],
        "run": run,
        "word": shlex.quote(run),
        "levels": levels,
        "most": max((level.came_in for level in levels), default=0) or 1,
        "names": _names(levels),
        "faults": list(ledger.differences(run)),
        "tiles": list(_tiles(run, levels, scores)),
        "examples": examples.rejected(run),
        "kept": kept,
        "example": shlex.quote(kept[0].url) if kept and kept[0].url else "",
        "verdicts": _verdicts(run),
        "clusters": _clusters(run),
        "languages": bars(languages),
        "tokenizer": fertility.key_figures(tokenizer) if tokenizer else [],
        "scores": scores,
        "answers": _answers(scores or {}),
        "settings": _settings(run),
        "times": [(_TITLES.get(job, job), times.duration(seconds)) for job, seconds in times.seconds(run).items()],
        "fertility": groups(fertility.by_language_and_source(tokenizer)) if tokenizer else [],
        "score_bars": _score_bars(scores) if scores else [],
        "loss": Markup(plots.loss_curve(steps, losses)) if len(steps) > 1 else "",
    }


def _names(levels: list[summary.Level]) -> dict[str, str]:
    """Each reason without its stage, where the heading above says that."""
    return {
        reason: reason.removeprefix(f"{stage}: ")
        for level, stage in zip(levels, ("pages", "filter", "dedup"), strict=False)
        for reason, _ in level.reasons
    }


def _tiles(run: str, levels: list[summary.Level], scores: dict[str, Any] | None) -> Any:
    if levels:
        yield f"{levels[0].came_in:,}", "pages came in"
        yield f"{levels[-1].kept:,}", "documents kept"
    documents = summary.manifest_of(run, "documents")
    if documents and "kept_text_bytes" in documents.counts:
        yield f"{documents.counts['kept_text_bytes'] / 1e6:,.1f} MB", "of text"
    shards = summary.manifest_of(run, "shards")
    if shards:
        yield f"{shards.counts['train/tokens']:,}", "tokens to train on"
    if scores:
        yield f"{scores['heldout']['bits_per_byte']:.3f}", "held-out bits per byte"
        yield f"{scores['parameters'] / 1e6:,.2f} M", "parameters"


def _verdicts(run: str) -> list[tuple[str, int, str]]:
    """The verdicts of a crawl, the most frequent first, with their meaning where the name does not say it."""
    manifest = summary.manifest_of(run, "pages")
    found = {
        name.removeprefix("verdict/"): count
        for name, count in (manifest.counts if manifest else {}).items()
        if name.startswith("verdict/")
    }
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [(name, count, _meaning(name)) for name, count in ordered]


def _meaning(verdict: str) -> str:
    return _MEANINGS.get(verdict) or _MEANINGS.get(verdict.partition("/")[0] + "/", "")


def _clusters(run: str) -> list[tuple[str, str]]:
    manifest = summary.manifest_of(run, "documents")
    names = ("clusters", "largest_cluster", "giant_clusters", "candidate_pairs", "verified_pairs")
    return [
        (name.replace("_", " "), f"{manifest.counts[name]:,}") for name in names if manifest and name in manifest.counts
    ]


def _languages(run: str) -> dict[str, int]:
    manifest = summary.manifest_of(run, "documents")
    counts: dict[str, int] = {}
    for entry in manifest.files if manifest else ():
        for batch in read_batches(join(run, "documents", entry.path), ["language"], batch_rows=8192):
            for pair in batch.column("language").value_counts().to_pylist():
                counts[pair["values"] or "unknown"] = counts.get(pair["values"] or "unknown", 0) + pair["counts"]
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[_MAX_LANGUAGES:])
    return dict(ordered[:_MAX_LANGUAGES]) | ({"others": rest} if rest else {})


def _tokenizer(run: str) -> dict[str, Any]:
    path = join(run, "tokenizer", "fertility.json")
    return storage.read_json(path) if storage.exists(path) else {}


def _losses(run: str) -> tuple[list[int], list[float]]:
    path = join(run, "model", "training.jsonl")
    if not storage.exists(path):
        return [], []
    rows = [json.loads(line) for line in storage.read_bytes(path).splitlines() if line]
    rows = [row for row in rows if "loss" in row]
    return [row["step"] for row in rows], [row["loss"] for row in rows]


def _answers(scores: dict[str, Any]) -> list[tuple[str, str]]:
    """Each file of questions, and how they were answered."""
    files = scores.get("multiple_choice", {}) | scores.get("completions", {})
    return [(path.rpartition("/")[2], summary.answered(each)) for path, each in files.items()]


def _score_bars(scores: dict[str, Any]) -> list[Bar]:
    values = {
        f"{order}-gram": each["bits_per_byte"]
        for order, each in sorted(scores["ngram"].items(), key=lambda item: int(item[0]))
    }
    return bars({**values, "trained model": scores["heldout"]["bits_per_byte"]}, highlight="trained model")


def _settings(run: str) -> str:
    path = join(run, RUN_FILE)
    return storage.read_bytes(path).decode() if storage.exists(path) else ""

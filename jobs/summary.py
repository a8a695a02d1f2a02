"""The funnel of a run: what came in, what each rule took away, what came out. Read from manifests alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from jobs.progress import console
from pipeline import manifests, storage
from pipeline.manifests import Manifest
from pipeline.places import join


@dataclass(frozen=True, kw_only=True)
class Level:
    """One step of the funnel and the reasons of its rejections, the most frequent first."""

    name: str
    came_in: int
    kept: int
    rejected: int
    reasons: tuple[tuple[str, int], ...]


_STEPS = (
    ("pages", "pages", "fetched or read"),
    ("filter", "filtered", "extracted and filtered"),
    ("dedup", "documents", "deduplicated"),
)


def manifest_of(run: str, dataset: str) -> Manifest | None:
    """The manifest of a dataset of a run, or None where it is not (yet) complete."""
    folder = join(run, dataset)
    return manifests.read_manifest(folder) if storage.exists(join(folder, manifests.MANIFEST)) else None


def funnel(run: str) -> Iterator[Level]:
    """The levels of the run so far."""
    for _, dataset, name in _STEPS:
        manifest = manifest_of(run, dataset)
        if manifest is not None:
            counts = manifest.counts
            yield Level(
                name=name,
                came_in=counts["read"],
                kept=counts["kept"],
                rejected=counts["rejected"],
                reasons=reasons_of(counts),
            )


def reasons_of(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """The rejection reasons in `counts`, as `stage: reason`, the most frequent first."""
    found = {
        name.removeprefix("rejected/").replace("/", ": ", 1): count
        for name, count in counts.items()
        if name.startswith("rejected/")
    }
    return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def scores(run: str) -> dict[str, Any] | None:
    """The scores of the evaluation, if there are any."""
    if manifest_of(run, "evaluation") is None:
        return None
    value: dict[str, Any] = storage.read_json(join(run, "evaluation", "scores.json"))
    return value


def show(run: str) -> None:
    """Prints the funnel and the headline scores to standard error."""
    table = Table(title=f"What became of the pages of {run}", title_justify="left")
    for heading, justify in (
        ("step", "left"),
        ("in", "right"),
        ("kept", "right"),
        ("rejected", "right"),
        ("reasons", "left"),
    ):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for level in funnel(run):
        reasons = "\n".join(f"{count:>7,} {reason}" for reason, count in level.reasons[:12])
        rest = len(level.reasons) - 12
        reasons += f"\n… and {rest} more reasons" if rest > 0 else ""
        table.add_row(level.name, f"{level.came_in:,}", f"{level.kept:,}", f"{level.rejected:,}", reasons)
    console.print(table)
    for line in headlines(run):
        console.print(line, markup=False)


def headlines(run: str) -> Iterator[str]:
    """One line each about shards, model and scores."""
    shards = manifest_of(run, "shards")
    if shards is not None:
        counts = shards.counts
        padding = counts["train/padding"] / max(1, counts["train/positions"])
        yield (
            f"shards: {counts['train/tokens']:,} tokens of {counts['train/documents']:,} documents to train on, "
            f"{counts['heldout/tokens']:,} held out, {padding:.3%} padding"
        )
    value = scores(run)
    if value is not None:
        heldout = value["heldout"]
        grams = ", ".join(f"{order}-gram {each['bits_per_byte']:.3f}" for order, each in sorted(value["ngram"].items()))
        yield f"model: {value['parameters']:,} parameters; held out: {heldout['bits_per_byte']:.3f} bits per byte, perplexity {heldout['perplexity']:.1f}"
        if grams:
            yield f"baselines, bits per byte: {grams}"


def answered(scores: Mapping[str, float]) -> str:
    """How many questions of a file are answered rightly, for people."""
    chance = f", {scores['by_chance']:.1%} by chance" if "by_chance" in scores else ""
    return f"{scores['accuracy']:.1%} of {scores['questions']:,} right{chance}"

"""Decides again about the documents of a run under other thresholds, from stored measures, without text.

Reads RUN/measures; writes nothing. Rules of `[filter]` are compared anew, decisions of classifiers too; what
other stages decided stands. Settings that choose lines or measure differently (the dialect, the lines of C4, the
length of a short line) cannot be replayed and are refused by name. A document that a rule refused before the classifiers saw
it has no scores: if it would now pass, it counts as kept, and the table says how many such there are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from jobs.settings import build
from pipeline.errors import SettingError
from pipeline.filter.classifiers import Thresholds, read_thresholds
from pipeline.filter.config import C4_LINE_SETTINGS, FilterConfig
from pipeline.filter.decisions import CLASSIFIERS, MODELS, refusals, thresholds_of
from pipeline.filter.perplexity_config import PerplexityConfig
from pipeline.filter.rules import Rule, chosen_rules, failures
from pipeline.manifests import MANIFEST, dataset_files, read_manifest
from pipeline.places import join
from pipeline.storage import exists
from pipeline.tables import read_rows

if TYPE_CHECKING:
    from jobs.config import RunConfig

MEASURES = "measures"
_NOT_REPLAYED = {
    "dialect": "measures differently",
    "thresholds_by_language": "measures differently",
    "languages": "is asked before anything is measured",
    "min_language_score": "is asked before anything is measured",
    "fineweb.short_line_chars": "measures differently",
    "c4.bad_words": "measures differently",
    **{f"quality.{name}": "scores differently" for name in ("model", "labels", "languages", "sha256", "max_tokens")},
    "urls": "is asked before anything is measured",
    **{f"c4.{name}": "chooses lines of the text" for name in C4_LINE_SETTINGS if name != "edit_text"},
    **{f"{name}.{setting}": "scores differently" for name in CLASSIFIERS for setting in ("model", "sentence_score")},
}


@dataclass(slots=True)
class Effect:
    """What one rule does to the documents of a run.

    `fails` counts documents that fail it, `first` those with it as the reason, `unique` those that fail nothing else.
    """

    rule: str
    fails_before: int = 0
    fails_after: int = 0
    first_before: int = 0
    first_after: int = 0
    unique_before: int = 0
    unique_after: int = 0


@dataclass(slots=True)
class Replay:
    """The outcome of a replay: `gained` were refused and would be kept, `lost` were kept and would be refused."""

    documents: int = 0
    kept_before: int = 0
    kept_after: int = 0
    gained: int = 0
    lost: int = 0
    unscored: int = 0
    effects: dict[str, Effect] = field(default_factory=dict)

    def table(self) -> str:
        """The outcome as text."""
        lines = [
            f"{self.documents:,} measured documents: {self.kept_before:,} kept before, {self.kept_after:,} after "
            f"({self.gained:,} gained, {self.lost:,} lost)"
        ]
        if self.unscored:
            lines.append(
                f"{self.unscored:,} of those gained were never scored for spam and toxicity; a new run would score them"
            )
        lines.append(f"{'rule':44} {'fails':>15} {'first reason':>15} {'only reason':>15}")
        for effect in self.effects.values():
            if effect.fails_before or effect.fails_after:
                pairs = (
                    (effect.fails_before, effect.fails_after),
                    (effect.first_before, effect.first_after),
                    (effect.unique_before, effect.unique_after),
                )
                lines.append(
                    f"{effect.rule:44} "
                    + " ".join(f"{before if before == after else f'{before} → {after}':>15}" for before, after in pairs)
                )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """All that decides about measured documents under one configuration."""

    rules: tuple[tuple[Rule, float], ...]
    classifiers: Mapping[str, Thresholds]

    @classmethod
    def of(cls, config: FilterConfig) -> "Rulebook":
        """The rulebook of `[filter]`."""
        classifiers = {}
        for name in CLASSIFIERS:
            settings = getattr(config, name)
            if settings.on:
                classifiers[name] = thresholds_of(read_thresholds(settings.model or MODELS, name), settings)
        return cls(rules=chosen_rules(config), classifiers=classifiers)

    def failing(self, values: Mapping[str, float | None]) -> list[str]:
        """The full names of the rules that a document with these measures fails, in order."""
        found = [failure.rule.reason for failure in failures(values, self.rules)]
        return found or [failure.rule.reason for failure in refusals(values, self.classifiers)]


def main(before: "RunConfig", after: "RunConfig") -> Replay:
    """Prints and returns what changes in the run of `before` under the settings of `after`.

    What the run was decided by stands in its manifests: the settings of `before` may have changed since.

    Raises:
        SettingError: a changed setting needs the texts again.
    """
    made_by = decided_by(before)
    check_replayable(made_by, after.filter)
    outcome = replay(join(before.run.folder, MEASURES), Rulebook.of(made_by), Rulebook.of(after.filter))
    print(outcome.table())
    return outcome


def decided_by(config: "RunConfig") -> FilterConfig:
    """The settings that the documents of a run were filtered by; those of `config` where another version wrote them."""
    folder = join(config.run.folder, MEASURES)
    if not exists(join(folder, MANIFEST)):
        return config.filter
    try:
        return build(FilterConfig, read_manifest(folder).settings["filter"], "filter")
    except (SettingError, KeyError):
        return config.filter


def check_replayable(before: FilterConfig, after: FilterConfig) -> None:
    """Refuses changes that stored measures cannot answer."""
    for name, own in sorted(after.own.items()):
        if name not in before.own or before.own[name].function != own.function:
            raise SettingError(
                f"filter.own.{name} cannot be replayed: it measures differently, so it needs the texts; run `curate` with the new setting"
            )
    if "nemo" in after.sets and "nemo" not in before.sets:
        raise SettingError(
            "filter.sets cannot gain nemo in a replay: its measures were not taken, so it needs the texts; run `curate` with the new setting"
        )
    for language, model in sorted(after.perplexity.items()):
        _check_same_model(language, before.perplexity.get(language), model)
    for name in sorted(_changed(before, after)):
        for blocked, why in _NOT_REPLAYED.items():
            if name == blocked or name.startswith(blocked + "."):
                raise SettingError(
                    f"filter.{name} cannot be replayed: it {why}, so it needs the texts; run `curate` with the new setting"
                )
    if _edits(before) != _edits(after):
        raise SettingError(
            "filter.sets cannot gain or lose c4 in a replay while filter.c4.edit_text is true: it edits lines, so it needs the texts"
        )


def _check_same_model(language: str, before: PerplexityConfig | None, after: PerplexityConfig) -> None:
    for each in fields(after):
        if each.name not in ("min_perplexity", "max_perplexity") and (before is None or getattr(before, each.name) != getattr(after, each.name)):  # fmt: skip
            raise SettingError(
                f"filter.perplexity.{language}.{each.name} cannot be replayed: it measures differently, so it needs the texts; "
                "run `curate` with the new setting"
            )


def _edits(config: FilterConfig) -> bool:
    return "c4" in config.sets and config.c4.edit_text


def _changed(before: Any, after: Any, prefix: str = "") -> Iterator[str]:
    for each in fields(before):
        old, new = getattr(before, each.name), getattr(after, each.name)
        if is_dataclass(old):
            yield from _changed(old, new, f"{prefix}{each.name}.")
        elif old != new:
            yield f"{prefix}{each.name}"


def replay(folder: str, before: Rulebook, after: Rulebook) -> Replay:
    """The outcome of deciding about all documents in the measures dataset `folder` under both rulebooks."""
    outcome = Replay()
    for book in (before, after):
        for name in (
            *(rule.reason for rule, _ in book.rules),
            *(f"{name}.{rule}" for name in book.classifiers for rule in ("bad_short_text", "bad_text")),
        ):
            outcome.effects.setdefault(name, Effect(name))
    for path in dataset_files(folder):
        for row in read_rows(path):
            if row.get("num_words") is not None:
                _count(outcome, row, before.failing(row), after.failing(row))
    return outcome


def _count(outcome: Replay, row: Mapping[str, Any], old: list[str], new: list[str]) -> None:
    outcome.documents += 1
    outcome.kept_before += not old
    outcome.kept_after += not new
    outcome.lost += bool(new and not old)
    if old and not new:
        outcome.gained += 1
        outcome.unscored += row.get("spam_score") is None and row.get("toxicity_score") is None
    for rule, count in Counter(old).items():
        effect = outcome.effects[rule]
        effect.fails_before += count
        effect.first_before += rule == old[0]
        effect.unique_before += len(old) == 1
    for rule, count in Counter(new).items():
        effect = outcome.effects[rule]
        effect.fails_after += count
        effect.first_after += rule == new[0]
        effect.unique_after += len(new) == 1

"""From the scores of a classifier to a decision, as rules on stored measures, so that `replay` can move it.

Two rules for each classifier. `bad_short_text`: a text of one or two sentences scores at least `max_score`.
`bad_text`: a longer one is likelier bad than not as a whole, and the share of its sentences that are bad
alone reaches `max_sentence_share`. A long text about a hard subject has a few such sentences, an abusive one many.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.filter.classifiers import Classifier, Thresholds
from pipeline.filter.config import ClassifierConfig
from pipeline.filter.rules import Failure, Rule

CLASSIFIERS = ("spam", "toxicity")
CLASSIFIER_MEASURES = tuple(
    f"{name}_{measure}" for name in CLASSIFIERS for measure in ("score", "sentence_share", "sentences")
)
MODELS = str(Path(__file__).parent / "models")
MAX_SHORT_SENTENCES = 2
DECISIONS: Mapping[str, tuple[Rule, Rule]] = {
    name: (
        Rule(set=name, name="bad_short_text", measure=f"{name}_score", fails=">", setting="max_score"),
        Rule(set=name, name="bad_text", measure=f"{name}_sentence_share", fails=">", setting="max_sentence_share"),
    )
    for name in CLASSIFIERS
}


def load_classifier(name: str, settings: ClassifierConfig) -> Classifier:
    """The model of `settings`, or the shipped one, with the thresholds that `settings` moves."""
    model = Classifier(settings.model or MODELS, name)
    model.thresholds = thresholds_of(model.thresholds, settings)
    return model


def thresholds_of(card: Thresholds, settings: ClassifierConfig) -> Thresholds:
    """The thresholds of a card, those replaced that the settings give."""
    return replace(
        card,
        short=settings.max_score or card.short,
        sentence=settings.sentence_score or card.sentence,
        share=settings.max_sentence_share or card.share,
    )


def refusals(values: Mapping[str, float | None], thresholds: Mapping[str, Thresholds]) -> Iterator[Failure]:
    """The decisions that go against a document with these measures."""
    for name, limits in thresholds.items():
        short_text, long_text = DECISIONS[name]
        score, share, number = (values.get(f"{name}_{measure}") for measure in ("score", "sentence_share", "sentences"))
        if score is None or share is None or number is None:
            continue
        if number <= MAX_SHORT_SENTENCES:
            if score >= limits.short:
                yield Failure(rule=short_text, value=score, threshold=limits.short)
        elif score >= limits.whole and share >= limits.share:
            yield Failure(rule=long_text, value=share, threshold=limits.share)

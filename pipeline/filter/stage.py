"""Documents in, good documents out: rules, classifiers, masking, as judges for `pipeline.stage.JudgeEach`.

`FilterUrls` decides about pages before their text is extracted. Then, in order: `FilterDocuments` measures
each document once and compares, `ClassifyDocuments` scores for spam and toxicity, `MaskPrivate` replaces
personal data in what is kept. Each input leaves once; a rejection names the first failing rule, its value
and threshold, lists the others, and carries every measure. Judges pickle small: vocabularies and models are made in `setup`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.filter.bad_words import BadWords
from pipeline.filter.by_language import language_number
from pipeline.filter.classifiers import Classifier
from pipeline.filter.config import FilterConfig
from pipeline.filter.decisions import CLASSIFIER_MEASURES, CLASSIFIERS, load_classifier, refusals
from pipeline.filter.dialects import READINGS
from pipeline.filter.measures import MEASURES, Measured, measure
from pipeline.filter.nemo import NEMO_MEASURES, nemo_measures
from pipeline.filter.own import Function, load_functions, number_of, own_measures
from pipeline.filter.perplexity import PREFIX, PerplexityModel, perplexity_measures
from pipeline.filter.privacy import MaskPrivate
from pipeline.filter.quality import QUALITY_SCORE, Scorer, load_scorer
from pipeline.filter.rules import Failure, Rule, chosen_rules, failures
from pipeline.filter.urls import FilterUrls
from pipeline.filter.words import Vocabulary
from pipeline.records import Document, Rejection

if TYPE_CHECKING:
    from pipeline.stage import Judge

__all__ = ["ClassifyDocuments", "FilterDocuments", "FilterUrls", "MaskPrivate", "filter_judges"]

STAGE = "filter"
# What the rules compare in every run.
RULE_MEASURES = (*MEASURES, QUALITY_SCORE)


def rule_measures(config: FilterConfig) -> tuple[str, ...]:
    """What the rules compare, in order: the measures of every run, and those that `config` asks for."""
    nemo = NEMO_MEASURES if "nemo" in config.sets else ()
    return (*RULE_MEASURES, *nemo, *perplexity_measures(config.perplexity), *own_measures(config.own))


@dataclass
class FilterDocuments:
    """Measures a document and compares: the document with its measures, or the rejection that explains itself."""

    config: FilterConfig
    stage: str = STAGE
    _rules: tuple[tuple[Rule, float], ...] = field(init=False, repr=False)
    _vocabulary: Vocabulary | None = field(init=False, default=None, repr=False)
    _gram_vocabulary: Vocabulary | None = field(init=False, default=None, repr=False)
    _bad_words: BadWords | None = field(init=False, default=None, repr=False)
    _quality: Scorer | None = field(init=False, default=None, repr=False)
    _perplexity: dict[str, PerplexityModel] = field(init=False, default_factory=dict, repr=False)
    _own: dict[str, Function] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._rules = chosen_rules(self.config)

    @property
    def measures(self) -> Sequence[str]:
        """The names of all measures, in order."""
        return rule_measures(self.config)

    def setup(self) -> None:
        """Makes the vocabulary, and loads the lists of bad words, the models of quality and perplexity and the user's own functions, if there are any."""
        self._own = load_functions(self.config.own)
        self._quality = load_scorer(self.config.quality) if self.config.quality.model else None
        models = self.config.perplexity
        self._perplexity = {language: PerplexityModel(language, models[language]) for language in sorted(models)}
        self._bad_words = BadWords(self.config.c4.bad_words) if self.config.c4.bad_words else None
        reading = READINGS[self.config.dialect]
        self._vocabulary = Vocabulary(reading.words)
        self._gram_vocabulary = None if reading.gram_words == "same" else Vocabulary(reading.gram_words)

    def judge(self, document: Document) -> Document | Rejection:
        """What becomes of `document`."""
        if refused := self._refused_language(document):
            return refused
        measured = self._measure(document)
        failed = list(failures(measured.values, self._rules))
        if failed:
            return rejection(document, failed, measured.values)
        return replace(document, text=measured.text, measures={**document.measures, **measured.values})

    @property
    def edits(self) -> bool:
        """Whether lines of kept documents are edited."""
        return "c4" in self.config.sets and self.config.c4.edit_text

    def edited(self, document: Document) -> str:
        """The text of a document as the rules see it: with the lines that stay."""
        return self._measure(document).text

    def _measure(self, document: Document) -> Measured:
        if self._vocabulary is None:
            self.setup()
        vocabulary = self._vocabulary
        assert vocabulary is not None
        for each in (vocabulary, self._gram_vocabulary):
            if each is not None and each.is_large:
                each.forget()
        measured = measure(
            document.text,
            language=document.language or "en",
            language_score=document.language_score,
            vocabulary=vocabulary,
            gram_vocabulary=self._gram_vocabulary,
            reading=READINGS[self.config.dialect],
            c4=self.config.c4,
            fineweb=self.config.fineweb,
            bad_words=self._bad_words,
            edit=self.edits,
        )
        adapted = self.config.thresholds_by_language
        measured.values[QUALITY_SCORE] = self._score_quality(document, measured.text)
        if "nemo" in self.config.sets:
            measured.values.update(nemo_measures(document.text, document.language or "en"))
        for language in sorted(self.config.perplexity):
            model = self._perplexity[language] if language == document.language else None
            measured.values[PREFIX + language] = model.of(measured.text) if model is not None else math.nan
        if self._own:
            shown = replace(document, text=measured.text)
            measured.values.update((name, number_of(name, function, shown)) for name, function in self._own.items())
        measured.values["threshold_language"] = float(language_number(document.language) if adapted else 0)
        return measured

    def _score_quality(self, document: Document, text: str) -> float:
        """NaN where no model is named, or not for this language."""
        asked = self.config.quality.languages
        if self._quality is None or (asked and document.language not in asked):
            return math.nan
        return self._quality.score(text)

    def _refused_language(self, document: Document) -> Rejection | None:
        config = self.config
        if config.languages and document.language not in config.languages:
            detail = f"language {document.language or 'unknown'}; allowed are {', '.join(config.languages)}"
            return Rejection(
                id=document.id, url=document.url, stage=STAGE, reason="language.not_allowed", detail=detail
            )
        if document.language_score < config.min_language_score:
            return Rejection(
                id=document.id, url=document.url, stage=STAGE, reason="language.uncertain", detail=f"language {document.language or 'unknown'}",
                value=document.language_score, threshold=config.min_language_score,
            )  # fmt: skip
        return None


def rejection(document: Document, failed: Sequence[Failure], values: dict[str, float]) -> Rejection:
    """The rejection of a document that fails the rules `failed`: the first is the reason, all are in the detail."""
    first = failed[0]
    return Rejection(
        id=document.id,
        url=document.url,
        stage=STAGE,
        reason=first.rule.reason,
        detail="; ".join(map(str, failed)),
        value=first.value,
        threshold=first.threshold,
        measures={**document.measures, **values},
    )


@dataclass
class ClassifyDocuments:
    """Scores documents for spam and toxicity; refuses those that reach a classifier's thresholds.

    A model is asked only about the languages of its card, or where the language is unknown; else its
    measures are NaN and it refuses nothing.
    """

    config: FilterConfig
    stage: str = STAGE
    _models: dict[str, Classifier] = field(init=False, default_factory=dict, repr=False)

    @property
    def measures(self) -> Sequence[str]:
        """For each classifier: the score of the whole, the number of sentences, the share of bad ones."""
        return CLASSIFIER_MEASURES

    def setup(self) -> None:
        """Loads the models and checks their hashes."""
        for name in CLASSIFIERS:
            settings = getattr(self.config, name)
            if settings.on:
                self._models[name] = load_classifier(name, settings)

    def judge(self, document: Document) -> Document | Rejection:
        """What becomes of `document`."""
        if not self._models:
            self.setup()
        values = dict.fromkeys(CLASSIFIER_MEASURES, math.nan)
        for name, model in self._models.items():
            if not document.language or document.language in model.languages:
                scores = model.judge(document.text, model.thresholds.sentence, document.language)
                values[f"{name}_score"] = scores.whole
                values[f"{name}_sentence_share"] = scores.bad_share
                values[f"{name}_sentences"] = float(scores.num_sentences)
        failed = list(refusals(values, {name: model.thresholds for name, model in self._models.items()}))
        if failed:
            return rejection(document, failed, values)
        return replace(document, measures={**document.measures, **values})


def filter_judges(config: FilterConfig) -> "tuple[Judge, ...]":
    """What is asked of every document, in this order. `FilterUrls` is asked before, about the page."""
    judges: list[Judge] = [FilterDocuments(config)]
    if config.spam.on or config.toxicity.on:
        judges.append(ClassifyDocuments(config))
    if config.privacy.on:
        judges.append(MaskPrivate(config))
    return tuple(judges)

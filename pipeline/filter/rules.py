"""The rules: one question each, a measure and a threshold. True means bad.

A rule is named after what is wrong; the name is the reason of the rejection, the counter and the row in
the report. Its threshold is a setting of the table of its set, so that `replay` can move it.
"""

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import SettingError
from pipeline.filter.by_language import limits_of
from pipeline.filter.config import FilterConfig
from pipeline.filter.own import PREFIX as OWN
from pipeline.filter.perplexity import PREFIX as PERPLEXITY

_COMPARE = {"<": operator.lt, ">": operator.gt}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A document fails if its `measure` lies on the `fails` side of the threshold. NaN and missing never fail."""

    set: str
    name: str
    measure: str
    fails: Literal["<", ">"]
    setting: str

    @property
    def reason(self) -> str:
        """The full name, such as `gopher_quality.too_few_words`."""
        return f"{self.set}.{self.name}"

    def threshold(self, config: FilterConfig) -> float:
        """What the measure is compared with."""
        return float(getattr(getattr(config, self.set), self.setting))


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A rule that a document fails, with both numbers."""

    rule: Rule
    value: float
    threshold: float

    def __str__(self) -> str:
        return f"{self.rule.reason} ({_short(self.value)} {self.rule.fails} {_short(self.threshold)})"


def _rules(name: str, table: str) -> tuple[Rule, ...]:
    rows = (line.split() for line in table.strip().splitlines())
    return tuple(
        Rule(set=name, name=row[0], measure=row[1], fails="<" if row[2] == "<" else ">", setting=row[3]) for row in rows
    )


QUALITY = _rules("gopher_quality", """
    too_few_words             num_words            <  min_words
    too_many_words            num_words            >  max_words
    words_too_short           word_length          <  min_mean_word_length
    words_too_long            word_length          >  max_mean_word_length
    too_many_hashes           hash_word_ratio      >  max_hash_word_ratio
    too_many_ellipses         ellipsis_word_ratio  >  max_ellipsis_word_ratio
    too_many_bullet_lines     bullet_line_share    >  max_bullet_line_share
    too_many_ellipsis_lines   ellipsis_line_share  >  max_ellipsis_line_share
    too_few_words_with_letters  alpha_word_share   <  min_alpha_word_share
    too_few_stop_words        num_stop_words       <  min_stop_words
""")  # fmt: skip
REPETITION = _rules("gopher_repetition", """
    repeated_paragraphs            dup_paragraph_share       >  max_dup_paragraph_share
    repeated_paragraph_characters  dup_paragraph_char_share  >  max_dup_paragraph_char_share
    repeated_lines                 dup_line_share            >  max_dup_line_share
    repeated_line_characters       dup_line_char_share       >  max_dup_line_char_share
""") + tuple(
    Rule(set="gopher_repetition", name=f"{word}_{n}_gram", measure=f"{short}_{n}_gram_share", fails=">", setting=f"max_{short}_{n}_gram_share")
    for word, short, sizes in (("frequent", "top", (2, 3, 4)), ("repeated", "dup", range(5, 11)))
    for n in sizes
)  # fmt: skip
C4 = _rules("c4", """
    lorem_ipsum        c4_lorem_ipsum_lines    >  max_lorem_ipsum_lines
    curly_bracket      c4_curly_bracket_lines  >  max_curly_bracket_lines
    bad_words          c4_bad_words            >  max_bad_words
    too_few_sentences  c4_sentences            <  min_sentences
""")  # fmt: skip
FINEWEB = _rules("fineweb", """
    too_few_terminal_lines         terminal_line_share     <  min_terminal_line_share
    too_many_short_lines           short_line_share        >  max_short_line_share
    repeated_line_characters       fineweb_dup_char_share  >  max_dup_line_char_share
    too_many_newlines              newline_word_ratio      >  max_newline_word_ratio
""")  # fmt: skip
FINEWEB2 = _rules("fineweb2", """
    too_few_terminal_lines    terminal_line_share     <  min_terminal_line_share
    repeated_line_characters  fineweb_dup_char_share  >  max_dup_line_char_share
    too_many_newlines         newline_word_ratio      >  max_newline_word_ratio
    uncertain_language        language_score          <  min_language_score
""")  # fmt: skip
NEMO = _rules("nemo", """
    too_many_other_characters     nemo_other_char_share             >  max_other_char_share
    too_many_digits               nemo_digit_share                  >  max_digit_share
    too_much_white_space          nemo_white_space_share            >  max_white_space_share
    too_many_brackets             nemo_bracket_share                >  max_bracket_share
    too_many_urls                 nemo_url_share                    >  max_url_share
    too_many_symbol_words         nemo_symbol_word_share            >  max_symbol_word_share
    too_long_a_word               nemo_longest_word                 >  max_longest_word
    too_many_boilerplate_paragraphs  nemo_boilerplate_share  >  max_boilerplate_share
    too_few_lines_with_end_marks  nemo_end_mark_line_share          <  min_end_mark_line_share
""")  # fmt: skip
CLASSIFIED = _rules("quality", "low_score  quality_score  <  min_score")
RULES: Mapping[str, tuple[Rule, ...]] = {
    rules[0].set: rules for rules in (QUALITY, REPETITION, C4, FINEWEB, FINEWEB2, NEMO, CLASSIFIED)
}
_DEFAULTS = {rule.reason: rule.threshold(FilterConfig()) for rules in RULES.values() for rule in rules}


def chosen_rules(config: FilterConfig) -> tuple[tuple[Rule, float], ...]:
    """The rules that are on, in the order in which they give reasons, each with its threshold; that on a quality score, those on perplexity and the user's own last.

    Raises:
        SettingError: `filter.off` names a rule that does not exist.
    """
    own = (*_perplexity_rules(config), *_own_rules(config))
    known = {rule.reason for rules in (*RULES.values(), (rule for rule, _ in own)) for rule in rules}
    for name in config.off:
        if name not in known:
            raise SettingError(f"filter.off names {name!r}, which is no rule; known are {', '.join(sorted(known))}")
    sets = (*config.sets, "quality") if config.quality.model else config.sets
    rules = [(rule, rule.threshold(config)) for name in sets for rule in RULES[name]]
    return tuple((rule, threshold) for rule, threshold in (*rules, *own) if rule.reason not in config.off)


def _perplexity_rules(config: FilterConfig) -> Iterator[tuple[Rule, float]]:
    """A rule for each bound of a language, on the measure that only documents in it have."""
    for language, model in sorted(config.perplexity.items()):
        for what, fails, setting in (("low", "<", "min_perplexity"), ("high", ">", "max_perplexity")):
            bound = getattr(model, setting)
            if bound is not None:
                rule = Rule(set="perplexity", name=f"{language}_too_{what}", measure=PERPLEXITY + language, fails=fails, setting=f"{language}.{setting}")  # type: ignore[arg-type]  # fmt: skip
                yield rule, bound


def _own_rules(config: FilterConfig) -> Iterator[tuple[Rule, float]]:
    """A rule for each bound of a measure of the user's own."""
    for name, own in sorted(config.own.items()):
        for what, fails, setting, bound in (("low", "<", "min", own.min), ("high", ">", "max", own.max)):
            if bound is not None:
                rule = Rule(set="own", name=f"{name}_too_{what}", measure=OWN + name, fails=fails, setting=f"{name}.{setting}")  # type: ignore[arg-type]  # fmt: skip
                yield rule, bound


def in_language(
    values: Mapping[str, float | None], rules: tuple[tuple[Rule, float], ...]
) -> Iterator[tuple[Rule, float]]:
    """`rules` with the thresholds that hold in the language of a document with these measures.

    A threshold that somebody has set holds in every language.
    """
    limits = limits_of(values.get("threshold_language"))
    for rule, threshold in rules:
        limit = limits.get((rule.measure, rule.fails))
        yield rule, threshold if limit is None or threshold != _DEFAULTS[rule.reason] else limit


def failures(values: Mapping[str, float | None], rules: tuple[tuple[Rule, float], ...]) -> Iterator[Failure]:
    """Every rule of `rules` that a document with these measures fails, in order."""
    for rule, threshold in in_language(values, rules):
        value = values.get(rule.measure)
        if value is not None and _COMPARE[rule.fails](value, threshold):
            yield Failure(rule=rule, value=value, threshold=threshold)


def _short(value: float) -> str:
    return f"{value:.0f}" if 10_000 <= abs(value) < 1e15 else f"{value:.4g}"

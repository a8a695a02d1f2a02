"""The settings of the filter stage: `[filter]` and its sub-tables, one for each rule set.

A threshold of 0 in a `max_…` setting means zero, not "off": a rule set is switched off by leaving it
out of `sets`, a single rule by naming it in `off`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from pipeline.errors import SettingError
from pipeline.filter.perplexity_config import PerplexityConfig
from pipeline.language_codes import unusual_code

RULE_SETS = ("gopher_quality", "gopher_repetition", "c4", "fineweb", "fineweb2", "nemo")
MASKS = ("email", "ip", "phone", "iban", "card", "secret")
NATIONAL_IDS = ("us_ssn", "uk_nino", "fr_nir", "es_dni", "it_cf", "nl_bsn", "br_cpf", "in_aadhaar", "cn_id")
_LANGUAGE_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,8})*")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_OWN_NAME = re.compile(r"[a-z][a-z0-9_]*")
Dialect = Literal["datatrove", "dolma", "dclm", "paper"]


@dataclass(frozen=True, kw_only=True)
class GopherQualityConfig:
    """`[filter.gopher_quality]`: the quality rules of Gopher (Rae et al. 2021, appendix A.1.1)."""

    min_words: int = 50
    max_words: int = 100_000
    min_mean_word_length: float = 3.0
    max_mean_word_length: float = 10.0
    # `#` signs, and ellipses, for each word.
    max_hash_word_ratio: float = 0.1
    max_ellipsis_word_ratio: float = 0.1
    max_bullet_line_share: float = 0.9
    max_ellipsis_line_share: float = 0.3
    min_alpha_word_share: float = 0.8
    # Stop words of the document's language; languages without a list pass.
    min_stop_words: int = 2


@dataclass(frozen=True, kw_only=True)
class GopherRepetitionConfig:
    """`[filter.gopher_repetition]`: the repetition rules of Gopher (table A1), as shares of lines or characters."""

    max_dup_paragraph_share: float = 0.30
    max_dup_paragraph_char_share: float = 0.20
    max_dup_line_share: float = 0.30
    max_dup_line_char_share: float = 0.20
    max_top_2_gram_share: float = 0.20
    max_top_3_gram_share: float = 0.18
    max_top_4_gram_share: float = 0.16
    max_dup_5_gram_share: float = 0.15
    max_dup_6_gram_share: float = 0.14
    max_dup_7_gram_share: float = 0.13
    max_dup_8_gram_share: float = 0.12
    max_dup_9_gram_share: float = 0.11
    max_dup_10_gram_share: float = 0.10


@dataclass(frozen=True, kw_only=True)
class C4Config:
    """`[filter.c4]`: the rules of C4 (Raffel et al. 2020). The first four decide documents and can be replayed.

    The others choose the lines that stay in the text; changing one needs the text again.
    """

    min_sentences: int = 5
    max_lorem_ipsum_lines: int = 0
    max_curly_bracket_lines: int = 0
    # Places with a word of the lists in `bad_words`.
    max_bad_words: int = 0
    # A folder with a list of bad words for each language, a file named after its code; none is shipped. Empty: not asked.
    bad_words: str = ""
    # FineWeb leaves the next one off; C4 itself has it on.
    require_terminal_punctuation: bool = True
    min_words_per_line: int = 3
    max_word_length: int = 1000
    drop_javascript_lines: bool = True
    drop_policy_lines: bool = True
    remove_citations: bool = True
    # False measures the lines but leaves the text of kept documents as it is.
    edit_text: bool = True


C4_LINE_SETTINGS = tuple(each.name for each in fields(C4Config))[5:]


@dataclass(frozen=True, kw_only=True)
class FineWebConfig:
    """`[filter.fineweb]`: the rules that FineWeb added (Penedo et al. 2024, section 3.5).

    The paper gives 0.1 for duplicate characters; the published recipe of the data set runs with 0.01.
    """

    min_terminal_line_share: float = 0.12
    max_short_line_share: float = 0.67
    # Lines of at most this many characters are short; changing it needs the text again.
    short_line_chars: int = 30
    max_dup_line_char_share: float = 0.1
    max_newline_word_ratio: float = 0.3


@dataclass(frozen=True, kw_only=True)
class FineWeb2Config:
    """`[filter.fineweb2]`: what FineWeb-2 kept of them for a thousand languages: no rule about short lines."""

    min_terminal_line_share: float = 0.12
    max_dup_line_char_share: float = 0.1
    max_newline_word_ratio: float = 0.3
    min_language_score: float = 0.3


@dataclass(frozen=True, kw_only=True)
class NemoConfig:
    """`[filter.nemo]`: what NeMo Curator's English heuristics ask besides the rules of Gopher, with its published numbers."""

    # Of all characters: those that are neither English letters nor digits, line ends, `?`, `!`, `,`, `.` (of English texts only;
    # a space is one of them), digits, white space, brackets, and characters of web addresses.
    max_other_char_share: float = 0.25
    max_digit_share: float = 0.15
    max_white_space_share: float = 0.25
    max_bracket_share: float = 0.1
    max_url_share: float = 0.2
    # Words that are an ellipsis or mostly `#`.
    max_symbol_word_share: float = 0.1
    # In characters; not asked in scripts without spaces.
    max_longest_word: int = 1000
    # Paragraphs with a notice about cookies or terms.
    max_boilerplate_share: float = 0.4
    # Lines that end with a full stop, a question or exclamation mark or a straight quotation mark; elsewhere also with those of
    # other scripts.
    min_end_mark_line_share: float = 0.15


@dataclass(frozen=True, kw_only=True)
class UrlConfig:
    """`[filter.urls]`: which pages are refused by their address alone. All paths may be fsspec URLs.

    `lists` are folders in the UT1 layout (`CATEGORY/domains`, `CATEGORY/urls`) of which `categories`
    are read (empty: all), or files of domains: plain, hosts files, and `||domain^` of ad blockers (`pipeline/filter/url_lists.py`).
    A listed domain covers its sub-domains, a listed URL what lies under it.
    """

    lists: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    # Hosts that are refused as they stand, without their sub-domains.
    exact_hosts: tuple[str, ...] = ()
    # Suffixes such as `xxx` or `example.co.uk`: every host under them.
    suffixes: tuple[str, ...] = ()
    # Whole words of the URL (between characters that are neither letters nor digits) that are enough alone.
    words: tuple[str, ...] = ()
    # Of these, `max_soft_words` more than which in one URL are too many.
    soft_words: tuple[str, ...] = ()
    max_soft_words: int = 1
    # Files with one word a line for `words` and `soft_words`.
    word_files: tuple[str, ...] = ()
    soft_word_files: tuple[str, ...] = ()
    # These domains pass whatever the lists say.
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """`[filter.spam]` and `[filter.toxicity]`: one classifier and the decision taken from its scores.

    A document is refused if its worst windows reach both thresholds: `max_score` bounds the score of
    the whole text, `max_sentence_share` the share of its sentences that score at least `sentence_score`.
    Documents of one or two sentences are judged by the first alone. `model` is the folder of another model of the
    `train-classifier` job; the shipped one serves where it is empty.
    """

    on: bool = True
    model: str = ""
    # 0 takes the thresholds from the card of the model.
    max_score: float = 0.0
    sentence_score: float = 0.0
    max_sentence_share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """`[filter.quality]`: a classifier of good texts and the least score that is kept. What is good is yours to say, so none is shipped.

    `model` is a fastText file (`.bin`, `.ftz`) of anybody, whose score is the probability of `labels`, all taken together; or
    a folder with a sequence classifier of Hugging Face's `transformers` (`config.json`, `model.safetensors`, `tokenizer.json`), whose
    score is the same or, if it has one output, that number as it is; or the folder of a model that `train-classifier`
    has made under the name `quality`, whose score is 1 less the probability of bad.
    """

    model: str = ""
    # Which labels of a fastText file (with `__label__` or without) or of a sequence classifier are good.
    labels: tuple[str, ...] = ()
    # 0 to 1 where the score is a probability; any number for a regression, whose scale is its own (FineWeb-Edu's goes from 0 to 5).
    min_score: float = 0.5
    # Only documents in these languages are scored, by code; empty: all.
    languages: tuple[str, ...] = ()
    # If given, the file, or `model.safetensors` of a sequence classifier, is refused unless its SHA-256 is this one; a download at
    # https:// needs it.
    sha256: str = ""
    # So many tokens of a text are read by a sequence classifier, its special ones included; 0: as many as it says that it reads.
    max_tokens: int = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.min_score) or (self.is_file and not 0 <= self.min_score <= 1):
            allowed = "it is a probability, 0 to 1" if self.is_file else "allowed is any number"
            raise SettingError(f"filter.quality.min_score is {self.min_score}; {allowed}")
        if self.max_tokens < 0:
            raise SettingError(f"filter.quality.max_tokens is {self.max_tokens}; allowed is 0 or more")
        if not self.model and (self.labels or self.sha256):
            raise SettingError(
                "filter.quality.model is empty; name the model that filter.quality.labels or .sha256 are about"
            )
        if self.is_file and self.max_tokens:
            raise SettingError(
                f"filter.quality.max_tokens is for sequence classifiers, and filter.quality.model is a fastText file ({self.model}), which reads all of a text"
            )
        if self.is_file and not self.labels:
            raise SettingError(
                f'filter.quality.labels is empty; name the labels of {self.model} that are good, such as ["hq"]'
            )
        if self.model.startswith(("http://", "https://")):
            if not self.is_file:
                raise SettingError(
                    f"filter.quality.model is a folder on the web ({self.model}); copy it to a disk or a bucket, as only a file can be downloaded"
                )
            if not self.sha256:
                raise SettingError(
                    f"filter.quality.model is a download ({self.model}), so filter.quality.sha256 must say what it has to be"
                )

    @property
    def is_file(self) -> bool:
        """Whether the model is a file, and no folder."""
        return self.model.endswith((".bin", ".ftz"))


@dataclass(frozen=True, kw_only=True)
class OwnMeasureConfig:
    """`[filter.own.NAME]`: a measure of your own and what is asked of it; without bounds it is measured and nothing more."""

    # `module:function`, of a document (`pipeline.records.Document`): a number, or None. The module must be importable on the workers.
    function: str
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        if not _FUNCTION.fullmatch(self.function):
            raise SettingError(
                f"filter.own.*.function is {self.function!r}; expected is module:function, such as my_filters:capital_share"
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise SettingError(f"filter.own.*.min is {self.min}, more than max, {self.max}")


@dataclass(frozen=True, kw_only=True)
class PrivacyConfig:
    """`[filter.privacy]`: what is replaced by placeholders in the texts of kept documents."""

    on: bool = True
    # `secret`: keys and tokens by their published prefixes (`pipeline/filter/secrets.py`).
    masks: tuple[str, ...] = MASKS
    # National identity numbers are found by their check digits where they have some: name the ones to mask.
    national_ids: tuple[str, ...] = ()
    mask_private_ips: bool = False

    def __post_init__(self) -> None:
        _known("filter.privacy.masks", self.masks, MASKS)
        _known("filter.privacy.national_ids", self.national_ids, NATIONAL_IDS)


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """`[filter]`: which rule sets decide, in which order, and under which dialect they measure."""

    # In the order in which they give reasons; see `RULE_SETS`. C4 edits lines, so it is off unless asked for.
    sets: tuple[str, ...] = ("gopher_quality", "gopher_repetition", "fineweb")
    # Rules to leave out, by full name, such as `fineweb.too_many_short_lines`.
    off: tuple[str, ...] = ()
    # Allowed languages by code (`en`, `zh`, …); empty allows all.
    languages: tuple[str, ...] = ()
    min_language_score: float = 0.0
    # Whose reading of the rules the measures follow where the published implementations disagree.
    dialect: Dialect = "datatrove"
    # Whether documents in the languages of `by_language` are compared with FineWeb-2's thresholds for them, where the
    # settings below have their defaults, which fit English.
    thresholds_by_language: bool = True
    urls: UrlConfig = field(default_factory=UrlConfig)
    gopher_quality: GopherQualityConfig = field(default_factory=GopherQualityConfig)
    gopher_repetition: GopherRepetitionConfig = field(default_factory=GopherRepetitionConfig)
    c4: C4Config = field(default_factory=C4Config)
    fineweb: FineWebConfig = field(default_factory=FineWebConfig)
    fineweb2: FineWeb2Config = field(default_factory=FineWeb2Config)
    nemo: NemoConfig = field(default_factory=NemoConfig)
    spam: ClassifierConfig = field(default_factory=ClassifierConfig)
    toxicity: ClassifierConfig = field(default_factory=ClassifierConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    # N-gram models by the language whose documents they measure: `filter.perplexity.LANGUAGE`.
    perplexity: Mapping[str, PerplexityConfig] = field(default_factory=dict)
    # Measures of your own by name, compared after those of ours: `filter.own.NAME`.
    own: Mapping[str, OwnMeasureConfig] = field(default_factory=dict)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)

    def __post_init__(self) -> None:
        _known("filter.sets", self.sets, RULE_SETS)
        asked = {"languages": self.languages, "perplexity": tuple(self.perplexity)}
        for setting, language in ((setting, code) for setting, codes in asked.items() for code in codes):
            if not _LANGUAGE_CODE.fullmatch(language):
                raise SettingError(
                    f"filter.{setting} has {language!r}; expected are codes of two or three small letters, such as en, de or ceb"
                )
        for setting, codes in (asked | {"quality.languages": self.quality.languages}).items():
            if unusual := unusual_code(codes):
                stated, code = unusual
                raise SettingError(f"filter.{setting} has {stated!r}, whose code here is {code!r}")
        if self.dialect not in ("datatrove", "dolma", "dclm", "paper"):
            raise SettingError(f"filter.dialect is {self.dialect!r}; allowed are datatrove, dolma, dclm, paper")
        for name in self.own:
            if not _OWN_NAME.fullmatch(name):
                raise SettingError(
                    f"filter.own has {name!r}; a name has small letters, digits and underscores, and begins with a letter"
                )
        if not 0 <= self.min_language_score <= 1:
            raise SettingError(f"filter.min_language_score is {self.min_language_score}; it is a share, 0 to 1")
        for name in RULE_SETS:
            for setting, value in vars(getattr(self, name)).items():
                if isinstance(value, str):
                    continue
                if value < 0 or (setting.endswith("_share") and value > 1):
                    raise SettingError(
                        f"filter.{name}.{setting} is {value}; allowed is {'0 to 1' if setting.endswith('_share') else '0 or more'}"
                    )
        quality = self.gopher_quality
        if quality.min_words > quality.max_words:
            raise SettingError(
                f"filter.gopher_quality.min_words is {quality.min_words}, more than max_words, {quality.max_words}"
            )
        if quality.min_mean_word_length > quality.max_mean_word_length:
            raise SettingError(
                f"filter.gopher_quality.min_mean_word_length is {quality.min_mean_word_length}, more than max_mean_word_length, {quality.max_mean_word_length}"
            )


def _known(setting: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    for value in values:
        if value not in known:
            raise SettingError(f"{setting} names {value!r}; known are {', '.join(known)}")
    if len(set(values)) < len(values):
        raise SettingError(f"{setting} names something twice: {', '.join(values)}")

"""Rules: each fires on a text made for it and on nothing else that stands in its way."""

import math

import pytest

from pipeline.errors import SettingError
from pipeline.filter.config import RULE_SETS, C4Config, FilterConfig, FineWebConfig, GopherQualityConfig
from pipeline.filter.rules import RULES, Failure, chosen_rules, failures
from pipeline.filter.stage import FilterDocuments
from pipeline.records import Document, Rejection
from tests.filter.conftest import document

GOOD = "The house of the old man stood near a river, and he used to walk there with his dog every single morning."
WORDS = [
    "quiet",
    "water",
    "under",
    "bridge",
    "carries",
    "small",
    "boats",
    "past",
    "green",
    "fields",
    "toward",
    "distant",
    "towns",
]


def reason(text: str, sets: tuple[str, ...], **settings: object) -> str:
    verdict = FilterDocuments(FilterConfig(sets=sets, **settings)).judge(document(text))  # type: ignore[arg-type]
    return verdict.reason if isinstance(verdict, Rejection) else "kept"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I am your father.\n" * 4, "gopher_repetition.repeated_lines"),
        ("I am your father.\n\n" * 4, "gopher_repetition.repeated_paragraphs"),
        (
            "I am groot.\n\nYou are a wizard.\n\nI am your father.\n\n" + ("x" * 30 + ".\n\n") * 2,
            "gopher_repetition.repeated_paragraph_characters",
        ),
        (
            "I am groot.\nYou are a wizard.\nI am your father.\n" + ("x" * 40 + ".\n") * 2,
            "gopher_repetition.repeated_line_characters",
        ),
        ("I am Frank, I am Frank, I am Frank", "gopher_repetition.frequent_2_gram"),
        ("I am Frank, you are Jhon. I am Frank. I am Frank you are Jhon", "gopher_repetition.frequent_3_gram"),
    ],
)
def test_repetition(text: str, expected: str) -> None:
    assert reason(text, ("gopher_repetition",)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I am too small...", "too_few_words"),
        ("I am " * 20, "words_too_short"),
        ("interconnection " * 20, "words_too_long"),
        ("# comment " * 20, "too_many_hashes"),
        ("... comment " * 20, "too_many_ellipses"),
        ("- the point of that matter and more\n" * 20, "too_many_bullet_lines"),
        ("and thus everything goes towards the ending of that...\n" * 20, "too_many_ellipsis_lines"),
        ("1000 2000 word " * 10, "too_few_words_with_letters"),
        ("quiet water under bridge " * 5, "too_few_stop_words"),
        (GOOD, "kept"),
    ],
)
def test_quality(text: str, expected: str) -> None:
    found = reason(text, ("gopher_quality",), gopher_quality=GopherQualityConfig(min_words=10, max_words=1000))
    assert found == (expected if expected == "kept" else f"gopher_quality.{expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Here lies lorem ipsum dolor sit amet.\n" + "A line of four words.\n" * 5, "c4.lorem_ipsum"),
        ("Here is a { in a line.\n" + "A line of four words.\n" * 5, "c4.curly_bracket"),
        ("A line of four words.", "c4.too_few_sentences"),
        ("A line of four words. And one more here. " * 3, "kept"),
    ],
)
def test_c4(text: str, expected: str) -> None:
    assert reason(text, ("c4",)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no end here\n" * 9, "fineweb.too_few_terminal_lines"),
        ("Short line.\n" * 3 + GOOD, "fineweb.too_many_short_lines"),
        ((GOOD + "\n") * 2, "fineweb.repeated_line_characters"),
        (("\n" * 12).join(["This is a line that is a little longer than thirty.", GOOD]), "fineweb.too_many_newlines"),
        (GOOD, "kept"),
    ],
)
def test_fineweb(text: str, expected: str) -> None:
    assert reason(text, ("fineweb",)) == expected


def test_c4_edits_lines_and_keeps_the_rest() -> None:
    good = "This is a whole sentence.[1] And here is another one! A third? Yes, it is one. A fifth for good measure."
    lines = [
        good,
        "Menu",
        "Please enable JavaScript to see this.",
        "We use cookies and a privacy policy here.",
        "Two words.",
        "No stop at the end",
        "It trails off...",
    ]
    kept = FilterDocuments(FilterConfig(sets=("c4",))).judge(document("\n".join(lines)))
    assert isinstance(kept, Document)
    assert kept.text == good.replace("[1]", "")
    loose = FilterDocuments(FilterConfig(sets=("c4",), c4=C4Config(require_terminal_punctuation=False))).judge(
        document("\n".join(lines))
    )
    assert isinstance(loose, Document)
    assert loose.text.endswith("No stop at the end\nIt trails off...")


def test_every_failing_rule_is_told_and_the_first_is_the_reason() -> None:
    verdict = FilterDocuments(FilterConfig()).judge(document("I am too small..."))
    assert isinstance(verdict, Rejection)
    assert (verdict.reason, verdict.value, verdict.threshold) == ("gopher_quality.too_few_words", 4.0, 50.0)
    assert "gopher_quality.too_few_stop_words (0 < 2)" in verdict.detail
    assert verdict.measures["num_words"] == 4.0


def test_a_value_without_bounds_is_told_in_few_digits() -> None:
    """As a perplexity, or a measure of the user's own."""
    (rule, _), *_ = chosen_rules(FilterConfig())
    assert str(Failure(rule=rule, value=1e300, threshold=123456.0)).endswith("(1e+300 < 123456)")


def test_the_order_of_sets_is_the_order_of_reasons() -> None:
    text = "I am your father.\n" * 4
    assert reason(text, ("gopher_quality", "gopher_repetition")).startswith("gopher_quality.")
    assert reason(text, ("gopher_repetition", "gopher_quality")).startswith("gopher_repetition.")


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\x00", "#" * 200, "。" * 50, "\u2028", "a\x85b"])
def test_odd_texts_are_decided_not_dropped(text: str) -> None:
    for dialect in ("datatrove", "dolma", "dclm", "paper"):
        judge = FilterDocuments(FilterConfig(sets=RULE_SETS, dialect=dialect))  # type: ignore[arg-type]
        verdict = judge.judge(document(text))
        assert set(verdict.measures) == set(judge.measures)


def test_a_language_without_stop_words_passes_that_rule() -> None:
    text = " ".join(WORDS * 5)
    config = FilterConfig(sets=("gopher_quality",))
    assert isinstance(FilterDocuments(config).judge(document(text, "en")), Rejection)
    kept = FilterDocuments(config).judge(document(text, "xh"))
    assert isinstance(kept, Document)
    assert math.isnan(kept.measures["num_stop_words"])


def test_chinese_has_words() -> None:
    kept = FilterDocuments(FilterConfig(sets=("gopher_quality",))).judge(
        document("北京是中国的首都，也是全国的政治和文化中心。" * 6, "zh")
    )
    assert isinstance(kept, Document)
    assert kept.measures["num_words"] >= 60


def test_languages_can_be_chosen() -> None:
    judge = FilterDocuments(FilterConfig(languages=("de",)))
    verdict = judge.judge(document(GOOD, "en"))
    assert isinstance(verdict, Rejection)
    assert verdict.reason == "language.not_allowed"


@pytest.mark.parametrize("code", ["english", "EN", "e", "", "en_US"])
def test_what_is_no_code_of_a_language_is_refused_before_every_page_is(code: str) -> None:
    with pytest.raises(SettingError, match=f"filter.languages has '{code}'; expected are codes"):
        FilterConfig(languages=("de", code))


def test_codes_of_languages_may_name_a_script() -> None:
    assert FilterConfig(languages=("en", "ceb", "hi-Latn")).languages


def test_every_rule_names_a_measure_and_a_setting() -> None:
    config = FilterConfig(sets=RULE_SETS)
    measures = FilterDocuments(config).measures
    assert all(rule.measure in measures for rule, _ in chosen_rules(config))
    assert len({rule.reason for rule, _ in chosen_rules(config)}) == sum(len(RULES[name]) for name in RULE_SETS)


def test_a_rule_that_is_off_never_fails() -> None:
    rules = chosen_rules(FilterConfig(sets=("gopher_quality",), off=("gopher_quality.too_few_words",)))
    assert [failure.rule.name for failure in failures({"num_words": 1.0, "num_stop_words": 0.0}, rules)] == [
        "too_few_stop_words"
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"sets": ("gopher",)},
        {"sets": ("c4", "c4")},
        {"dialect": "nemo"},
        {"min_language_score": 2.0},
        {"gopher_quality": GopherQualityConfig(min_words=10, max_words=5)},
        {"gopher_quality": GopherQualityConfig(max_bullet_line_share=1.5)},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=r"filter\."):
        FilterConfig(**settings)  # type: ignore[arg-type]


def test_an_unknown_rule_in_off_is_refused() -> None:
    with pytest.raises(SettingError, match="too_silly"):
        FilterDocuments(FilterConfig(off=("fineweb.too_silly",)))


def _reasons(config: FilterConfig, text: str, language: str) -> set[str]:
    values = FilterDocuments(config)._measure(Document(id="1", url="", text=text, language=language)).values
    return {failure.rule.reason for failure in failures(values, chosen_rules(config))}


def test_thresholds_follow_the_language_unless_somebody_set_them() -> None:
    thai = "\n".join(f"นี่คือบทความภาษาไทยที่ไม่มีจุดสิ้นสุดประโยค ย่อหน้าที่ {number}" for number in "กขคงจฉช")
    assert "fineweb.too_few_terminal_lines" not in _reasons(FilterConfig(), thai, "th")
    assert "fineweb.too_few_terminal_lines" in _reasons(FilterConfig(), thai, "en")
    assert "fineweb.too_few_terminal_lines" in _reasons(FilterConfig(thresholds_by_language=False), thai, "th")
    own = FilterConfig(fineweb=FineWebConfig(min_terminal_line_share=0.5))
    assert "fineweb.too_few_terminal_lines" in _reasons(own, thai, "th")


def test_a_korean_word_may_be_short() -> None:
    korean = " ".join(["이 책 은 참 좋다."] * 20)
    assert "gopher_quality.words_too_short" not in _reasons(FilterConfig(), korean, "ko")
    assert "gopher_quality.words_too_short" in _reasons(FilterConfig(), korean, "en")

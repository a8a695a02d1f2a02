"""The rule set `nemo`: worked examples, a slow oracle, replay, and no measure of it where it is off."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.filter import english_texts
from jobs.refilter import texts_needed
from jobs.replay import Rulebook, check_replayable, replay
from pipeline.errors import SettingError
from pipeline.filter.config import FilterConfig, NemoConfig
from pipeline.filter.measures import MEASURES
from pipeline.filter.nemo import NEMO_MEASURES, nemo_measures
from pipeline.filter.rules import RULES, failures
from pipeline.filter.stage import FilterDocuments, rule_measures
from pipeline.records import Rejection
from tests.filter.conftest import document
from tests.filter.test_replay import run

GOOD = "The house of the old man stood near a river, and he used to walk there with his dog every single morning."
ON = FilterConfig(sets=("gopher_quality", "gopher_repetition", "nemo"))


@pytest.mark.parametrize(
    ("text", "measure", "expected"),
    [
        ("", "nemo_digit_share", math.nan),
        ("ab 12", "nemo_digit_share", 2 / 5),
        ("٣ four 4", "nemo_digit_share", 1 / 8),  # no digits of other scripts
        ("ab 12", "nemo_other_char_share", 1 / 5),  # the space
        ("a-b é\n", "nemo_other_char_share", 3 / 6),
        ("a\tb\u00a0c \n", "nemo_white_space_share", 3 / 7),  # no space that does not break
        ("(a) [b] {c} ⟨d⟩ <e>", "nemo_bracket_share", 8 / 19),
        ("see https://a.example/x?y=1#z now", "nemo_url_share", len("https://a.example/x?y=1") / 33),
        ("ftp://a.example http: //", "nemo_url_share", 0.0),
        ("# one # two", "nemo_symbol_word_share", 2 / 4),
        ("## one #a# ...", "nemo_symbol_word_share", 2 / 4),  # two signs are one run, so half of the word and not more
        ("well... … […]", "nemo_symbol_word_share", 2 / 3),
        ("a bc def", "nemo_longest_word", 3.0),
        (" ", "nemo_longest_word", math.nan),
        ("Our Privacy Policy.\n\nA text.", "nemo_boilerplate_share", 1 / 2),
        ("A text.\n\nB.\n\nHere is Lorem Ipsum.", "nemo_boilerplate_share", 1.0),
        ("One.\n\ntwo\nThree!' \n four”", "nemo_end_mark_line_share", 2 / 4),
    ],
)
def test_measures(text: str, measure: str, expected: float) -> None:
    assert nemo_measures(text, "en")[measure] == pytest.approx(expected, nan_ok=True)


def test_other_languages() -> None:
    german = nemo_measures("Er sagte: »Ja«\nund „nein”", "de")
    assert math.isnan(german["nemo_other_char_share"])
    assert german["nemo_end_mark_line_share"] == 1 / 2
    chinese = nemo_measures("这座城市位于河边。", "zh")
    assert math.isnan(chinese["nemo_longest_word"])
    assert math.isnan(chinese["nemo_symbol_word_share"])
    assert chinese["nemo_end_mark_line_share"] == 1.0


def address_characters(text: str) -> int:
    """Characters of web addresses, found one by one: what may stand in one are `!`, what lies from `$` to `_`, and small letters."""
    at = found = 0
    while (match := re.compile("https?://").search(text, at)) is not None:
        end = match.end()
        while end < len(text) and (text[end] == "!" or "$" <= text[end] <= "_" or "a" <= text[end] <= "z"):
            end += 1
        if end > match.end():
            found += end - match.start()
        at = end
    return found


def by_character(text: str) -> dict[str, float]:
    """The same of an English text, each by a pattern of its own over the whole text."""
    words, lines = text.split(), [line for line in text.split("\n") if line.strip()]
    ellipses = {"...", "[...]", "…", "(...)", "[…]", "-»"}
    symbols = [word for word in words if word in ellipses or len(re.findall("#+", word)) / len(word) > 0.5]
    ended = [line for line in lines if line.strip().endswith((".", "?", "!", '"', "'"))]
    return {
        "nemo_other_char_share": 1 - len(re.findall("[a-zA-Z0-9\n?!,.]", text)) / len(text),
        "nemo_digit_share": len(regex.findall("[[:digit:]]", text)) / len(text),
        "nemo_white_space_share": len(re.findall("[\t\n\r\b ]", text)) / len(text),
        "nemo_bracket_share": len(re.findall(r"{|}|⟨|⟩|\[|\]|\(|\)", text)) / len(text),
        "nemo_url_share": address_characters(text) / len(text),
        "nemo_symbol_word_share": len(symbols) / len(words) if words else math.nan,
        "nemo_longest_word": max(map(len, words)) if words else math.nan,
        "nemo_end_mark_line_share": len(ended) / len(lines) if lines else math.nan,
    }


def assert_as_by_character(text: str) -> None:
    measured = nemo_measures(text, "en")
    for name, value in by_character(text).items():
        assert measured[name] == pytest.approx(value, nan_ok=True), (name, text)


@given(st.text(alphabet="ab1٣ é\n\t\b()⟩[#….!?'”/:%~\ud800😀", min_size=1) | st.text(min_size=1))
def test_any_text(text: str) -> None:
    assert_as_by_character(text)
    assert_as_by_character(text + " http://a.example/" + text)


def test_real_texts(shared_data: Path) -> None:
    for text in english_texts(shared_data, 150):
        assert_as_by_character(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (GOOD, "kept"),
        ("Go - go - go - go - go - go.", "too_many_other_characters"),
        ("12345 and 67890.", "too_many_digits"),
        ("and\n\n\n\nso\n\n\n\non.", "too_much_white_space"),
        ("(a)(b)(c)and(d)so(e)on.", "too_many_other_characters"),
        (GOOD + " https://a.example/" + "x" * 60 + ".", "too_many_urls"),
        (GOOD + " ..." * 4, "too_many_symbol_words"),
        (GOOD + " " + "x" * 1001 + ".", "too_long_a_word"),
        ("We use cookies.", "too_many_boilerplate_paragraphs"),
        ("No end here", "too_few_lines_with_end_marks"),
    ],
)
def test_rules(text: str, rule: str) -> None:
    verdict = FilterDocuments(FilterConfig(sets=("nemo",))).judge(document(text))
    assert (verdict.reason if isinstance(verdict, Rejection) else "kept") == (
        rule if rule == "kept" else f"nemo.{rule}"
    )


def test_each_rule_compares_a_measure_of_the_set_with_a_setting_of_its_own() -> None:
    rules = RULES["nemo"]
    assert [rule.measure for rule in rules] == list(NEMO_MEASURES)
    assert sorted(rule.setting for rule in rules) == sorted(vars(NemoConfig()))
    extreme = {rule.measure: 2000.0 if rule.fails == ">" else 0.0 for rule in rules}
    assert len(list(failures(extreme, tuple((rule, rule.threshold(ON)) for rule in rules)))) == len(rules)


def test_nothing_is_measured_where_the_set_is_off() -> None:
    off = FilterConfig()
    assert not set(rule_measures(off)) & set(NEMO_MEASURES)
    verdict = FilterDocuments(off).judge(document(GOOD))
    assert not set(verdict.measures) & set(NEMO_MEASURES)
    assert set(MEASURES) | set(NEMO_MEASURES) <= set(FilterDocuments(ON).judge(document(GOOD)).measures)


@pytest.mark.parametrize("threshold", [0.05, 0.17, 0.19])
def test_replay_equals_a_new_run(tmp_path: Path, threshold: float) -> None:
    after = replace(ON, nemo=NemoConfig(max_other_char_share=threshold))
    kept_before, kept_after = run(tmp_path / "a", ON), run(tmp_path / "b", after)
    outcome = replay(str(tmp_path / "a/measures"), Rulebook.of(ON), Rulebook.of(after))
    assert (outcome.kept_before, outcome.kept_after) == (kept_before, kept_after)
    assert kept_after < kept_before


def test_the_set_cannot_be_gained_without_texts() -> None:
    off = FilterConfig()
    with pytest.raises(SettingError, match="cannot gain nemo"):
        check_replayable(off, ON)
    assert texts_needed(off, ON)
    check_replayable(ON, replace(ON, sets=("gopher_quality", "gopher_repetition")))

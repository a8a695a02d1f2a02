"""Normalised text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.normalise import normalise, one_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\x0bd\x85e\u2028f\u2029g", "a\nb\nc\nd\ne\nf\ng"),  # every line end is a line feed
        ("e\u0301", "é"),  # NFC
        ("a\x00b\x07c\x9dd\x1be", "abcde"),  # control characters go
        ("a\tb", "a\tb"),  # tabs stay: code and tables
        ("x\ud800y\udfffz", "xyz"),  # lone surrogates go
        ("so\u00adft \ufeffmark\u200b", "soft mark"),  # soft hyphens, byte order marks, zero-width spaces
        (
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),  # joiners stay
        ("a\u00a0b\u3000c", "a b c"),  # one kind of space
        ("a   \n\n\n\n  b  ", "a\n\n  b"),  # blank lines at most one by one; indentation stays
        ("\n\n a \n\n", " a"),
        ("", ""),
        ("\x00\r\n\t ", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(st.text(st.characters(), max_size=200))
def test_normalised_text_is_normalised(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")  # no lone surrogates
    assert "\r" not in once
    assert "\n\n\n" not in once


def test_one_line_is_short_and_has_no_line_ends() -> None:
    assert one_line(" A\n  title\twith\u00a0spaces ") == "A title with spaces"
    assert len(one_line("word " * 400)) <= 300


def test_a_long_run_of_spaces_costs_no_more_than_its_length() -> None:
    """Tried from each of its spaces, this would take an hour."""
    assert normalise("a" + " \t" * 1_000_000 + "b  \nc") == "a" + " \t" * 1_000_000 + "b\nc"

"""Words: the published examples of spaCy's English rules, and properties of any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.words import Vocabulary, split_chunk


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        ("word", "word"),
        ("don't", "do n't"),
        ("don’t", "do n’t"),
        ("(don't)", "( do n't )"),
        ("they'll've", "they 'll 've"),
        ("cannot", "can not"),
        ("well", "well"),  # looks like we'll
        ("dog's", "dog 's"),
        ("end.", "end ."),
        ("U.S.", "U.S."),
        ("USA.", "USA ."),
        ("e.g.,", "e.g. ,"),
        ("Mr.", "Mr."),
        ("wait...", "wait ..."),
        ("yes...no", "yes ... no"),
        ("well-known", "well - known"),
        ("either/or", "either / or"),
        ("and/or", "and/or"),
        ("10km.", "10 km ."),
        ("$100", "$ 100"),
        ("US$5", "US$ 5"),
        ("3-4", "3 - 4"),
        ("x,y", "x , y"),
        ("1,000", "1,000"),
        ("“quoted”,", "“ quoted ” ,"),
        (":-)", ":-)"),
        ("10am", "10 am"),
        ("https://example.org/a,b?c=d", "https://example.org/a,b?c=d"),
        ("(www.example.org).", "( www.example.org ) ."),
        ("[1]", "[ 1 ]"),
        ("我喜欢北京", "我 喜欢 北京"),  # function words alone, the rest in twos
        ("東京のカメラ", "東京 の カメラ"),
    ],
)
def test_a_chunk_is_cut_by_the_rules(chunk: str, words: str) -> None:
    assert split_chunk(chunk) == words.split()


@given(st.text(st.characters(exclude_categories=("Cs", "Zs", "Cc")), max_size=40))
def test_nothing_is_lost(chunk: str) -> None:
    assert "".join(split_chunk(chunk)) == chunk


@given(st.lists(st.text("ab.,'!{#é中 ", max_size=30), max_size=8))
def test_lines_end_where_they_end(lines: list[str]) -> None:
    vocabulary = Vocabulary()
    stream = vocabulary.ids_of_lines(lines)
    assert int((stream == 0).sum()) == len(lines)
    assert len(stream) == len(lines) + sum(len(split_chunk(chunk)) for line in lines for chunk in line.split())


def test_forgetting_changes_no_counts() -> None:
    vocabulary = Vocabulary()
    first = vocabulary.ids_of_lines(["the cat sat on the mat."])
    vocabulary.forget()
    second = vocabulary.ids_of_lines(["the cat sat on the mat."])
    assert vocabulary.length[first].tolist() == vocabulary.length[second].tolist()


def test_a_chunk_without_end_takes_time_with_its_length() -> None:
    """Peeled sign by sign, this would take minutes."""
    for sign in ("#", "a:", "...", "é"):
        assert "".join(split_chunk(sign * 30_000)) == sign * 30_000


def test_a_suffix_is_found_in_a_chunk_of_any_length() -> None:
    assert split_chunk("x" * 30 + "." * 20) == ["x" * 30, "." * 20]
    assert split_chunk("y" * 30 + "9mbar)") == ["y" * 30 + "9", "mbar", ")"]

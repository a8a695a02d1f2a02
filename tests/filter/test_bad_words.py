"""The lists of bad words of C4: by language, by word, in any case."""

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.filter.bad_words import BadWords, lists_sha256
from pipeline.filter.config import C4Config, FilterConfig
from pipeline.filter.stage import FilterDocuments
from pipeline.records import Document, Rejection


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "en").write_text("drat\nson of a gun\n# a remark\n\n")
    (tmp_path / "zh").write_text("坏词\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("text", "language", "count"),
    [
        ("Drat! And drat again.", "en", 2),
        ("The drats and a hydrate", "en", 0),  # inside other words
        ("You son of a gun", "en", 1),
        ("_drat_ is inside a name", "en", 0),
        ("这是坏词吗", "zh", 1),  # no spaces to look for
        ("drat", "de", None),  # no list
        ("drat", "../en", None),
    ],
)
def test_words_of_a_list(folder: str, text: str, language: str, count: int | None) -> None:
    assert BadWords(folder).count(text, language) == count


def test_one_is_enough_and_the_threshold_moves_it(folder: str) -> None:
    text = "\n".join(f"This is sentence number {n} of a text that is long enough, drat it." for n in range(2)) + (
        "\nAnd three more follow here, without it.\nThey are short.\nBut they count as sentences too."
    )
    document = Document(id="0", url="", text=text, language="en", language_score=1.0)
    verdict = FilterDocuments(FilterConfig(sets=("c4",), c4=C4Config(bad_words=folder))).judge(document)
    assert isinstance(verdict, Rejection)
    assert (verdict.reason, verdict.value) == ("c4.bad_words", 2.0)
    loose = FilterConfig(sets=("c4",), c4=C4Config(bad_words=folder, max_bad_words=2))
    assert isinstance(FilterDocuments(loose).judge(document), Document)


def test_the_lists_are_part_of_what_a_run_is_made_of(folder: str) -> None:
    before = lists_sha256(folder)
    Path(folder, "en").write_text("gosh\n")
    assert lists_sha256(folder) != before


def test_a_folder_without_lists_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bad_words"):
        BadWords(str(tmp_path / "none"))

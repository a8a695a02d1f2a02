"""The engine `justext`: the library's decisions in linear time, the stop list of the page's language, pages out to harm."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import justext
import justext.core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.extract import read_pages
from pipeline.errors import SettingError
from pipeline.extract.config import ExtractConfig, LanguageConfig
from pipeline.extract.engines import Source, TextFinder
from pipeline.extract.just_text import _LISTS, RunningText, paragraphs_of, revised
from pipeline.extract.language import LanguageFinder
from pipeline.language_codes import language_code

SHORT, LONG = (
    "A few words.",
    "This is one of the sentences that we have to look at, and it has some of the usual words. " * 3,
)


@pytest.fixture(scope="module")
def languages() -> LanguageFinder:
    return LanguageFinder(LanguageConfig())


@pytest.fixture(scope="module")
def running_text(languages: LanguageFinder) -> RunningText:
    return RunningText(languages)


def by_the_library(paragraphs: list[Any]) -> list[str]:
    """What the library makes of the same, told first what each paragraph is by itself, as its documentation has it."""
    for paragraph in paragraphs:
        paragraph.class_type = paragraph.cf_class
    justext.core.revise_paragraph_classification(paragraphs)
    return [paragraph.class_type for paragraph in paragraphs]


@given(
    st.lists(
        st.tuples(st.sampled_from(["good", "neargood", "short", "bad"]), st.booleans(), st.sampled_from([1, 60, 150])),
        max_size=14,
    )
)
def test_neighbours_decide_as_in_the_library(drawn: list[tuple[str, bool, int]]) -> None:
    paragraphs = [
        SimpleNamespace(cf_class=kind, heading=heading, text="x" * length, class_type="")
        for kind, heading, length in drawn
    ]
    assert revised(paragraphs) == by_the_library(paragraphs)  # type: ignore[arg-type]


def test_real_pages_as_in_the_library(shared_data: Path) -> None:
    words = frozenset(word.lower() for word in justext.get_stoplist("English"))
    decided = []
    for page in read_pages(shared_data / "html", "article_extraction")[:12]:
        paragraphs = paragraphs_of(page.html)
        justext.core.classify_paragraphs(paragraphs, words)
        mine = revised(paragraphs)
        assert mine == by_the_library(paragraphs)
        decided += mine
    assert min(decided.count("good"), decided.count("bad")) > 100


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", ""),
        ("<!-- only a comment -->", ""),
        (f"<p>{LONG}</p>", LONG.strip()),
        (f"<p>{SHORT}</p><p>{LONG}</p><p>{SHORT}</p>", LONG.strip()),  # short beside the end of the page
        (f"<p>{LONG}</p><p>{SHORT}</p><p>{LONG}</p>", f"{LONG.strip()}\n\n{SHORT}\n\n{LONG.strip()}"),
        (f"<h2>{SHORT}</h2><p>{LONG}</p>", f"{SHORT}\n\n{LONG.strip()}"),  # a heading near good text
        (f"<p><a href=/>{LONG}</a></p>", ""),  # links
        (f"<p>© {LONG}</p>", ""),
        ("<p>" + LONG.replace(" ", "\n  ") + "</p>", LONG.strip()),  # line ends of the source are spaces
        (f"<pre>{LONG}\n{LONG}</pre>", f"{LONG.strip()}\n{LONG.strip()}"),  # but not in preformatted text
        ("<?xml version='1.0' encoding='iso-8859-1'?><p>" + LONG + "Größe 你好</p>", LONG + "Größe 你好"),
        ("<p>" + LONG + "\ud800</p>", LONG + "?"),  # half of a surrogate pair
    ],
)
def test_pages(running_text: RunningText, body: str, expected: str) -> None:
    assert running_text.find(body) == expected


GERMAN = (
    "Die Stadt liegt an dem Fluss, und die meisten der Leute, die in ihr wohnen, sind nicht von hier, sondern aus dem Norden. "
    * 3
)
CHINESE = (
    "这座城市位于河边，大多数居民都不是本地人，而是从北方来的。他们在这里工作和生活已经很多年了，孩子们也在这里上学。"
    * 2
)
MAORI = "Ko te reo te mauri o te mana Māori, ā, he taonga tuku iho nā ngā tūpuna ki ngā uri o te ao hou nei. " * 3


@pytest.mark.parametrize(("text", "has_list"), [(GERMAN, True), (CHINESE, False), (MAORI, False)])
def test_the_language_of_the_page_decides(running_text: RunningText, text: str, has_list: bool) -> None:
    """An English list finds nothing in any of these."""
    page = f"<ul><li>Menu<li>Login</ul><p>{text}</p><p><a href=/>{text}</a></p>"
    english = justext.justext(page, justext.get_stoplist("English"))
    assert all(paragraph.is_boilerplate for paragraph in english)
    assert running_text.find(page) == text.strip()
    language = running_text._language(paragraphs_of(page))
    assert bool(running_text._stop_list(language)) == has_list


def test_every_list_of_the_library_has_its_language() -> None:
    assert set(_LISTS.values()) | {"Latin", "Belarusian_Taraskievica", "Simple_English"} == set(justext.get_stoplists())
    assert {code: language_code(code) for code in _LISTS} == {code: code for code in _LISTS}


def test_tables_are_left_out_if_asked(languages: LanguageFinder) -> None:
    page = f"<table><tr><td>{LONG}</table><p>{LONG}</p>"  # and a table alone is a whole page
    assert RunningText(languages).find(page).count("This is") == 6
    assert RunningText(languages, tables=False).find(page).count("This is") == 3
    assert RunningText(languages, tables=False).find(page.partition("<p>")[0]) == ""


def test_comments_contradict() -> None:
    with pytest.raises(SettingError, match="justext"):
        ExtractConfig(engine="justext", comments=True)


def test_the_finder_needs_no_finder_of_languages() -> None:
    assert TextFinder(ExtractConfig(engine="justext")).find(Source(f"<p>{LONG}</p>", None)).text  # type: ignore[arg-type]


def test_many_short_paragraphs_take_linear_time(running_text: RunningText) -> None:
    """The library looks from each of them to the ends of the page: 20,000 took it minutes."""
    page = "<table>" + "<tr><td>a cell<td>and one more" * 20_000 + "</table>"
    start = time.process_time()
    assert running_text.find(page) == ""
    assert time.process_time() - start < 20


def test_deep_nesting_is_survived(running_text: RunningText) -> None:
    assert isinstance(running_text.find("<div>" * 3900 + LONG), str)

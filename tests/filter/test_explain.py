"""`explain` sets each measure of a page beside the rules that compare it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import explain, page_text
from jobs.config import RunConfig, RunSettings, load, write_resolved
from jobs.curate import filter_pages
from jobs.engine import Engine
from pipeline.errors import InputError
from pipeline.filter.config import FilterConfig, GopherQualityConfig, OwnMeasureConfig, QualityConfig
from pipeline.filter.perplexity_config import PerplexityConfig
from pipeline.filter.stage import FilterDocuments
from pipeline.records import Document
from tests.filter.test_replay import run, texts
from tests.runs import Made, rows


def test_measures_stand_beside_their_limits(tmp_path: Path) -> None:
    config = FilterConfig(gopher_quality=GopherQualityConfig(min_words=40))
    run(tmp_path, config)
    write_resolved(replace(RunConfig(), run=RunSettings(folder=str(tmp_path)), filter=config))
    short, long = (list(explain._story(str(tmp_path), texts()[number].id)) for number in (1, 7))
    assert any("num_words = " in line and "fails gopher_quality.too_few_words (at least 40)" in line for line in short)
    assert any("num_words = " in line and "passes gopher_quality.too_few_words (at least 40)" in line for line in long)
    assert any("passes gopher_quality.words_too_short (at least 3); passes" in line for line in long)
    assert any(line.strip().startswith("toxicity: passes (refused from score") for line in long)
    assert not any("toxicity: " in line for line in short)  # a rule refused it before it was scored


def test_a_run_without_its_settings_shows_the_bare_measures(tmp_path: Path) -> None:
    run(tmp_path, FilterConfig())
    told = list(explain._story(str(tmp_path), texts()[7].id))
    assert any(line.strip().startswith("num_words = ") and "passes" not in line for line in told)


def shown(run: Path, page: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    explain.main(str(run), page, text=True)
    return capsys.readouterr().out.removesuffix("\n")


def test_the_text_of_a_page_that_is_stored(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    kept = rows(made.run, "documents")[0]
    assert shown(made.run, kept["id"], capsys) == kept["text"]
    duplicate = next(row for row in rows(made.run, "rejected/dedup") if row["reason"] != "same_page")
    texts = {row["id"]: row["text"] for row in rows(made.run, "filtered")}
    assert shown(made.run, duplicate["id"], capsys) == texts[duplicate["id"]]


@pytest.mark.parametrize("sets", [("gopher_quality",), ("c4", "gopher_quality")])
def test_the_text_of_a_refused_page_is_what_the_filter_saw(
    copy: Callable[[], Made], capsys: pytest.CaptureFixture[str], sets: tuple[str, ...]
) -> None:
    """Its words are as many as were counted, also where lines are edited."""
    made = copy()
    filter_pages(
        load(str(made.settings), [f"filter.sets={list(sets)}", "filter.gopher_quality.min_words=160"]),
        Engine(workers=1),
    )
    measures = {row["id"]: row for row in rows(made.run, "measures")}
    refused = [row["id"] for row in rows(made.run, "rejected/filter") if row["id"] in measures]
    assert len(refused) > 10
    for id in refused[:: len(refused) // 5]:
        text = shown(made.run, id, capsys)
        judge = FilterDocuments(FilterConfig(sets=("gopher_quality",)))
        seen = judge._measure(Document(id=id, url="", text=text, language="en"))
        assert seen.values["num_words"] == measures[id]["num_words"]


def test_the_lines_of_a_text_are_chosen_without_what_measured_it() -> None:
    """Functions and models of the user's own are not at hand wherever somebody looks at a text."""
    asked = FilterConfig(
        sets=("c4",),
        own={"length": OwnMeasureConfig(function="not_here:length", max=1)},
        perplexity={"en": PerplexityConfig(model="not_here.arpa")},
        quality=QualityConfig(model="not_here.bin", labels=("hq",)),
        off=("own.length_too_high",),
    )
    text = "This line has a full stop at its end.\nThis one has none"
    rules = FilterDocuments(page_text._lines_alone(asked))
    assert rules.edits
    assert rules.edited(Document(id="a", url="", text=text, language="en")) == text.partition("\n")[0]


def test_one_sentence_where_there_is_no_text(made: Made, copy: Callable[[], Made]) -> None:
    with pytest.raises(InputError, match=r"has no page with the url 'http://nowhere\.example/', so no text"):
        explain.main(str(made.run), "http://nowhere.example/", text=True)
    copied = copy()
    filter_pages(load(str(copied.settings), ["extract.min_text_chars=400"]), Engine(workers=1))
    empty = next(row for row in rows(copied.run, "rejected/filter") if row["stage"] == "extract")
    with pytest.raises(InputError, match=rf"the page {empty['url']} has no text: it is refused as empty_text"):
        explain.main(str(copied.run), empty["url"], text=True)

"""`explain` sets each measure of a page beside the rules that compare it."""

from dataclasses import replace
from pathlib import Path

from jobs import explain
from jobs.config import RunConfig, RunSettings, write_resolved
from pipeline.filter.config import FilterConfig, GopherQualityConfig
from tests.filter.test_replay import run, texts


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

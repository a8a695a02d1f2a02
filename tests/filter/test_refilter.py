"""Other thresholds on a finished run: decided again from stored measures, byte for byte as from the pages."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import refilter
from jobs.config import RunConfig, load
from jobs.curate import filter_pages, filter_step
from jobs.engine import Engine
from pipeline.errors import CorpusmillError
from tests.runs import Made, assert_same, contents, rows

DATASETS = ("filtered", "measures", "rejected/filter")
ENGINE = Engine(workers=1)
# Keeps some that were refused, and refuses some that were kept.
MOVED = ("filter.gopher_quality.min_words=5", "filter.fineweb.max_newline_word_ratio=0.03")
Copy = Callable[[], Made]


def settings(made: Made, *assignments: str) -> RunConfig:
    return load(str(made.settings), assignments)


@pytest.mark.parametrize(
    "assignments",
    [
        MOVED,
        ("filter.spam.max_score=0.01", "filter.toxicity.max_score=0.01"),  # the classifiers decide otherwise
        ('filter.off=["gopher_quality.too_few_stop_words"]', 'filter.sets=["fineweb", "gopher_quality"]'),
    ],
)
def test_equal_to_a_run_from_the_pages(
    copy: Copy, capsys: pytest.CaptureFixture[str], assignments: tuple[str, ...]
) -> None:
    one, other = copy(), copy()
    before = contents(one.run, DATASETS)
    kept = {row["id"] for row in rows(one.run, "filtered")}
    filter_pages(settings(one, *assignments), ENGINE)
    said = capsys.readouterr().err
    filter_pages(settings(other, *assignments), ENGINE, force=True)
    assert_same(contents(one.run, DATASETS), contents(other.run, DATASETS))
    assert contents(one.run, DATASETS) != before
    assert "decided again" not in capsys.readouterr().err
    gained = {row["id"] for row in rows(one.run, "filtered")} - kept
    (number,) = [line for line in said.splitlines() if line.startswith("filter: decided again from stored measures, ")]
    assert int(number.split()[6].replace(",", "")) >= len(gained)
    assert not (one.run / "attempts/filter-again").exists()


def test_a_set_may_be_left_out_without_the_texts(copy: Copy) -> None:
    """None of its measures is left then."""
    one, other = copy(), copy()
    filter_pages(settings(one, 'filter.sets=["nemo", "gopher_quality"]'), ENGINE)
    after = ('filter.sets=["gopher_quality"]',)
    assert refilter.can_answer(filter_step(settings(one, *after)))
    filter_pages(settings(one, *after), ENGINE)
    filter_pages(settings(other, *after), ENGINE, force=True)
    assert_same(contents(one.run, DATASETS), contents(other.run, DATASETS))


def test_the_moved_thresholds_gain_and_lose_documents(copy: Copy) -> None:
    made = copy()
    before = {row["id"] for row in rows(made.run, "filtered")}
    filter_pages(settings(made, *MOVED), ENGINE)
    after = {row["id"] for row in rows(made.run, "filtered")}
    assert before - after
    assert after - before


@pytest.mark.parametrize(
    "assignment",
    ["extract.min_text_chars=2", "filter.dialect=dolma", "filter.privacy.on=false", "filter.min_language_score=0.1"],
)
def test_other_settings_need_the_pages(copy: Copy, assignment: str) -> None:
    made = copy()
    assert refilter.can_answer(filter_step(settings(made, *MOVED)))
    assert not refilter.can_answer(filter_step(settings(made, assignment)))


def test_datasets_that_are_not_whole_need_the_pages(copy: Copy) -> None:
    made = copy()
    step = filter_step(settings(made, *MOVED))
    next((made.run / "measures").glob("*.parquet")).unlink()
    assert not refilter.can_answer(step)
    (made.run / "measures/manifest.json").unlink()
    assert not refilter.can_answer(step)


def test_a_failure_leaves_the_earlier_datasets(copy: Copy) -> None:
    made, other = copy(), copy()
    measures = next((made.run / "measures").glob("*.parquet"))
    whole, before = measures.read_bytes(), contents(made.run, DATASETS)
    measures.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((CorpusmillError, OSError, ValueError)):
        filter_pages(settings(made, *MOVED), ENGINE)
    measures.write_bytes(whole)
    assert_same(contents(made.run, DATASETS), before)
    filter_pages(settings(made), ENGINE)  # the old settings: nothing is lost, and nothing is to be done
    assert_same(contents(made.run, DATASETS), before)
    filter_pages(settings(made, *MOVED), ENGINE)
    filter_pages(settings(other, *MOVED), ENGINE, force=True)
    assert_same(contents(made.run, DATASETS), contents(other.run, DATASETS))


@pytest.mark.parametrize("moved", [0, 1, 2, 3])
def test_a_kill_while_the_datasets_are_replaced(copy: Copy, moved: int) -> None:
    """The same command finishes what is beside; so does one with other settings, which then begins from there."""
    made, other = copy(), copy()
    config = settings(made, *MOVED)
    step = filter_step(config)
    beside = refilter._beside(step)
    refilter.decide_again(beside, str(made.run), config.extract, config.filter, ENGINE)
    assert_same(
        contents(made.run, DATASETS), contents(other.run, DATASETS)
    )  # a kill until now: the earlier ones are whole
    for output in step.outputs:
        (made.run / output / "manifest.json").unlink()
    for output in ("rejected/filter", "measures", "filtered")[:moved]:
        refilter._move(beside.folder(output), step.folder(output))
    filter_pages(config, ENGINE)
    filter_pages(settings(other, *MOVED), ENGINE, force=True)
    assert_same(contents(made.run, DATASETS), contents(other.run, DATASETS))
    assert not Path(beside.run).exists()

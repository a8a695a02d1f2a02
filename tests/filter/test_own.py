"""`[filter.own]`: functions of the user's as measures: stored, compared, replayed, and what is said of wrong ones."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import cli, replay
from jobs.config import RunConfig, load
from jobs.curate import filter_step
from jobs.settings import build, override
from pipeline.errors import SettingError
from pipeline.filter.config import FilterConfig, OwnMeasureConfig
from pipeline.filter.stage import FilterDocuments
from pipeline.manifests import dataset_files
from pipeline.records import Document, Rejection
from pipeline.stage import judge_one
from pipeline.tables import read_rows
from tests import corpora
from tests.filter.conftest import document
from tests.runs import Made

CODE = """
def capital_share(document):
    letters = [char for char in document.text if char.isalpha()]
    return sum(map(str.isupper, letters)) / len(letters) if letters else None

def number_of_language(document):
    return {"en": 1, "de": True}.get(document.language)

def broken(document):
    return document.text if "ouch" in document.text else 0

constant = 3
"""


pytestmark = pytest.mark.xdist_group("runs")


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with the functions above, which no other test has imported."""
    name = f"my_filters_{abs(hash(tmp_path)):x}"
    (tmp_path / f"{name}.py").write_text(CODE, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return name


def configured(**own: OwnMeasureConfig) -> FilterConfig:
    return FilterConfig(sets=(), own=own)


def test_a_function_measures_and_its_bounds_decide(functions: str) -> None:
    config = configured(shouting=OwnMeasureConfig(function=f"{functions}:capital_share", min=0.1, max=0.5))
    judge = FilterDocuments(config)
    assert "own_shouting" in judge.measures
    kept = judge.judge(document("AbCc"))
    assert isinstance(kept, Document)
    assert kept.measures["own_shouting"] == 0.5
    for text, reason, threshold in (("ABC d", "own.shouting_too_high", 0.5), ("abcdefgh", "own.shouting_too_low", 0.1)):
        refused = judge.judge(document(text))
        assert isinstance(refused, Rejection)
        assert (refused.reason, refused.threshold) == (reason, threshold)
    nothing = judge.judge(document("123"))
    assert isinstance(nothing, Document)
    assert math.isnan(nothing.measures["own_shouting"])


def test_without_bounds_it_is_only_measured(functions: str) -> None:
    judge = FilterDocuments(configured(code=OwnMeasureConfig(function=f"{functions}:number_of_language")))
    found = [judge.judge(document("text", language)).measures["own_code"] for language in ("en", "de")]
    assert found == [1, 1]


def test_what_is_no_number_refuses_the_document_and_no_other(functions: str) -> None:
    judge = FilterDocuments(configured(odd=OwnMeasureConfig(function=f"{functions}:broken")))
    refused = judge_one([judge], document("ouch!"))
    assert isinstance(refused, Rejection)
    assert refused.reason == "error/TypeError"
    assert "own_odd gave 'ouch!'; expected a number" in refused.detail
    assert isinstance(judge_one([judge], document("fine")), Document)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("capital_share", "expected is module:function"),
        ("no_such_module_of_mine:f", "cannot be imported: ModuleNotFoundError"),
        ("{}:nothing", "has no function 'nothing'"),
        ("{}:constant", "has no function 'constant'"),
    ],
)
def test_wrong_functions_are_refused_before_any_work(functions: str, function: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        filter_step(RunConfig(filter=configured(mine=OwnMeasureConfig(function=function.format(functions)))))


def test_wrong_names_and_bounds_are_refused() -> None:
    with pytest.raises(SettingError, match=r"filter\.own has 'My rule'"):
        configured(**{"My rule": OwnMeasureConfig(function="a:b")})
    with pytest.raises(SettingError, match="more than max"):
        OwnMeasureConfig(function="a:b", min=2, max=1)
    with pytest.raises(SettingError, match=r"filter\.off names 'own.mine_too_low'"):
        FilterDocuments(replace(configured(mine=OwnMeasureConfig(function="a:b", max=1)), off=("own.mine_too_low",)))


def test_other_code_is_another_step(functions: str, tmp_path: Path) -> None:
    config = RunConfig(filter=configured(mine=OwnMeasureConfig(function=f"{functions}:capital_share")))
    before = filter_step(config).versions["own measures"]
    assert filter_step(config).versions["own measures"] == before
    (tmp_path / f"{functions}.py").write_text(CODE + "\n# changed\n", "utf-8")
    assert filter_step(config).versions["own measures"] != before


def test_settings_and_replay(functions: str) -> None:
    tables = {"filter": {"own": {"shouting": {"function": f"{functions}:capital_share", "max": 0.3}}}}
    before, after = (build(RunConfig, override(tables, more)).filter for more in ([], ["filter.own.shouting.max=0.6"]))
    replay.check_replayable(before, after)
    values = {"own_shouting": 0.5}
    assert replay.Rulebook.of(before).failing(values) == ["own.shouting_too_high"]
    assert replay.Rulebook.of(after).failing(values) == []
    with pytest.raises(SettingError, match=r"filter\.own\.shouting cannot be replayed"):
        replay.check_replayable(FilterConfig(), after)


@pytest.mark.slow
def test_a_run_with_worker_processes(
    functions: str, copy: Callable[[], Made], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The module is found in other processes, the measure is stored, and a stricter bound is replayed and explained."""
    mine = copy()
    own = [f'filter.own.shouting.function="{functions}:capital_share"', "filter.own.shouting.max=0.9"]
    arguments = [word for each in own for word in ("--set", each)]
    assert cli.main(["curate", str(mine.settings), "--workers", "2", *arguments]) == 0
    values = [row["own_shouting"] for path in dataset_files(f"{mine.run}/measures") for row in read_rows(path) if row["decision"] == "kept"]  # fmt: skip
    assert values
    assert all(0 < value <= 0.9 for value in values)
    assert load(str(mine.run)).filter.own["shouting"].max == 0.9
    capsys.readouterr()
    assert cli.main(["replay", str(mine.run), "--set", "filter.own.shouting.max=0.0001"]) == 0
    assert "own.shouting_too_high" in capsys.readouterr().out


def test_the_filter_at_a_shell(functions: str, tmp_path: Path) -> None:
    source = corpora.write_jsonl(tmp_path / "in.jsonl", [{"text": "QUITE LOUD"}, {"text": "quite calm"}])
    own = [f'filter.own.loud.function="{functions}:capital_share"', "filter.own.loud.max=0.5", "filter.sets=[]"]
    arguments = [word for each in own for word in ("--set", each)]
    assert cli.main(["filter", str(source), str(tmp_path / "out.jsonl"), *arguments]) == 0
    assert "own.loud_too_high" in (tmp_path / "out.rejected.jsonl").read_text("utf-8")

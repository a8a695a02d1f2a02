"""`[filter.perplexity]` as a measure with rules: languages, replay, fingerprints, runs, and what is said of wrong models."""

import gzip
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs import checks, cli, curate, explain, replay, stats
from jobs.config import RunConfig, load
from jobs.curate import filter_pages, filter_step
from jobs.engine import Engine
from jobs.settings import build, override
from pipeline import storage
from pipeline.errors import InputError, SettingError
from pipeline.filter.config import FilterConfig
from pipeline.filter.perplexity import PerplexityModel, models_sha256
from pipeline.filter.perplexity_config import PerplexityConfig
from pipeline.filter.stage import FilterDocuments
from pipeline.records import Document, Rejection
from tests import corpora
from tests.filter.conftest import document
from tests.filter.kenlm_models import ARPA, configured, needs_kenlm, needs_sentencepiece
from tests.runs import Made, assert_same, contents, rows

pytestmark = pytest.mark.xdist_group("runs")


@needs_kenlm
def test_each_language_has_a_measure_and_bounds_of_its_own(arpa: Path) -> None:
    models = {
        language: PerplexityConfig(model=str(arpa), max_perplexity=limit, min_perplexity=2)
        for language, limit in (("en", 10.0), ("de", 500.0))
    }
    judge = FilterDocuments(FilterConfig(sets=(), perplexity=models))
    assert judge.measures[-2:] == ("perplexity_de", "perplexity_en")
    refused = judge.judge(document("zebra"))
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.value, refused.threshold) == ("perplexity.en_too_high", 56.2341, 10)
    assert refused.detail == "perplexity.en_too_high (56.23 > 10)"
    assert refused.measures["perplexity_en"] == 56.2341
    assert math.isnan(refused.measures["perplexity_de"])
    kept = judge.judge(document("zebra", "de"))
    assert isinstance(kept, Document)
    assert kept.measures["perplexity_de"] == 56.2341
    assert math.isnan(kept.measures["perplexity_en"])
    assert isinstance(judge.judge(document("zebra", "fr")), Document)
    assert isinstance(judge.judge(document("", "en")), Document)
    low = FilterDocuments(configured(arpa, min_perplexity=60)).judge(document("zebra"))
    assert isinstance(low, Rejection)
    assert low.reason == "perplexity.en_too_low"
    off = replace(configured(arpa, min_perplexity=60), off=("perplexity.en_too_low",))
    assert isinstance(FilterDocuments(off).judge(document("zebra")), Document)


def test_runs_without_models_have_no_such_measure() -> None:
    assert not [name for name in FilterDocuments(FilterConfig()).measures if name.startswith("perplexity")]
    assert "perplexity models" not in filter_step(RunConfig()).versions


def test_another_model_makes_another_step(arpa: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.arpa"
    other.write_text(ARPA.replace("-0.7", "-0.8"), "utf-8")
    found = [
        filter_step(RunConfig(filter=config)).versions["perplexity models"]
        for config in (configured(arpa), configured(other), configured(arpa, "de"), configured(arpa, tokenizer=str(other)))
    ]  # fmt: skip
    assert len(set(found)) == 4
    assert filter_step(RunConfig(filter=configured(arpa, max_perplexity=3.0))).versions["perplexity models"] == found[0]


def test_the_bounds_can_be_replayed_and_the_model_cannot(arpa: Path) -> None:
    tables = {"filter": {"sets": [], "perplexity": {"en": {"model": str(arpa), "max_perplexity": 300}}}}
    before, after = (build(RunConfig, override(tables, more)).filter for more in ([], ["filter.perplexity.en.max_perplexity=900"]))  # fmt: skip
    replay.check_replayable(before, after)
    values = {"perplexity_en": 500.0, "perplexity_de": None}
    assert replay.Rulebook.of(before).failing(values) == ["perplexity.en_too_high"]
    assert replay.Rulebook.of(after).failing(values) == []
    told = list(explain._measures({"perplexity_en": 500.0}, replay.Rulebook.of(before)))
    assert told[0].strip() == "perplexity_en = 500    fails perplexity.en_too_high (at most 300)"
    replay.check_replayable(before, FilterConfig(sets=()))
    for other, setting in (
        ({"dialect": "plain"}, "dialect"),
        ({"tokenizer": "x"}, "tokenizer"),
        ({"sha256": "x"}, "sha256"),
    ):
        with pytest.raises(SettingError, match=rf"filter\.perplexity\.en\.{setting} cannot be replayed"):
            replay.check_replayable(before, configured(arpa, **other))
    with pytest.raises(SettingError, match=r"filter\.perplexity\.de\.model cannot be replayed"):
        replay.check_replayable(before, configured(arpa, "de"))


# --- what is wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": ""}, "model is empty"),
        ({"model": "m", "tokenizer_sha256": "0"}, "tokenizer is empty"),
        ({"model": "https://example.org/m"}, r"is a download, so sha256 must say"),
        ({"model": "m", "tokenizer": "https://example.org/t"}, r"is a download, so tokenizer_sha256 must say"),
        ({"model": "m", "max_perplexity": 0.5}, "max_perplexity is 0.5; a perplexity is 1 or more"),
        (
            {"model": "m", "min_perplexity": 9, "max_perplexity": 8},
            "min_perplexity is 9.*, more than max_perplexity, 8",
        ),
        ({"model": "m", "dialect": "dolma"}, "filter.perplexity.en.dialect is 'dolma'; allowed are 'ccnet', 'lines'"),
        ({}, "needs the setting 'model'"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence) as error:
        build(RunConfig, {"filter": {"perplexity": {"en": settings}}})
    assert "filter.perplexity.en" in str(error.value)


@pytest.mark.parametrize(("language", "sentence"), [("eng", "whose code here is 'en'"), ("EN!", "expected are codes")])
def test_models_are_named_by_our_codes(language: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        configured(Path("m"), language)


def test_a_language_that_nobody_answers_is_refused(arpa: Path) -> None:
    with pytest.raises(SettingError, match=r"filter\.perplexity names tlh, which .* never answers"):
        curate._check_languages(RunConfig(filter=configured(arpa, "tlh")))


@needs_kenlm
def test_wrong_models_are_refused_in_a_sentence(arpa: Path, tmp_path: Path) -> None:
    def loaded(path: Path, **more: Any) -> PerplexityModel:
        return PerplexityModel("en", PerplexityConfig(model=str(path), **more))

    with pytest.raises(InputError, match=r"not the model that filter\.perplexity\.en\.sha256 names"):
        loaded(arpa, sha256="0" * 64)
    with pytest.raises(InputError, match="no such file"):
        loaded(tmp_path / "none")
    wrong = tmp_path / "wrong.arpa"
    for content in (b"", b"no model", ARPA[:150].encode(), b"mmap lm http://kheafield.com/code format version 5\n\0"):
        wrong.write_bytes(content)
        with pytest.raises(InputError, match=r"wrong\.arpa is not a model that KenLM reads: ") as error:
            loaded(wrong)
        assert not re.search(r"\.cc:|Cannot read model", str(error.value))
    wrong.write_bytes(gzip.compress(ARPA.encode())[:-20])
    with pytest.raises(InputError, match=r"wrong\.arpa cannot be unpacked"):
        loaded(wrong)


@needs_sentencepiece
def test_wrong_tokenizers_are_refused_in_a_sentence(arpa: Path, pieces: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not the model that filter\.perplexity\.en\.tokenizer_sha256 names"):
        PerplexityModel("en", PerplexityConfig(model=str(arpa), tokenizer=str(pieces), tokenizer_sha256="0" * 64))
    for content in (b"", b"no model", pieces.read_bytes()[:100]):
        (tmp_path / "wrong.model").write_bytes(content)
        with pytest.raises(InputError, match=r"wrong\.model is not a SentencePiece model"):
            PerplexityModel("en", PerplexityConfig(model=str(arpa), tokenizer=str(tmp_path / "wrong.model")))


def test_absent_packages_are_named_with_what_installs_them(arpa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", None)
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"needs kenlm, which is not installed: pip install 'corpusmill\[perplexity\]'"
    ):
        PerplexityModel("en", PerplexityConfig(model=str(arpa)))
    config = RunConfig(filter=configured(arpa, tokenizer="none.model"))
    with pytest.raises(
        InputError, match=r"3 settings .*model needs kenlm.*needs sentencepiece.*tokenizer: no such file"
    ):
        checks.check(config, ["curate"])


# --- the whole ----------------------------------------------------------------------------------------


@needs_kenlm
def test_a_model_that_is_not_on_the_disk(arpa: Path) -> None:
    path = "memory://perplexity/en.arpa"
    storage.write_bytes(path, arpa.read_bytes())
    here, there = (PerplexityModel("en", PerplexityConfig(model=model)) for model in (str(arpa), path))
    assert there.of("the old mill") == here.of("the old mill")
    assert models_sha256(configured(Path(arpa)).perplexity) == models_sha256({"en": PerplexityConfig(model=path)})
    storage.remove_tree(path)


@needs_kenlm
def test_a_gzipped_model_and_the_filter_at_a_shell(arpa: Path, tmp_path: Path) -> None:
    packed = tmp_path / "en.arpa.gz"
    packed.write_bytes(gzip.compress(ARPA.encode()))
    source = corpora.write_jsonl(tmp_path / "in.jsonl", [{"text": text, "language": "en"} for text in ("the old mill", "zebra")])  # fmt: skip
    settings = [f'filter.perplexity.en.model="{packed}"', "filter.perplexity.en.max_perplexity=20", "filter.sets=[]"]
    arguments = [word for each in settings for word in ("--set", each)]
    assert cli.main(["filter", str(source), str(tmp_path / "out.jsonl"), *arguments]) == 0
    assert [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").open()] == ["the old mill"]
    (refused,) = [json.loads(line) for line in (tmp_path / "out.rejected.jsonl").open()]
    assert (refused["reason"], refused["value"], refused["threshold"]) == ("perplexity.en_too_high", 56.2341, 20)


@pytest.mark.slow
@needs_kenlm
def test_a_run_measures_replays_and_tells(
    copy: Callable[[], Made], arpa: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = copy(), copy()
    datasets = ("filtered", "measures", "rejected/filter")
    model = f'filter.perplexity.en.model="{arpa}"'
    filter_pages(load(str(one.settings), [model]), Engine(workers=1))
    found = [row["perplexity_en"] for row in rows(one.run, "measures") if row["perplexity_en"] is not None]
    limit = sorted(found)[len(found) // 2]
    assert found
    bound = f"filter.perplexity.en.max_perplexity={limit}"
    filter_pages(load(str(one.settings), [model, bound]), Engine(workers=1))
    assert "decided again from stored measures" in capsys.readouterr().err
    filter_pages(load(str(other.settings), [model, bound]), Engine(workers=1))
    assert_same(contents(one.run, datasets), contents(other.run, datasets))
    refused = [row for row in rows(one.run, "rejected/filter") if row["reason"] == "perplexity.en_too_high"]
    assert refused
    lines = list(stats.measure_lines(str(one.run / "measures"), replay.Rulebook.of(load(str(one.settings), [model, bound]).filter), (0.3, 0.6)))  # fmt: skip
    assert lines[1].split()[1:3] == ["30%", "60%"]
    assert [line for line in lines if line.startswith("perplexity_en") and line.endswith(f"≤ {limit:g}")]

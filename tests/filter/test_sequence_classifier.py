"""`[filter.quality]` with a sequence classifier: equal to a plain call of `transformers`, and what is said of wrong folders and settings."""

import hashlib
import json
import math
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs import checks, cli, curate, explain, ingest, replay
from jobs.config import RunConfig, RunSettings, write_resolved
from jobs.curate import filter_step
from jobs.engine import Engine
from pipeline import storage
from pipeline.dedup.config import DedupConfig
from pipeline.errors import InputError, SettingError
from pipeline.extract.config import ExtractConfig
from pipeline.filter.config import FilterConfig, QualityConfig
from pipeline.filter.quality import load_scorer, model_sha256
from pipeline.filter.sequence_classifier import SequenceClassifier
from pipeline.filter.stage import FilterDocuments
from pipeline.ingest.config import IngestConfig
from pipeline.records import Document, Rejection
from tests import corpora
from tests.filter.conftest import document
from tests.filter.sequence_models import LABELS, bert, deberta, logits_of, save_tokenizer, texts
from tests.runs import assert_same, contents, rows


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return deberta(tmp_path_factory.mktemp("deberta"))


def quality(model: Path | str, **more: Any) -> QualityConfig:
    return QualityConfig(model=str(model), **more)


def configured(model: Path, **more: Any) -> FilterConfig:
    return FilterConfig(sets=(), quality=quality(model, **more))


def softmax(logits: list[float]) -> list[float]:
    whole = math.fsum(map(math.exp, logits))
    return [math.exp(each) / whole for each in logits]


# --- scores -------------------------------------------------------------------------------------------


def test_a_regression_gives_its_number_as_it_is(regression: Path) -> None:
    scorer, batch = load_scorer(quality(regression)), ["", *texts(40)]
    expected = [logit for (logit,) in logits_of(regression, batch)]
    found = [scorer.score(text) for text in batch]
    assert found == pytest.approx(expected, abs=6e-5)
    assert found == [round(score, 4) for score in found]
    assert min(found) < -1 < max(found)  # no probabilities


@pytest.mark.parametrize("good", [("High",), ("High", "Medium"), ("Low", "High"), LABELS])
def test_labels_are_added_up_after_softmax(labelled: Path, good: tuple[str, ...]) -> None:
    scorer, batch = load_scorer(quality(labelled, labels=good)), texts(30)
    expected = [softmax(logits) for logits in logits_of(labelled, batch)]
    added = [sum(each[LABELS.index(label)] for label in good) for each in expected]
    assert [scorer.score(text) for text in batch] == pytest.approx(added, abs=6e-5)
    assert max(added) - min(added) > 0.05 or good == LABELS


@pytest.mark.parametrize(
    "max_tokens", [3, 8, 24, 40]
)  # 40 are more than config.json states, but positions are relative
def test_texts_are_cut_at_max_tokens(labelled: Path, max_tokens: int) -> None:
    scorer, batch = load_scorer(quality(labelled, labels=("Low",), max_tokens=max_tokens)), texts(20)
    expected = [softmax(logits)[2] for logits in logits_of(labelled, batch, max_length=max_tokens)]
    assert [scorer.score(text) for text in batch] == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(
    ("tokenizer", "positions", "read"),
    [
        (24, 24, 24),
        (10, 24, 10),  # the smaller of the two
        (None, 24, 24),  # a tokenizer without a limit
        (10**30, 24, 24),  # and one that says so in its way
        (10, None, 10),
    ],
)
def test_the_length_is_what_the_folder_states(
    labelled: Path, tmp_path: Path, tokenizer: int | None, positions: int | None, read: int
) -> None:
    folder = copied(labelled, tmp_path)
    save_tokenizer(folder, tokenizer)
    changed(folder / "config.json", max_position_embeddings=positions)
    stated, said = (load_scorer(quality(folder, labels=("High",), max_tokens=length)) for length in (0, read))
    long = texts(20)
    assert [stated.score(text) for text in long] == [said.score(text) for text in long]
    assert stated._tokenizer.truncation["max_length"] == read  # type: ignore[attr-defined]


def test_the_side_on_which_a_tokenizer_cuts(labelled: Path, tmp_path: Path) -> None:
    folder = copied(labelled, tmp_path)
    changed(folder / "tokenizer_config.json", truncation_side="left")
    right, left = (load_scorer(quality(each, labels=("High",), max_tokens=4)) for each in (labelled, folder))
    assert left.score("the old mill stood near a river") == right.score("a river") != right.score("the old mill")


def test_a_score_depends_on_nothing_but_the_text(regression: Path) -> None:
    batch = texts(12, seed=5)
    one, other = load_scorer(quality(regression)), load_scorer(quality(regression))
    assert [one.score(text) for text in batch] == [other.score(text) for text in reversed(batch)][::-1]


def test_threads_go_back_to_what_they_were(regression: Path) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        scorer, seen = SequenceClassifier(quality(regression)), []
        scorer._model.register_forward_hook(lambda *_: seen.append((torch.get_num_threads(), scorer._model.training)))
        scorer.score("the old mill")
        assert seen == [(1, False)]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_any_text_has_a_score(regression: Path, tmp_path: Path) -> None:
    scorer = load_scorer(quality(regression))
    assert scorer.score("half \ud83d a pair") == scorer.score("half ? a pair")
    assert math.isfinite(scorer.score("")) and math.isfinite(scorer.score("\0\n" * 50))  # noqa: PT018
    bare = copied(regression, tmp_path)
    tokenizer = json.loads((bare / "tokenizer.json").read_text("utf-8"))
    (bare / "tokenizer.json").write_text(json.dumps(tokenizer | {"post_processor": None}), "utf-8")
    assert math.isnan(load_scorer(quality(bare)).score(" "))  # nothing to read


def test_weights_of_16_bits_are_computed_with_in_32(regression: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copied(regression, tmp_path)
    weights = {name: tensor.bfloat16() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    changed(folder / "config.json", dtype="bfloat16")
    scorer = SequenceClassifier(quality(folder))
    assert {str(each.dtype) for each in scorer._model.parameters()} == {"torch.float32"}


def test_no_hub_is_asked_and_nothing_else_in_the_folder_is_read(
    regression: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = copied(regression, tmp_path)
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/model", "peft_type": "LORA"}')
    (folder / "modeling_mine.py").write_text("raise SystemExit('run')")
    (folder / "generation_config.json").write_text("no JSON")

    def refuse(*arguments: object) -> None:
        raise AssertionError(f"the network was asked: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    there = load_scorer(quality(folder)).score("the old mill")
    assert there == load_scorer(quality(regression)).score("the old mill")
    assert "".join(capfd.readouterr()) == ""  # no bars, no reports


def test_a_folder_that_is_not_on_the_disk(labelled: Path) -> None:
    there = "memory://quality/deberta"
    for path in labelled.iterdir():
        storage.write_bytes(f"{there}/{path.name}", path.read_bytes())
    here, far = (quality(folder, labels=("High",)) for folder in (labelled, there))
    assert load_scorer(far).score("the old mill") == load_scorer(here).score("the old mill")
    assert model_sha256(far) == model_sha256(here)
    storage.remove_tree(there)


# --- the filter -----------------------------------------------------------------------------------------


def test_a_document_is_kept_or_refused_by_its_score(regression: Path) -> None:
    batch = sorted(texts(9, seed=2), key=load_scorer(quality(regression)).score)
    scores = [load_scorer(quality(regression)).score(text) for text in batch]
    judge = FilterDocuments(configured(regression, min_score=scores[4]))
    verdicts = [judge.judge(document(text)) for text in batch]
    assert [verdict.measures["quality_score"] for verdict in verdicts] == scores
    assert [isinstance(verdict, Document) for verdict in verdicts] == [score >= scores[4] for score in scores]
    refused = verdicts[0]
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.value, refused.threshold) == ("quality.low_score", scores[0], scores[4])


def test_what_makes_another_step(regression: Path, labelled: Path, tmp_path: Path) -> None:
    def versions(model: Path, **more: Any) -> dict[str, str]:
        return dict(filter_step(RunConfig(filter=configured(model, **more))).versions)

    first = versions(regression)
    assert versions(copied(regression, tmp_path / "same")) == first
    for number, name in enumerate(("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")):
        other = copied(regression, tmp_path / str(number))
        (other / name).write_bytes((other / name).read_bytes() + b"\n")
        assert versions(other)["quality model"] != first["quality model"]
    assert versions(labelled, labels=("High",))["quality model"] != first["quality model"]
    assert {"transformers", "torch", "tokenizers"} <= first.keys()
    assert "transformers" not in filter_step(RunConfig()).versions


def test_the_threshold_can_be_replayed_and_the_rest_cannot(regression: Path) -> None:
    before, after = configured(regression, min_score=-1.5), configured(regression, min_score=3)
    replay.check_replayable(before, after)
    assert replay.Rulebook.of(before).failing({"quality_score": 2.9}) == []
    assert replay.Rulebook.of(after).failing({"quality_score": 2.9}) == ["quality.low_score"]
    told = list(explain._measures({"quality_score": 2.9}, replay.Rulebook.of(after)))
    assert told[0].strip() == "quality_score = 2.9    fails quality.low_score (at least 3)"
    with pytest.raises(SettingError, match=r"filter\.quality\.max_tokens cannot be replayed"):
        replay.check_replayable(before, configured(regression, min_score=-1.5, max_tokens=8))


def test_the_filter_at_a_shell(regression: Path, tmp_path: Path) -> None:
    batch = texts(8, seed=3)
    scores = [load_scorer(quality(regression)).score(text) for text in batch]
    limit = sorted(scores)[4]
    source = corpora.write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in batch])
    settings = [f'filter.quality.model="{regression}"', f"filter.quality.min_score={limit}", "filter.sets=[]"]
    arguments = [word for each in settings for word in ("--set", each)]
    assert cli.main(["filter", str(source), str(tmp_path / "out.jsonl"), *arguments]) == 0
    refused = [json.loads(line) for line in (tmp_path / "out.rejected.jsonl").read_text("utf-8").splitlines()]
    assert [row["value"] for row in refused if row["reason"] == "quality.low_score"] == [score for score in scores if score < limit]  # fmt: skip


def ingested(folder: Path, model: Path, number: int = 8, *, min_score: float = -100, **more: Any) -> RunConfig:
    """A run over pages of which the last two tell the same after a first line."""
    folder.mkdir(exist_ok=True)
    texts = [*corpora.good_texts(number), "The old mill stood near a river. " + corpora.good_texts(1)[0][:800], "Click here, here, now. " + corpora.good_texts(1)[0][:800]]  # fmt: skip
    rows = [{"url": f"https://example.org/{each}", "text": text} for each, text in enumerate(texts[1:])]
    config = RunConfig(
        run=RunSettings(folder=str(folder / "run")),
        ingest=IngestConfig(inputs=(str(corpora.write_jsonl(folder / "in.jsonl", rows)),)),
        extract=ExtractConfig(isolate=False),
        filter=FilterConfig(quality=quality(model, min_score=min_score, **more)),
        dedup=DedupConfig(survivor="best_measure", survivor_measure="quality_score"),
    )
    write_resolved(config)
    ingest.main(config, Engine())
    return config


def with_least(config: RunConfig, score: float) -> RunConfig:
    chosen = replace(config.filter, quality=replace(config.filter.quality, min_score=score))
    return replace(config, filter=chosen)


def test_a_run_measures_decides_again_and_tells(
    regression: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ingested(tmp_path, regression)
    run = Path(config.run.folder)
    curate.main(config, Engine(workers=1))
    filtered, scorer = rows(run, "filtered"), load_scorer(config.filter.quality)
    scores = {row["id"]: row["quality_score"] for row in rows(run, "measures")}
    assert len(filtered) == 9
    assert all(scores[row["id"]] == scorer.score(row["text"]) for row in filtered)

    (duplicate,) = rows(run, "rejected/dedup")
    assert scores[duplicate["duplicate_of"]] > scores[duplicate["id"]]

    limit = sorted(scores.values())[4]
    stricter = with_least(config, limit)
    write_resolved(stricter)
    curate.filter_pages(stricter, Engine(workers=1))
    assert "decided again from stored measures, 0 documents read again" in capsys.readouterr().err
    refused = rows(run, "rejected/filter")
    assert {row["id"]: (row["reason"], row["value"], row["threshold"]) for row in refused} == {
        id: ("quality.low_score", score, limit) for id, score in scores.items() if score < limit
    }
    told = "\n".join(explain._story(str(run), refused[0]["id"]))
    assert f"fails quality.low_score (at least {limit:g})" in told


@pytest.mark.slow
def test_workers_change_no_byte(labelled: Path, tmp_path: Path) -> None:
    made = []
    for workers in (1, 2):
        config = ingested(tmp_path / str(workers), labelled, 60, min_score=0.5, labels=("High", "Medium"))
        curate.main(config, Engine(workers=workers))
        made.append(contents(Path(config.run.folder), ("filtered", "measures", "rejected/filter", "documents")))
    assert_same(*made)


# --- what is wrong ---------------------------------------------------------------------------------------


def copied(folder: Path, target: Path) -> Path:
    target.mkdir(exist_ok=True)
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def changed(path: Path, **values: Any) -> None:
    found = {**json.loads(path.read_text("utf-8")), **values}
    path.write_text(json.dumps({name: value for name, value in found.items() if value is not None}), "utf-8")


def removed(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def stated(**values: Any) -> Callable[[Path], None]:
    return lambda folder: changed(folder / "config.json", **values)


def written(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickled_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def without_a_head(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    save_file({name: each for name, each in weights.items() if "classifier" not in name}, folder / "model.safetensors", {"format": "pt"})  # fmt: skip


def with_numbers_that_are_none(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][:] = math.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


BAD_FOLDERS = [
    (removed("config.json"), r"no such file: .*config\.json"),
    (removed("tokenizer.json"), r"no such file: .*tokenizer\.json"),
    (removed("model.safetensors"), r"no such file: .*model\.safetensors"),
    (removed("config.json", "tokenizer.json", "model.safetensors"), r"holds neither a model of train-classifier \(quality\.json\) nor a sequence"),
    (pickled_weights, r"weights in pytorch_model\.bin alone, which can run code"),
    (cut_weights, r"cannot be read as a sequence classifier: SafetensorError"),
    (written("model.safetensors", b""), r"cannot be read as a sequence classifier: SafetensorError"),
    (written("config.json", b"{"), r"config\.json is damaged"),
    (written("config.json", b"[]"), r"config\.json is damaged: it holds no object"),
    (written("tokenizer.json", b"{}"), r"tokenizer\.json is not a tokenizer"),
    (written("tokenizer_config.json", b"\xff"), r"tokenizer_config\.json is damaged"),
    (stated(auto_map={"AutoModelForSequenceClassification": "mine.Model"}), r"names code of its own \(auto_map\)"),
    (stated(architectures=["BertForMaskedLM"]), r"not a sequence classifier: its architectures are BertForMaskedLM"),
    (stated(architectures=None), r"its architectures are not named"),
    (stated(architectures=3), r"its architectures are not named"),
    (stated(model_type="mine"), r"cannot be read as a sequence classifier: .*mine"),
    (stated(hidden_size=32), r"cannot be read as a sequence classifier|would be random numbers"),
    (stated(id2label={"0": "a", "2": "b"}), r"id2label is .* does not number its labels from 0"),
    (stated(id2label=["a"]), r"id2label is \['a'\]"),
    (without_a_head, r"lacks classifier\.bias, classifier\.weight, which would be random numbers"),
    (with_numbers_that_are_none, r"not a usable sequence classifier: it answers \[nan\]"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "sentence"), BAD_FOLDERS)
def test_wrong_folders_are_refused_in_a_sentence(
    regression: Path, tmp_path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    folder = copied(regression, tmp_path / "model")
    spoil(folder)
    with pytest.raises(InputError, match=sentence) as error:
        load_scorer(quality(folder))
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "settings", "sentence"),
    [
        ("labelled", {}, r"labels is empty; name the labels of .* that are good: it has High, Medium, Low"),
        ("labelled", {"labels": ("High", "Good", "good")}, r"names Good, good, which .* its labels are High, Medium, Low"),
        ("labelled", {"labels": ("High",), "min_score": 2.5}, r"min_score is 2\.5; the score of .* is a probability, 0 to 1"),
        ("labelled", {"labels": ("High",), "max_tokens": 2}, r"max_tokens is 2; .* puts 2 special tokens .* allowed is 3 or more"),
        ("regression", {"labels": ("LABEL_0",)}, r"labels is LABEL_0, but .* has one output"),
        ("regression", {"max_tokens": 25}, r"max_tokens is 25, and .* cannot read 25 tokens"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(
    request: pytest.FixtureRequest, kind: str, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingError, match=sentence):
        load_scorer(quality(request.getfixturevalue(kind), **settings))


def test_a_length_that_nobody_states_must_be_named(labelled: Path, tmp_path: Path) -> None:
    folder = copied(labelled, tmp_path)
    (folder / "tokenizer_config.json").unlink()
    changed(folder / "config.json", max_position_embeddings=None)
    with pytest.raises(SettingError, match=r"max_tokens is 0, and .* does not say how many tokens it reads"):
        load_scorer(quality(folder, labels=("High",)))
    assert 0 < load_scorer(quality(folder, labels=("High",), max_tokens=24)).score("the old mill") < 1


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_outputs_that_are_no_choice_are_refused(labelled: Path, tmp_path: Path, problem: str) -> None:
    folder = copied(labelled, tmp_path)
    changed(folder / "config.json", problem_type=problem)
    with pytest.raises(InputError, match=rf"several outputs for a {problem}"):
        load_scorer(quality(folder, labels=("High",)))


def test_the_weights_must_be_those_that_the_hash_names(regression: Path) -> None:
    sha256 = hashlib.sha256((regression / "model.safetensors").read_bytes()).hexdigest()
    load_scorer(quality(regression, sha256=sha256.upper()))
    with pytest.raises(InputError, match=rf"not the model that filter\.quality\.sha256 names: .* is {sha256}"):
        load_scorer(quality(regression, sha256="0" * 64))


def test_what_can_be_told_before_any_work(
    labelled: Path, regression: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(folder: Path, **more: Any) -> str:
        with pytest.raises((InputError, SettingError)) as error:
            checks.check(RunConfig(filter=configured(folder, **more)), ["curate"])
        return str(error.value)

    checks.check(RunConfig(filter=configured(labelled, labels=("High",))), ["curate"])
    assert "its labels are High, Medium, Low" in said(labelled, labels=("Good",))
    assert "a probability, 0 to 1" in said(labelled, labels=("High",), min_score=3)
    assert "holds neither" in said(tmp_path)
    pickled_weights(copied(regression, tmp_path / "pickled"))
    assert "pytorch_model.bin alone" in said(tmp_path / "pickled")
    for name in ("transformers", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"needs transformers, .*: pip install 'corpusmill\[transformers\]'"):
        load_scorer(quality(regression))
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert "pip install 'corpusmill[transformers]'" in said(regression)

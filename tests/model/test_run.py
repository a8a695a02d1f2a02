"""The jobs: shards to a model, to scores, to text; killed and run again, the same bytes."""

import io
import itertools
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs import convert
from jobs.evaluate import evaluate_run
from jobs.generate import generate_run
from jobs.train import train_run
from model.batches import Batches
from model.checkpoint import FOLDER, checkpoint_steps, load_model
from model.config import ModelConfig
from model.evaluate_config import DecodingConfig, EvaluateConfig
from model.evaluator import document_stream
from model.export import import_model
from model.ngram import NgramModel, count_ngrams
from model.train_config import TrainConfig
from pipeline.errors import DataError, SettingError
from pipeline.manifests import damaged_files, read_manifest
from tests.model.conftest import make_run

MODEL = ModelConfig(hidden_size=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=64)
TRAIN = TrainConfig(steps=30, batch_tokens=512, checkpoint_steps=10, precision="fp32", device="cpu")
EVALUATE = EvaluateConfig(ngram_order=3, arpa=True, num_samples=2, sampling=DecodingConfig(max_tokens=10), device="cpu")


@pytest.fixture(scope="module")
def trained(small_run: str) -> str:
    train_run(small_run, MODEL, TRAIN)
    evaluate_run(small_run, EVALUATE)
    return small_run


def copied(run: str, target: Path) -> str:
    """The inputs of training, in another run."""
    for name in ("shards", "tokenizer"):
        shutil.copytree(f"{run}/{name}", target / name)
    return str(target)


def files_of(folder: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()
    }


def test_a_model_is_a_complete_dataset(trained: str) -> None:
    manifest = read_manifest(f"{trained}/model")
    assert not list(damaged_files(f"{trained}/model"))
    assert manifest.counts["steps"] == 30
    assert manifest.counts["tokens"] == 30 * 512
    log = [json.loads(line) for line in Path(f"{trained}/model/training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [10, 20, 30]
    assert log[-1]["loss"] < log[0]["loss"]
    assert checkpoint_steps(f"{trained}/model/{FOLDER}") == [20, 30]
    speeds = [json.loads(line) for line in Path(f"{trained}/logs/training.jsonl").read_text().splitlines()]
    assert speeds[-1]["tokens_per_second"] > 0
    assert 0 < speeds[-1]["mfu"] < 1


def test_what_is_up_to_date_is_not_done_again(trained: str) -> None:
    before = Path(f"{trained}/model/manifest.json").stat().st_mtime_ns
    train_run(trained, MODEL, TRAIN)
    assert Path(f"{trained}/model/manifest.json").stat().st_mtime_ns == before


def test_transformers_loads_the_export(trained: str) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(f"{trained}/model/hf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(f"{trained}/model/hf")
    ids = tokenizer("First Citizen: speak.", return_tensors="pt").input_ids
    torch.testing.assert_close(load_model(f"{trained}/model")(ids), theirs(ids).logits, rtol=0, atol=2e-6)
    assert tokenizer.decode(ids[0]) == "First Citizen: speak."


def test_scores_count_every_label_and_byte_once(trained: str) -> None:
    scores = json.loads(Path(f"{trained}/evaluation/scores.json").read_text())
    counts = read_manifest(f"{trained}/shards").counts
    heldout = scores["heldout"]
    assert heldout["labels"] == counts["heldout/labels"]
    assert heldout["bytes"] == counts["heldout/text_bytes"]
    assert heldout["bits_per_byte"] == pytest.approx(
        heldout["loss"] * heldout["labels"] / math.log(2) / heldout["bytes"]
    )
    assert heldout["perplexity"] == pytest.approx(math.exp(heldout["loss"]))
    assert sum(each["labels"] for each in scores["by_source"].values()) == heldout["labels"]
    assert list(scores["by_source"]) == ["s0", "s1"]
    assert scores["by_language"] == {"en": heldout}
    for baseline in scores["ngram"].values():
        assert (baseline["labels"], baseline["bytes"]) == (heldout["labels"], heldout["bytes"])
    assert scores["ngram_tokens"] >= counts["train/labels"]
    assert len(scores["samples"]) == 2


def test_the_loss_is_that_of_transformers_on_each_document(trained: str) -> None:
    """Documents apart, unpacked: what the masks over packed rows must give."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(f"{trained}/model/hf")
    batches, nats, labels = Batches.once(f"{trained}/shards", "heldout", batch_rows=1), 0.0, 0
    for batch in batches:
        borders = batch.cu_seqlens.tolist()
        for begin, end in itertools.pairwise(borders):
            if (begin, end) in batch.gaps:
                continue
            tokens = batch.tokens[:, begin : end + 1]
            nats += theirs(tokens, labels=tokens).loss.item() * (end - begin)
            labels += end - begin
    batches.close()
    scores = json.loads(Path(f"{trained}/evaluation/scores.json").read_text())
    assert labels == scores["heldout"]["labels"]
    assert nats / labels == pytest.approx(scores["heldout"]["loss"], rel=1e-5)


def test_kenlm_gives_the_scores_of_the_longest_baseline(trained: str) -> None:
    """On every held-out document that is whole; pieces have no start symbol."""
    kenlm = pytest.importorskip("kenlm", reason="kenlm is not installed: its scores are not compared")
    theirs = kenlm.Model(f"{trained}/evaluation/ngram.arpa")
    vocabulary = json.loads(Path(f"{trained}/tokenizer/tokenizer.json").read_text())["model"]["vocab"]
    names = {number: token for token, number in vocabulary.items()}
    train, heldout = (Batches.once(f"{trained}/shards", split, batch_rows=8) for split in ("train", "heldout"))
    model = NgramModel(
        count_ngrams(*document_stream(train), order=3, vocab_size=heldout.vocab_size), heldout.vocab_size
    )
    tokens, documents = document_stream(heldout)
    nats = model.nats(tokens, documents)
    compared = 0
    for number in range(documents[-1] + 1):
        mine = np.flatnonzero(documents == number)
        if tokens[mine[0]] == tokens[mine[-1]] == heldout.end_of_text_id:
            words = " ".join(names[token] for token in tokens[mine[1:-1]].tolist())
            assert theirs.score(words) == pytest.approx(-nats[mine[1:]].sum() / math.log(10), rel=1e-4)
            compared += 1
    train.close()
    heldout.close()
    assert compared >= 1


KILLED = """
import sys
from jobs.train import train_run
from tests.model.test_run import MODEL, TRAIN
train_run(sys.argv[1], MODEL, TRAIN)
"""


@pytest.mark.parametrize(
    "after", ["step-00000010/state.json", pytest.param("step-00000020/model.safetensors", marks=pytest.mark.slow)]
)
def test_killed_and_run_again_the_bytes_are_the_same(after: str, trained: str, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    victim = subprocess.Popen(
        [sys.executable, "-c", KILLED, run], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL
    )
    while not (tmp_path / "model" / FOLDER / after).exists() and victim.poll() is None:
        time.sleep(0.01)  # waits for another process, not for time to pass
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert not (tmp_path / "model/manifest.json").exists()
    train_run(run, MODEL, TRAIN)
    assert files_of(f"{run}/model") == files_of(f"{trained}/model")


def test_text_is_generated(trained: str) -> None:
    out = io.StringIO()
    generate_run(trained, DecodingConfig(max_tokens=12, temperature=0), prompt="First", out=out)
    generate_run(trained, DecodingConfig(max_tokens=12, num_beams=2), prompts=["First", ""], out=out)
    assert out.getvalue().startswith("First")
    assert out.getvalue().count("First") >= 2


def test_what_tensorboard_is_told(trained: str, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = copied(trained, tmp_path)
    train_run(run, MODEL, replace(TRAIN, steps=20, tensorboard=True))
    events = accumulator.EventAccumulator(f"{run}/logs/tensorboard")
    events.Reload()
    log = [json.loads(line) for line in Path(f"{run}/model/training.jsonl").read_text().splitlines()]
    assert set(events.Tags()["scalars"]) == {"loss", "grad_norm", "learning_rate", "tokens_per_second", "mfu"}
    for name in ("loss", "grad_norm", "learning_rate"):
        told = [(event.step, event.value) for event in events.Scalars(name)]
        assert told == [(line["step"], pytest.approx(line[name], rel=1e-5)) for line in log]


def test_a_model_with_fewer_key_heads_is_made_and_trained_on(trained: str, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    shutil.copytree(f"{trained}/model", f"{run}/model")
    pooled = convert.main(run, kv_heads=1)
    whole, small = load_model(f"{run}/model").state_dict(), import_model(pooled).state_dict()
    for name, weight in whole.items():
        if ".k_proj." in name or ".v_proj." in name:
            weight = weight.view(2, 8, 32).mean(dim=0)
        torch.testing.assert_close(small[name], weight, rtol=0, atol=0)
    shutil.rmtree(f"{run}/model")
    start = replace(TRAIN, steps=1, start_from=pooled)
    train_run(run, replace(MODEL, num_kv_heads=1), start)
    first = json.loads(Path(f"{run}/model/training.jsonl").read_text().splitlines()[0])["loss"]
    last = json.loads(Path(f"{trained}/model/training.jsonl").read_text().splitlines()[-1])["loss"]
    assert first == pytest.approx(last, abs=0.8)  # near where the other ended, far from the 6.4 of random weights
    with pytest.raises(DataError, match=r"num_kv_heads 1, and \[model\] says 2"):
        train_run(run, MODEL, start)
    with pytest.raises(SettingError, match="kv_heads is 3; allowed are the divisors of 2"):
        convert.main(trained, kv_heads=3)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text("{}")
    with pytest.raises(SettingError, match="other, which holds files already"):
        convert.main(trained, kv_heads=1, out=str(tmp_path / "other"))
    assert (tmp_path / "other/config.json").read_text() == "{}"


def test_a_damaged_model_and_a_foreign_tokenizer_are_said_in_a_sentence(trained: str, tmp_path: Path) -> None:
    run = copied(trained, tmp_path / "run")
    shutil.copytree(f"{trained}/model", f"{run}/model")
    other = make_run(str(tmp_path / "other"), ["To be, or not to be"] * 20, vocab_size=300, sequence_length=64)
    shutil.rmtree(f"{run}/tokenizer")
    shutil.copytree(f"{other}/tokenizer", f"{run}/tokenizer")
    for job in (lambda: evaluate_run(run, EVALUATE), lambda: generate_run(run, DecodingConfig(), prompt="a")):
        with pytest.raises(DataError, match="trained with another tokenizer"):
            job()
    weights = Path(f"{run}/model/{FOLDER}/step-00000030/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"step-00000030/model.safetensors is damaged"):
        load_model(f"{run}/model")  # step 20 is whole, and another model


def test_a_batch_that_does_not_divide_is_refused_before_work(trained: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="batch_tokens is 100"):
        train_run(copied(trained, tmp_path), MODEL, TrainConfig(batch_tokens=100, steps=1))

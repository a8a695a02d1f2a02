"""Ablations: intervals against tables, the same documents for all, and a damaged corpus is found out."""

import json
from pathlib import Path

import pytest
import torch

from jobs.ablate import compare, held_out_texts
from model.comparison import Difference, difference, interval_plot, t_quantile
from model.config import ModelConfig
from model.evaluate_config import EvaluateConfig
from model.rows import rows_of_documents
from model.train_config import TrainConfig
from pipeline.errors import SettingError
from pipeline.manifests import read_manifest
from tests.model.conftest import make_run


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (1000, 1.962)]
)
def test_quantiles_of_the_printed_tables(freedom: float, expected: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(expected, abs=6e-4)


def test_an_interval_by_hand() -> None:
    # pairs differ by 3, 4 and 2: mean 3, deviation 1, so the error is 1/sqrt(3) with 2 degrees of freedom
    found = difference([1.0, 2.0, 3.0], [4.0, 6.0, 5.0])
    assert (found.mean, found.low, found.high) == pytest.approx((3.0, 3 - 4.303 / 3**0.5, 3 + 4.303 / 3**0.5), abs=1e-3)
    assert found.decided
    assert not difference([1.0, 2.0, 3.0], [1.1, 2.1, 2.9]).decided
    assert difference([1.0], [2.0]) == Difference(mean=1.0, low=None, high=None)


def test_the_plot_marks_zero_mean_and_interval() -> None:
    lines = interval_plot(
        [("a", Difference(mean=-0.5, low=-1.0, high=0.0)), ("bb", Difference(mean=1.0, low=None, high=None))], width=9
    )
    assert lines == [
        "a   -0.5000 [-1.0000, +0.0000]  --o--    ",
        "bb  +1.0000 [one seed]          " + "      |   o".strip().rjust(9),
    ]


def test_every_token_of_a_document_is_a_label_once() -> None:
    documents = [[5, 6, 7], [], [8]]
    batches = list(rows_of_documents(documents, end_id=0, length=4, batch_rows=1))
    assert torch.cat([batch.inputs for batch in batches]).tolist() == [[0, 5, 6, 7], [0, 0, 8, 0]]
    assert torch.cat([batch.labels for batch in batches]).tolist() == [[5, 6, 7, 0], [0, 8, 0, -100]]
    assert torch.cat([batch.segment_ids for batch in batches]).tolist() == [[0, 0, 0, 0], [1, 2, 2, -1]]


@pytest.mark.slow
def test_a_corpus_with_its_words_shuffled_is_found_out(shared_data: Path, tmp_path: Path) -> None:
    text = (shared_data / "corpora/tinyshakespeare/input.txt").read_text()[:120_000]
    texts = [text[start : start + 1200] for start in range(0, len(text), 1200)]
    base = make_run(str(tmp_path / "base"), texts, vocab_size=400, sequence_length=64, heldout=8)
    held_out = {text for _, text in held_out_texts(base)}
    shuffled = [each if each in held_out else " ".join(sorted(each.split())) for each in texts]
    make_run(str(tmp_path / "sorted"), shuffled, vocab_size=400, sequence_length=64, heldout=8)
    make_run(str(tmp_path / "same"), texts, vocab_size=300, sequence_length=64, heldout=8)  # another tokenizer
    model = ModelConfig(hidden_size=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=64)
    train = TrainConfig(steps=60, batch_tokens=1024, precision="fp32", device="cpu")
    result = compare(
        base, [str(tmp_path / "sorted"), str(tmp_path / "same")], model, train, EvaluateConfig(device="cpu"), seeds=3
    )
    assert result.differences["sorted"].decided
    assert result.differences["sorted"].mean > 0.1
    assert abs(result.differences["same"].mean) < result.differences["sorted"].mean
    assert json.loads((tmp_path / "base/ablation.json").read_text())["heldout_documents"] == 8
    assert read_manifest(f"{base}/ablation/sorted/seed-2/model").counts["steps"] == 60
    with pytest.raises(SettingError, match="different names"):
        compare(base, [base], model, train, EvaluateConfig(), seeds=1)

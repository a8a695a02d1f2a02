"""Metrics of texts: published vectors, and right defaults for Chinese. Each is skipped, saying so, without its package."""

import json
from pathlib import Path

import pytest

from model.metrics import bleu, chrf, rouge, word_error_rate
from pipeline.errors import InputError

HYPOTHESES = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = [
    ["The dog bit the man.", "It was not unexpected.", "The man bit him first."],
    ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."],
]


def test_bleu_and_chrf_of_the_sacrebleu_vectors() -> None:
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    score, signature = bleu(HYPOTHESES, REFERENCES)
    assert score == pytest.approx(48.530827, abs=1e-6)
    assert "tok:13a" in signature
    assert chrf(HYPOTHESES, REFERENCES) == pytest.approx(59.73, abs=0.01)
    assert "tok:zh" in bleu(["我们"], [["我们"]], language="zh")[1]


def test_every_shared_bleu_vector_with_plain_options(shared_data: Path) -> None:
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    cases = json.loads((shared_data / "metrics/sacrebleu_test_vectors.json").read_text())["test_bleu"][
        "test_corpus_bleu_cases"
    ]
    plain = [case for case in cases if not case[2]]
    assert plain
    for hypotheses, references, _, expected in plain:
        assert bleu(hypotheses, references)[0] == pytest.approx(expected, abs=1e-5)


def test_every_shared_chrf_vector_with_plain_options(shared_data: Path) -> None:
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    cases = json.loads((shared_data / "metrics/sacrebleu_test_vectors.json").read_text())["test_chrf"]
    assert cases["test_cases_effective_order"]
    for hypotheses, references, expected in cases["test_cases_effective_order"]:
        assert chrf(hypotheses, [references]) == pytest.approx(expected, abs=1e-4)


def test_references_that_are_no_lists_are_refused() -> None:
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    for references in (["a b", "c d"], [["a b"]]):
        for metric in (bleu, chrf):
            with pytest.raises(InputError, match="lists of 2 texts"):
                metric(["a b", "c d"], references)


def test_bleu_of_chinese_counts_characters() -> None:
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    hypothesis, reference = ["今天天气很好我们去公园"], [["今天天气很好我们去公园玩"]]
    assert bleu(hypothesis, reference, language="zh")[0] > 80
    assert bleu(hypothesis, reference, language="ja")[0] > 80
    for language in ("zh-CN", "zh_Hant", "ZH", "cmn"):
        assert bleu(hypothesis, reference, language=language) == bleu(hypothesis, reference, language="zh"), language
    assert bleu(hypothesis, reference)[0] == 0  # as English it is one word, and a wrong one


@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        ("testing", "testing one two", {"rouge1": 0.5}),
        (
            "The quick brown dog jumps on the log.",
            "The quick brown fox jumps over the lazy dog",
            {"rouge1": 0.70588, "rouge2": 0.26667, "rougeL": 0.58824},
        ),
        (
            "今天天气很好",
            "今天天气不好",
            {"rouge1": 10 / 12, "rouge2": 6 / 10},
        ),  # five of six characters, three of five pairs
        ("これはペンです", "これはペンです", {"rougeL": 1.0}),
        ("नमस्ते", "नमस्ते", {"rouge1": 1.0}),
        ("हिन्दी में", "हिन्दी की", {"rouge1": 0.5}),  # vowel signs and viramas belong to their words
        ("cafe\u0301 noir", "cafe noir", {"rouge1": 0.5}),
    ],
)
def test_rouge(hypothesis: str, reference: str, expected: dict[str, float]) -> None:
    pytest.importorskip("rouge_score", reason="rouge-score is not installed")
    scores = rouge([hypothesis], [reference])
    assert {kind: scores[kind] for kind in expected} == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "language", "expected"),
    [
        ("i am a short ground truth", "i am a considerably longer and very much incorrect hypothesis", "en", 0.7),
        ("This is a test", "This is a test", "en", 0.0),
        ("今天天气很好", "今天天气不好", "zh", 1 / 6),
    ],
)
def test_word_error_rate(hypothesis: str, reference: str, language: str, expected: float) -> None:
    pytest.importorskip("jiwer", reason="jiwer is not installed")
    assert word_error_rate([hypothesis], [reference], language=language) == pytest.approx(expected)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jiwer", None)
    with pytest.raises(InputError, match=r"jiwer.*corpusmill\[metrics\]"):
        word_error_rate(["a"], ["a"])


def test_bert_score_equals_greedy_matching_by_hand(tmp_path: Path) -> None:
    """A tiny random BERT: each token takes its most similar token on the other side."""
    pytest.importorskip("bert_score", reason="bert-score is not installed")
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    from model.metrics import bert_score

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sat", "ran"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    model = BertModel(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer = BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}, model_max_length=64)
    tokenizer.save_pretrained(tmp_path)
    ours = bert_score(["the cat sat"], ["the dog ran"], model=str(tmp_path), num_layers=2)
    states = [
        torch.nn.functional.normalize(model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0], dim=-1)
        for text in ("the cat sat", "the dog ran")
    ]
    similar = states[0] @ states[1].T
    precision, recall = (
        similar.max(dim=side).values[1:-1].mean().item() for side in (1, 0)
    )  # [CLS] and [SEP] only match
    assert ours[:2] == pytest.approx((precision, recall), abs=1e-5)
    assert ours[2] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-5)

"""The shipped classifiers keep their floors on texts that training never saw, and let clean documents pass."""

from pathlib import Path

import pytest

from benchmarks.classifiers import SETS, clean, clean_sentences, figures, scored
from pipeline.filter.config import FilterConfig
from pipeline.filter.stage import ClassifyDocuments
from pipeline.records import Rejection
from tests.filter.floors import floor

CASES = [
    ("spam", "spam/spamassassin_email", "f1", "email_f1"),
    ("spam", "spam/sms_spam_collection", "f1", "messages_f1"),
    ("toxicity", "toxicity/davidson2017_tweets", "auc", "davidson_auc"),
    ("toxicity", "toxicity/germeval2018_de", "auc", "germeval_auc"),
    ("toxicity", "toxicity/germeval2018_de", "recall", "germeval_recall"),
    ("toxicity", "toxicity/cold_zh", "auc", "cold_auc"),
    ("toxicity", "toxicity/cold_zh", "recall", "cold_recall"),
    ("toxicity", "toxicity/wikipedia_talk_toxicity", "auc", "wikipedia_talk_auc"),
    ("toxicity", "toxicity/surge_ai", "auc", "surge_auc"),
    ("toxicity", "toxicity/vicomtech_stormfront", "auc", "stormfront_auc"),
    ("toxicity", "toxicity/mlma_en_fr_ar", "auc", "mlma_auc"),
]


@pytest.fixture(scope="module")
def judge() -> ClassifyDocuments:
    loaded = ClassifyDocuments(FilterConfig())
    loaded.setup()
    return loaded


@pytest.mark.slow
@pytest.mark.parametrize(("name", "path", "figure", "floor_name"), CASES)
def test_labelled_sets(
    judge: ClassifyDocuments, shared_data: Path, name: str, path: str, figure: str, floor_name: str
) -> None:
    model = judge._models[name]
    found = scored(model, shared_data, path, *SETS[name][path])
    assert figures(found, model.thresholds.short)[figure] >= floor(name, floor_name)


@pytest.mark.slow
def test_clean_documents_pass(judge: ClassifyDocuments, shared_data: Path) -> None:
    verdicts = [judge.judge(document) for _, document in clean(shared_data, 60)]
    reasons = [verdict.reason for verdict in verdicts if isinstance(verdict, Rejection)]
    for name in ("spam", "toxicity"):
        refused = sum(reason.startswith(name) for reason in reasons)
        assert refused / len(verdicts) <= floor(name, "max_clean_refused")


@pytest.mark.slow
def test_clean_sentences_pass(judge: ClassifyDocuments, shared_data: Path) -> None:
    model = judge._models["toxicity"]
    documents = [document for _, document in clean_sentences(shared_data)]
    scores = [model.score_message(document.text, document.language) for document in documents]
    refused = sum(score >= model.thresholds.short for score in scores)
    assert refused / len(documents) <= floor("toxicity", "max_sentences_refused")

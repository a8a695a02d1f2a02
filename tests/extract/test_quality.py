"""Quality floors: they may rise and never fall."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.extract import _engine, peers, read_pages
from benchmarks.langid import measure, read_set, short_code
from pipeline.extract.config import ExtractConfig, LanguageConfig
from pipeline.extract.language import LanguageFinder, known_languages
from pipeline.extract.scoring import score
from pipeline.extract.threads import OneThread

FLOORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "quality_floors.json").read_text())


def test_extraction(shared_data: Path) -> None:
    """On pages whose sites the classifier never saw."""
    floors = FLOORS["extract"]
    pages = read_pages(shared_data / "html", "article_extraction")
    extract = _engine(ExtractConfig())
    result = score((page.gold, extract(page.html)) for page in pages)
    assert result.f1 >= floors["article_extraction_f1"]
    assert result.precision >= floors["article_extraction_precision"]
    assert result.recall >= floors["article_extraction_recall"]


def test_extraction_in_other_scripts(shared_data: Path) -> None:
    pages = read_pages(shared_data / "html", "newspaper4k")
    extract = _engine(ExtractConfig())
    assert score((page.gold, extract(page.html)) for page in pages).f1 >= FLOORS["extract"]["newspaper4k_f1"]


def test_extraction_is_cheap(shared_data: Path) -> None:
    """CPU time against that of trafilatura on the same pages in the same run."""
    pages = read_pages(shared_data / "html", "article_extraction")[::4]
    cost = {}
    for name, extract in {
        "ours": _engine(ExtractConfig()),
        "trafilatura": peers()["peer trafilatura, default"],
    }.items():
        extract(pages[0].html)
        best = float("inf")
        for _ in range(2):
            cpu = time.process_time()
            with OneThread():
                for page in pages:
                    extract(page.html)
            best = min(best, time.process_time() - cpu)
        cost[name] = best
    assert cost["ours"] <= FLOORS["extract"]["max_cost_against_trafilatura"] * cost["trafilatura"]


@pytest.fixture(scope="module")
def finder() -> LanguageFinder:
    return LanguageFinder(LanguageConfig())


@pytest.mark.parametrize("name", ["tatoeba_112", "lingua_testdata_75", "udhr_paragraphs"])
def test_language_identification(shared_data: Path, finder: LanguageFinder, name: str) -> None:
    """On the languages that the default identifier knows, 20 texts each that training left out."""
    known = set(map(short_code, known_languages()))
    texts = [text for text in read_set(shared_data / "langid", name, 20) if text.language in known]
    assert measure(lambda text: finder.of_document(text).language, texts, known).shared >= FLOORS["langid"][name]

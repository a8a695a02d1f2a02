"""Extraction keeps linear algebra on one thread, and gives the threads back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from pipeline.extract import html
from pipeline.extract.config import ExtractConfig
from pipeline.extract.html import PageExtractor
from pipeline.extract.threads import OneThread

PAGE = b"<html><body><article>" + b"<p>A paragraph of some length, with a full stop at its end.</p>" * 200


def threads() -> list[int]:
    return [library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers]


def test_one_thread_inside_and_as_before_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    extractor = PageExtractor(ExtractConfig())
    real = html.extract_html

    def watched(*args: object, **kwargs: object) -> object:
        seen.append(threads())
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(html, "extract_html", watched)
    before = threads()
    extractor.extract(PAGE)
    assert before
    assert all(count == 1 for count in seen[0])
    assert threads() == before


def test_the_threads_come_back_after_an_exception() -> None:
    before = threads()
    with pytest.raises(ValueError, match="in between"), OneThread():
        raise ValueError("in between")
    assert threads() == before


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core cannot spin on a second one")
def test_no_second_core_is_kept_busy() -> None:
    """CPU seconds stay near those on the clock although the environment allows many threads."""
    program = (
        "import time\n"
        "from pipeline.extract.config import ExtractConfig\n"
        "from pipeline.extract.html import PageExtractor\n"
        f"page = {PAGE!r}\n"
        "extractor = PageExtractor(ExtractConfig())\n"
        "extractor.extract(page)\n"
        "wall, cpu = time.perf_counter(), time.process_time()\n"
        "for _ in range(60): extractor.extract(page)\n"
        "print((time.process_time() - cpu) / (time.perf_counter() - wall))\n"
    )
    many = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "4")
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **many},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 1.15

"""A crawl that is killed at any moment goes on: the same pages, no record twice, hardly a request twice, never too fast."""

import contextlib
import multiprocessing
import random
import signal
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from pipeline.manifests import read_manifest
from tests.crawl import crawl_process
from tests.crawl.crawling import archives_of, rows_of
from tests.site.server import serving
from tests.site.tree import TreeSite

ADDRESSES = ("127.0.0.1", "127.0.0.2")
DELAY = 0.01
NUM_PAGES = 120
NUM_KILLS = 4


def start(run: Path, seeds: list[str], max_pages: int | None = None) -> BaseProcess:
    """A crawl, forked from a process that has imported what it needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([crawl_process.__name__])
    process = context.Process(
        target=crawl_process.main, args=(run, DELAY, max_pages, seeds, run.parent / "stderr.txt"), daemon=True
    )
    process.start()
    return process


def code_of(process: BaseProcess) -> int | None:
    process.join()
    return process.exitcode


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "finished_pages"), [(1, 0), (2, 0), (3, 90)])
def test_killed_crawl_goes_on(tmp_path: Path, seed: int, finished_pages: int) -> None:
    """Also one that goes on from a finished one with a smaller budget, of `finished_pages`."""
    chance = random.Random(seed)
    site = TreeSite(ADDRESSES, NUM_PAGES)
    with serving(site.answer, ADDRESSES) as server:
        seeds = [server.url("/", host) for host in range(2)]
        assert code_of(start(tmp_path / "calm", seeds)) == 0, (tmp_path / "stderr.txt").read_text()
        server.log.clear()
        run, kills = tmp_path / "killed", 0
        if finished_pages:
            assert code_of(start(run, seeds, finished_pages)) == 0, (tmp_path / "stderr.txt").read_text()
        while (code := kill_after(start(run, seeds), run, chance.uniform(0.0, 1.5))) != 0:
            kills += 1
            if kills == NUM_KILLS:
                assert code_of(start(run, seeds)) == 0, (tmp_path / "stderr.txt").read_text()
                break
            assert code == -signal.SIGKILL, (tmp_path / "stderr.txt").read_text()
        asked = Counter(
            access.path
            for access in server.log
            if access.host == f"{ADDRESSES[0]}:{server.port}" and access.path.startswith("/page")
        )
        assert kills > 1
        assert {row["url"] for row in rows_of(run, "pages")} == site.urls(server)
        assert read_manifest(str(run / "pages")).content == read_manifest(str(tmp_path / "calm/pages")).content
        assert sum(asked.values()) - len(asked) <= kills  # at most the request under way is repeated
        assert min(min(server.gaps(host)) for host in range(2)) >= DELAY - 0.002
    assert_no_record_twice(run)


def kill_after(process: BaseProcess, run: Path, seconds: float) -> int | None:
    """Kills a crawl some time after its first request of this attempt; its exit code if it ends before."""
    begun = archived_bytes(run)
    while process.is_alive() and archived_bytes(run) == begun:
        time.sleep(0.02)
    process.join(seconds)
    process.kill()
    return code_of(process)


def archived_bytes(run: Path) -> int:
    total = 0
    for path in run.glob("pages/round-*/*.warc.gz*"):
        with contextlib.suppress(FileNotFoundError):  # it has just been closed and renamed
            total += path.stat().st_size
    return total


def assert_no_record_twice(run: Path) -> None:
    targets = Counter(
        record.rec_headers["WARC-Target-URI"]
        for path in archives_of(run)
        for record in ArchiveIterator(path.open("rb"))
        if record.rec_type in ("response", "revisit") and "/page/" in record.rec_headers["WARC-Target-URI"]
    )
    assert set(targets.values()) == {1}

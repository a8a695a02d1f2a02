"""The same bytes every time: on a second run, for any engine and number of workers, from another crawl, in another order."""

import asyncio
import html
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from pipeline import manifests
from tests import corpora
from tests.commands import Commands
from tests.runs import LATER, Made, assert_same, contents, rows
from tests.site.server import Server, serving

pytestmark = pytest.mark.xdist_group("runs")
JOBS = ("curate", "train-tokenizer", "pack")


def go(commands: Commands, settings: Path, jobs: tuple[str, ...], *options: str) -> None:
    for job in jobs:
        ended = commands.run(job, settings, *options, seconds=560)
        assert ended.code == 0, ended.err


def test_from_the_same_pages_everything_is_the_same_again(made: Made, commands: Commands, tmp_path: Path) -> None:
    """Another folder, another process, another moment: every dataset from the index of pages to the model and its scores."""
    settings = corpora.write_settings(tmp_path / "settings.toml", run=tmp_path / "run", inputs=made.inputs)
    go(commands, settings, ("run",))
    assert_same(contents(tmp_path / "run"), contents(made.run))


@pytest.mark.slow
def test_threads_of_an_engine_change_nothing(copy: Callable[..., Made], made: Made, commands: Commands) -> None:
    """Shards are worked on side by side and end in any order."""
    mine = copy()
    go(
        commands,
        mine.settings,
        JOBS,
        "--force",
        "--",
        "--direct_running_mode=multi_threading",
        "--direct_num_workers=3",
    )
    assert_same(contents(mine.run, LATER), contents(made.run, LATER))


@pytest.mark.slow
def test_worker_processes_change_nothing(copy: Callable[..., Made], made: Made, commands: Commands) -> None:
    mine = copy()
    go(commands, mine.settings, ("ingest", *JOBS), "--force", "--workers", "2")
    assert_same(contents(mine.run, ("pages", *LATER)), contents(made.run, ("pages", *LATER)))


def test_the_order_and_the_files_of_the_input_change_no_shard(made: Made, commands: Commands, tmp_path: Path) -> None:
    """Documents are known by their ids, and rows are packed in the order of ids."""
    records = list(made.records)
    random.Random(3).shuffle(records)
    inputs = corpora.write_inputs(tmp_path / "inputs", records, files=3)
    settings = corpora.write_settings(tmp_path / "settings.toml", run=tmp_path / "run", inputs=inputs)
    go(commands, settings, ("ingest", *JOBS))
    same = ("counts", "tokenizer", "shards/train", "shards/heldout")
    ours, theirs = contents(tmp_path / "run", same), contents(made.run, same)
    for name in ("counts/manifest.json", "tokenizer/manifest.json"):  # they name the files of the documents
        ours.pop(name), theirs.pop(name)
    assert_same(ours, theirs)
    assert sorted(row["id"] for row in rows(tmp_path / "run", "documents")) == sorted(
        row["id"] for row in rows(made.run, "documents")
    )


# --- two crawls of an unchanged site ------------------------------------------------------------------------

CRAWL = """
[run]
folder = "{run}"

[crawl]
seeds = ["{seed}"]
user_agent = "testbot/1.0 (+https://example.org/bot; bot@example.org)"
allow_private_hosts = ["127.0.0.1:{port}"]
shards = 2

[crawl.politeness]
delay_seconds = 0.0
latency_factor = 0.0
"""


def site_of(texts: list[str], *, slowness: random.Random) -> Callable[[web.BaseRequest], object]:
    """Pages that link to each other, each a different moment late, with a header that tells the time."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        name = request.path.strip("/") or "0"
        await asyncio.sleep(slowness.random() * 0.02)
        if not name.isdigit() or int(name) >= len(texts):
            return web.Response(status=404, text="no such page")
        number = int(name)
        body = "".join(f"<p>{html.escape(part)}</p>" for part in texts[number].split("\n\n"))
        links = "".join(f'<a href="/{other}">page {other}</a>' for other in (2 * number + 1, 2 * number + 2))
        page = f"<html><head><title>Page {number}</title></head><body><main><h1>Page {number}</h1>{body}</main><nav>{links}</nav></body></html>"
        return web.Response(
            text=page,
            content_type="text/html",
            headers={"Date": f"Mon, 0{slowness.randint(1, 9)} Jan 2024 00:00:00 GMT"},
        )

    return answer


def crawled(server: Server, folder: Path, commands: Commands) -> Path:
    folder.mkdir()
    settings = corpora.write_settings(folder / "settings.toml", run=folder / "run", inputs=folder)
    _, _, rest = settings.read_text("utf-8").partition("[extract]")
    head = CRAWL.format(run=folder / "run", seed=server.url("/"), port=server.port)
    settings.write_text(f"{head}\n[extract]{rest}", "utf-8")
    go(commands, settings, ("crawl", *JOBS))
    return folder / "run"


@pytest.mark.slow
def test_two_crawls_of_an_unchanged_site_give_the_same_shards(commands: Commands, tmp_path: Path) -> None:
    with serving(site_of(corpora.good_texts(60), slowness=random.Random())) as server:  # type: ignore[arg-type]
        runs = [crawled(server, tmp_path / name, commands) for name in ("first", "second")]
    assert manifests.read_manifest(str(runs[0] / "pages")).counts["kept"] == 60
    assert len(rows(runs[0], "documents")) > 30
    assert_same(contents(runs[0], LATER), contents(runs[1], LATER))

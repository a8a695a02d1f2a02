"""Pages of a crawl and models are set aside when other work takes their place; settings of pace are no other work."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.replaced import set_aside
from pipeline import storage
from pipeline.manifests import damaged_files, read_manifest
from pipeline.steps import Step
from tests.commands import Commands
from tests.runs import Made, assert_same, contents, rows
from tests.site.server import Server, serving
from tests.site.tree import TreeSite

AGENT = "testbot/1.0 (+https://example.org/bot; bot@example.org)"


def lines(text: str, part: str) -> list[str]:
    return [line for line in text.splitlines() if part in line]


def test_a_model_is_set_aside_by_another_setting(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    earlier = contents(mine.run, ("model",))
    ended = commands.run("train", mine.run, "--set", "train.seed=7")
    assert ended.code == 0, ended.err
    assert lines(ended.err, "set aside") == [
        f"train: the earlier model/ is set aside in {mine.run}/replaced/model-1 (train.seed 0 → 7)"
    ]
    assert_same(contents(mine.run / "replaced/model-1", ("model",)), earlier)
    assert read_manifest(str(mine.run / "model")).settings["train"]["seed"] == 7
    ended = commands.run("train", mine.run, "--force")
    assert lines(ended.err, "set aside") == [
        f"train: the earlier model/ is set aside in {mine.run}/replaced/model-2 (--force)"
    ]
    for command in ("evaluate", "report", "verify"):
        ended = commands.run(command, mine.run)
        assert ended.code == 0, ended.err
    assert "the ledger closes" in ended.out + ended.err
    assert commands.run("verify", mine.run / "replaced/model-1").code == 0
    shutil.rmtree(mine.run / "model")
    shutil.move(mine.run / "replaced/model-1/model", mine.run / "model")
    assert "train: up to date" in commands.run("train", mine.run, "--set", "train.seed=0").err


def interrupted(mine: Made, commands: Commands, *settings: str) -> list[Path]:
    """The checkpoints of a training that is killed after the first of them."""
    shutil.rmtree(mine.run / "model")
    running = commands.start("train", mine.run, *settings, "--set", "train.checkpoint_steps=1")
    assert running.wait_for(lambda: bool(list(mine.run.glob("model/checkpoints/*/state.json")))), running.ended().err
    running.kill()
    assert not (mine.run / "model/manifest.json").exists(), "it was over before it was killed"
    return sorted(mine.run.glob("model/checkpoints/*/state.json"))


LONG = ("--set", "train.steps=400")


@pytest.mark.slow
def test_an_interrupted_training_goes_on_at_another_pace(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    interrupted(mine, commands, *LONG)
    pace = {
        "train.processes": 2, "train.micro_batch_tokens": 64, "train.log_steps": 5, "train.checkpoint_steps": 50, "train.keep_checkpoints": 3,
    }  # fmt: skip
    given = [word for name, value in pace.items() for word in ("--set", f"{name}={value}")]
    ended = commands.run("train", mine.run, *LONG, *given, seconds=300)
    assert ended.code == 0, ended.err
    assert lines(ended.err, "going on after step")
    assert not (mine.run / "replaced").exists()
    log = [json.loads(line)["step"] for line in (mine.run / "model/training.jsonl").read_text().splitlines()]
    assert log[-1] == 400
    again = commands.run("train", mine.run, "--set", "train.processes=1", "--set", "train.threads=2")
    assert "train: up to date" in again.err


@pytest.mark.slow
def test_an_interrupted_training_is_set_aside_with_its_attempt(copy: Callable[[], Made], commands: Commands) -> None:
    mine = copy()
    interrupted(mine, commands, *LONG)
    ended = commands.run("train", mine.run, "--set", "train.steps=2")
    assert ended.code == 0, ended.err
    aside = mine.run / "replaced/model-1"
    assert lines(ended.err, "set aside") == [f"train: the earlier model/ is set aside in {aside} (train.steps 400 → 2)"]
    assert list(aside.glob("model/checkpoints/*/state.json"))
    for folder in ("model", "attempts/model"):
        shutil.rmtree(mine.run / folder, ignore_errors=True)
        (mine.run / folder).parent.mkdir(exist_ok=True)
        shutil.move(aside / folder, mine.run / folder)
    ended = commands.run("train", mine.run, *LONG)
    assert lines(ended.err, "going on after step"), ended.err


def crawl_settings(folder: Path, server: Server, max_pages: int) -> Path:
    path = folder / "crawl.toml"
    address = f"127.0.0.1:{server.port}"
    path.write_text(
        f'[run]\nfolder = "{folder}/run"\n[crawl]\nseeds = ["http://{address}/"]\nmax_pages = {max_pages}\n'
        f'user_agent = "{AGENT}"\nallow_private_hosts = ["{address}"]\nports = [{server.port}]\n'
        "[crawl.politeness]\ndelay_seconds = 0.0\nlatency_factor = 0.0\n"
    )
    return path


def pages_asked_for(server: Server) -> list[str]:
    return [access.path for access in server.log if access.path.startswith("/page")]


def test_pages_of_a_crawl_are_set_aside_by_another_setting(commands: Commands, tmp_path: Path) -> None:
    site, run = TreeSite(("127.0.0.1",), 30), tmp_path / "run"
    with serving(site.answer) as server:
        settings = crawl_settings(tmp_path, server, 8)
        ended = commands.run("crawl", settings)
        assert ended.code == 0, ended.err
        earlier = contents(run, ("pages", "rejected/pages"))
        ended = commands.run("crawl", settings, "--set", "crawl.max_pages=5")
        assert ended.code == 0, ended.err
        aside = run / "replaced/pages-1"
        assert lines(ended.err, "set aside") == [
            f"crawl: the earlier pages/ is set aside in {aside} (crawl.max_pages 8 → 5)"
        ]
        assert_same(contents(aside), earlier)
        assert not list(damaged_files(str(aside / "pages")))
        assert len(rows(aside, "pages")) == 8
        assert len(rows(run, "pages")) == 5
        assert commands.run("verify", run).code == 0
        assert commands.run("verify", aside).code == 0
        settings_of_next = ("--set", f"run.folder={tmp_path}/next", "--set", f"crawl.previous={aside}")
        server.log.clear()
        ended = commands.run("crawl", settings, *settings_of_next)
        assert ended.code == 0, ended.err
        assert len(rows(tmp_path / "next", "pages")) == 8
        asked = [access.headers for access in server.log if access.path.startswith("/page")]
        assert asked
        assert all("if-none-match" in map(str.lower, headers) for headers in asked)
        ended = commands.run("explain", aside, f"http://127.0.0.1:{server.port}/")
        assert ended.code == 0, ended.err
        inputs = tmp_path / "page.jsonl"
        inputs.write_text('{"text": "x", "url": "http://example.org/"}\n')
        change = ("--set", "crawl.seeds=[]", "--set", f"ingest.inputs=['{inputs}']")
        ended = commands.run("ingest", settings, *change)
        assert ended.code == 0, ended.err
        assert lines(ended.err, "set aside")[0].endswith("replaced/pages-2 (they came from a crawl)")
        assert len(rows(run / "replaced/pages-2", "pages")) == 5
        ended = commands.run("ingest", settings, *change, "--force")
        assert not lines(ended.err, "set aside"), "an index of files costs little"


def test_pages_of_a_crawl_stay_under_a_larger_budget(commands: Commands, tmp_path: Path) -> None:
    site, run = TreeSite(("127.0.0.1",), 30), tmp_path / "run"
    with serving(site.answer) as server:
        settings = crawl_settings(tmp_path, server, 5)
        assert commands.run("crawl", settings).code == 0
        ended = commands.run("crawl", settings, "--set", "crawl.max_pages=8")
        assert ended.code == 0, ended.err
        goes_on = "crawl: goes on from 5 pages, under a larger budget (crawl.max_pages 5 → 8)"
        assert lines(ended.err, "larger budget") == [goes_on]
        assert not lines(ended.err, "set aside")
        assert len(rows(run, "pages")) == 8
        assert len(pages_asked_for(server)) == 7, "and the root"
        assert "max_pages = 8" in (run / "run.toml").read_text()
        ended = commands.run("verify", run)
        assert ended.code == 0, ended.err


def test_an_interrupted_crawl_is_set_aside_with_its_attempt(commands: Commands, tmp_path: Path) -> None:
    site, run = TreeSite(("127.0.0.1",), 60), tmp_path / "run"
    with serving(site.answer) as server:
        settings = crawl_settings(tmp_path, server, 60)
        running = commands.start("crawl", settings, "--set", "crawl.politeness.delay_seconds=0.2")
        assert running.wait_for(lambda: len(pages_asked_for(server)) > 5), running.ended().err
        running.kill()
        first = pages_asked_for(server)
        ended = commands.run("crawl", settings, "--set", "crawl.scope.max_depth=0")
        assert ended.code == 0, ended.err
        aside = run / "replaced/pages-1"
        assert lines(ended.err, "set aside") == [
            f"crawl: the earlier pages/ is set aside in {aside} (crawl.scope.max_depth unset → 0)"
        ]
        assert len(rows(run, "pages")) == 1
        assert not (run / "attempts").exists() or not any(path.is_file() for path in (run / "attempts").rglob("*"))
        for folder in ("pages", "rejected/pages", "attempts"):
            shutil.rmtree(run / folder, ignore_errors=True)
            if (aside / folder).exists():
                (run / folder).parent.mkdir(exist_ok=True)
                shutil.move(aside / folder, run / folder)
        server.log.clear()
        ended = commands.run("crawl", settings)
        assert ended.code == 0, ended.err
        assert not lines(ended.err, "set aside")
        assert len(rows(run, "pages")) == 60
        again = [path for path in pages_asked_for(server) if path in first]
        assert len(again) <= 1, "more than the request under way was repeated"


@pytest.mark.parametrize("store", ["disk", "memory"])
def test_everything_of_a_step_is_moved_and_nothing_else(store: str, tmp_path: Path) -> None:
    run = str(tmp_path / "run") if store == "disk" else f"memory://replaced-{tmp_path.name}"
    step = Step(run=run, name="pages", outputs=("pages", "rejected/pages"))
    moved = ["pages/a", "pages/round-0000/b", "rejected/pages/c", "attempts/pages/attempt.json"]
    moved.append("attempts/pages-round-0001/shards/d.json")
    others = ["rejected/filter/e", "attempts/filter/attempt.json", "model/f"]
    for number in (1, 2):
        for name in (*moved, *others):
            storage.write_bytes(f"{run}/{name}", f"{number} {name}".encode())
        assert set_aside(step, "crawl", []) == f"{run}/replaced/pages-{number}"
        for name in moved:
            assert storage.read_bytes(f"{run}/replaced/pages-{number}/{name}").decode() == f"{number} {name}"
            assert not storage.exists(f"{run}/{name}")
        assert all(storage.exists(f"{run}/{name}") for name in others)
    assert set_aside(step, "crawl", []) == "", "there is nothing"

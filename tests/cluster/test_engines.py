"""Every engine makes the bytes of the local run, also when a worker process is killed in the middle and the command is given again."""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs import config as settings
from jobs import count, crawl, curate, decontaminate, ingest, ledger, pack, train_tokenizer
from jobs.engine import Engine
from pipeline import heartbeat
from pipeline.errors import CorpusmillError
from tests import corpora
from tests.cluster import places
from tests.cluster.places import Place
from tests.runs import LATER, Made, assert_same, contents
from tests.site.server import serving
from tests.test_determinism import CRAWL, site_of

pytestmark = [pytest.mark.xdist_group("runs"), pytest.mark.slow, pytest.mark.timeout(3000)]
# The longest by far: beside all that shares the finished run, not behind it.
APART = pytest.mark.xdist_group("flink")
# The next ones, so that three workers have about as much to do each.
BESIDE = pytest.mark.xdist_group("engines")
MARKS = {"flink": APART, "job service": BESIDE, "prism": BESIDE}
# In each job, where a worker is killed: in the middle of records, as a shard is begun, as its file is about to get its name.
FAULTS = {
    curate.filter_pages: ("record filter/alive/part 9",),
    curate.main: ("shard dedup/alive/",),
    count.main: (),
    train_tokenizer.main: (),
    pack.main: ("shard encoded/alive/", "file shards/train/"),
}
# On Flink these are in the test that kills a task manager as well.
TWICE_LOST = (
    (curate.filter_pages, "record filter/alive/part 9"),
    (pack.main, "shard encoded/alive/"),
    (pack.main, "file shards/train/"),
)
ELSEWHERE = {fault for _, fault in TWICE_LOST}


class Faults:
    """Arms the next fault, and knows whether it has happened."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.done = place.with_name(place.name + ".done")

    def arm(self, fault: str) -> None:
        self.done.unlink(missing_ok=True)
        self.place.write_text(fault, "utf-8")


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Worker processes that begin from now on can be killed at a chosen place."""
    place = tmp_path / "fault"
    monkeypatch.setenv("FAULT_FILE", str(place))
    monkeypatch.syspath_prepend(str(places.FAULTS))
    monkeypatch.setattr(heartbeat, "SECONDS", 0.5)
    return Faults(place)


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(name, ())) for name in places.PLACES])
def place(request: pytest.FixtureRequest, faults: Faults, tmp_path: Path) -> Iterator[Place]:
    with places.PLACES[request.param](tmp_path) as found:
        yield found


def test_workers_are_killed_and_every_byte_is_that_of_the_local_run(
    place: Place, faults: Faults, copy: Callable[..., Made], made: Made
) -> None:
    mine = copy()
    for name in LATER:
        shutil.rmtree(mine.run / name)
    config = settings.load(str(mine.settings))
    ingest.main(config, place.engine, force=True)
    for job, wanted in FAULTS.items():
        for fault in wanted:
            if place.begins_again and fault in ELSEWHERE:
                continue
            if place.notices_death or fault.startswith("record"):
                survive(job, config, place, faults, fault)
        job(config, place.engine)
    assert_same(contents(mine.run, ("pages", "rejected/pages", *LATER)), contents(made.run, ("pages", "rejected/pages", *LATER)))  # fmt: skip
    ledger.check(str(mine.run))
    assert not list((mine.run / "attempts").glob("*/shards/*")), "an attempt was left behind"


@pytest.mark.parametrize(
    "place",
    ["worker processes", pytest.param("prism", marks=BESIDE), pytest.param("flink", marks=APART)],
    indirect=True,
)
def test_a_crawl_and_a_search_for_evaluation_items_are_those_of_the_local_run(
    place: Place, copy: Callable[..., Made], tmp_path: Path
) -> None:
    with serving(site_of(corpora.good_texts(3), slowness=random.Random(1))) as server:
        crawls = {}
        for name, engine in (("here", Engine()), ("there", place.engine)):
            settings_file = tmp_path / f"{name}.toml"
            settings_file.write_text(CRAWL.format(run=tmp_path / name, seed=server.url("/"), port=server.port), "utf-8")
            crawls[name] = crawl.main(settings.load(str(settings_file)), engine)
    assert crawls["here"].counts["kept"] == 3
    assert crawls["there"].counts == crawls["here"].counts
    assert crawls["there"].content == crawls["here"].content, "other pages, or the same under other ids"
    texts = corpora.write_jsonl(tmp_path / "evaluation.jsonl", [{"text": text} for text in corpora.good_texts(3)])
    mine, other = copy(), copy()
    for run, engine in ((mine, Engine()), (other, place.engine)):
        config = settings.load(str(run.settings), [f'dedup.decontaminate.sets=["{texts}"]'])
        assert decontaminate.main(config, engine).counts["matched"] >= 3
    assert_same(contents(mine.run), contents(other.run))


def survive(job: Callable[..., object], config: object, place: Place, faults: Faults, fault: str) -> None:
    """The job fails in a sentence when its worker is killed, or goes on by itself."""
    faults.arm(fault)
    if place.begins_again:
        job(config, place.engine, force=True)
    else:
        with pytest.raises(CorpusmillError, match=r"worker process ended|nothing has gone on") as raised:
            job(config, place.engine)
        assert "shard " in str(raised.value), "the sentence says where"
        assert not fault.startswith("record") or "https://example.org/" in str(raised.value), "and at which record"
    assert faults.done.exists(), f"no worker came to {fault}"


@APART
@pytest.mark.parametrize(
    ("job", "fault"),
    TWICE_LOST,
)
def test_a_task_manager_is_killed_after_a_worker_and_every_byte_is_the_same(
    faults: Faults, copy: Callable[..., Made], made: Made, tmp_path: Path, job: Callable[..., object], fault: str
) -> None:
    """In the middle of records, as a shard is begun, as its file is about to get its name; the other one takes over."""
    with places.flink(tmp_path) as place, ThreadPoolExecutor(1) as watch:
        mine = copy()
        faults.arm(fault)
        killed = watch.submit(kill_once, faults.done, place)
        job(settings.load(str(mine.settings)), place.engine, force=True)
        assert killed.result(), f"no worker came to {fault}"
        assert place.lost(), "the task manager lives"
        assert_same(contents(mine.run, LATER), contents(made.run, LATER))


def kill_once(done: Path, place: Place) -> bool:
    """Kills a task manager as soon as a worker has been killed."""
    for _ in range(3000):
        if done.exists():
            place.kill("task-manager")
            return True
        time.sleep(0.1)
    return False


def test_the_worker_processes_are_two(copy: Callable[..., Made], tmp_path: Path) -> None:
    """What the engines above are said to share is shared out."""
    mine = copy()
    with places.job_service(tmp_path) as place:
        curate.filter_pages(settings.load(str(mine.settings)), place.engine, force=True)
    log = (tmp_path / "jobs.cluster.pool.log").read_text("utf-8")
    assert log.count("starts as process") == 2, log

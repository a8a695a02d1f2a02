"""Crawls `config.crawl` into `pages/` and `rejected/pages/` of a run.

In: seeds, and perhaps an earlier run. Out: `pages/part-*.parquet` (the page index), `pages/round-NNNN/` (WARC parts),
`pages/ledger/` (every URL with its verdict), `rejected/pages/` (answers that are no pages).

The driver runs one Beam pipeline a round and commits a manifest after each; what a killed crawl has fetched is not
fetched again. A crawl ends when nothing is left that may be fetched, or when the settings say so. A finished one goes on
when its budgets have become larger: see `BUDGETS`.
"""

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from jobs import replaced
from jobs.budgets import has_grown
from jobs.engine import Engine, explaining, run_pipeline, run_step
from jobs.progress import Progress
from jobs.settings import plain
from pipeline import charset, manifests, storage
from pipeline.crawl import index, progress
from pipeline.crawl.config import CrawlConfig, check_seed, check_user_agent
from pipeline.crawl.frontier import shard_of
from pipeline.crawl.politeness import likely_time
from pipeline.crawl.rounds import CUT_SHORT, FRONTIER, REQUESTS, ROUNDS, SUMMARY, Base, index_shards, round_output
from pipeline.crawl.scope import extension_of
from pipeline.crawl.stage import SEED_SITEMAPS, SEEDS, CrawlRound, IndexPages, part_name
from pipeline.errors import SettingError
from pipeline.manifests import Manifest
from pipeline.places import join
from pipeline.stage import shard_elements
from pipeline.steps import Shard, Step
from pipeline.urls import registrable_domain, url_parts

OUTPUTS = ("pages", "rejected/pages")
_LINE_SECONDS = 5.0
_VERDICT = "verdict/"
_PAGES = frozenset(("page", "not_modified"))  # verdicts on URLs that give a page
_MOST_VERDICTS = 6
_SITEMAP = re.compile(r"/sitemap[^/]*\.xml(?:\.gz)?$", re.IGNORECASE)
# What changes how fast a crawl goes and not what it finds may be changed between two attempts.
_PACE_SETTINGS = ("politeness", "max_rounds")
# What bounds how much is crawled. Where nothing else differs and none is less than before, a finished crawl goes on.
BUDGETS = (("max_pages",), ("limits", "pages_per_domain"), ("scope", "max_depth"))


def main(config: Any, engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of `pages/`, crawled now unless it is up to date."""
    return crawl(config.run.folder, config.crawl, engine, force=force)


def crawl(run: str, config: CrawlConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of `pages/` in the run folder `run`."""
    seeds, sitemaps = read_seeds(config), read_seed_sitemaps(config)
    if config.previous and config.previous.rstrip("/") == run.rstrip("/"):
        raise SettingError(f"crawl.previous is {config.previous}, the folder of this very run; it names an earlier one")
    settings = {
        name: value
        for name, value in plain(config).items()
        if name not in (*_PACE_SETTINGS, "seeds", "seed_files", "seed_sitemaps")
    }
    previous = manifests.read_manifest(join(config.previous, "pages")).fingerprint if config.previous else ""
    step = Step(
        run=run,
        name="pages",
        outputs=OUTPUTS,
        settings=settings,
        external={"seeds": manifests.hash_of([seeds, sitemaps] if sitemaps else seeds), "previous": previous},
    )
    if not force and step.is_current() and not _was_cut_short(step, config):
        Progress.note("crawl: up to date")
        return manifests.read_manifest(step.folder("pages"))
    if force or not step.goes_on():
        _make_way(step, force=force)
    step.begin(force=force)
    storage.write_bytes(join(run, SEEDS), "".join(seed + "\n" for seed in seeds).encode())
    if sitemaps:
        storage.write_bytes(join(run, SEED_SITEMAPS), "".join(url + "\n" for url in sitemaps).encode())
    return _index(step, config, _crawl_rounds(step, config, [*seeds, *sitemaps], engine), engine)


def _was_cut_short(step: Step, config: CrawlConfig) -> bool:
    """Whether a finished crawl ended for `max_rounds` alone, and there may be more rounds now."""
    counts = manifests.read_manifest(step.folder("pages")).counts
    return bool(counts.get(CUT_SHORT)) and counts[ROUNDS] < config.max_rounds


def _make_way(step: Step, *, force: bool) -> None:
    """Takes over the finished crawl that lies there, if this one is more of the same; else sets aside what was crawled."""
    if not replaced.crawled(step):
        return
    differences = replaced.differences(step, "crawl")
    if not force and has_grown(step, BUDGETS):
        base = Base(pages=manifests.read_manifest(step.folder("pages")))
        if base.can_go_on:
            why = "; ".join(differences) or "crawl.max_rounds"
            Progress.note(f"crawl: goes on from {base.num_pages:,} pages, under a larger budget ({why})")
            step.take_over()
            return
        differences.append("it kept no frontier to go on from")
    replaced.set_aside(step, "crawl", differences)


def read_seeds(config: CrawlConfig) -> list[str]:
    """The canonical seeds of the settings and of the files that they name, sorted.

    Raises:
        SettingError: there is none, and no sitemap either; or one is no URL, or a sitemap.
        InputError: a file of seeds cannot be read.
    """
    seeds = {check_seed(seed, "crawl.seeds") for seed in config.seeds}
    for path in config.seed_files:
        lines = charset.decode(storage.read_bytes(path), html=False).text.splitlines()
        seeds |= {check_seed(line.strip(), path) for line in lines if line.strip() and not line.startswith("#")}
    if not seeds and not config.seed_sitemaps:
        raise SettingError("crawl.seeds is empty, and so is crawl.seed_files; a crawl needs a URL to start from")
    check_user_agent(config.user_agent)
    for seed in sorted(seeds):
        path = url_parts(seed).path
        if _SITEMAP.search(path) and extension_of(path) in config.scope.skip_extensions:
            raise SettingError(f"the seed {seed} is a sitemap by its name, and no page; set crawl.seed_sitemaps to it")
    return sorted(seeds)


def read_seed_sitemaps(config: CrawlConfig) -> list[str]:
    """The canonical URLs of the sitemaps that the settings name, sorted.

    Raises:
        SettingError: one is no URL.
    """
    return sorted({check_seed(url, "crawl.seed_sitemaps") for url in config.seed_sitemaps})


# --- rounds -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What waits after a round: from when on something may be fetched, at which depth, in which shards."""

    earliest: float | None
    level: int | None
    ready: tuple[int, ...]
    sent: bool = False  # whether links between sites do


@dataclass(frozen=True, kw_only=True)
class Course:
    """What came of the rounds: their number, and whether more of them were needed."""

    num_rounds: int
    cut_short: bool = False


def _crawl_rounds(step: Step, config: CrawlConfig, seeds: Sequence[str], engine: Engine) -> Course:
    """Runs rounds until the crawl is over; those of a finished one that goes on come first."""
    base = Base.of(step)
    first, num_requests = (base.num_rounds + 1, base.num_requests) if base else (0, 0)
    ready = tuple(sorted({shard_of(registrable_domain(seed), config.shards) for seed in seeds}))
    outlook = Outlook(earliest=0.0, level=0, ready=ready)
    if base:
        _round(step, config, base.num_rounds, _shards(config, base.num_rounds, outlook, 0, reopens=True), engine)
        outlook = _outlook(step.run, config, base.num_rounds)
    for number in range(first, config.max_rounds):
        left = None if config.max_pages is None else max(0, config.max_pages - num_requests)
        if left == 0 and outlook.sent:  # links to other sites get their verdicts, too
            _round(step, config, number, _shards(config, number, outlook, 0), engine)
            return Course(num_rounds=number + 1)
        if left == 0 or not _wait(outlook, config):
            return Course(num_rounds=number)
        started = time.time()
        manifest = _round(step, config, number, _shards(config, number, outlook, left), engine)
        num_requests += manifest.counts.get("requests", 0)
        outlook = _outlook(step.run, config, number)
        if not _moved(manifest) and outlook.earliest and outlook.earliest < started:
            return Course(num_rounds=number + 1)  # nothing that may be fetched was: what waits has no room left
    Progress.note(f"crawl: stopped after crawl.max_rounds = {config.max_rounds} rounds")
    return Course(num_rounds=max(first, config.max_rounds), cut_short=True)


def _moved(manifest: Manifest) -> bool:
    """Whether a round brought a verdict, a link to another site, or at least an answer to a request for a robots.txt."""
    counts = manifest.counts
    return any(counts[name] for name in counts if name in ("visits", "sent") or name.startswith("robots/"))


def shard_name(number: int) -> str:
    """The name of a shard of the crawl, the same in every round."""
    return f"shard-{number:04d}"


def _shards(
    config: CrawlConfig, number: int, outlook: Outlook, left: int | None, *, reopens: bool = False
) -> list[Shard]:
    """The work of a round. The requests that are left are shared out among the shards that have something to do.

    Where none is left, a round only takes in the links of the one before.
    """
    shards = []
    level = outlook.level if config.scope.max_depth is not None else None
    for each in range(config.shards):
        work: dict[str, Any] = {"number": each, "num_shards": config.shards, "round": number, "level": level}
        if reopens:
            work["reopens"] = True
        if left is not None:
            place = outlook.ready.index(each) if each in outlook.ready else None
            work["quota"] = 0 if place is None else left // len(outlook.ready) + (place < left % len(outlook.ready))
        shards.append(Shard(name=shard_name(each), work=work))
    return shards


def _round(step: Step, config: CrawlConfig, number: int, shards: list[Shard], engine: Engine) -> Manifest:
    """Runs one round unless it is done, and removes what only the round before it needed."""
    one = Step(
        run=step.run, name=f"pages-round-{number:04d}", outputs=(round_output(number),),
        settings={"shards": [shard.work for shard in shards]}, external=step.fingerprint(),
    )  # fmt: skip
    if one.is_current():
        return manifests.read_manifest(one.folder(round_output(number)))
    with _reporting(one, number):
        manifest = run_step(
            one,
            shards,
            lambda elements: elements | "CrawlRound" >> CrawlRound(one, config),
            engine,
            label=f"crawl round {number}",
        )
    if number:
        for path in storage.list_files(join(step.run, round_output(number - 1))):
            if path.endswith(FRONTIER):
                storage.remove_tree(path)
    return manifest


def _outlook(run: str, config: CrawlConfig, number: int) -> Outlook:
    """What the shards say about the next round. Links between sites may add to it: their shards are ready, too."""
    folder = join(run, round_output(number))
    states: list[Mapping[str, Any]] = [
        storage.read_json(join(folder, shard_name(each) + SUMMARY)) for each in range(config.shards)
    ]
    ready = {each for each, state in enumerate(states) if state["earliest"] is not None}
    starts = [state["earliest"] for state in states if state["earliest"] is not None]
    levels = [state["level"] for state in states if state["level"] is not None]
    for state in states:
        for name, depth in state["sent"].items():
            ready.add(int(name))
            starts.append(0.0)
            levels.append(depth)
    return Outlook(
        earliest=min(starts, default=None),
        level=min(levels, default=None),
        ready=tuple(sorted(ready)),
        sent=any(state["sent"] for state in states),
    )


def _wait(outlook: Outlook, config: CrawlConfig) -> bool:
    """Waits until something may be fetched; False if there is nothing, or not for a long time."""
    if outlook.earliest is None:
        return False
    now = time.time()
    seconds = likely_time(outlook.earliest, now, config.politeness) - now
    if seconds > config.politeness.max_idle_seconds:
        Progress.note(
            f"crawl: what is left may not be fetched for {seconds:,.0f} s; it stays in the ledger as deferred"
        )
        return False
    if seconds > 0:
        Progress.note(f"crawl: waiting {seconds:,.1f} s until a site may be asked again")
        time.sleep(seconds)
    return True


# --- progress -----------------------------------------------------------------------------------------


@contextmanager
def _reporting(step: Step, number: int) -> Iterator[None]:
    """Prints what the shards report while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=_report, args=(join(step.attempt_folder, "progress"), number, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _report(folder: str, number: int, stop: threading.Event) -> None:
    before, before_time = 0, time.monotonic()
    while not stop.wait(_LINE_SECONDS):
        totals = progress.summary(folder)
        if totals is None:
            continue
        now = time.monotonic()
        Progress.note(
            f"round {number}: {progress.progress_line(totals, (totals['pages'] - before) / (now - before_time))}"
        )
        before, before_time = totals["pages"], now


# --- the index ----------------------------------------------------------------------------------------


def _index(step: Step, config: CrawlConfig, course: Course, engine: Engine) -> Manifest:
    """Makes the index of all rounds and commits the crawl."""
    base = Base.of(step)
    rounds = range(base.num_rounds if base else 0, course.num_rounds)
    counts = [manifests.read_manifest(join(step.run, round_output(number))).counts for number in rounds]
    num_pages = sum(each.get(_VERDICT + name, 0) for each in counts for name in _PAGES)
    parts = index.num_parts(num_pages + (base.num_pages if base else 0))
    shards = index_shards(step.run, [shard_name(each) for each in range(config.shards)], course.num_rounds, base)

    def build(pipeline: beam.Pipeline) -> None:
        elements = pipeline | "Shards" >> beam.Create(shard_elements(shards))
        elements | "IndexPages" >> IndexPages(step, config, parts)

    with explaining(step):
        run_pipeline(build, engine, step=step)
    names = [*(part_name(number) for number in range(parts)), *(shard.name for shard in shards)]
    num_requests = sum(each.get("requests", 0) for each in counts) + (base.num_requests if base else 0)
    whole = {ROUNDS: course.num_rounds, REQUESTS: num_requests, CUT_SHORT: int(course.cut_short)}
    manifest = step.commit(names, counts=whole)
    Progress.note(
        f"crawl: {manifest.counts['kept']:,} pages, {manifest.counts['rejected']:,} other answers, {course.num_rounds} rounds"
    )
    if told := _without_pages(manifest.counts):
        Progress.note(f"crawl: {manifest.counts['urls']:,} URLs; no pages: {told}; `corpusmill explain` tells of one")
    return manifest


def _without_pages(counts: Mapping[str, int]) -> str:
    """The commonest verdicts on URLs that gave no page, with their numbers."""
    found = {name.removeprefix(_VERDICT): count for name, count in counts.items() if name.startswith(_VERDICT)}
    ranked = sorted(((count, name) for name, count in found.items() if name not in _PAGES), key=lambda each: (-each[0], each[1]))  # fmt: skip
    others = sum(count for count, _ in ranked[_MOST_VERDICTS:])
    named = [f"{count:,} {name}" for count, name in ranked[:_MOST_VERDICTS]]
    return ", ".join([*named, f"{others:,} others"] if others else named)

"""What the rounds of a crawl leave in a run, and a finished crawl that another one goes on from.

A round leaves archives with ledgers, and its frontier: what each shard knows at its end. A finished crawl keeps its
archives and the frontier of its last round, so that a crawl with a larger budget can go on where it stopped; what
its ledgers said is in `pages/ledger/*.parquet`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from pipeline import manifests
from pipeline.atomic import FileEntry
from pipeline.crawl import ledger
from pipeline.manifests import Manifest
from pipeline.places import join
from pipeline.steps import Shard, Step

SUMMARY = ".state.json"
FRONTIER = (".queue.parquet", ".links.parquet", ".sites.jsonl", ".seen")  # needed by the next round alone
# How many rounds of a crawl there were, how many requests for pages, and whether only `max_rounds` ended it.
ROUNDS, REQUESTS, CUT_SHORT = "rounds", "requests", "cut_short"


def round_output(number: int) -> str:
    """The folder of a round, relative to the run."""
    return f"pages/round-{number:04d}"


@dataclass(frozen=True, kw_only=True)
class Base:
    """A finished crawl that goes on: its rounds come first, and are not done again."""

    pages: Manifest

    @classmethod
    def of(cls, step: Step) -> Self | None:
        """What the attempt under way goes on from, if it does not begin anew."""
        pages = step.taken_over()
        return cls(pages=pages) if pages else None

    @property
    def can_go_on(self) -> bool:
        """Whether the frontier was kept: earlier versions of this program removed it."""
        return REQUESTS in self.pages.counts

    @property
    def num_rounds(self) -> int:
        """The rounds that are done."""
        return self.pages.counts[ROUNDS]

    @property
    def num_requests(self) -> int:
        """The requests for pages in them."""
        return self.pages.counts[REQUESTS]

    @property
    def num_pages(self) -> int:
        """The pages that they brought."""
        return self.pages.counts["kept"]


def index_shards(run: str, shards: Iterable[str], num_rounds: int, base: Base | None) -> list[Shard]:
    """The work of `IndexPages`: for each shard of the crawl its rounds after `base`, and the files that it keeps of all rounds."""
    files: dict[str, list[dict[str, Any]]] = {name: [] for name in shards}
    for entry in _kept(run, num_rounds, base):
        name = entry.path.rsplit("/", 1)[-1]
        shard = name.rpartition("-")[0] if name.endswith(ledger.WARC_SUFFIX) else name.partition(".")[0]
        files[shard].append(asdict(replace(entry, num_records=0)))  # the records of `pages` are its pages
    first = base.num_rounds if base else 0
    return [
        Shard(name="ledger-" + name, work={"shard": name, "first_round": first, "num_rounds": num_rounds, "files": found})
        for name, found in files.items()
    ]  # fmt: skip


def _kept(run: str, num_rounds: int, base: Base | None) -> Iterator[FileEntry]:
    """The archives of all rounds and the frontier of the last one, with whole paths."""
    for entry in base.pages.files if base else ():
        if entry.path.endswith(ledger.WARC_SUFFIX):
            yield replace(entry, path=join(run, "pages", entry.path))
    for number in range(base.num_rounds if base else 0, num_rounds):
        folder = join(run, round_output(number))
        wanted = (ledger.WARC_SUFFIX, *((*FRONTIER, SUMMARY) if number == num_rounds - 1 else ()))
        for entry in manifests.read_manifest(folder).files:
            if entry.path.endswith(wanted):
                yield replace(entry, path=join(folder, entry.path))

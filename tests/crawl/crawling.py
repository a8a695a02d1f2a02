"""What the tests of the crawler share: settings for loopback, and readers of what a crawl left."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs.crawl import crawl
from jobs.engine import Engine
from pipeline import storage
from pipeline.crawl.config import CrawlConfig, LimitsConfig, PolitenessConfig
from pipeline.manifests import Manifest
from pipeline.tables import read_rows
from tests.site.server import Server

AGENT = "testbot/1.0 (+https://example.org/bot; bot@example.org)"
FAST = PolitenessConfig(delay_seconds=0.0, latency_factor=0.0, retry_seconds=0.05, backoff_seconds=0.05)


def config_for(server: Server, seeds: Sequence[str], **settings: Any) -> CrawlConfig:
    """Settings for a crawl of loopback."""
    allowed = tuple(f"{address}:{server.port}" for address in server.addresses)
    chosen: dict[str, Any] = {
        "user_agent": AGENT,
        "allow_private_hosts": allowed,
        "shards": 3,
        "politeness": FAST,
        "limits": LimitsConfig(round_seconds=60.0),
        **settings,
    }
    return CrawlConfig(seeds=tuple(seeds), **chosen)


def crawled(run: Path, config: CrawlConfig, *, workers: int = 1) -> Manifest:
    """Crawls into `run`."""
    return crawl(str(run), config, Engine(workers=workers))


def rows_of(run: Path, folder: str) -> list[dict[str, Any]]:
    """All rows of the Parquet files in a folder of a run, not of folders below it."""
    files = [path for path in storage.list_files(str(run / folder)) if path.endswith(".parquet")]
    return [row for path in files if Path(path).parent == run / folder for row in read_rows(path)]


def verdicts_of(run: Path) -> dict[str, str]:
    """Verdict by URL, from the ledger; with its detail for opt-outs and for what was deferred."""
    return {row["url"]: _named(row) for row in rows_of(run, "pages/ledger")}


def _named(row: dict[str, Any]) -> str:
    return f"{row['verdict']}:{row['detail']}" if row["verdict"] in ("opt_out", "deferred") else str(row["verdict"])


def archives_of(run: Path) -> list[Path]:
    """The WARC files of a run."""
    return sorted(run.glob("pages/round-*/*.warc.gz"))

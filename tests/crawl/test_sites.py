"""Real sites, served on loopback: a crawl finds every page that a plain link walk finds, and no other."""

import csv
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from pipeline.crawl.config import LimitsConfig, OptOutConfig, ScopeConfig
from pipeline.urls import canonical_url, url_parts
from tests.crawl.crawling import config_for, crawled, rows_of
from tests.site.static import StaticSite, serving_site

QUICK = ("hexo_docs", "sicp")
SLOW = (
    "aosabook", "carpentries_lc", "w3c_i18n", "apache_httpd_manual", "carpentries_shell_en", "carpentries_shell_es", "cc_opensource", "nist_oscal", "rust_blog", "rust_book_en",
    "rust_book_ja", "scipy_lectures", "trpl_zh",
)  # fmt: skip

# Some of their pages are linked by full public URLs only, which lead away from loopback.
LINKS_TO_ITSELF_BY_NAME = frozenset(("cc_opensource", "nist_oscal", "w3c_i18n"))


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_whole_site(name: str, tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "sites" / name
    site = StaticSite(folder)
    with serving_site(site) as server:
        seeds = [server.url(path) for path in start_paths(folder, site)]
        config = config_for(
            server,
            seeds,
            sitemaps=False,
            limits=LimitsConfig(pages_per_domain_and_round=10_000, links=10_000),
            opt_out=OptOutConfig(noindex=False),
        )
        crawled(tmp_path, config)
    found = {row["url"] for row in rows_of(tmp_path, "pages")}
    skipped = frozenset("." + extension for extension in ScopeConfig().skip_extensions)
    assert found == site.walk([canonical_url(seed) for seed in seeds], skipped)
    if name not in LINKS_TO_ITSELF_BY_NAME:
        assert reachable_files(folder) <= {site.names[unquote(url_parts(url).path)] for url in found}


def start_paths(folder: Path, site: StaticSite) -> list[str]:
    """The URL paths of the files from which PROVENANCE.md says that the others can be reached."""
    files = re.search(r"reachable by <a href> from ([^;]+);?", (folder / "PROVENANCE.md").read_text("utf-8"))
    assert files
    names = [name.strip().removesuffix(".") for name in files[1].split("\n")[0].split(",")]
    return [
        min((path for path, file in site.names.items() if file == name), key=lambda path: (len(path), path))
        for name in names
    ]


def reachable_files(folder: Path) -> set[str]:
    """The files that pages.tsv, made by others, calls reachable."""
    with (folder / "pages.tsv").open(encoding="utf-8", newline="") as lines:
        return {row["file"] for row in csv.DictReader(lines, delimiter="\t") if row["reachable"] == "1"}

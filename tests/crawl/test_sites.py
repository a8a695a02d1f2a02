"""Real sites, served on loopback: a crawl finds every page that a plain link walk finds, and no other."""

import csv
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pipeline.crawl.config import LimitsConfig
from tests.crawl.crawling import config_for, crawled, rows_of
from tests.site.static import StaticSite, serving_site
from tests.site.walk import place, walk

QUICK = ("hexo_docs", "sicp")
SLOW = (
    "aosabook", "carpentries_lc", "w3c_i18n", "apache_httpd_manual", "carpentries_shell_en", "carpentries_shell_es", "cc_opensource", "nist_oscal", "rust_blog", "rust_book_en",
    "rust_book_ja", "scipy_lectures", "trpl_zh",
)  # fmt: skip

# These sites link to themselves by their public names.
NAMES = {
    "cc_opensource": ("opensource.creativecommons.org",),
    "nist_oscal": ("pages.nist.gov",),
    "w3c_i18n": ("www.w3.org",),
}


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_whole_site(name: str, tmp_path: Path, shared_data: Path) -> None:
    """What asks not to be indexed is rejected for just that; all other pages are kept; nothing else is a page."""
    folder = shared_data / "sites" / name
    site = StaticSite(folder, NAMES.get(name, ()))
    with serving_site(site) as server:
        seeds = [server.url(path) for path in start_paths(folder, site)]
        limits = LimitsConfig(pages_per_domain_and_round=10_000)
        crawled(tmp_path, config_for(server, seeds, sitemaps=False, limits=limits))
        walked = walk(seeds, site.get)
    kept = [row["url"] for row in rows_of(tmp_path, "pages")]
    opted_out = [row["url"] for row in rows_of(tmp_path, "rejected/pages") if row["detail"] == "meta:noindex"]
    assert {place(url) for url in kept} == {place(url) for url, opts_out in walked.items() if not opts_out}
    assert {place(url) for url in opted_out} == {place(url) for url, opts_out in walked.items() if opts_out}
    assert len(kept) + len(opted_out) == len({place(url) for url in walked})
    found = {site.names[unquote(urlsplit(url).path)] for url in (*kept, *opted_out)}
    assert reachable_files(folder) <= found


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

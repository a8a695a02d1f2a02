"""Extraction engines and their peers on pages with gold texts: F1, precision, recall, pages/s, CPU-ms a page.

    python -m benchmarks.extract [DATA] [--set NAME|all] [--only NAME,NAME]

DATA is the folder with the sets as `.jsonl.zst`. F1 is that of the article extraction benchmark (four-word
shingles, mean precision and mean recall over pages). All are given text, as peers like it best; the rows of the
whole stage start from bytes. Every engine sees each page once before the clock starts: all caches are warm.
Only `article_extraction` is unseen by our classifier; of the other sets it was trained on these very pages.
"""

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jobs.train_extractor import html_of, read_records
from pipeline.extract.config import ExtractConfig
from pipeline.extract.engines import Source, TextFinder
from pipeline.extract.html import PageExtractor
from pipeline.extract.isolation import ChildExtractor, Question
from pipeline.extract.metadata import declares_article
from pipeline.extract.results import Extracted
from pipeline.extract.scoring import score
from pipeline.extract.threads import OneThread

Extract = Callable[[str], str]
_SETS = ("article_extraction", "wcxb", "readability_pages", "newspaper4k")
_HEAD = "| engine | F1 | precision | recall | CPU-ms a page | pages/s | cost |\n|---|---|---|---|---|---|---|"
_GOLD = {"readability_pages": "expected_html"}


class Page(NamedTuple):
    """Markup and gold text."""

    html: str
    gold: str


def read_pages(folder: Path, name: str) -> list[Page]:
    """The pages of one set that have a gold text."""
    pages = []
    for record in read_records(folder / f"{name}.jsonl.zst"):
        gold = record.get(_GOLD.get(name, "gold")) or ""
        if name == "readability_pages":
            from selectolax.lexbor import LexborHTMLParser

            gold = LexborHTMLParser(gold).text(separator=" ")
        html = html_of(record)
        if html and gold.strip():
            pages.append(Page(html, gold))
    return pages


def ours() -> dict[str, Extract]:
    """Our engines, markup to text; then the whole stage, in this process and in the child."""
    engines: dict[str, Extract] = {}
    for name, config in {
        "blocks": ExtractConfig(engine="blocks"),
        "blocks, scope article": ExtractConfig(engine="blocks", scope="article"),
        "blocks, scope page": ExtractConfig(engine="blocks", scope="page"),
        "combined": ExtractConfig(engine="combined"),
        "trafilatura": ExtractConfig(engine="trafilatura"),
        "trafilatura_fast": ExtractConfig(engine="trafilatura_fast"),
        "resiliparse": ExtractConfig(engine="resiliparse"),
        "justext": ExtractConfig(engine="justext"),
    }.items():
        engines[name] = _engine(config)
    engines["whole stage (blocks, metadata, language)"] = _whole(PageExtractor(ExtractConfig()).extract)
    child = ChildExtractor(ExtractConfig())
    engines["whole stage in its child process (parent + wait)"] = _whole(
        lambda payload: child.extract(Question(payload, "", "text/html", "utf-8", {}))
    )
    return engines


def _engine(config: ExtractConfig) -> Extract:
    from selectolax.lexbor import LexborHTMLParser

    finder = TextFinder(config)
    needs_tree = config.engine in ("blocks", "combined")

    def extract(html: str) -> str:
        tree = LexborHTMLParser(html if needs_tree else "")
        is_article = needs_tree and config.scope == "auto" and declares_article(tree)
        return finder.find(Source(html, tree, is_article)).text

    return extract


def _whole(extract: Callable[[bytes], object]) -> Extract:
    def run(html: str) -> str:
        result = extract(html.encode("utf-8", "replace"))
        return result.text if isinstance(result, Extracted) else ""

    return run


def peers() -> dict[str, Extract]:
    """The peers that are installed, as their own documentation calls them."""
    import justext
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text

    found: dict[str, Extract] = {
        "peer trafilatura, default": lambda html: trafilatura.extract(html) or "",
        "peer trafilatura, no comments": lambda html: trafilatura.extract(html, include_comments=False) or "",
        "peer trafilatura, fast": lambda html: trafilatura.extract(html, fast=True) or "",
        "peer trafilatura, precision": lambda html: trafilatura.extract(html, favor_precision=True) or "",
        "peer resiliparse, main content": lambda html: extract_plain_text(html, main_content=True),
    }
    stop_words = justext.get_stoplist("English")
    found["peer jusText, English"] = lambda html: "\n".join(
        paragraph.text for paragraph in justext.justext(html.encode(), stop_words) if not paragraph.is_boilerplate
    )
    try:
        import lxml.html
        from readability import Document

        found["peer readability-lxml"] = lambda html: lxml.html.fromstring(Document(html).summary()).text_content()
    except ImportError:
        print("readability-lxml is not installed")
    return found


class Measured(NamedTuple):
    """What one engine did on one set."""

    texts: list[str]
    cpu_ms: float
    wall_ms: float


def measure(extract: Extract, pages: Sequence[Page]) -> Measured:
    """Runs over the pages twice; the second time counts. Linear algebra has one thread, as in the stage."""
    with OneThread():
        return _measure(extract, pages)


def _measure(extract: Extract, pages: Sequence[Page]) -> Measured:
    for page in pages:
        _safely(extract, page.html)
    gc.collect()
    gc.freeze()  # or every engine pays for what the others have loaded
    cpu, wall = time.process_time(), time.perf_counter()
    texts = [_safely(extract, page.html) for page in pages]
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Measured(texts, 1000 * cpu / len(pages), 1000 * wall / len(pages))


def _safely(extract: Extract, html: str) -> str:
    try:
        return extract(html)
    except Exception:  # a peer that raises has found nothing
        return ""


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Prints one table a set."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extract", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data/html"))
    parser.add_argument("--set", default=_SETS[0], choices=(*_SETS, "all"))
    parser.add_argument("--only", default="", help="engines whose names contain one of these, separated by commas")
    options = parser.parse_args(arguments)
    wanted = [name for name in options.only.split(",") if name]
    engines = {
        name: extract
        for name, extract in {**ours(), **peers()}.items()
        if not wanted or any(part in name for part in wanted)
    }
    results: dict[str, Any] = {}
    for name in _SETS if options.set == "all" else (options.set,):
        pages = read_pages(options.data, name)
        print(f"\n## {name}: {len(pages)} pages\n\n{_HEAD}")
        reference = 0.0
        for engine, extract in engines.items():
            measured = measure(extract, pages)
            reference = reference or measured.cpu_ms
            result = score(zip((page.gold for page in pages), measured.texts, strict=True))
            results[f"{name}/{engine}"] = {**result._asdict(), "cpu_ms": measured.cpu_ms}
            print(
                f"| {engine} | {result.f1:.4f} | {result.precision:.4f} | {result.recall:.4f} | "
                f"{measured.cpu_ms:.2f} | {1000 / measured.wall_ms:.0f} | {measured.cpu_ms / reference:.1f} |",
                flush=True,
            )
    return results


if __name__ == "__main__":
    main()

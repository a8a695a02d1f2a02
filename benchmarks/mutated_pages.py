"""Damaged pages through the extraction stage: none may be lost, none may stop a worker, memory stays bounded.

    python -m benchmarks.mutated_pages [DATA] [--pages 100000] [--seed 0] [--engine blocks]

Takes the real pages of `article_extraction`, `wcxb` and `newspaper4k` in DATA and damages each copy in one of ten
ways: bit flips, truncation, nesting 50,000 deep, null bytes, false charsets, huge attributes, shuffled pieces,
repeated pieces, stray tags, unclosed formatting. Prints how many became documents, how many were rejected for which
reason, the pages a second, and the largest memory of the worker and of its children.
"""

import argparse
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from jobs.train_extractor import html_of, read_records
from pipeline.extract.config import ExtractConfig
from pipeline.extract.stage import ExtractText
from pipeline.records import Document, Page, Rejection, page_id
from pipeline.stage import judge_one

_SETS = ("article_extraction", "wcxb", "newspaper4k")
_TAG_NAMES = "div p span b i font table tr td ul li a pre script style svg math template select form br body html"
_TAGS = _TAG_NAMES.split()
_CHARSETS = ("utf-8", "utf-16", "shift_jis", "koi8-r", "gb18030", "iso-2022-jp", "windows-1255", "x-nonsense", "")
Mutation = Callable[[bytes, random.Random], bytes]


def flip_bits(page: bytes, dice: random.Random) -> bytes:
    """Up to a thousand bits, anywhere."""
    damaged = bytearray(page)
    for _ in range(dice.randint(1, 1000)):
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def truncate(page: bytes, dice: random.Random) -> bytes:
    """The beginning, or what is left without it."""
    cut = dice.randrange(len(page))
    return page[:cut] if dice.random() < 0.7 else page[cut:]


def nest(page: bytes, dice: random.Random) -> bytes:
    """An element within itself, up to 50,000 deep, closed or not."""
    tag, depth, place = dice.choice(_TAGS).encode(), dice.choice((300, 3_000, 50_000)), dice.randrange(len(page))
    end = b"</%s>" % tag * depth if dice.random() < 0.5 else b""
    return page[:place] + b"<%s>" % tag * depth + page[place : place + 2000] + end + page[place + 2000 :]


def insert_nulls(page: bytes, dice: random.Random) -> bytes:
    """Null bytes: a few, or a run."""
    place = dice.randrange(len(page))
    if dice.random() < 0.5:
        return page[:place] + b"\x00" * dice.randint(1, 50_000) + page[place:]
    return page.replace(b" ", b"\x00", dice.randint(1, 500))


def lie_about_charset(page: bytes, dice: random.Random) -> bytes:
    """Bytes in one charset, labelled as another."""
    text = page.decode("utf-8", "replace")
    encoded = text.encode(dice.choice(("utf-16", "cp1252", "cp1251", "shift_jis", "gb18030", "utf-8")), "replace")
    return f'<meta charset="{dice.choice(_CHARSETS)}">'.encode() + encoded


def grow_attributes(page: bytes, dice: random.Random) -> bytes:
    """One huge attribute, or very many."""
    place = page.find(b"<", dice.randrange(len(page)))
    size = dice.choice((10_000, 200_000, 2_000_000))
    attribute = dice.choice(
        (
            b'class="%s"' % (b"word " * (size // 5)),
            b'data-x="%s"' % (b"x" * size),
            b"a=b " * (size // 40),
            b'style="' + b"y" * size,
        )
    )
    return page[:place] + b"<div %s>" % attribute + page[place:]


def shuffle_pieces(page: bytes, dice: random.Random) -> bytes:
    """The page cut into pieces, in another order."""
    cuts = sorted(dice.randrange(len(page)) for _ in range(dice.randint(1, 20)))
    pieces = [page[start:end] for start, end in zip([0, *cuts], [*cuts, len(page)], strict=True)]
    dice.shuffle(pieces)
    return b"".join(pieces)


def repeat_piece(page: bytes, dice: random.Random) -> bytes:
    """A piece of the page many times over."""
    place = dice.randrange(len(page))
    return page[:place] + page[place : place + dice.randint(1, 300)] * dice.randint(2, 3000) + page[place:]


def scatter_tags(page: bytes, dice: random.Random) -> bytes:
    """Stray tags everywhere."""
    pieces = page.split(b" ")
    for _ in range(dice.randint(1, 2000)):
        tag = dice.choice(_TAGS)
        pieces[dice.randrange(len(pieces))] += dice.choice(
            (f"<{tag}>", f"</{tag}>", f"<{tag}", "<!--", "-->", "<![CDATA[", "]]>")
        ).encode()
    return b" ".join(pieces)


def open_formatting(page: bytes, dice: random.Random) -> bytes:
    """Formatting elements that nobody closes, before each of many paragraphs."""
    opened = b"".join(
        b"<b id=%d>" % number for number in range(dice.choice((*[20] * 20, *[100] * 20, *[300] * 9, 1500)))
    )
    return b"<p>" + opened + page + b"<p>again " * dice.randint(1, 2000)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, truncate, nest, insert_nulls, lie_about_charset, grow_attributes, shuffle_pieces, repeat_piece,
    scatter_tags, open_formatting,
)  # fmt: skip


def read_payloads(folder: Path) -> list[bytes]:
    """The bytes of the real pages, without the largest."""
    pages = (
        html_of(record).encode("utf-8", "replace")
        for name in _SETS
        for record in read_records(folder / f"{name}.jsonl.zst")
    )
    return [page for page in pages if 0 < len(page) < 400_000]


def mutated(payloads: Sequence[bytes], numbers: Iterable[int], seed: int) -> Iterator[tuple[str, Page]]:
    """The damaged pages with these numbers, with the name of the damage, the same for the same seed."""
    for number in numbers:
        dice = random.Random(f"{seed}/{number}")
        mutation = MUTATIONS[number % len(MUTATIONS)]
        payload = mutation(dice.choice(payloads), dice)
        url = f"https://example.org/{number}"
        yield (
            mutation.__name__,
            Page(id=page_id(url, payload), url=url, payload=payload, charset=dice.choice(_CHARSETS)),
        )


def run(payloads: Sequence[bytes], numbers: Iterable[int], seed: int, config: ExtractConfig) -> Counter[str]:
    """Judges the damaged pages; counts outcomes. Each page is checked to leave exactly once, under its own id."""
    judge = ExtractText(config)
    judge.setup()
    counts: Counter[str] = Counter()
    for name, page in mutated(payloads, numbers, seed):
        outcome: Any = judge_one([judge], page)
        assert isinstance(outcome, Document | Rejection)
        assert outcome.id == page.id
        counts["pages"] += 1
        if counts["pages"] % 5000 == 0:
            print(f"{counts['pages']} pages so far, {counts['documents']} documents", flush=True)
        if isinstance(outcome, Document):
            outcome.text.encode("utf-8")
            assert outcome.text.strip()
            counts["documents"] += 1
        else:
            counts["rejections"] += 1
            counts[f"{name}: {outcome.reason}"] += 1
    judge.close()
    return counts


class Part(NamedTuple):
    """What one process counted, and the largest resident memory of itself and of its children, in MiB."""

    counts: Counter[str]
    worker_mib: int
    child_mib: int


def run_part(folder: Path, engine: str, seed: int, numbers: range) -> Part:
    """Judges the pages with these numbers in this process."""
    counts = run(read_payloads(folder), numbers, seed, ExtractConfig(engine=engine))  # type: ignore[arg-type]
    worker, child = (
        resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return Part(counts, worker, child)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the counts, the speed and the memory."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutated_pages", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data/html"))
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default="blocks")
    parser.add_argument("--processes", type=int, default=1, help="the pages are the same for any number")
    options = parser.parse_args(arguments)
    parts = [range(first, options.pages, options.processes) for first in range(options.processes)]
    started = time.monotonic()
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(partial(run_part, options.data, options.engine, options.seed), parts))
    seconds = time.monotonic() - started
    counts = sum((part.counts for part in done), Counter[str]())
    for name, count in sorted(counts.items()):
        print(f"{count:8} {name}")
    assert counts["documents"] + counts["rejections"] == counts["pages"] == options.pages
    print(
        f"{options.pages / seconds:.0f} pages/s; largest resident memory: worker {max(part.worker_mib for part in done)} MiB, "
        f"its extraction process {max(part.child_mib for part in done)} MiB"
    )


if __name__ == "__main__":
    main()

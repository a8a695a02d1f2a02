"""Trains the block classifier of extraction from labelled pages.

    python -m jobs.train_extractor DATA [--output pipeline/extract] [--cross-validate]

Input: a folder with any of `wcxb`, `trafilatura_eval`, `readability_pages`, `newspaper4k` (`.jsonl.zst`), and, so
that no site of the test is trained on, `article_extraction.jsonl.zst`, of which only the addresses are read. Output:
`blocks.npz`, `blocks.sha256.txt` and `blocks.card.md`. Pages that only have wanted and unwanted segments are labelled by
trafilatura in its precise mode, corrected by the segments.
"""

import argparse
import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import trafilatura
import zstandard
from selectolax.lexbor import LexborHTMLParser

from pipeline.charset import decode
from pipeline.errors import InputError
from pipeline.extract.blocks import read_blocks
from pipeline.extract.classifier import ARTICLE, PAGE, Model, model_bytes
from pipeline.extract.config import ExtractConfig, Scope
from pipeline.extract.engines import Source, by_blocks
from pipeline.extract.hints import Hints
from pipeline.extract.labels import block_labels
from pipeline.extract.scoring import score
from pipeline.extract.training import NUM_FOLDS, FitConfig, LabelledPage, fit
from pipeline.urls import domain_of_host

_BETWEEN = (ARTICLE + PAGE) / 2
_MIN_UNWANTED_CHARS, _MIN_WANTED_CHARS = 9, 16
_TEST_SET = "article_extraction"

Json = dict[str, Any]


class Example(NamedTuple):
    """A labelled page with what cross-validation compares."""

    page: LabelledPage
    source: Source
    gold: str
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    collection: str


def read_records(path: Path) -> Iterator[Json]:
    """The JSON records of a `.jsonl.zst` file, split on line feeds only."""
    with open(path, "rb") as file:
        reader = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(file)
        for line in io.TextIOWrapper(reader, encoding="utf-8", newline="\n"):
            yield json.loads(line)


def html_of(record: Json) -> str:
    """The markup of a record, decoded if it came as bytes."""
    if record.get("html"):
        return str(record["html"]).replace("\x00", "")
    return decode(base64.b64decode(record.get("html_b64") or "")).text.replace("\x00", "")


def site_of(record: Json) -> str:
    """The registered domain that a page is from, as far as its record tells."""
    address = record.get("url") or ""
    if not address.startswith("http"):
        address = "http://" + str(record.get("path") or record["id"]).rsplit("/", 1)[-1]
    host = urlsplit(address).hostname or address
    return domain_of_host(host) or host


def _plain_gold(record: Json) -> str:
    return record.get("gold") or ""


def _rendered_gold(record: Json) -> str:
    return str(LexborHTMLParser(record["expected_html"]).text(separator=" "))


def _taught_gold(record: Json) -> str:
    return trafilatura.extract(html_of(record), favor_precision=True, include_comments=False) or ""


class Collection(NamedTuple):
    """How one set of pages is labelled, which convention its labels follow, and how much its pages count."""

    name: str
    gold: Callable[[Json], str]
    scope: float
    weight: float


COLLECTIONS = (
    Collection("wcxb", _plain_gold, PAGE, 1.0),
    Collection("trafilatura_eval", _taught_gold, ARTICLE, 1.0),
    Collection("readability_pages", _rendered_gold, _BETWEEN, 0.6),
    Collection("newspaper4k", _plain_gold, _BETWEEN, 0.6),
)


def read_examples(folder: Path) -> list[Example]:
    """All labelled pages of all sets in `folder`, without those of sites in the test set."""
    test = folder / f"{_TEST_SET}.jsonl.zst"
    tested = {site_of(record) for record in read_records(test)} if test.exists() else set()
    examples = []
    for collection in COLLECTIONS:
        path = folder / f"{collection.name}.jsonl.zst"
        if path.exists():
            records = (record for record in read_records(path) if site_of(record) not in tested)
            examples += [example for record in records if (example := _example(record, collection))]
    if not examples:
        raise InputError(f"{folder} holds none of the sets {', '.join(c.name for c in COLLECTIONS)} (.jsonl.zst)")
    return examples


def _example(record: Json, collection: Collection) -> Example | None:
    html = html_of(record)
    gold = collection.gold(record) if html else ""
    segmented = collection.gold is _taught_gold
    if not html or (not gold.strip() and not segmented):
        return None
    tree = LexborHTMLParser(html)
    blocks = read_blocks(tree)
    if not blocks.blocks:
        return None
    wanted, unwanted = (tuple(record.get("with") or ()), tuple(record.get("without") or ()))
    labels, num_words = block_labels([block.text for block in blocks.blocks], gold)
    if segmented:
        labels = [
            _corrected(label, block.text, wanted, unwanted) for label, block in zip(labels, blocks.blocks, strict=True)
        ]
    title = tree.css_first("title")
    page = LabelledPage(
        site=site_of(record), blocks=blocks, title=" ".join(title.text().split()) if title is not None else "",
        labels=tuple(labels), num_words=tuple(num_words), scope=collection.scope, weight=collection.weight,
    )  # fmt: skip
    return Example(page, Source(html, tree), gold, wanted, unwanted, collection.name)


def _corrected(label: float, text: str, wanted: Sequence[str], unwanted: Sequence[str]) -> float:
    """The label of a block after what people said about segments of the page."""
    text = " ".join(text.split())
    if any(" ".join(segment.split()) in text for segment in unwanted if len(segment) >= _MIN_UNWANTED_CHARS):
        return 0.0
    if any(" ".join(segment.split()) in text for segment in wanted if len(segment) >= _MIN_WANTED_CHARS):
        return 1.0
    return label


def train(examples: Sequence[Example], config: FitConfig) -> tuple[Model, bytes]:
    """The model of all examples, and its file."""
    network, word_weights = fit([example.page for example in examples], config)
    return Model(network=network, hints=Hints(word_weights)), model_bytes(network, word_weights)


def cross_validate(examples: Sequence[Example], config: FitConfig) -> str:
    """A table: for each set, how well pages are extracted by models that never saw their sites."""
    texts: dict[int, str] = {}
    for fold in range(NUM_FOLDS):
        model, _ = train([example for example in examples if example.page.fold != fold], config)
        for number, example in enumerate(examples):
            if example.page.fold == fold:
                scope: Scope = "page" if example.page.scope == PAGE else "article"
                texts[number] = by_blocks(example.source, ExtractConfig(scope=scope), model).text
    lines = [
        "| set | pages | F1 | precision | recall | wanted segments found | unwanted found |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(example.collection for example in examples):
        numbers = [number for number, example in enumerate(examples) if example.collection == name]
        result = score((examples[number].gold, texts[number]) for number in numbers)
        found = _segment_share([(texts[number], examples[number].wanted) for number in numbers])
        leaked = _segment_share([(texts[number], examples[number].unwanted) for number in numbers])
        measured = " | ".join(f"{value:.3f}" for value in result)
        lines.append(f"| {name} | {len(numbers)} | {measured} | {found} | {leaked} |")
    return "\n".join(lines)


def _segment_share(pairs: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    hits = ["".join(segment.split()) in "".join(text.split()) for text, segments in pairs for segment in segments]
    return f"{np.mean(hits):.3f}" if hits else ""


_CARD = """# Block classifier of extraction

Tells for each text block of an HTML page whether it belongs to the main text. One hidden layer over {num_features}
features of the block, its neighbours and its containers; {size} bytes; SHA-256 `{sha256}`.
Trained by `python -m jobs.train_extractor`.

It holds weights of features and of {num_words} words that occur in class names: no text and no address of any page.

## Trained on

{sets}

Labels: WCXB (Web Content eXtraction Benchmark, CC BY 4.0), full gold texts; trafilatura's evaluation set
(Apache-2.0), wanted and unwanted segments, the rest labelled by trafilatura 2 in its precise mode; Readability's test
pages (Apache-2.0), expected article; newspaper4k's test pages (MIT). Sites of the article extraction benchmark are
left out: it is the test.

## How well it does on sites that it has not seen

{table}

The labels of the second set are trafilatura's, so its F1 is agreement; its segments are people's judgement.

## Known limits

Mostly news, blogs, documentation, products, forums in English and German; few pages in other scripts. Short pages and
galleries are hardest. A text that scripts put into the page later is not in the page.
"""


def card(examples: Sequence[Example], content: bytes, num_features: int, num_words: int, table: str) -> str:
    """What a user should know about the model."""
    names = dict.fromkeys(example.collection for example in examples)
    sets = "\n".join(f"* {name}: {sum(example.collection == name for example in examples)} pages" for name in names)
    sha256 = hashlib.sha256(content).hexdigest()
    return _CARD.format(
        num_features=num_features, size=len(content), sha256=sha256, num_words=num_words, sets=sets, table=table
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads, trains, writes the model with its hash and its card."""
    parser = argparse.ArgumentParser(prog="python -m jobs.train_extractor", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("pipeline/extract"))
    parser.add_argument(
        "--cross-validate", action="store_true", help="also measure on unseen sites, for the card (five trainings more)"
    )
    options = parser.parse_args(arguments)
    examples, config = read_examples(options.data), FitConfig()
    model, content = train(examples, config)
    table = cross_validate(examples, config) if options.cross_validate else "Not measured: run with --cross-validate."
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "blocks.npz").write_bytes(content)
    (options.output / "blocks.sha256.txt").write_text(hashlib.sha256(content).hexdigest() + "  blocks.npz\n")
    num_inputs = len(model.network.mean)
    (options.output / "blocks.card.md").write_text(card(examples, content, num_inputs - 1, len(model.hints), table))
    print(f"{len(examples)} pages, {len(content)} bytes\n{table}")


if __name__ == "__main__":
    main()

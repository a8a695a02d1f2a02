"""Evaluation items that stand in the training text: found by the n-grams of words that both have.

Words are those of the shingles (case, diacritics and punctuation do not count). Every string of an
item (question, each choice, passage) gives its n-grams; n-grams that more than `max_items` items share
belong to a template and are left out. Where the longest string of an item has fewer words than n but at
least `min_words`, it counts as one n-gram of its own length. A document is contaminated by an item when it
holds at least the share `threshold` of the n-grams of the item, or of one of its fields that has `min_field_ngrams` or
more: a page with the whole question and no answer is found. What is too short to be searched for is counted.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.decontaminate_config import DecontaminateConfig
from pipeline.dedup.shingles import NO_STARTS, Hashes, Shingling, join_words, scan
from pipeline.errors import InputError
from pipeline.jsonl import read_records
from pipeline.records import Document, Rejection
from tokenizer.compiling import kept

STAGE, REASON = "dedup", "contaminated"
MATCHES = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("set", pa.string()),
        ("item", pa.int64()),
        ("field", pa.string()),
        ("share", pa.float64()),
        ("matched", pa.int64()),
        ("ngrams", pa.int64()),
        ("start", pa.int64()),
        ("excerpt", pa.string()),
        ("contaminated", pa.bool_()),
    ]
)
_EXCERPT_WORDS = 40
_BITS_PER_NGRAM = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An item of which a document holds n-grams: `matched` of `ngrams`, the first at byte `start` of the text.

    They are those of the field of which it holds the greatest share, or of the whole item where `field` is empty.
    """

    set: str
    item: int
    field: str
    matched: int
    ngrams: int
    start: int
    excerpt: str

    @property
    def share(self) -> float:
        """The share of these n-grams that the document holds."""
        return self.matched / self.ngrams


@kept(nogil=True)
def _look_up(hashes: Hashes, table: Hashes, bits: npt.NDArray[np.uint64], places: npt.NDArray[np.int64]) -> int:
    """Writes the place of each hash in the sorted `table` to `places`, -1 where there is none; returns how many are."""
    mask, found = np.uint64(bits.shape[0] * 64 - 1), 0
    for i in range(hashes.shape[0]):
        bit = hashes[i] & mask
        places[i] = -1
        if bits[bit >> np.uint64(6)] >> (bit & np.uint64(63)) & np.uint64(1):
            at = np.searchsorted(table, hashes[i])
            if at < table.shape[0] and table[at] == hashes[i]:
                places[i] = at
                found += 1
    return found


class EvaluationIndex:
    """The n-grams of evaluation items, by the field that they are in: about 30 bytes each in memory."""

    def __init__(self, config: DecontaminateConfig) -> None:
        self.config = config
        self.num_unsearchable = 0
        self.warnings: list[str] = []
        self._table = Shingling(fold_accents=True).table()
        self._items: list[tuple[str, int]] = []
        self._parts: list[tuple[int, str]] = []  # item, field
        self._pairs = [np.zeros((0, 2), np.uint64)]  # n-gram, part
        self.sizes: set[int] = set()
        for path in config.sets:
            self._read(path)
        if config.sets and not self._items:
            raise InputError(
                f"{config.sets[0]}: no item has a string of {config.min_words} words or more to search for"
            )
        self._index(np.unique(np.concatenate(self._pairs), axis=0))

    def _read(self, path: str) -> None:
        before, number = len(self._items), -1
        for number, record in enumerate(read_records(path)):
            if not self._add((_set_name(path), number + 1), record):
                self.num_unsearchable += 1
        searched = len(self._items) - before
        if searched <= number:
            self.warnings.append(
                f"{path}: {number + 1 - searched} of {number + 1} items have no string of {self.config.min_words} words "
                "or more and are not searched for"
            )

    def _add(self, name: tuple[str, int], record: Mapping[str, Any]) -> bool:
        """Takes an item, unless it is too short to be searched for."""
        config = self.config
        fields = [
            (field, [self._words(text)[0] for text in strings(value)])
            for field, value in record.items()
            if not config.fields or field in config.fields
        ]
        size = min(config.ngram_words, max((len(words) for _, texts in fields for words in texts), default=0))
        if size < config.min_words:
            return False
        self.sizes.add(size)
        for field, texts in fields:
            ngrams = np.concatenate([np.zeros(0, np.uint64), *(_joined(words, size) for words in texts)])
            if len(ngrams):
                self._pairs.append(np.stack((ngrams, np.full(len(ngrams), len(self._parts), np.uint64)), 1))
                self._parts.append((len(self._items), field))
        self._items.append(name)
        return True

    def _index(self, pairs: npt.NDArray[np.uint64]) -> None:
        item_of = np.array([item for item, _ in self._parts], np.uint64)
        of_items = np.unique(np.stack((pairs[:, 0], item_of[pairs[:, 1].astype(np.int64)]), 1), axis=0)
        hashes, counts = np.unique(of_items[:, 0], return_counts=True)
        common = hashes[counts > self.config.max_items]
        pairs, of_items = (each[~np.isin(each[:, 0], common)] for each in (pairs, of_items))
        self.hashes, first = np.unique(pairs[:, 0], return_index=True)
        self._owners = pairs[:, 1].astype(np.int64)
        self._bounds = np.append(first, len(pairs))
        self._num_of_part = np.bincount(self._owners, minlength=len(self._parts))
        self._num_of_item = np.bincount(of_items[:, 1].astype(np.int64), minlength=len(self._items))
        self._pairs = []
        if num_template := int(np.count_nonzero(self._num_of_item == 0)):
            self.num_unsearchable += num_template
            self.warnings.append(
                f"{num_template} items have n-grams that more than {self.config.max_items} items share and no others, "
                "and are not searched for"
            )
        size = 1 << max(6, (len(self.hashes) * _BITS_PER_NGRAM - 1).bit_length())
        self._bits = np.zeros(size // 64, np.uint64)
        places = self.hashes & np.uint64(size - 1)
        np.bitwise_or.at(
            self._bits, (places >> np.uint64(6)).astype(np.int64), np.uint64(1) << (places & np.uint64(63))
        )

    @property
    def num_items(self) -> int:
        """The items that are searched for, or were found to be all template."""
        return len(self._items)

    def _words(self, text: str) -> tuple[Hashes, npt.NDArray[np.int64]]:
        data = np.frombuffer(text.encode(errors="replace"), np.uint8)
        words, starts = np.empty(len(data) + 1, np.uint64), np.empty(len(data) + 1, np.int64)
        count, _ = scan(data, 0, len(data), self._table, words, np.empty(2, np.uint64), starts)
        return words[:count], starts[:count]

    def matches(self, text: str) -> list[Match]:
        """The items of which `text` holds n-grams, the greatest share first, then in the order of the sets."""
        data = np.frombuffer(text.encode(errors="replace"), np.uint8)
        words = np.empty(len(data) + 1, np.uint64)
        count, _ = scan(data, 0, len(data), self._table, words, np.empty(2, np.uint64), NO_STARTS)
        found: dict[int, dict[int, int]] = defaultdict(dict)  # part → n-gram → first word
        for size in sorted(self.sizes, reverse=True):
            hashes = _joined(words[:count], size)
            places = np.empty(len(hashes), np.int64)
            if _look_up(hashes, self.hashes, self._bits, places):
                for word in np.flatnonzero(places >= 0).tolist():
                    ngram = int(places[word])
                    for part in self._owners[self._bounds[ngram] : self._bounds[ngram + 1]].tolist():
                        found[part].setdefault(ngram, word)
        return self._described(text, found) if found else []

    def _described(self, text: str, found: Mapping[int, Mapping[int, int]]) -> list[Match]:
        data, (_, starts) = text.encode(errors="replace"), self._words(text)
        matches = []
        for item, parts in groupby(sorted(found), key=lambda part: self._parts[part][0]):
            field, ngrams, num_ngrams = self._best(item, list(parts), found)
            first = min(ngrams.values())
            end = starts[first + _EXCERPT_WORDS] if first + _EXCERPT_WORDS < len(starts) else len(data)
            excerpt = " ".join(data[starts[first] : end].decode(errors="replace").split())
            name, number = self._items[item]
            matches.append(
                Match(
                    set=name,
                    item=number,
                    field=field,
                    matched=len(ngrams),
                    ngrams=num_ngrams,
                    start=int(starts[first]),
                    excerpt=excerpt,
                )
            )
        return sorted(matches, key=lambda match: -match.share)

    def _best(
        self, item: int, parts: Sequence[int], found: Mapping[int, Mapping[int, int]]
    ) -> tuple[str, Mapping[int, int], int]:
        """Of what is the greatest share found: of the whole item, or of one of its fields? With what is found, and of how many."""
        whole: dict[int, int] = {}
        for part in parts:
            for ngram, word in found[part].items():
                whole[ngram] = min(word, whole.get(ngram, word))
        best: tuple[str, Mapping[int, int], int] = ("", whole, int(self._num_of_item[item]))
        for part in parts:
            one = (self._parts[part][1], found[part], int(self._num_of_part[part]))
            if one[2] >= self.config.min_field_ngrams and len(one[1]) * best[2] > len(best[1]) * one[2]:
                best = one
        return best


def _joined(words: Hashes, size: int) -> Hashes:
    out = np.empty(max(len(words) - size + 1, 0), np.uint64)
    join_words(words, len(words), size, out)
    return out


def strings(value: Any) -> Iterator[str]:
    """The strings in a field of an item, those in lists and tables included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from strings(one)


def _set_name(path: str) -> str:
    return path.rsplit("/", 1)[-1].split(".", 1)[0]


class Decontaminate:
    """Judges documents: kept, or rejected as `contaminated` with the item, the share of its n-grams and an excerpt."""

    stage = STAGE
    measures: Sequence[str] = ()

    def __init__(self, config: DecontaminateConfig) -> None:
        self.config = config
        self._index: EvaluationIndex | None = None

    def setup(self) -> None:
        """Reads the evaluation sets."""
        self._index = EvaluationIndex(self.config)

    @property
    def index(self) -> EvaluationIndex:
        """The n-grams of the evaluation sets, after `setup`."""
        assert self._index is not None
        return self._index

    def judge(self, document: Document) -> Document | Rejection:
        """Keeps a document that holds too little of any item."""
        verdict, _ = self.judge_text(document.id, document.url, document.text)
        return verdict or document

    def judge_text(self, id: str, url: str, text: str) -> tuple[Rejection | None, list[Match]]:
        """The rejection of a document, if it is one, and all matches for the report."""
        matches = self.index.matches(text)
        if self.config.action == "flag" or not matches or matches[0].share < self.config.threshold:
            return None, matches
        worst = matches[0]
        field = f" of its {worst.field}" if worst.field else ""
        detail = f"{worst.set} item {worst.item}, {worst.matched} of {worst.ngrams} n-grams{field}: {worst.excerpt}"
        return Rejection(
            id=id,
            url=url,
            stage=STAGE,
            reason=REASON,
            detail=detail[:300],
            value=worst.share,
            threshold=self.config.threshold,
        ), matches

    def report_rows(self, id: str, url: str, matches: Sequence[Match]) -> Iterator[dict[str, Any]]:
        """The matches of a document as rows of `MATCHES`."""
        for match in matches:
            names = ("set", "item", "field", "share", "matched", "ngrams", "start", "excerpt")
            values = {name: getattr(match, name) for name in names}
            yield {"id": id, "url": url, **values, "contaminated": match.share >= self.config.threshold}

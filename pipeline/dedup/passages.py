"""Lines, paragraphs, runs of words or spans of sentences that many documents repeat: menus, notices. Found by hash, removed or counted.

Two lines or paragraphs are the same when their words and punctuation are (as for whole documents). One of at least
`min_words` words that stands in at least `min_documents` surviving documents is a repeated one. Runs are found
wherever they begin: every window of `run_words` words is hashed (16 bytes a word on disk while the step runs), and
what repeated windows cover, overlapping or not, is one run. So it is with windows of `span_sentences` sentences. Memory of the last step: 24 bytes a repeated passage or
window.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.alphabet import code_point_table
from pipeline.dedup.decisions import Ledger
from pipeline.dedup.exchange import ExchangeWriter, Records, gather, received, write_exchange
from pipeline.dedup.passages_config import PassagesConfig
from pipeline.dedup.plan import Plan, check_places, id_numbers, partition_of
from pipeline.dedup.sentences import sentence_spans, without_sentences
from pipeline.dedup.shingles import Bytes, Hashes, join_words, mixed, scan
from pipeline.steps import Shard
from pipeline.tables import read_batches
from tokenizer.compiling import kept

if TYPE_CHECKING:
    from pipeline.stage import Outputs

PASSAGE = np.dtype([("hash", "<u8"), ("id", "<u8")])
REPEATED = np.dtype([("hash", "<u8"), ("first", "<u8"), ("documents", "<i8")])
PASSAGES = pa.schema([("id", pa.string()), ("num_passages", pa.int64()), ("num_bytes", pa.int64())])
EMPTIED = "only_repeated_passages"
COMPILED_WITH = "shingles-4"
_NEWLINE = np.uint8(10)


@kept(nogil=True)
def _split(
    data: Bytes,
    paragraphs: bool,
    min_words: int,
    table: npt.NDArray[np.uint32],
    words: Hashes,
    bounds: npt.NDArray[np.int64],
    hashes: Hashes,
) -> int:
    """Writes the bounds and hashes of the passages of `data` that have enough words; returns how many."""
    count, start, nowhere, text_hash = 0, 0, np.empty(0, np.int64), np.empty(2, np.uint64)
    while start < data.shape[0]:
        end = start
        while end < data.shape[0]:  # to the end of the line, or behind the blank line that ends the paragraph
            blank = True
            while end < data.shape[0] and data[end] != _NEWLINE:
                blank = blank and (data[end] == 32 or data[end] == 9 or data[end] == 13)
                end += 1
            end = min(end + 1, data.shape[0])
            if not paragraphs or blank:
                break
        num_words, _ = scan(data, start, end, table, words, text_hash, nowhere)
        if num_words >= min_words:
            bounds[count, 0], bounds[count, 1] = start, end
            hashes[count] = mixed(text_hash[0] + text_hash[1])
            count += 1
        start = end
    return count


def split(text: str, config: PassagesConfig) -> tuple[bytes, npt.NDArray[np.int64], Hashes]:
    """The bytes of `text`, and the bounds and hashes of its passages that have enough words."""
    content = text.encode(errors="replace")
    data = np.frombuffer(content, np.uint8)
    if config.unit == "run":
        return content, *_windows(data, config.run_words)
    if config.unit == "sentences":
        return content, *sentence_spans(data, config.span_sentences, config.min_words)
    most = content.count(b"\n") + 1
    bounds, hashes = np.empty((most, 2), np.int64), np.empty(most, np.uint64)
    words = np.empty(len(data) + 1, np.uint64)
    paragraphs = config.unit == "paragraph"
    count = _split(data, paragraphs, config.min_words, code_point_table(fold_digits=False), words, bounds, hashes)
    return content, bounds[:count], hashes[:count]


def _windows(data: Bytes, size: int) -> tuple[npt.NDArray[np.int64], Hashes]:
    """The bounds and hashes of all runs of `size` words; each goes on to where the next word begins."""
    words, starts = np.empty(len(data) + 1, np.uint64), np.empty(len(data) + 1, np.int64)
    table = code_point_table(fold_digits=False)
    num_words, _ = scan(data, 0, len(data), table, words, np.empty(2, np.uint64), starts)
    hashes = np.empty(max(num_words - size + 1, 0), np.uint64)
    join_words(words, num_words, size, hashes)
    ends = np.append(starts[:num_words], len(data))
    return np.stack((starts[: len(hashes)], ends[size : size + len(hashes)]), 1), hashes


class Removal(NamedTuple):
    """A text without its repeated passages, and how much of them there was."""

    text: str
    num_passages: int
    num_bytes: int


class RepeatedPassages:
    """The repeated passages of a corpus, to look texts up in. `repeated` is in order of hash."""

    def __init__(self, config: PassagesConfig, repeated: Records) -> None:
        self._config = config
        self._hashes = np.ascontiguousarray(repeated["hash"])
        self._firsts = repeated["first"]

    @classmethod
    def read(cls, plan: Plan) -> "RepeatedPassages":
        """Those that the phases before found."""
        found = gather(plan.work_files("repeated", plan.num_band_partitions), REPEATED, 0)
        return cls(plan.config.passages, found[np.argsort(found["hash"])])

    def without(self, id: str, text: str) -> Removal:
        """The text of the document `id` without its repeated passages."""
        content, bounds, hashes = split(text, self._config)
        if not len(self._hashes) or not len(hashes):
            return Removal(text, 0, 0)
        at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        gone = self._hashes[at] == hashes
        if self._config.keep_first:
            gone &= self._firsts[at] != id_numbers([id], "the document")[0, 0]
        if not gone.any():
            return Removal(text, 0, 0)
        covered = bounds[gone]
        if self._config.unit in ("run", "sentences"):
            covered = merged(covered)
        cut = without_sentences if self._config.unit == "sentences" else _without
        left = cut(content, covered)
        return Removal(left.decode().strip("\n"), len(covered), len(content) - len(left))


def _without(content: bytes, covered: npt.NDArray[np.int64]) -> bytes:
    pieces, start = [], 0
    for first, end in covered.tolist():
        pieces.append(content[start:first])
        start = end
    return b"".join([*pieces, content[start:]])


def merged(bounds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Ranges in order, those that overlap or touch as one."""
    new = np.concatenate(([True], bounds[1:, 0] > bounds[:-1, 1]))
    return np.stack((bounds[new, 0], bounds[np.append(new[1:], True), 1]), 1)


@dataclass(kw_only=True)
class SendPassages:
    """A part each: sends the hashes of the passages of its survivors to where equal ones meet."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Works through one part; a passage that a document repeats itself counts once."""

        plan, part = self.plan, shard.work["index"]
        ledger, partitions = Ledger(plan, part), plan.num_band_partitions
        with ExchangeWriter(plan.work("passages", part), PASSAGE, partitions) as sent:
            for batch in read_batches(plan.parts[part], ["id", "text"]):
                survives, _ = ledger.take(batch)
                numbers = id_numbers(batch.column("id").to_pylist(), plan.parts[part])[:, 0]
                for at in np.flatnonzero(survives):
                    hashes = np.unique(split(batch.column("text")[int(at)].as_py(), plan.config.passages)[2])
                    records = np.zeros(len(hashes), PASSAGE)
                    records["hash"], records["id"] = hashes, numbers[at]
                    sent.add(records, partition_of(hashes, partitions))
            ledger.close()
        return sent.sent("passages")


@dataclass(kw_only=True)
class FindRepeated:
    """A range of hashes each: leaves the passages that stand in enough documents."""

    plan: Plan

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Works through one range of hashes."""
        plan, index = self.plan, shard.work["index"]
        passages = gather(plan.arrivals("passages", plan.own_parts), PASSAGE, index)
        check_places("passages", partition_of(passages["hash"], plan.num_band_partitions), index)
        found = repeated(passages, plan.config.passages.min_documents)
        write_exchange(plan.work("repeated", index), found, np.zeros(len(found), np.int64), 1)
        return {**received("passages", passages), "repeated_passages": len(found)}


def repeated(passages: Records, min_documents: int) -> Records:
    """The passages in at least `min_documents` documents, by hash, with the smallest id and how many documents."""
    hashes, counts = np.unique(passages["hash"], return_counts=True)
    firsts = np.full(len(hashes), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(firsts, np.searchsorted(hashes, passages["hash"]), passages["id"])
    often = counts >= min_documents
    out = np.zeros(int(often.sum()), REPEATED)
    out["hash"], out["first"], out["documents"] = hashes[often], firsts[often], counts[often]
    return out


def passage_row(id: str, removal: Removal) -> dict[str, Any]:
    """A row of `PASSAGES`."""
    return {"id": id, "num_passages": removal.num_passages, "num_bytes": removal.num_bytes}

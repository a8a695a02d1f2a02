"""Deduplication beside its peers: speed of signatures, quality on labelled near duplicates, growth, hot bands.

    python -m benchmarks.dedup [speed] [quality] [steps] [growth] [skew] [--documents N] [--datatrove-python PYTHON]

The data folder is `../shared/data`, or what CORPUSMILL_DATA names. datatrove needs an environment of its own (it asks
for an older xxhash): name its interpreter with --datatrove-python; without it the output says that it is missing.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dedup_sets import SETS, documents, labelled_pairs, pair
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.curve import DEFAULT_PRESET

THRESHOLD = 0.75
DOCUMENT_BYTES = 6600


def main() -> None:
    """Runs the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["speed", "quality"])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--datatrove-python", default=os.environ.get("CORPUSMILL_DATATROVE_PYTHON", ""))
    parser.add_argument("--plot", metavar="FILE", default="", help="where growth draws its picture (SVG)")
    arguments = parser.parse_args()
    from benchmarks import dedup_growth

    parts: dict[str, Callable[[], None]] = {
        "speed": lambda: speed(arguments.datatrove_python),
        "quality": lambda: quality(arguments.datatrove_python),
        "steps": lambda: steps(arguments.documents, arguments.datatrove_python),
        "growth": lambda: dedup_growth.growth(arguments.documents, arguments.plot),
        "skew": lambda: dedup_growth.skew(arguments.documents),
    }
    for part in arguments.parts:
        parts[part]()


def datatrove(python: str, *arguments: str) -> dict[str, Any] | None:
    """What the datatrove half says, or None where it cannot run."""
    if not python:
        print("  datatrove: missing (no --datatrove-python)")
        return None
    script = str(Path(__file__).with_name("dedup_datatrove.py"))
    done = subprocess.run([python, script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  datatrove: failed: {done.stderr.strip().splitlines()[-1]}")
        return None
    return dict(json.loads(done.stdout.splitlines()[-1]))


def cpu(work: Callable[[], object], repeats: int = 1) -> float:
    """CPU seconds of the fastest of some runs."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def speed(python: str) -> None:
    """Text → 112-value signature, one core, on real prose cut to 6.6 KB."""
    import pyarrow as pa

    from pipeline.dedup.minhash import Permutations, sign_texts
    from pipeline.dedup.shingles import Shingling, text_buffers

    found = [one["text"] for one in documents("chapters_across_editions")]
    texts = [text[:DOCUMENT_BYTES] for text in found if len(text) >= DOCUMENT_BYTES][:400]
    permutations, buffers = Permutations.draw(112), text_buffers(pa.array(texts))
    sign_texts(*buffers, Shingling(), permutations)
    ours = cpu(lambda: sign_texts(*buffers, Shingling(), permutations), 5) / len(texts)
    print(
        f"speed: text to 112-value signature, {len(texts)} documents of {DOCUMENT_BYTES} characters, CPU-ms a document"
    )
    print(f"  ours {ours * 1e3:.4f} ({DOCUMENT_BYTES / ours / 1e6:.0f} MB/s)")
    by_datasketch(texts, ours)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.jsonl")
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        peer = datatrove(python, "speed", str(path))
    if peer:
        per_document = (peer["shingling"] + peer["signatures"]) / len(texts)
        print(
            f"  datatrove {per_document * 1e3:.3f} (shingling {peer['shingling'] / len(texts) * 1e3:.3f}); "
            f"ours/datatrove = 1/{per_document / ours:.0f}"
        )


def by_datasketch(texts: Sequence[str], ours: float) -> None:
    """Plain Python shingling with a hash in C, then datasketch."""
    try:
        from datasketch import MinHash
    except ImportError:
        print("  datasketch: missing")
        return
    generator = MinHash(112, hashfunc=lambda value: value, scheme="affine32")

    def sketch() -> None:
        for text in texts:
            one = generator.copy()
            one.update_batch(plain_shingles(text))

    shingling = cpu(lambda: [plain_shingles(text) for text in texts]) / len(texts)
    whole = cpu(sketch) / len(texts)
    print(
        f"  shingling + datasketch {whole * 1e3:.3f} (shingling {shingling * 1e3:.3f}); "
        f"ours/theirs = 1/{whole / ours:.0f}; ours/datasketch alone = 1/{(whole - shingling) / ours:.1f}"
    )


def plain_shingles(text: str) -> list[int]:
    """The 32-bit hashes of the word 5-shingles of a text, the usual way in Python."""
    import re
    from zlib import crc32

    words = re.findall(r"\w+", text.lower())
    return [crc32(" ".join(words[at : at + 5]).encode()) for at in range(max(len(words) - 4, 1))]


def quality(python: str) -> None:
    """Pairs of documents that end in one cluster, against the exact similarity of all labelled pairs."""
    print(
        f"quality at threshold {THRESHOLD}: recall = pairs of labelled Jaccard ≥ {THRESHOLD} that end in one cluster;\n"
        "  precision = pairs joined by a direct comparison that have such a Jaccard or are the same document by label\n"
        "  (strict: the Jaccard only, without what differs in accents or ligatures alone); wrong = documents removed\n"
        "  that have neither with any other document"
    )
    totals: dict[str, Score] = defaultdict(Score)
    for name in SETS:
        records, (values, same) = documents(name), labelled_pairs(name)
        for method, (pairs, removed) in methods(records, python).items():
            score = scored(pairs, removed, values, same)
            totals[method] = totals[method].plus(score)
            print(f"  {name:26} {method:24} {score}", flush=True)
    for method, score in totals.items():
        print(f"  {'all sets':26} {method:24} {score}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Counts behind recall and precision."""

    found: int = 0
    wanted: int = 0
    right: int = 0
    strict: int = 0
    joined: int = 0
    removed: int = 0
    wrong: int = 0

    def plus(self, other: "Score") -> "Score":
        """The sums."""
        return Score(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})

    def __str__(self) -> str:
        wanted, joined = max(self.wanted, 1), max(self.joined, 1)
        return (
            f"recall {self.found / wanted:.4f}  "
            f"precision {self.right / joined:.4f} (strict {self.strict / joined:.4f})  "
            f"removed {self.removed}  wrong {self.wrong}"
        )


def scored(
    pairs: Sequence[tuple[str, str]],
    removed: Sequence[str],
    values: dict[tuple[str, str], float],
    same: set[tuple[str, str]],
) -> Score:
    """How the pairs and removals of one method compare with the labels of one set."""
    wanted = {pair for pair, value in values.items() if value >= THRESHOLD and pair[0] != pair[1]}
    right, together, joined = wanted | same, closed(pairs), {pair(*each) for each in pairs}
    fine = {one for pair in right for one in pair}
    return Score(
        found=sum(a in together and together[a] == together.get(b) for a, b in wanted),
        wanted=len(wanted),
        right=len(right & joined),
        strict=len(wanted & joined),
        joined=len(joined),
        removed=len(removed),
        wrong=sum(one not in fine for one in removed),
    )


def closed(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The cluster of each document that is in a pair."""
    parent: dict[str, str] = {}

    def find(one: str) -> str:
        while parent.setdefault(one, one) != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for a, b in pairs:
        parent[find(a)] = find(b)
    return {one: find(one) for one in list(parent)}


def methods(records: list[dict[str, Any]], python: str) -> dict[str, tuple[list[tuple[str, str]], list[str]]]:
    """By method: the pairs that it joins, and whom it removes."""
    found = {f"ours {preset}": of_ours(records, preset) for preset in (DEFAULT_PRESET, "14x8")}
    lsh = of_datasketch(records)
    if lsh is not None:
        found["datasketch LSH 14x8"], found["… checked by estimate"] = lsh
        found["text-dedup style"] = of_text_dedup(records)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in", "texts.jsonl")
        path.parent.mkdir()
        lines = (json.dumps({"id": one["id"], "text": one["text"]}) + "\n" for one in records)
        path.write_text("".join(lines))
        peer = datatrove(python, "steps", str(path), folder) if python else None
        if peer:
            found["datatrove 14x8"] = of_datatrove(records, peer["kept"], Path(folder))
    return found


def of_ours(records: list[dict[str, Any]], preset: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """The verified pairs of our stage, exact duplicates included, and whom it removes."""
    from pipeline.dedup.filtering import found_pairs

    pairs, removed = found_pairs([one["text"] for one in records], DedupConfig(threshold=THRESHOLD, preset=preset))
    names = [str(one["id"]) for one in records]
    return [pair(names[a], names[b]) for a, b in pairs], [names[at] for at in removed]


def of_datasketch(records: list[dict[str, Any]]) -> Any:
    """datasketch's LSH with the same bands and rows: its candidates as they are, and verified by estimate."""
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        print("  datasketch: missing")
        return None
    lsh = MinHashLSH(num_perm=112, params=(14, 8))
    sketches: dict[str, Any] = {}
    plain, verified = set(), set()
    base = MinHash(112, hashfunc=lambda value: value, scheme="affine32")
    for one in records:
        sketch = base.copy()
        sketch.update_batch(plain_shingles(one["text"]))
        for other in lsh.query(sketch):
            plain.add(pair(one["id"], other))
            if sketch.jaccard(sketches[other]) >= THRESHOLD:
                verified.add(pair(one["id"], other))
        lsh.insert(one["id"], sketch)
        sketches[one["id"]] = sketch
    return [(sorted(pairs), _all_but_one(sorted(pairs))) for pairs in (plain, verified)]


def of_text_dedup(records: list[dict[str, Any]]) -> tuple[list[tuple[str, str]], list[str]]:
    """As text-dedup does it: 250 permutations, the bands that weigh misses and false candidates alike, every bucket
    joined to its smallest member without a comparison."""
    from datasketch import MinHash, MinHashLSH

    lsh = MinHashLSH(threshold=THRESHOLD, num_perm=250, weights=(0.5, 0.5))
    base = MinHash(250, hashfunc=lambda value: value, scheme="affine32")
    for one in records:
        sketch = base.copy()
        sketch.update_batch(plain_shingles(one["text"]))
        lsh.insert(one["id"], sketch)
    pairs = set()
    for table in lsh.hashtables:
        for key in table.keys():  # noqa: SIM118  # a storage of datasketch, not a dictionary
            first, *others = sorted(table.get(key))
            pairs |= {(first, other) for other in others}
    return sorted(pairs), _all_but_one(sorted(pairs))


def _all_but_one(pairs: Sequence[tuple[str, str]]) -> list[str]:
    clusters = defaultdict(list)
    for one, root in closed(pairs).items():
        clusters[root].append(one)
    return [one for members in clusters.values() for one in sorted(members)[1:]]


def of_datatrove(
    records: list[dict[str, Any]], kept: list[str], folder: Path
) -> tuple[list[tuple[str, str]], list[str]]:
    """The pairs in datatrove's bucket files, and whom it removes."""
    names, pairs = [str(one["id"]) for one in records], []
    for path in sorted(folder.glob("buckets/*.dups")):
        rows = np.frombuffer(path.read_bytes(), dtype="<u4").reshape(-1, 4)
        pairs += [pair(names[row[1]], names[row[3]]) for row in rows.tolist()]
    return sorted(set(pairs)), sorted(set(names) - set(kept))


def steps(count: int, python: str) -> None:
    """The ratio to datatrove's four steps on the same documents, both from JSON lines to JSON lines in one process."""
    from benchmarks.dedup_growth import planted
    from pipeline.dedup.filtering import deduplicate_records

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in", "texts.jsonl")
        path.parent.mkdir()
        with path.open("w") as file:
            for number, (text, _) in enumerate(planted(count)):
                file.write(json.dumps({"id": str(number), "text": text}) + "\n")
        warm = Path(folder, "warm.jsonl")
        warm.write_text('{"text": "the first record compiles what is compiled once"}\n')
        deduplicate_records(str(warm), f"{folder}/out.jsonl", DedupConfig())
        ours = cpu(lambda: deduplicate_records(str(path), f"{folder}/out.jsonl", DedupConfig()))
        kept = Path(folder, "out.jsonl").read_bytes().count(b"\n")
        print(f"steps: {count} documents of about 1 KB, JSON lines to JSON lines, one process")
        print(f"  ours {ours:.1f} CPU s, {kept} kept")
        peer = datatrove(python, "steps", str(path), folder)
        if peer:
            total = sum(peer["seconds"].values())
            print(f"  datatrove {total:.1f} CPU s {peer['seconds']}, {len(peer['kept'])} kept")
            print(f"  ours/datatrove = 1/{total / ours:.1f}")


if __name__ == "__main__":
    main()

"""Deduplication beside its peers: speed of signatures, quality on labelled near duplicates, and growth.

    python -m benchmarks.dedup [speed] [quality] [steps] [growth] [--documents N] [--datatrove-python PYTHON]

The data folder is `../shared/data`, or what CORPUSMILL_DATA names. datatrove needs an environment of its own (it asks
for an older xxhash): name its interpreter with --datatrove-python; without it the output says that it is missing.
"""

import argparse
import csv
import gzip
import io
import json
import os
import random
import resource
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from pipeline.dedup.config import DedupConfig
from pipeline.dedup.curve import PRESETS, match_probability

DATA = Path(os.environ.get("CORPUSMILL_DATA", Path(__file__).parents[2] / "shared" / "data"))
SETS = (
    "articles_2500",
    "chapters_across_editions",
    "deep_review",
    "httpd_manual_en",
    "pep_rfc_revisions",
    "scancode_license_texts",
)
THRESHOLD = 0.75
DOCUMENT_BYTES = 6600


def main() -> None:
    """Runs the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["speed", "quality"])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--datatrove-python", default=os.environ.get("CORPUSMILL_DATATROVE_PYTHON", ""))
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "speed": lambda: speed(arguments.datatrove_python),
        "quality": lambda: quality(arguments.datatrove_python),
        "steps": lambda: steps(arguments.documents, arguments.datatrove_python),
        "growth": lambda: growth(arguments.documents),
    }
    for part in arguments.parts:
        parts[part]()


def documents(name: str) -> list[dict[str, Any]]:
    """The records of one labelled set."""
    raw = (DATA / "neardup" / f"{name}.jsonl.zst").read_bytes()
    with zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(raw) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="\n")
        records = [json.loads(line) for line in text if line.strip()]
    return list({one["id"]: one for one in reversed(records)}.values())[::-1]  # one set has an id twice


def labelled_pairs(name: str) -> tuple[dict[tuple[str, str], float], set[tuple[str, str]]]:
    """The exact Jaccard similarity of all pairs of one set from 0.2 on, and those of the same document by label."""
    with gzip.open(DATA / "neardup" / f"{name}.pairs.tsv.gz", "rt") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    values = {_pair(row["id_a"], row["id_b"]): float(row["jaccard_w5"]) for row in rows}
    return values, {_pair(row["id_a"], row["id_b"]) for row in rows if row["same_cluster"] == "1"}


def _pair(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first < second else (second, first)


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
    """Plain Python shingling with xxhash, then datasketch."""
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

    from xxhash import xxh32_intdigest as digest

    words = re.findall(r"\w+", text.lower())
    return [digest(" ".join(words[at : at + 5]).encode()) for at in range(max(len(words) - 4, 1))]


def quality(python: str) -> None:
    """Pairs of documents that end in one cluster, against the exact similarity of all labelled pairs."""
    print(
        f"quality: recall = pairs of exact Jaccard ≥ {THRESHOLD} that end in one cluster; precision = pairs joined by a"
    )
    print("  direct comparison that are ≥ the threshold or the same document by label; wrong = documents removed that")
    print("  have neither with any other document. Peers: 14 × 8")
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for name in SETS:
        records, (values, same) = documents(name), labelled_pairs(name)
        wanted = {pair for pair, value in values.items() if value >= THRESHOLD}
        right_pairs = wanted | same
        fine = {one for pair in right_pairs for one in pair}
        for method, (pairs, removed) in methods(records, python).items():
            together = closed(pairs)
            recall = sum(a in together and together[a] == together.get(b) for a, b in wanted)
            right = sum(_pair(*pair) in right_pairs for pair in pairs)
            wrong = sum(one not in fine for one in removed)
            counts = (recall, len(wanted), right, len(pairs))
            totals[method] = [total + count for total, count in zip(totals[method], counts, strict=True)]
            print(
                f"  {name:26} {method:22} recall {recall / max(len(wanted), 1):.4f}  "
                f"precision {right / max(len(pairs), 1):.4f}  removed {len(removed)}  wrong {wrong}",
                flush=True,
            )
    for method, (recall, wanted_total, right, joined) in totals.items():
        print(
            f"  {'all sets':26} {method:22} recall {recall / wanted_total:.4f}  precision {right / max(joined, 1):.4f}"
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
    found = {"ours 20×7": of_ours(records, "20x7"), "ours 14×8": of_ours(records, "14x8")}
    lsh = of_datasketch(records)
    if lsh is not None:
        found["datasketch LSH"], found["verified by estimate"] = lsh
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in", "texts.jsonl")
        path.parent.mkdir()
        lines = (json.dumps({"id": one["id"], "text": one["text"]}) + "\n" for one in records)
        path.write_text("".join(lines))
        peer = datatrove(python, "steps", str(path), folder) if python else None
        if peer:
            found["datatrove"] = of_datatrove(records, peer["kept"], Path(folder))
    return found


def of_ours(records: list[dict[str, Any]], preset: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """The verified pairs of our stage, exact duplicates included, and whom it removes."""
    from pipeline.dedup.filtering import found_pairs

    pairs, removed = found_pairs([one["text"] for one in records], DedupConfig(threshold=THRESHOLD, preset=preset))
    names = [str(one["id"]) for one in records]
    return [_pair(names[a], names[b]) for a, b in pairs], [names[at] for at in removed]


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
            plain.add(_pair(one["id"], other))
            if sketch.jaccard(sketches[other]) >= THRESHOLD:
                verified.add(_pair(one["id"], other))
        lsh.insert(one["id"], sketch)
        sketches[one["id"]] = sketch
    return [(sorted(pairs), _all_but_one(sorted(pairs))) for pairs in (plain, verified)]


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
        pairs += [_pair(names[row[1]], names[row[3]]) for row in rows.tolist()]
    return sorted(set(pairs)), sorted(set(names) - set(kept))


def planted(count: int, seed: int = 1) -> Iterator[tuple[str, int]]:
    """`count` texts of about 1 KB, cut and mixed from real prose, and the number of the original of each.

    Every tenth is a near copy of the text before it, with one run of its words replaced by as many new ones, so that
    the true similarity is spread over 0.5 … 1.
    """
    generator = random.Random(seed)
    sentences = [
        sentence
        for name in ("chapters_across_editions", "pep_rfc_revisions", "articles_2500")
        for one in documents(name)
        for sentence in one["text"].replace("\n", " ").split(". ")
        if 20 <= len(sentence) <= 400
    ]
    last, number = "", 0
    for number in range(count):
        if number % 10 == 9:
            words = last.split()
            size = generator.randrange(1, max(len(words) // 4, 2))
            start = generator.randrange(0, max(len(words) - size, 1))
            words[start : start + size] = [f"w{generator.getrandbits(40):x}" for _ in range(size)]
            yield " ".join(words), number - 1
            continue
        pieces: list[str] = []
        while sum(map(len, pieces)) < 1000:
            pieces.append(generator.choice(sentences))
        last = ". ".join(pieces)
        yield last, number


def write_run(run: str, texts: Iterator[tuple[str, int]], per_part: int = 25_000) -> dict[str, str]:
    """Writes the texts as RUN/filtered; returns the original of each copy, by id."""
    from pipeline.records import page_id
    from pipeline.storage import Manifest, join, write_manifest
    from pipeline.tables import DOCUMENTS, TableWriter

    entries, originals, names = [], {}, {-1: ""}
    more = next(texts, None)
    number, part = 0, 0
    while more is not None:
        with TableWriter(join(run, "filtered", f"part-{part:05d}.parquet"), DOCUMENTS) as table:
            while more is not None and table.num_records < per_part:
                text, original = more
                one = page_id(f"http://x/{number}", b"")
                table.append({"id": one, "url": f"http://x/{number}", "text": text})
                if original != number:
                    originals[one] = names[original]
                names = {number: one}
                number, more = number + 1, next(texts, None)
        entries.append(table.entry().relative_to(join(run, "filtered")))
        part += 1
    write_manifest(join(run, "filtered"), Manifest(kind="filtered", fingerprint="benchmark", files=tuple(entries)))
    return originals


def growth(largest: int) -> None:
    """End to end on growing corpora, each in a process of its own: CPU, peak memory, planted pairs found."""
    import sys

    print("growth: documents of about 1 KB from real prose, one in ten a planted near copy; threshold 0.5; one process")
    sizes, seconds = [], []
    for size in sorted({max(largest // 10, 1), max(largest // 3, 1), largest}):
        code = f"from benchmarks.dedup import grown; grown({size})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        line = json.loads(done.stdout.splitlines()[-1])
        sizes.append(size)
        seconds.append(line["cpu"])
        print(
            f"  {size:>8} documents: {line['cpu']:.1f} CPU s ({line['cpu'] / size * 1e6:.0f} µs a document), "
            f"peak {line['peak'] / 2**20:.0f} MiB ({line['base'] / 2**20:.0f} before it began); planted pairs found "
            f"{line['found']} of {line['planted']}, theory {line['theory']:.1f} ± {line['deviation']:.1f}"
        )
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0] if len(sizes) > 1 else 1.0
    print(f"  CPU grows as documents^{exponent:.2f}")


def grown(size: int) -> None:
    """One size of `growth`: writes a run, deduplicates it with the job, prints a line of JSON."""
    import logging

    from jobs.dedup import deduplicate_run
    from jobs.engine import Engine
    from pipeline.dedup.shingles import shingle_hashes
    from pipeline.dedup.verify import jaccard_sorted
    from pipeline.tables import read_rows

    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        copies = write_run(folder, planted(size))
        base = _peak_bytes()
        config = DedupConfig(threshold=0.5)
        start = time.process_time()
        deduplicate_run(folder, config, Engine())
        used = time.process_time() - start
        pairs: set[tuple[str, str]] = set()
        for path in sorted(Path(folder, "duplicates", "edges").glob("*.parquet")):
            pairs |= {_pair(row["id_a"], row["id_b"]) for row in read_rows(str(path))}
        wanted = {one for pair in copies.items() for one in pair}
        chances, found = [], 0
        for path in sorted(Path(folder, "filtered").glob("*.parquet")):
            texts = {row["id"]: row["text"] for row in read_rows(str(path), ["id", "text"]) if row["id"] in wanted}
            for copy in [one for one in texts if one in copies and copies[one] in texts]:
                sets = [np.unique(shingle_hashes(texts[one])) for one in (copy, copies[copy])]
                similarity = jaccard_sorted(*sets)
                if similarity >= config.threshold and texts[copy] != texts[copies[copy]]:
                    chances.append(match_probability(similarity, config.banding))
                    found += _pair(copy, copies[copy]) in pairs
        chance = np.array(chances)
        result = {
            "cpu": used, "peak": _peak_bytes(), "base": base, "found": found, "planted": len(chances),
            "theory": float(chance.sum()), "deviation": float(np.sqrt((chance * (1 - chance)).sum())),
        }  # fmt: skip
        print(json.dumps(result))


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def steps(count: int, python: str) -> None:
    """The ratio to datatrove's four steps on the same documents, both from JSON lines to JSON lines in one process."""
    from pipeline.dedup.filtering import deduplicate_records

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in", "texts.jsonl")
        path.parent.mkdir()
        with path.open("w") as file:
            for number, (text, _) in enumerate(planted(count)):
                file.write(json.dumps({"id": str(number), "text": text}) + "\n")
        deduplicate_records(str(path), f"{folder}/warm.jsonl", DedupConfig()) if count <= 1000 else None
        ours = cpu(lambda: deduplicate_records(str(path), f"{folder}/out.jsonl", DedupConfig()))
        kept = Path(folder, "out.jsonl").read_bytes().count(b"\n")
        print(f"steps: {count} documents of about 1 KB, JSON lines to JSON lines, one process")
        print(f"  ours {ours:.1f} CPU s, {kept} kept")
        peer = datatrove(python, "steps", str(path), folder)
        if peer:
            total = sum(peer["seconds"].values())
            print(f"  datatrove {total:.1f} CPU s {peer['seconds']}, {len(peer['kept'])} kept")
            print(f"  ours/datatrove = 1/{total / ours:.1f}")


def curves() -> None:
    """The match-probability curves of the presets."""
    for name, banding in PRESETS.items():
        print(
            name, [round(match_probability(similarity, banding), 3) for similarity in (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)]
        )


if __name__ == "__main__":
    main()

"""Tokenizers side by side: counting, learning and encoding, ours beside the peers that are installed.

    python -m benchmarks.tokenizer [train|encode|pipeline|compress|memory|all] [--megabytes 100] [--data FOLDER]

Each measurement runs in a process of its own, and its figure is processor time (user and system, all
threads), which a busy machine disturbs least. Text comes from `corpora/*.jsonl.zst` in FOLDER. Identity
is checked, not assumed: merges one by one in order, ids by a checksum over all of them.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tokenizer_compression, tokenizer_memory, tokenizer_pipeline
from benchmarks.tokenizer_measuring import (
    END,
    VOCAB_SIZE,
    cpu_seconds,
    digest,
    load_texts,
    measured,
    peak,
    version,
    write_tokenizer,
)

_DATA = Path(__file__).parents[2] / "shared/data"
_CORPORA = (
    "en_classic_books",
    "en_tech_pep_rfc",
    "zh_mixed",
    "fr_eltec",
    "ru_eltec_dracor",
    "ja_aozora",
    "hi_midas",
    "en_blog_18f",
)


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmarks that are asked for and prints tables with ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "what", nargs="?", default="all", choices=("train", "encode", "pipeline", "compress", "memory", "all")
    )
    parser.add_argument("--megabytes", type=float, default=100.0)
    parser.add_argument("--pattern", default="gpt2", choices=("gpt2", "cl100k", "llama3", "o200k", "scripts"))
    parser.add_argument("--data", type=Path, default=_DATA)
    parsed = parser.parse_args(arguments)
    if not (parsed.data / "corpora").is_dir():
        sys.exit(f"no corpora in {parsed.data}: give their folder with --data")
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.json"
        texts.write_text(json.dumps(list(read_texts(parsed.data, parsed.megabytes * 1e6))), encoding="utf-8")
        if parsed.what in ("train", "all"):
            train(texts, parsed.pattern)
        if parsed.what in ("encode", "all"):
            encode(texts, parsed.pattern)
        if parsed.what in ("pipeline", "all"):
            tokenizer_pipeline.speeds(texts, parsed.pattern)
        if parsed.what in ("compress", "all"):
            tokenizer_compression.compression(parsed.data, _CORPORA, parsed.megabytes * 1e6)
        if parsed.what in ("memory", "all"):
            tokenizer_memory.growth(texts, parsed.pattern, parsed.megabytes)


def read_texts(data: Path, num_bytes: float) -> Iterator[str]:
    """Documents of all corpora by turns until `num_bytes` of text are read."""
    return (text for _, text in tokenizer_compression.read_documents(data, _CORPORA, num_bytes))


# Learning ------------------------------------------------------------------


def train(texts: Path, pattern: str) -> None:
    """Prints processor time from raw text to a vocabulary, and from the count table alone."""
    megabytes = sum(len(text.encode()) for text in load_texts(texts)) / 1e6
    print(f"Learning {VOCAB_SIZE} tokens from {megabytes:.1f} MB, pattern {pattern}, CPU seconds")
    measured(train_ours, texts, pattern)  # compiles, once per machine
    reference = measured(train_tokenizers, texts, pattern)
    _print_trained(f"tokenizers {version('tokenizers')}", reference, reference)
    _print_trained("corpusmill, text to merges", measured(train_ours, texts, pattern), reference)
    _print_trained("corpusmill, counted by `regex`", measured(train_ours, texts, pattern, True), reference)
    _print_trained(f"rustbpe {version('rustbpe')}, 32-bit counts", measured(train_rustbpe, texts, pattern), reference)
    if pattern == "gpt2":
        _print_trained(f"gigatoken {version('gigatoken')}", measured(train_gigatoken, texts), reference)


def _print_trained(name: str, row: dict[str, Any], reference: dict[str, Any]) -> None:
    if "missing" in row:
        print(f"  {name:40} {row['missing']}", flush=True)
        return
    same = "same merges" if row["merges"] == reference["merges"] else "other merges"
    share = row["seconds"] / reference["seconds"]
    print(
        f"  {name:40} {row['seconds']:7.2f} s = {share:5.3f} of tokenizers, +{row['megabytes']:5.0f} MB, {same}",
        flush=True,
    )
    if "learn_seconds" in row:
        share = row["learn_seconds"] / reference["seconds"]
        print(
            f"  {'  of which from the count table':40} {row['learn_seconds']:7.2f} s = {share:5.3f}, {row['types']} types",
            flush=True,
        )


def train_tokenizers(path: Path, pattern: str) -> dict[str, Any]:
    """Hugging Face `tokenizers`, from text."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    from tokenizer.patterns import pattern_named

    texts = load_texts(path)
    before, memory = cpu_seconds(), peak()
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern_named(pattern).regex), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCAB_SIZE, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
        ),
    )
    seconds = cpu_seconds() - before
    return {
        "seconds": seconds,
        "megabytes": peak() - memory,
        "merges": digest(json.loads(tokenizer.to_str())["model"]["merges"]),
    }


def train_ours(path: Path, pattern: str, by_regex: bool = False) -> dict[str, Any]:
    """Ours, from text: count, then learn. Importing and loading machine code count."""
    texts = load_texts(path)
    before, memory = cpu_seconds(), peak()
    from tokenizer.counting import CountingMethod
    from tokenizer.patterns import pattern_named
    from tokenizer.training import learn
    from tokenizer.writing import tokenizer_value

    counter = CountingMethod(pattern_named(pattern), longest=1 << 30, by_regex=by_regex).counter()
    for start in range(0, len(texts), 256):
        encoded = [text.encode() for text in texts[start : start + 256]]
        offsets = np.concatenate(([0], np.cumsum([len(text) for text in encoded]))).astype(np.int64)
        counter.add(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)
    words = counter.take().words
    counted = cpu_seconds()
    vocabulary = learn(words, vocab_size=VOCAB_SIZE, specials=(END,))
    value = tokenizer_value(vocabulary, pattern_named(pattern))
    done = cpu_seconds()
    return {
        "seconds": done - before,
        "learn_seconds": done - counted,
        "megabytes": peak() - memory,
        "types": len(words),
        "merges": digest(value["model"]["merges"]),
    }


def train_rustbpe(path: Path, pattern: str) -> dict[str, Any]:
    """rustbpe, whose ties fall otherwise."""
    import rustbpe

    from tokenizer.patterns import pattern_named

    texts = load_texts(path)
    before, memory = cpu_seconds(), peak()
    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(iter(texts), VOCAB_SIZE - 1, pattern=pattern_named(pattern).regex)
    return {
        "seconds": cpu_seconds() - before,
        "megabytes": peak() - memory,
        "merges": digest(len(tokenizer.get_mergeable_ranks())),
    }


def train_gigatoken(path: Path) -> dict[str, Any]:
    """gigatoken, which learns by the pattern of GPT-2 only, and from text only."""
    import gigatoken

    from tokenizer.alphabet import to_characters

    data = "\0".join(load_texts(path)).encode()
    before, memory = cpu_seconds(), peak()
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        _, merges = gigatoken.train_bpe(gigatoken.TextFileSource([file.name], separator=b"\0"), VOCAB_SIZE, [END])
    seconds = cpu_seconds() - before
    return {
        "seconds": seconds,
        "megabytes": peak() - memory,
        "merges": digest([[to_characters(a), to_characters(b)] for a, b in merges]),
    }


# Encoding ------------------------------------------------------------------


def encode(texts: Path, pattern: str) -> None:
    """Prints MB a CPU second of each library on text it has not seen, for one tokenizer of 32,000 tokens."""
    from tokenizer.backends import MAKERS, REFERENCE

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        sample = measured(write_tokenizer, texts, pattern, path)
        print(f"Encoding {sample['megabytes']:.1f} MB, pattern {pattern}, MB a CPU second")
        measured(encode_with, texts, path, "corpusmill")  # compiles, once per machine
        reference = measured(encode_with, texts, path, REFERENCE)
        print(f"  {'tokenizers.encode_batch_fast':30} {reference['speed']:7.1f} MB/s")
        for name in MAKERS:
            row = measured(encode_with, texts, path, name)
            if "missing" in row:
                print(f"  {name:30} not available: {row['missing']}")
                continue
            same = "same ids" if row["ids"] == reference["ids"] else "OTHER IDS"
            ratio = row["speed"] / reference["speed"]
            print(
                f"  {name:30} {row['speed']:7.1f} MB/s = {ratio:5.1f} times, second time {row['again']:7.1f} MB/s, +{row['memory']:4.0f} MB, {same}"
            )


def encode_with(texts: Path, path: Path, name: str) -> dict[str, Any]:
    """One library through the whole of `Encoder`: speed on new text and again, identity, growth of memory."""
    from tokenizer.encoding import load_encoder

    every = load_texts(texts)
    megabytes = sum(len(text.encode()) for text in every) / 1e6
    try:
        encoder = load_encoder(str(path), backend=name)
    except ValueError as error:
        return {"missing": str(error).rpartition(": ")[2]}
    batches = [every[start : start + 64] for start in range(0, len(every), 64)]
    check, memory = hashlib.sha256(), peak()
    started = time.process_time()
    for batch in batches:
        for ids in encoder.encode_batch(batch):
            check.update(ids.data)
    middle = time.process_time()
    for batch in batches if name != "tokenizers" else []:
        for ids in encoder.encode_batch(batch):
            check.copy().update(ids.data)
    seconds, again = middle - started, max(time.process_time() - middle, 1e-9)
    return {
        "speed": megabytes / seconds,
        "again": megabytes / again,
        "ids": check.hexdigest(),
        "memory": peak() - memory,
    }


if __name__ == "__main__":
    main()

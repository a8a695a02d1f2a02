"""Memory of encoding and counting by the amount of text: 1, 4 and 16 times, up to a gigabyte and more."""

import random
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tokenizer_measuring import cpu_seconds, load_texts, measured, write_tokenizer

_TIMES = (1, 4, 16)
_BATCH_BYTES = 1 << 20


def growth(texts: Path, pattern: str, megabytes: float) -> None:
    """Prints how far memory in use grows at most. Text that is encoded has new words in each batch, which is the worst for a cache."""
    path = texts.with_name("tokenizer.json")
    measured(write_tokenizer, texts, pattern, path)
    print(f"Most memory in use between two batches, above that of the start, pattern {pattern}")
    for name, function in (
        ("encode, ever new words", encode_new_words),
        ("count, the same words", count_same_words),
    ):
        for times in _TIMES:
            row = measured(function, texts, path, pattern, times * megabytes * 1e6)
            print(
                f"  {name:26} {times * megabytes:8.0f} MB: +{row['memory']:5.0f} MB, {row['speed']:6.1f} MB a CPU second",
                flush=True,
            )


def encode_new_words(texts: Path, path: Path, pattern: str, num_bytes: float) -> dict[str, Any]:
    """Our encoder over text whose words are changed in each batch."""
    from tokenizer.encoding import load_encoder

    encoder = load_encoder(str(path), backend="corpusmill")
    batches = changed(texts, num_bytes)
    next(batches)
    before, started, done = used(), cpu_seconds(), 0
    most = before
    for batch in batches:
        encoder.encode_batch([batch])
        most = max(most, used())
        done += len(batch.encode())
    return {"memory": most - before, "speed": done / 1e6 / (cpu_seconds() - started)}


def changed(texts: Path, num_bytes: float) -> Iterator[str]:
    """Batches of the texts, again and again, in each of which some letters stand for others."""
    text = "\n".join(load_texts(texts))[: 16 * _BATCH_BYTES]
    letters, size, number = "abcdefghijklmnopqrstuvwxyz", 0, 0
    while size < num_bytes:
        draw = random.Random(number)
        start = number * _BATCH_BYTES % max(len(text), 1)
        shuffled = "".join(draw.sample(letters, len(letters)))
        batch = text[start : start + _BATCH_BYTES].translate(str.maketrans(letters, shuffled))
        size, number = size + len(batch.encode()), number + 1
        yield batch


def count_same_words(texts: Path, path: Path, pattern: str, num_bytes: float) -> dict[str, Any]:
    """Our counter over the same text again and again: what it holds are the different pre-tokens."""
    from tokenizer.counting import CountingMethod
    from tokenizer.patterns import pattern_named

    text = "\n".join(load_texts(texts)).encode()[: 16 * _BATCH_BYTES]
    data = np.frombuffer(text.decode("utf-8", "ignore").encode(), dtype=np.uint8)
    counter = CountingMethod(pattern_named(pattern), longest=256).counter()
    before, started, done = used(), cpu_seconds(), 0
    most = before
    while done < num_bytes:
        counter.add(data, np.array([0, len(data)]))
        most = max(most, used())
        done += len(data)
    counter.take()
    return {"memory": most - before, "speed": done / 1e6 / (cpu_seconds() - started)}


def used() -> float:
    """The memory in use now, in MB. The peak would be that of reading the texts."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6

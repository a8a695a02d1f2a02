"""What the benchmarks of tokenizers share: a process for each measurement, its processor time and memory, a learned tokenizer."""

import hashlib
import importlib.metadata
import json
import multiprocessing
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

END = "<|endoftext|>"
VOCAB_SIZE = 32_000
_PATIENCE_SECONDS = 600


def measured(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """What `function` returns, from a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        try:
            result: dict[str, Any] = pool.apply_async(_guarded, (function, arguments)).get(timeout=_PATIENCE_SECONDS)
        except multiprocessing.TimeoutError:
            return {"missing": f"stopped after {_PATIENCE_SECONDS} s"}
    return result


def _guarded(function: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    try:
        return dict(function(*arguments))
    except ImportError as error:
        return {"missing": f"{error.name} is not installed"}


def cpu_seconds() -> float:
    """Processor time of this process so far, user and system, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def load_texts(path: Path) -> list[str]:
    """The texts, not counted into any measurement."""
    texts: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return texts


def digest(value: Any) -> str:
    """A short name of a JSON value."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def version(package: str) -> str:
    """The installed version of a package, or a dash."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def write_tokenizer(texts: Path, pattern: str, path: Path) -> dict[str, Any]:
    """A tokenizer learned from a third of the texts, so that encoding meets new words."""
    from tokenizer.counting import CountingMethod
    from tokenizer.patterns import pattern_named
    from tokenizer.training import learn
    from tokenizer.writing import tokenizer_json

    counter = CountingMethod(pattern_named(pattern), longest=256).counter()
    every = load_texts(texts)
    for text in every[::3]:
        encoded = np.frombuffer(text.encode(), dtype=np.uint8)
        counter.add(encoded, np.array([0, len(encoded)]))
    path.write_text(
        tokenizer_json(learn(counter.take().words, vocab_size=VOCAB_SIZE, specials=(END,)), pattern_named(pattern))
    )
    return {"megabytes": sum(len(text.encode()) for text in every) / 1e6}

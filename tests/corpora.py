"""Small inputs for whole runs: pages with known fates, made of prose that every interpreter carries.

The prose is that of the docstrings of the standard library, read from its source files by `ast`.
"""

import ast
import gzip
import json
import random
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import zstandard

from tests.parsing import parsed

_PACKAGES = (
    "argparse.py",
    "asyncio",
    "collections",
    "concurrent",
    "ctypes",
    "decimal.py",
    "difflib.py",
    "email",
    "enum.py",
    "fractions.py",
    "functools.py",
)
_MORE = (
    "heapq.py",
    "http",
    "imaplib.py",
    "inspect.py",
    "ipaddress.py",
    "json",
    "logging",
    "mailbox.py",
    "multiprocessing",
    "optparse.py",
    "os.py",
    "pathlib.py",
)
_REST = (
    "pickletools.py",
    "random.py",
    "socket.py",
    "statistics.py",
    "string.py",
    "subprocess.py",
    "tarfile.py",
    "textwrap.py",
    "threading.py",
    "typing.py",
)
_LAST = (
    "unittest",
    "urllib",
    "uuid.py",
    "weakref.py",
    "xml",
    "zipfile.py",
    "_pydecimal.py",
    "_pyio.py",
    "datetime.py",
    "doctest.py",
    "smtplib.py",
    "ftplib.py",
)
_WORDS_IN_DOCUMENT = 130


@cache
def paragraphs() -> tuple[str, ...]:
    """Different paragraphs of whole sentences, the same ones in the same order each time."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found: dict[str, None] = {}
    for name in (*_PACKAGES, *_MORE, *_REST, *_LAST):
        place = root / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if path.is_file() and "test" not in path.parts:
                found.update(dict.fromkeys(_prose(path)))
    chosen = sorted(found)
    random.Random(7).shuffle(chosen)
    return tuple(chosen)


def _prose(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            for block in (ast.get_docstring(node) or "").split("\n\n"):
                text = " ".join(block.split())
                words = text.split()
                plain = sum(word.strip(".,;:()'\"").isalpha() for word in words)
                marks = sum(not character.isalnum() and not character.isspace() for character in text)
                if (
                    text.endswith(".")
                    and text[0].isalpha()
                    and len(words) >= 12
                    and plain >= 0.85 * len(words)
                    and marks <= 0.2 * len(words)
                ):
                    yield text[0].upper() + text[1:]


def good_texts(number: int) -> list[str]:
    """`number` texts that the default filters keep and that are no duplicates of each other."""
    texts, held = [], []
    for paragraph in paragraphs():
        held.append(paragraph)
        if sum(len(each.split()) for each in held) >= _WORDS_IN_DOCUMENT:
            texts.append("\n\n".join(held))
            held = []
            if len(texts) == number:
                return texts
    raise AssertionError(f"the standard library holds prose for {len(texts)} documents only, not {number}")


def records(num_good: int = 120) -> list[dict[str, Any]]:
    """Pages of every fate, in an order that does not tell which is which: `fate` is what should become of each."""
    texts = good_texts(num_good)
    found = [_record(f"good/{number}", text, "good") for number, text in enumerate(texts)]
    found += [_record(f"copy/{number}", texts[number], "duplicate") for number in range(0, num_good, 10)]
    found += [_record(f"near/{number}", _slightly_changed(texts[number]), "near") for number in range(1, num_good, 12)]
    found += [
        _record(f"short/{number}", texts[number].split(".")[0] + ".", "short") for number in range(2, num_good, 9)
    ]
    found += [_record(f"junk/{number}", _junk(number), "junk") for number in range(num_good // 12)]
    random.Random(11).shuffle(found)
    return found


def _record(name: str, text: str, fate: str) -> dict[str, Any]:
    return {"url": f"https://example.org/{name}", "text": text, "title": name, "fate": fate}


def _slightly_changed(text: str) -> str:
    """The text with one word of its last sentence replaced: well above the threshold of near duplicates."""
    words = text.split(" ")
    words[-2] = "somewhat"
    return " ".join(words)


def _junk(number: int) -> str:
    return "\n".join([f"Buy cheap watches now {number}!!! Click here $$$ best price free"] * 40)


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """The records as JSON lines, compressed as the ending of `path` says, without a clock in the bytes."""
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    elif path.suffix == ".zst":
        content = zstandard.compress(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_inputs(folder: Path, rows: list[dict[str, Any]], *, files: int = 4) -> Path:
    """The records shared out over some files, every other one compressed."""
    size = -(-len(rows) // files)
    for number in range(files):
        suffix = ".jsonl.gz" if number % 2 else ".jsonl"
        write_jsonl(folder / f"pages-{number}{suffix}", rows[number * size : (number + 1) * size])
    return folder


SETTINGS = """
[run]
folder = "{run}"

[ingest]
inputs = ["{inputs}"]
source = "tests"
group_files = 1

[extract]
isolate = false

[count]
partitions = 2

[tokenizer]
vocab_size = 512

[pack]
sequence_length = 64
heldout_share = 0.1

[model]
hidden_size = 32
num_layers = 1
num_heads = 2
ffn_size = 64

[train]
steps = 20
batch_tokens = 256
device = "cpu"
precision = "fp32"
checkpoint_steps = 10

[evaluate]
num_samples = 1
ngram_order = 2

[evaluate.sampling]
max_tokens = 8
"""


def write_settings(path: Path, *, run: Path, inputs: Path, more: str = "") -> Path:
    """Settings of a tiny run over the files in `inputs`."""
    path.write_text(SETTINGS.format(run=run, inputs=inputs) + more, "utf-8")
    return path

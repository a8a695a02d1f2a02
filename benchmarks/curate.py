"""From WARC files to kept documents, ours beside datatrove's pipeline: documents a second, CPU, F1 of the kept texts.

    python -m benchmarks.curate [--data ../shared/data] [--datatrove-python PATH] [--cores 1] [--repeat 1]

Both read the same archives, made here of real pages (each once, under its own address), on the same cores, one
thread a worker, and do the same steps: WARC → main text → fastText lid.176 → Gopher repetition, Gopher quality, C4
(without the rule about terminal punctuation), FineWeb → masking of e-mail and IP addresses → files. datatrove's side
is the order and the settings of its published FineWeb recipe, up to its deduplication. Ours also stores every measure and
every rejection with its reason. The time of a run over one page (imports, models) is shown apart and taken off.

Pages of the article extraction benchmark have gold texts; no engine here was trained on them. Their F1 is
that of four-word shingles over the pages that both sides keep, and over all pages that each keeps.

datatrove 0.10 wants an environment of its own, named by `--datatrove-python`: `datatrove trafilatura lxml_html_clean
spacy "xxhash<4" warcio faust-cchardet python-magic fasteners fasttext-community regex tldextract orjson`. Without it only
our side runs. On a busy machine raise `--timeout`, or datatrove loses pages that it would extract on an idle one.
"""

import argparse
import ctypes
import gzip
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from jobs.train_extractor import html_of
from pipeline.extract.scoring import score
from pipeline.tables import read_rows

_SETS = ("article_extraction", "wcxb", "trafilatura_eval", "readability_pages", "newspaper4k")
_GOLD_SET = "article_extraction"
_DATE = "2026-01-01T00:00:00Z"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_BECOME_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: the CPU time of grandchildren is counted here, whoever dies first

OURS = """
import json, sys
from jobs import config, curate, ingest
from jobs.engine import Engine
request = json.loads(sys.argv[1])
if __name__ == "__main__":
    settings = config.load(request["settings"])
    engine = Engine(workers=request["cores"])
    ingest.main(settings, engine)
    curate.filter_pages(settings, engine)
"""

PEER = """
import json, sys
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter, LanguageFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.pipeline import base
from datatrove.utils import lid
from loguru import logger
import trafilatura, orjson  # where one is missing, datatrove would drop every page in silence
logger.remove()
base.check_required_dependencies = lambda *args: None  # it looks for fastText under one of its package names only
lid.check_required_dependencies = base.check_required_dependencies
request = json.loads(sys.argv[1])
lid.cached_asset_path_or_download = lambda *args, **kwargs: request["language_model"]
if __name__ == "__main__":
    LocalPipelineExecutor(
        pipeline=[
            WarcReader(request["archives"], glob_pattern="*.warc.gz"),
            Trafilatura(favour_precision=True, timeout=request["timeout"], deduplicate=request["deduplicate"]),
            LanguageFilter(),
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
            PIIFormatter(),
            JsonlWriter(request["folder"] + "/kept", compression=None),
        ],
        tasks=request["tasks"], workers=request["cores"], logging_dir=request["folder"] + "/log", skip_completed=False,
    ).run()
"""

# Ours under the dialect and the thresholds of datatrove's code, with the same steps and no others.
SETTINGS = """
[run]
folder = {folder}
[ingest]
inputs = [{archives}]
[extract.language]
identifier = "fasttext"
model_path = {language_model}
sample_chars = 0
[filter]
sets = ["gopher_repetition", "gopher_quality", "c4", "fineweb"]
min_language_score = 0.65
thresholds_by_language = false
[filter.c4]
require_terminal_punctuation = false
[filter.fineweb]
max_dup_line_char_share = 0.01
[filter.spam]
on = {classifiers}
[filter.toxicity]
on = {classifiers}
[filter.privacy]
masks = {masks}
"""


class RealPage(NamedTuple):
    """One page to archive; `gold` is empty where nobody wrote down its text."""

    url: str
    html: bytes
    gold: str


class Side(NamedTuple):
    """What one side did: seconds on the clock, CPU seconds of its processes, and the kept texts by URL."""

    wall: float
    cpu: float
    kept: Mapping[str, str]


def real_pages(folder: Path) -> Iterator[RealPage]:
    """The pages of every set, each under an address of its own."""
    for name in _SETS:
        with (folder / f"{name}.jsonl.zst").open("rb") as file:
            stream = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(file)
            for number, line in enumerate(io.TextIOWrapper(stream, "utf-8", newline="\n")):
                record = json.loads(line)
                gold = record["gold"] if name == _GOLD_SET else ""
                html = html_of(record).encode("utf-8", "replace")
                if html:
                    yield RealPage(f"https://{name.replace('_', '-')}.example/{number}", html, gold)


def write_archives(pages: Sequence[RealPage], folder: Path, *, number: int, repeat: int = 1) -> int:
    """Writes `number` compressed WARC files with every page `repeat` times; returns the number of records."""
    folder.mkdir(parents=True)
    count = 0
    with ExitStack() as stack:
        files = [stack.enter_context((folder / f"part-{part:02}.warc.gz").open("wb")) for part in range(number)]
        for turn in range(repeat):
            for page in pages:
                url = f"{page.url}?{turn}" if turn else page.url
                files[count % number].write(gzip.compress(_record(url, page.html), 6))
                count += 1
    return count


def _record(url: str, html: bytes) -> bytes:
    """One response record; the id depends on the address alone."""
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html
    name = hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: {_DATE}\r\nWARC-Target-URI: {url}\r\n"
        f"WARC-Record-ID: <urn:uuid:{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}>\r\n"
        f"WARC-Identified-Payload-Type: text/html\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


class Bench(NamedTuple):
    """What every run needs."""

    data: Path
    scratch: Path
    cores: int
    peer: str
    options: Mapping[str, Any]

    def ours(self, archives: Path, name: str) -> Side:
        """Our side over the archives."""
        folder = self.scratch / name
        settings = self.scratch / f"{name}.toml"
        masks = ["email", "ip", "phone", "iban", "card"] if self.options["more"] else ["email", "ip"]
        values = {
            "folder": str(folder),
            "archives": str(archives / "*.warc.gz"),
            "language_model": self._language_model(),
            "masks": masks,
            "classifiers": bool(self.options["more"]),
        }
        settings.write_text(SETTINGS.format(**{key: json.dumps(value) for key, value in values.items()}))
        used = self._run([sys.executable, "-c", OURS, json.dumps({"settings": str(settings), "cores": self.cores})])
        kept = {
            row["url"]: row["text"]
            for path in sorted((folder / "filtered").glob("*.parquet"))
            for row in read_rows(str(path))
        }
        return Side(*used, kept)

    def theirs(self, archives: Path, name: str) -> Side:
        """datatrove over the archives."""
        folder = self.scratch / name
        request = {
            "archives": str(archives), "folder": str(folder), "language_model": self._language_model(), "cores": self.cores,
            "tasks": len(list(archives.glob("*.warc.gz"))), "timeout": self.options["timeout"],
            "deduplicate": self.options["repeat"] == 1,
        }  # fmt: skip
        used = self._run([self.peer, "-c", PEER, json.dumps(request)])
        lines = (line for path in sorted((folder / "kept").glob("*.jsonl")) for line in path.read_bytes().split(b"\n"))
        documents = [json.loads(line) for line in lines if line]
        return Side(*used, {each["metadata"]["url"]: each["text"] for each in documents})

    def _language_model(self) -> str:
        return str((self.data / "langid/lid176/lid.176.ftz").resolve())

    def _run(self, command: list[str]) -> tuple[float, float]:
        """Wall and CPU seconds of a command with all its descendants."""
        cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[: self.cores])
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            ["taskset", "-c", cores, *command], env={**os.environ, **_ONE_THREAD}, stderr=subprocess.PIPE
        )
        wall = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(done.stderr.decode(errors="replace")[-3000:])
        _await_orphans()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start_of(run: Callable[[Path, str], Side], archives: Path, name: str) -> Side:
    """What starting costs: the lesser of two runs over one page. The first may compile what is compiled once on a machine."""
    runs = [run(archives, f"{name}-{number}") for number in range(2)]
    return Side(min(side.wall for side in runs), min(side.cpu for side in runs), {})


def _await_orphans() -> None:
    """Waits for the grandchildren that outlived their parents."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def report(name: str, side: Side, start: Side, num_records: int, gold: Mapping[str, str], both: set[str]) -> float:
    """Prints one row and returns documents a CPU second, the start taken off."""
    own = score((gold[url], side.kept[url]) for url in gold if url in side.kept)
    shared = score((gold[url], side.kept[url]) for url in sorted(both))
    speed, cpu_speed = num_records / (side.wall - start.wall), num_records / (side.cpu - start.cpu)
    print(
        f"| {name} | {speed:.1f} | {cpu_speed:.1f} | {1000 / cpu_speed:.2f} | {start.cpu:.1f} | {len(side.kept)} | "
        f"{shared.f1:.4f} | {own.f1:.4f} |",
        flush=True,
    )
    return cpu_speed


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for each side, and the ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    parser.add_argument("--datatrove-python", default="")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1, help="more than 1 switches datatrove's duplicate cache off")
    parser.add_argument("--pages", type=int, default=0, help="only so many pages, those with gold texts first")
    parser.add_argument("--timeout", type=float, default=1.0, help="datatrove's seconds a page; 1 is its default")
    parser.add_argument("--more", action="store_true", help="ours with classifiers and every mask as well")
    options = parser.parse_args(arguments)
    ctypes.CDLL(None).prctl(_BECOME_SUBREAPER, 1, 0, 0, 0)
    pages = list(real_pages(options.data / "html"))[: options.pages or None]
    gold = {page.url: page.gold for page in pages if page.gold}
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options.data, Path(scratch), options.cores, options.datatrove_python, vars(options))
        one, many = Path(scratch, "one"), Path(scratch, "many")
        write_archives(pages[:1], one, number=1)
        num_records = write_archives(pages, many, number=2 * options.cores, repeat=options.repeat)
        print(
            f"{num_records} pages, {sum(len(page.html) for page in pages) // len(pages):,} bytes each, {options.cores} core(s)"
        )
        print("| side | docs/s | docs/CPU s | CPU-ms a page | start, CPU s | kept | F1, kept by both | F1, kept |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        ours_start, ours = start_of(bench.ours, one, "ours-start"), bench.ours(many, "ours")
        if not options.datatrove_python:
            report("ours", ours, ours_start, num_records, gold, {url for url in gold if url in ours.kept})
            print("--datatrove-python names no interpreter with datatrove: no comparison")
            return
        theirs_start, theirs = start_of(bench.theirs, one, "theirs-start"), bench.theirs(many, "theirs")
    both = {url for url in gold if url in ours.kept and url in theirs.kept}
    fast = report("ours", ours, ours_start, num_records, gold, both)
    slow = report("datatrove", theirs, theirs_start, num_records, gold, both)
    wall = (theirs.wall - theirs_start.wall) / (ours.wall - ours_start.wall)
    print(f"\nratio of documents a second: {wall:.2f}; of documents a CPU second: {fast / slow:.2f}")
    print(f"{len(both)} pages with gold texts are kept by both, by ours alone {len(gold.keys() & ours.kept.keys()) - len(both)}, "
          f"by datatrove alone {len(gold.keys() & theirs.kept.keys()) - len(both)}")  # fmt: skip


if __name__ == "__main__":
    main()

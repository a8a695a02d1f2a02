"""All rule sets together beside datatrove's four filters on the same documents, in one run: CPU and decisions.

    python -m benchmarks.filter [--data ../shared/data] [--num-documents 1500] [--datatrove-python PATH]

datatrove 0.10 needs `xxhash<4` and spaCy, so it usually lives in an environment of its own, whose interpreter
is named with `--datatrove-python`; without it (and without the package here) only our side is printed.
Each document is English: text extracted by hand from real pages, human-judged web text, articles, books.
"""

import argparse
import io
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import zstandard

from pipeline.filter.config import C4Config, FilterConfig, FineWebConfig
from pipeline.filter.nemo import nemo_measures
from pipeline.filter.rules import chosen_rules, failures
from pipeline.filter.stage import FilterDocuments
from pipeline.records import Document, Rejection

SETS = ("gopher_repetition", "gopher_quality", "c4", "fineweb")
PEER = """
import json, sys, time
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
filters = {"gopher_repetition": GopherRepetitionFilter(), "gopher_quality": GopherQualityFilter(), "c4": C4QualityFilter(), "fineweb": FineWebQualityFilter()}
def ask(name, document):
    try:
        answer = filters[name].filter(document)
    except ZeroDivisionError:
        answer = (False, "error: division by zero")
    return answer[1] if isinstance(answer, tuple) else None
texts = [json.loads(line) for line in sys.stdin.buffer.read().split(b"\\n") if line]
for name in filters:
    ask(name, Document(text="Warm. " * 9, id="0"))
seconds, answers = dict.fromkeys(filters, 0.0), []
for number, text in enumerate(texts):
    row, document, reason = {}, Document(text=text, id=str(number)), None
    for name in filters:
        start = time.process_time()
        row[name] = ask(name, Document(text=text, id=str(number)))
        seconds[name] += time.process_time() - start
    for name in filters:
        reason = reason or ask(name, document)
    row["chain"], row["text"] = reason, "" if reason else document.text
    answers.append(row)
json.dump({"seconds": seconds, "answers": answers}, sys.stdout)
"""


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a `.jsonl.zst` file."""
    with path.open("rb") as file, zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(file) as stream:
        for line in io.TextIOWrapper(stream, "utf-8", newline="\n"):
            if line.strip():
                yield json.loads(line)


def english_texts(data: Path, number: int) -> list[str]:
    """`number` English documents of a few kilobytes each, from sources of every quality."""
    texts = [row["text"] for row in rows(data / "labelled/quality/dclm_human_quality.jsonl.zst")]
    for name in ("article_extraction", "wcxb"):
        texts += [row["gold"] for row in rows(data / f"html/{name}.jsonl.zst") if row.get("gold")]
    texts += [row["text"][:16_000] for row in rows(data / "corpora/en_blog_18f.jsonl.zst")]
    texts += [row["text"][:16_000] for row in rows(data / "corpora/en_tech_pep_rfc.jsonl.zst")][:300]
    for row in rows(data / "corpora/en_classic_books.jsonl.zst"):
        if len(texts) >= number:
            break
        texts += [row["text"][start : start + 8_000] for start in range(20_000, 60_000, 8_000)]
    return [text for text in texts if text.strip()][:number]


def ours(texts: list[str]) -> tuple[float, list[dict[str, Any]]]:
    """CPU seconds of one pass of all sets, and the answers in the peer's form: per set, and of the chain."""
    config = FilterConfig(sets=(*SETS, "fineweb2"), fineweb=FineWebConfig(max_dup_line_char_share=0.01))
    judge = FilterDocuments(config)
    judge.setup()
    documents = [
        Document(id=str(number), url="", text=text, language="en", language_score=1.0)
        for number, text in enumerate(texts)
    ]
    start = time.process_time()
    verdicts = [judge.judge(document) for document in documents]
    seconds = time.process_time() - start
    alone = FilterDocuments(FilterConfig(sets=SETS, c4=C4Config(edit_text=False), fineweb=config.fineweb))
    rules = {name: chosen_rules(FilterConfig(sets=(name,), fineweb=config.fineweb)) for name in SETS}
    answers = []
    for document, verdict in zip(documents, verdicts, strict=True):
        values = alone._measure(document).values
        row: dict[str, Any] = {
            name: next((str(failure) for failure in failures(values, rules[name])), None) for name in SETS
        }
        failed = list(failures(verdict.measures, chosen_rules(FilterConfig(sets=SETS, fineweb=config.fineweb))))
        row["chain"] = str(failed[0]) if failed else None
        row["text"] = "" if isinstance(verdict, Rejection) else verdict.text
        answers.append(row)
    return seconds, answers


def cost_of_nemo(texts: list[str]) -> float:
    """CPU-ms a document of the measures that are taken only for the set `nemo`, the best of three passes."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        for text in texts:
            nemo_measures(text, "en")
        taken.append(time.process_time() - start)
    return 1000 * min(taken) / len(texts)


def peers(texts: list[str], interpreter: str) -> Any:
    """The peer's CPU seconds by filter and its answers, from a process of its own."""
    lines = "\n".join(json.dumps(text) for text in texts)
    done = subprocess.run(
        [interpreter, "-c", PEER], input=lines.encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """Prints CPU time a document, the ratio, the agreement by set and each difference."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    parser.add_argument("--num-documents", type=int, default=1500)
    parser.add_argument("--datatrove-python", default=sys.executable if find_spec("datatrove") else "")
    parser.add_argument("--show", type=int, default=20, help="differences to print")
    options = parser.parse_args()
    texts = english_texts(options.data, options.num_documents)
    seconds, answers = ours(texts)
    per_document = 1000 * seconds / len(texts)
    print(f"{len(texts)} documents, {sum(map(len, texts)) / len(texts):.0f} characters each")
    print(f"ours, five rule sets, all measures stored: {per_document:.3f} CPU-ms a document")
    print(f"the measures of nemo besides, where it is on: {cost_of_nemo(texts):.3f} CPU-ms a document")
    if not options.datatrove_python:
        print("datatrove is not installed here and --datatrove-python names no interpreter that has it: no comparison")
        return
    theirs = peers(texts, options.datatrove_python)
    report(answers, theirs, per_document, options.show)


def report(answers: list[dict[str, Any]], theirs: Any, per_document: float, show: int) -> None:
    """The comparison: times, agreement, differences."""
    number = len(answers)
    for name, seconds in theirs["seconds"].items():
        print(f"datatrove {name}: {1000 * seconds / number:.3f} CPU-ms a document")
    total = 1000 * sum(theirs["seconds"].values()) / number
    print(f"datatrove, the four: {total:.2f} CPU-ms a document; ratio {total / per_document:.1f}")
    for name in (*SETS, "chain"):
        differing = [
            i
            for i, (mine, other) in enumerate(zip(answers, theirs["answers"], strict=True))
            if (mine[name] is None) != (other[name] is None)
        ]
        dropped = sum(other[name] is not None for other in theirs["answers"])
        print(
            f"{name}: {number - len(differing)} of {number} decisions agree ({(number - len(differing)) / number:.2%}); theirs drops {dropped}"
        )
        for i in differing[:show]:
            print(f"    document {i}: ours {answers[i][name]}, theirs {theirs['answers'][i][name]}")
    same = Counter(
        mine["text"] == other["text"]
        for mine, other in zip(answers, theirs["answers"], strict=True)
        if mine["text"] and other["text"]
    )
    print(f"text of documents that both keep: {same[True]} equal, {same[False]} not")


if __name__ == "__main__":
    main()

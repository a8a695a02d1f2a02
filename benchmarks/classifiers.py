"""The shipped classifiers on labelled sets and on clean documents: AUC, precision, recall, F1, share of clean text refused.

    python -m benchmarks.classifiers [--data ../shared/data] [--models FOLDER] [--mistakes 5]

Sets are those of `../shared/data/labelled`; of each, the fifth that training never saw. Stormfront (CC BY-SA) was not
trained on at all, so all of it is unseen. In SemEval's toxic spans all posts are toxic: its labels say whether the toxic words
could be marked. HateCheck's sentences are made from templates to probe one thing each. Clean documents are the gold texts of
hand-extracted pages, none trained on, and held-out pieces of books, articles and specifications in seven languages.
Clean sentences are all of Lingua's, none trained on (four fifths bound the thresholds), and the held-out fifths of Tatoeba's and of the declaration of human rights.
Lines of clean pages, each as a document of its own, show what the model for messages says of short texts that are no messages.
"""

import argparse
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.filter import rows
from jobs.classifier_data import Source, clean_examples, is_held_out, key_of
from jobs.classifier_scores import measure_decisions
from pipeline.filter.classifiers import Classifier
from pipeline.filter.config import ClassifierConfig, FilterConfig
from pipeline.filter.decisions import MODELS
from pipeline.filter.reading import SHORT_CHARS, normalise, readable
from pipeline.filter.stage import ClassifyDocuments
from pipeline.jsonl import read_records
from pipeline.language_codes import language_code
from pipeline.records import Document, Rejection

SETS: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "spam": {"spam/sms_spam_collection": (("spam",), ()), "spam/spamassassin_email": (("spam",), ())},
    "toxicity": {
        "toxicity/davidson2017_tweets": (("offensive", "hate"), ()),
        "toxicity/surge_ai": (("toxic",), ()),
        "toxicity/wikipedia_talk_toxicity": (("toxic",), ()),
        "toxicity/vicomtech_stormfront": (("hate",), ("relation", "idk/skip")),
        "toxicity/germeval2018_de": (("OFFENSE",), ()),
        "toxicity/cold_zh": (("offensive",), ()),
        "toxicity/mlma_en_fr_ar": (("!normal",), ()),
        "toxicity/toxic_spans_semeval2021": (("toxic_span",), ()),
        "toxicity/hatecheck_en": (("hateful",), ()),
        "toxicity/hatecheck_multilingual": (("hateful",), ()),
    },
}
UNSEEN = {"toxicity/vicomtech_stormfront"}
FUNCTIONAL = {"toxicity/hatecheck_en", "toxicity/hatecheck_multilingual"}
ONE_CLASS = {"toxicity/toxic_spans_semeval2021"}
SENTENCES = ("lingua_testdata_75", "tatoeba_112", "udhr_paragraphs")
SENTENCE_LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "nl", "pl", "pt", "zh")
WRITTEN = Path(__file__).parent / "written_texts.jsonl"
MIN_LINE_CHARS = 40
MONEY_OR_CODE = re.compile(r"[£$]|\b\d{5,6}\b|\d{10}")
CLEAN_CORPORA = ("en_blog_18f", "en_tech_pep_rfc", "en_classic_books", "fr_eltec", "ru_eltec_dracor", "ja_aozora", "zh_mixed")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scored:
    """A labelled text and what the model says of it."""

    language: str
    text: str
    bad: bool
    score: float
    kind: str


def labelled(
    data: Path, path: str, bad: tuple[str, ...], skip: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], bool]]:
    """(record, whether it is bad) of the part of one set that training never saw, each text once."""
    source = Source(path=path, bad=bad)
    seen: set[str] = set()
    for row in rows(data / f"labelled/{path}.jsonl.zst"):
        text = normalise(readable(row["text"]))
        if row["label"] in skip or text in seen:
            continue
        seen.add(text)
        if path in UNSEEN or is_held_out(key_of(row["text"])):
            yield row, source.is_bad(row["label"])


def scored(model: Classifier, data: Path, path: str, bad: tuple[str, ...], skip: tuple[str, ...]) -> list[Scored]:
    """The scores of the unseen part of one set."""
    return [
        Scored(row["lang"], row["text"], is_bad, model.score_message(row["text"]), str(row.get("functionality") or ""))
        for row, is_bad in labelled(data, path, bad, skip)
    ]


def figures(found: list[Scored], threshold: float) -> dict[str, Any]:
    """AUC, precision, recall, F1."""
    return measure_decisions([row.bad for row in found], [row.score for row in found], threshold)


def by_language(found: list[Scored]) -> dict[str, list[Scored]]:
    """The texts of each language."""
    groups: dict[str, list[Scored]] = defaultdict(list)
    for row in found:
        groups[row.language].append(row)
    return dict(sorted(groups.items()))


def clean(data: Path, number: int) -> Iterator[tuple[str, Document]]:
    """(set, document) of real text that nobody would call spam or abuse, and that training never saw."""
    for name in ("article_extraction", "wcxb"):
        for row in rows(data / f"html/{name}.jsonl.zst"):
            if row.get("gold"):
                yield f"html/{name}", Document(id=row["id"], url="", text=row["gold"], language="en")
    for name in CLEAN_CORPORA:
        path = data / f"corpora/{name}.jsonl.zst"
        if not path.exists():
            continue
        for place, example in enumerate(clean_examples(Source(path=str(path), bad=()), number)):
            if name == "zh_mixed" or is_held_out(example.key):
                yield (
                    f"corpora/{name}",
                    Document(id=f"{name}/{place}", url="", text=example.text, language=example.language[:2]),
                )


def clean_sentences(data: Path) -> Iterator[tuple[str, Document]]:
    """(set, document) of one sentence or paragraph that training never saw, in the languages of the toxicity models."""
    for name in SENTENCES:
        for row in rows(data / f"langid/{name}.jsonl.zst"):
            language = language_code(row["lang"])
            if language not in SENTENCE_LANGUAGES or row.get("kind", "sentences") != "sentences":
                continue
            if name == "lingua_testdata_75" or is_held_out(key_of(row["text"])):
                yield name, Document(id=row["id"], url="", text=row["text"], language=language)


def clean_lines(data: Path) -> Iterator[str]:
    """Lines of 40 to 320 characters of the gold texts of pages: as short as messages, and nobody's spam."""
    for name in ("article_extraction", "wcxb"):
        for row in rows(data / f"html/{name}.jsonl.zst"):
            for line in map(str.strip, (row.get("gold") or "").split("\n")):
                if MIN_LINE_CHARS <= len(line) <= SHORT_CHARS:
                    yield line


def main() -> None:
    """Prints a table of sets, mistakes, then the clean documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    parser.add_argument("--models", default="", help="folder of other models than the shipped ones")
    parser.add_argument("--clean-documents", type=int, default=400)
    parser.add_argument("--mistakes", type=int, default=3, help="mistakes of each sort to print for each set")
    options = parser.parse_args()
    folder = options.models or MODELS
    for name, sets in SETS.items():
        model = Classifier(folder, name)
        found = {path: scored(model, options.data, path, *labels) for path, labels in sets.items()}
        show_figures(model, found)
        for path, texts in found.items():
            show_mistakes(path, texts, model.thresholds.short, options.mistakes)
        if name == "toxicity":
            show_functions([row for path in FUNCTIONAL for row in found[path]], model.thresholds.short)
    settings = ClassifierConfig(model=options.models)
    judge = ClassifyDocuments(FilterConfig(spam=settings, toxicity=settings))
    show_clean(judge, options.data, options.clean_documents)
    show_written(judge)
    show_sentences(Classifier(folder, "toxicity"), options.data)
    show_lines(Classifier(folder, "spam"), options.data)


def show_figures(model: Classifier, found: dict[str, list[Scored]]) -> None:
    """One row a set and language; then the average over the sets of real posts besides Davidson's tweets."""
    print("| set | language | texts | AUC | precision | recall | F1 |\n|---|---|---|---|---|---|---|")
    areas: dict[str, float] = {}
    for path, texts in found.items():
        groups = by_language(texts)
        lines = {language: figures(rows, model.thresholds.short) for language, rows in groups.items()}
        for language, row in lines.items():
            note = " (never trained on)" if path in UNSEEN else ""
            print(f"| {os.path.basename(path)}{note} | {language} | {row['number']} | " + " | ".join(f"{row[key]:.3f}" for key in ("auc", "precision", "recall", "f1")) + " |")  # fmt: skip
        areas[path] = mean(row["auc"] for row in lines.values())
    real = [path for path in areas if path not in FUNCTIONAL and "davidson" not in path and path.startswith("toxicity")]
    if real:
        labelled_both = [path for path in real if path not in ONE_CLASS]
        print(f"\naverage AUC over the other sets of real posts: {mean(areas[path] for path in labelled_both):.3f}; with the spans, whose posts are all toxic: {mean(areas[path] for path in real):.3f}")  # fmt: skip


def show_mistakes(path: str, found: list[Scored], threshold: float, number: int) -> None:
    """The good texts with the highest scores, and the bad ones with the lowest, as the model sees them."""
    order = sorted(found, key=lambda row: row.score)
    print(f"\n{os.path.basename(path)}")
    for row in [row for row in reversed(order) if not row.bad and row.score >= threshold][:number]:
        print(f"* taken for bad, {row.score:.2f}: {excerpt(row.text)}")
    for row in [row for row in order if row.bad and row.score < threshold][:number]:
        print(f"* overlooked, {row.score:.2f}: {excerpt(row.text)}")


def excerpt(text: str) -> str:
    """The beginning of a text, names and addresses masked."""
    return "".join(filter(str.isprintable, normalise(readable(text))))[:140]


def show_functions(found: list[Scored], threshold: float) -> None:
    """HateCheck's functions that are most often judged wrongly: what the model does not understand."""
    wrong: dict[str, list[bool]] = defaultdict(list)
    for row in found:
        wrong[row.kind].append((row.score >= threshold) != row.bad)
    print("\n| HateCheck function | texts | judged wrongly |\n|---|---|---|")
    for kind, misses in sorted(wrong.items(), key=lambda item: (-mean(item[1]), item[0]))[:10]:
        print(f"| {kind} | {len(misses)} | {mean(misses):.0%} |")


def show_clean(judge: ClassifyDocuments, data: Path, number: int) -> None:
    """Which clean documents are refused, by set, and the cost of asking."""
    documents = list(clean(data, number))
    judge.judge(documents[0][1])  # loads the models
    asked, refused = Counter[str](), Counter[str]()
    start = time.process_time()
    verdicts = [judge.judge(document) for _, document in documents]
    seconds = time.process_time() - start
    print()
    for (name, document), verdict in zip(documents, verdicts, strict=True):
        asked[name] += 1
        if isinstance(verdict, Rejection):
            refused[name] += 1
            print(f"* refused {name} {document.id}, {verdict.detail}: {excerpt(document.text)}")
    for name in asked:
        print(f"clean {name}: {refused[name]} of {asked[name]} refused ({refused[name] / asked[name]:.2%})")
    total = len(documents)
    size = mean(len(document.text) for _, document in documents)
    print(
        f"clean, all: {sum(refused.values())} of {total} refused ({sum(refused.values()) / total:.2%}); {1000 * seconds / total:.2f} CPU-ms a document of {size:.0f} characters"
    )


def show_written(judge: ClassifyDocuments) -> None:
    """What is misjudged of the texts in `written_texts.jsonl`: clean ones on hard subjects, and plainly bad ones."""
    judge.judge(Document(id="", url="", text="", language=""))  # loads the models
    for place, row in enumerate(read_records(str(WRITTEN))):
        verdict = judge.judge(Document(id=str(place), url="", text=row["text"], language=row["lang"]))
        found = verdict.reason.partition(".")[0] if isinstance(verdict, Rejection) else ""
        if found != row["bad"]:
            print(
                f"* written ({row['lang']}), {row['bad'] or 'clean'} taken for {found or 'clean'}: {excerpt(row['text'])}"
            )


def show_sentences(model: Classifier, data: Path) -> None:
    """How many clean sentences are refused as toxic, by set and language, their language known."""
    asked, refused = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for name, document in clean_sentences(data):
        asked[name, document.language] += 1
        refused[name, document.language] += (
            model.score_message(document.text, document.language) >= model.thresholds.short
        )
    print(f"\n| language | {' | '.join(SENTENCES)} |\n|---{'|---' * len(SENTENCES)}|")
    for language in SENTENCE_LANGUAGES:
        print(f"| {language} | " + " | ".join(f"{refused[name, language]} of {asked[name, language]}" for name in SENTENCES) + " |")  # fmt: skip
    for name in SENTENCES:
        total = sum(asked[name, language] for language in SENTENCE_LANGUAGES)
        bad = sum(refused[name, language] for language in SENTENCE_LANGUAGES)
        print(f"clean sentences, {name}: {bad} of {total} refused ({bad / total:.2%})")


def show_lines(model: Classifier, data: Path) -> None:
    """How many lines of clean pages are refused as spam if each is a document of its own: all, and those with money or a long number."""
    lines = list(clean_lines(data))
    refused = [model.score_message(line) >= model.thresholds.short for line in lines]
    numbered = [bad for line, bad in zip(lines, refused, strict=True) if MONEY_OR_CODE.search(line)]
    print(f"\nlines of clean pages: {sum(refused)} of {len(lines)} refused as spam ({mean(refused):.1%}), of those with money or a long number {sum(numbered)} of {len(numbered)} ({mean(numbered):.1%})")  # fmt: skip


if __name__ == "__main__":
    main()

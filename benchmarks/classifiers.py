"""The shipped classifiers on labelled sets and on clean documents: AUC, precision, recall, F1, share of clean text refused.

    python -m benchmarks.classifiers [--data ../shared/data] [--part heldout|all] [--mistakes 5]

Sets are those of `../shared/data/labelled`. `heldout` (the default) takes the fifth of each that training never
saw, `all` everything. Stormfront (CC BY-SA) was not trained on at all, so all of it is unseen. Clean documents are the
gold texts of hand-extracted pages and pieces of books, articles and specifications in six languages.
"""

import argparse
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.filter import rows
from jobs.classifier_scores import measure_decisions
from pipeline.filter.classifiers import normalise, readable
from pipeline.filter.config import FilterConfig
from pipeline.filter.stage import ClassifyDocuments
from pipeline.records import Document, Rejection

SETS: dict[str, dict[str, tuple[set[str] | None, set[str]]]] = {
    "spam": {"spam/sms_spam_collection": ({"spam"}, set()), "spam/spamassassin_email": ({"spam"}, set())},
    "toxicity": {
        "toxicity/davidson2017_tweets": ({"offensive", "hate"}, set()),
        "toxicity/surge_ai": ({"toxic"}, set()),
        "toxicity/toxic_spans_semeval2021": ({"toxic_span"}, set()),
        "toxicity/wikipedia_talk_toxicity": ({"toxic"}, set()),
        "toxicity/vicomtech_stormfront": ({"hate"}, {"relation", "idk/skip"}),
        "toxicity/germeval2018_de": ({"OFFENSE"}, set()),
        "toxicity/cold_zh": ({"offensive"}, set()),
        "toxicity/mlma_en_fr_ar": (None, {"normal"}),
        "toxicity/hatecheck_en": ({"hateful"}, set()),
        "toxicity/hatecheck_multilingual": ({"hateful"}, set()),
    },
}
UNSEEN = {"toxicity/vicomtech_stormfront"}


def labelled(
    data: Path, name: str, bad: set[str] | None, other: set[str], part: str
) -> Iterator[tuple[str, str, bool]]:
    """(language, text, bad) of one set. With `bad` None every label but those in `other` is bad; else `other` is left out."""
    for row in rows(data / f"labelled/{name}.jsonl.zst"):
        if bad is not None and row["label"] in other:
            continue
        held = hashlib.sha256(normalise(readable(row["text"])).encode()).digest()[0] % 5 == 0
        if part == "all" or held or name in UNSEEN:
            yield row["lang"], row["text"], row["label"] not in other if bad is None else row["label"] in bad


def clean(data: Path, number: int) -> Iterator[tuple[str, Document]]:
    """(set, document) of real text that nobody would call spam or abuse."""
    for name in ("article_extraction", "wcxb"):
        for row in rows(data / f"html/{name}.jsonl.zst"):
            if row.get("gold"):
                yield f"html/{name}", Document(id=row["id"], url="", text=row["gold"], language="en")
    for name, language in (
        ("en_blog_18f", "en"),
        ("en_tech_pep_rfc", "en"),
        ("en_classic_books", "en"),
        ("fr_eltec", "fr"),
        ("zh_mixed", "zh"),
    ):
        path = data / f"corpora/{name}.jsonl.zst"
        for row in itertools.islice(rows(path), number) if path.exists() else ():
            yield (
                f"corpora/{name}",
                Document(
                    id=row["id"], url="", text=row["text"][40_000:56_000] or row["text"][:16_000], language=language
                ),
            )


def main() -> None:
    """Prints one line a set, then the clean documents, then mistakes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    parser.add_argument("--part", choices=("heldout", "all"), default="heldout")
    parser.add_argument("--clean-documents", type=int, default=400)
    parser.add_argument("--mistakes", type=int, default=3, help="mistakes to print for each set")
    options = parser.parse_args()
    judge = ClassifyDocuments(FilterConfig())
    judge.setup()
    for name, sets in SETS.items():
        model = judge._models[name]
        for path, (bad, other) in sets.items():
            found = list(labelled(options.data, path, bad, other, options.part))
            scores = [model.score_message(text) for _, text, _ in found]
            for language in sorted({language for language, _, _ in found}):
                chosen = [i for i, row in enumerate(found) if row[0] == language]
                limit = (
                    model.thresholds.short
                    if path.endswith("sms_spam_collection") or name == "toxicity"
                    else model.thresholds.sentence
                )
                row = measure_decisions([found[i][2] for i in chosen], [scores[i] for i in chosen], limit)
                print(
                    f"{name} {path} {language}: " + ", ".join(f"{key} {value}" for key, value in row.items()),
                    flush=True,
                )
            show_mistakes(
                [(text, is_bad, score) for (_, text, is_bad), score in zip(found, scores, strict=True)],
                model.thresholds.short,
                options.mistakes,
            )
    show_clean(judge, options.data, options.clean_documents)


def show_mistakes(found: list[tuple[str, bool, float]], threshold: float, number: int) -> None:
    """The good texts with the highest scores, and the bad ones with the lowest."""
    order = sorted(found, key=lambda row: row[2])
    for text, _, score in [row for row in reversed(order) if not row[1] and row[2] >= threshold][:number]:
        print(f"    good, scored {score:.3f}: {' '.join(text.split())[:150]!r}")
    for text, _, score in [row for row in order if row[1]][:number]:
        print(f"    bad, scored {score:.3f}: {' '.join(text.split())[:150]!r}")


def show_clean(judge: ClassifyDocuments, data: Path, number: int) -> None:
    """Which clean documents are refused, by set, and the cost of asking."""
    asked, refused = Counter[str](), Counter[str]()
    start = time.process_time()
    for name, document in clean(data, number):
        verdict = judge.judge(document)
        asked[name] += 1
        if isinstance(verdict, Rejection):
            refused[name] += 1
            print(f"    refused {name} {document.id}: {verdict.detail}")
    seconds = time.process_time() - start
    for name in asked:
        print(f"clean {name}: {refused[name]} of {asked[name]} refused ({refused[name] / asked[name]:.2%})")
    total = sum(asked.values())
    print(
        f"clean, all: {sum(refused.values())} of {total} refused ({sum(refused.values()) / total:.2%}); {1000 * seconds / total:.2f} CPU-ms a document"
    )


if __name__ == "__main__":
    main()

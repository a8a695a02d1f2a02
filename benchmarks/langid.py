"""Language identifiers on labelled text: accuracy by set and by language, texts a second, in one run.

    python -m benchmarks.langid [DATA] [--sample 60] [--by-language]

DATA holds `tatoeba_112`, `lingua_testdata_75`, `udhr_paragraphs` (`.jsonl.zst`) and `lid176/lid.176.ftz`. Compared is
on the languages that all identifiers know, with the same number of texts for each language; "all languages" counts
those that an identifier cannot know as errors. `ours` is what a run does by default; of each set, only the fifth of the
texts that its small model was not trained on is used. pycld2 is a peer if it is there.
"""

import argparse
import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jobs.train_extractor import read_records
from jobs.train_langid import is_held_out
from pipeline.extract.config import LanguageConfig
from pipeline.extract.language import LanguageFinder
from pipeline.language_codes import language_code

Identify = Callable[[str], str]

# Counted as one: Croatian and Bosnian, the written forms of Norwegian but Nynorsk, Chinese languages in Chinese script.
_ONE = {"bs": "hr", "nb": "no", "yue": "zh", "wuu": "zh"}
_SETS = ("tatoeba_112", "lingua_testdata_75", "udhr_paragraphs")


class Labelled(NamedTuple):
    """One text and its language."""

    language: str
    text: str


def short_code(code: str) -> str:
    """One code for languages that some of the identifiers do not tell apart."""
    code = language_code(code)
    return _ONE.get(code, code)


def read_set(folder: Path, name: str, per_language: int) -> list[Labelled]:
    """At most `per_language` texts of each language, those with the smallest hashes of their text."""
    by_language: dict[str, list[str]] = defaultdict(list)
    for record in read_records(folder / f"{name}.jsonl.zst"):
        if is_held_out(record["text"]):
            by_language[short_code(record["lang"])].append(record["text"])
    return [
        Labelled(language, text)
        for language, texts in sorted(by_language.items())
        for text in sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())[:per_language]
    ]


def identifiers(folder: Path) -> tuple[dict[str, Identify], dict[str, set[str]]]:
    """The identifiers that are here, and the languages that each knows."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    ours = LanguageFinder(LanguageConfig())
    py3langid = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found: dict[str, Identify] = {
        "ours": lambda text: ours.of_document(text).language,
        "peer py3langid": lambda text: str(py3langid.classify(text)[0]),
    }
    labels_of_py3langid = {short_code(label) for label in py3langid.labels}
    known = {name: labels_of_py3langid for name in found}
    model = folder / "lid176/lid.176.ftz"
    if model.exists():
        fasttext = LanguageFinder(LanguageConfig(identifier="fasttext", model_path=str(model)))
        found["fastText lid.176.ftz"] = lambda text: fasttext.of_document(text).language
        labels = fasttext._identifier._model.get_labels()  # type: ignore[attr-defined]
        known["fastText lid.176.ftz"] = {short_code(label.removeprefix("__label__")) for label in labels}
    try:
        import pycld2

        found["peer pycld2"] = lambda text: str(pycld2.detect(text, bestEffort=True)[2][0][1])
        known["peer pycld2"] = {short_code(code) for _, code in pycld2.LANGUAGES}
    except ImportError:
        print("pycld2 is not installed")
    return found, known


class Accuracy(NamedTuple):
    """Shares right (the mean over languages) on what everybody knows and on all, and microseconds of CPU a text."""

    shared: float
    everything: float
    microseconds: float
    by_language: Mapping[str, float]


def measure(identify: Identify, texts: Sequence[Labelled], shared: set[str]) -> Accuracy:
    """How often one identifier is right."""
    right: dict[str, list[bool]] = defaultdict(list)
    cpu = time.process_time()
    answers = [_safely(identify, text) for _, text in texts]
    cpu = time.process_time() - cpu
    for (language, _), answer in zip(texts, answers, strict=True):
        right[language].append(short_code(answer) == language)
    by_language = {language: sum(hits) / len(hits) for language, hits in right.items()}
    both = [share for language, share in by_language.items() if language in shared]
    return Accuracy(
        sum(both) / len(both), sum(by_language.values()) / len(by_language), 1e6 * cpu / len(texts), by_language
    )


def _safely(identify: Identify, text: str) -> str:
    try:
        return identify(text)
    except Exception:  # a peer that raises has found nothing
        return "und"


def main(arguments: Sequence[str] | None = None) -> dict[str, Accuracy]:
    """Prints one table, and the languages that ours knows worst."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.langid", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data/langid"))
    parser.add_argument("--sample", type=int, default=60, help="texts for each language and set")
    parser.add_argument("--by-language", action="store_true")
    options = parser.parse_args(arguments)
    found, known = identifiers(options.data)
    shared = set.intersection(*known.values())
    results = {}
    print("| set | identifier | languages | accuracy | all languages | µs a text |\n|---|---|---|---|---|---|")
    for name in _SETS:
        texts = read_set(options.data, name, options.sample)
        num_shared = len({language for language, _ in texts} & shared)
        for identifier, identify in found.items():
            result = results[f"{name}/{identifier}"] = measure(identify, texts, shared)
            print(
                f"| {name} | {identifier} | {num_shared} | {result.shared:.3f} | "
                f"{result.everything:.3f} | {result.microseconds:.0f} |",
                flush=True,
            )
        if options.by_language:
            worst = sorted(
                (share, language)
                for language, share in results[f"{name}/ours"].by_language.items()
                if language in shared
            )
            print("ours, by language:", ", ".join(f"{language} {share:.2f}" for share, language in worst))
    return results


if __name__ == "__main__":
    main()

"""Trains the model that helps to name the language of short texts.

    python -m jobs.train_langid DATA [--output pipeline/extract]

Input: a folder with any of `tatoeba_112`, `lingua_testdata_75`, `udhr_paragraphs` (`.jsonl.zst`, fields `lang` and
`text`). A fifth of the texts, chosen by hash, is never trained on: `is_held_out` tells which, and benchmarks measure on
it alone. Output: `short_text.ftz`, `short_text.sha256.txt`, `short_text.card.md`. One thread and a fixed order: the same
data give the same model.
"""

import argparse
import hashlib
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jobs.train_extractor import read_records
from pipeline.errors import InputError
from pipeline.extract.config import LanguageConfig
from pipeline.extract.language import LanguageFinder, known_languages, short_text_input
from pipeline.language_codes import language_code

SETS = ("tatoeba_112", "lingua_testdata_75", "udhr_paragraphs")
_MIN_TEXTS = 100
_MAX_EXAMPLES = 3500  # of each language, so that none counts for more
_SHAPE = {"dim": 16, "minn": 1, "maxn": 4, "bucket": 250_000, "minCount": 5, "loss": "softmax"}
_QUANTIZED = {"cutoff": 60_000, "dsub": 2, "qnorm": True, "retrain": True, "epoch": 2, "lr": 0.1}
_CARD = """# Language of short texts

A fastText model over characters and words of texts below {short_chars} characters; {size} bytes, SHA-256
`{sha256}`. Its answer is weighed with that of py3langid, whose {num_known} languages stay the ones that can be named.
Trained by `python -m jobs.train_langid` on {num_texts} texts in {num_languages} languages.

It holds weights of hashed character n-grams and of frequent words: no sentence of the texts.

## Trained on

Tatoeba sentences (CC BY 2.0 FR, from the test sets of LASER), the accuracy sentences, word pairs and words of lingua
(Apache-2.0), paragraphs of the Universal Declaration of Human Rights (MIT edition).

Languages: {languages}.

## On the fifth that was not trained on: accuracy, mean over languages

{table}

## Known limits

Single words are often words of several languages. Close relatives are confused most: Malay and Indonesian, Danish and
Norwegian, Croatian and Bosnian, Zulu and Xhosa.
"""


def is_held_out(text: str) -> bool:
    """Whether training leaves this text to the test."""
    return hashlib.sha256(b"split" + text.encode()).digest()[0] % 5 == 0


def read_texts(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Set, language and text of every record."""
    found = [name for name in SETS if (folder / f"{name}.jsonl.zst").exists()]
    if not found:
        raise InputError(f"{folder} holds none of the sets {', '.join(SETS)} (.jsonl.zst)")
    for name in found:
        for record in read_records(folder / f"{name}.jsonl.zst"):
            yield name, language_code(record["lang"]), record["text"]


def training_lines(texts: Sequence[tuple[str, str, str]]) -> list[str]:
    """The lines that fastText learns from: whole texts, and a few words in a row out of them."""
    known, by_language = known_languages(), defaultdict(list)
    for _, language, text in texts:
        if language in known and not is_held_out(text):
            by_language[language].append(text)
    dice, lines = random.Random(0), []
    for language, own in sorted(by_language.items()):
        if len(own) >= _MIN_TEXTS:
            examples = own + [piece for text in own for piece in _pieces(text, dice)]
            dice.shuffle(examples)
            examples = (examples * 3)[: min(_MAX_EXAMPLES, 3 * len(examples))]
            lines += [f"__label__{language} {short_text_input(text)}" for text in examples]
    dice.shuffle(lines)
    return lines


def _pieces(text: str, dice: random.Random) -> Iterator[str]:
    words = text.split()
    if len(words) > 5:
        for length in (2, dice.randint(3, 5)):
            start = dice.randrange(len(words) - length)
            yield " ".join(words[start : start + length])


def train(lines: Sequence[str]) -> bytes:
    """The model file."""
    import fasttext

    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "train.txt"), Path(folder, "model.ftz")
        given.write_text("\n".join(lines) + "\n", encoding="utf-8")
        model = fasttext.train_supervised(str(given), thread=1, epoch=10, lr=0.5, verbose=0, **_SHAPE)
        model.quantize(input=str(given), thread=1, verbose=0, **_QUANTIZED)
        model.save_model(str(made))
        return made.read_bytes()


def accuracy_table(texts: Sequence[tuple[str, str, str]]) -> str:
    """Ours beside py3langid alone, on the texts that training left out."""
    known = known_languages()
    finders = {name: LanguageFinder(LanguageConfig(identifier=name)) for name in ("combined", "py3langid")}  # type: ignore[arg-type]
    hits: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for source, language, text in sorted(texts, key=lambda each: hashlib.sha256(each[2].encode()).digest()):
        if language in known and is_held_out(text) and len(hits[source, "combined", language]) < 40:
            for name, finder in finders.items():
                hits[source, name, language].append(finder.of_document(text).language == language)
    rows = ["| set | languages | ours | py3langid |", "|---|---|---|---|"]
    for source in SETS:
        shares: dict[str, list[float]] = defaultdict(list)
        for (of, name, _), right in hits.items():
            if of == source and right:
                shares[name].append(sum(right) / len(right))
        if shares:
            means = " | ".join(f"{sum(shares[name]) / len(shares[name]):.3f}" for name in finders)
            rows.append(f"| {source} | {len(shares['combined'])} | {means} |")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads, trains, writes the model with its hash and its card."""
    parser = argparse.ArgumentParser(prog="python -m jobs.train_langid", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("pipeline/extract"))
    options = parser.parse_args(arguments)
    texts = list(read_texts(options.data))
    lines = training_lines(texts)
    content = train(lines)
    sha256 = hashlib.sha256(content).hexdigest()
    # The card is made of measurements with this model, so it is in place first.
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "short_text.ftz").write_bytes(content)
    (options.output / "short_text.sha256.txt").write_text(f"{sha256}  short_text.ftz\n")
    (options.output / "short_text.card.md").write_text(_card(lines, texts, content, sha256))
    print(f"{len(lines)} lines, {len(content)} bytes, SHA-256 {sha256}")


def _card(lines: Sequence[str], texts: Sequence[tuple[str, str, str]], content: bytes, sha256: str) -> str:
    languages = Counter(line.split(" ", 1)[0].removeprefix("__label__") for line in lines)
    values: dict[str, Any] = {
        "short_chars": LanguageFinder.short_chars, "size": len(content), "sha256": sha256, "num_texts": len(lines),
        "num_known": len(known_languages()), "num_languages": len(languages), "languages": ", ".join(sorted(languages)),
        "table": accuracy_table(texts),
    }  # fmt: skip
    return _CARD.format(**values)


if __name__ == "__main__":
    main()

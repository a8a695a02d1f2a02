"""Rebuilds the classifiers that are shipped, byte for byte, from the labelled sets they were trained on.

    python -m jobs.shipped_classifiers DATA OUT [NAME ...]

In: DATA/labelled and DATA/corpora, laid out as the cards name them. Out: the three files of each model in OUT, and
whether each is the shipped one. Vicomtech's Stormfront set is left out on purpose: its licence asks
that what is made of it keep that licence.
"""

import argparse
import os
from collections.abc import Sequence
from functools import partial

from jobs.classifier_config import TrainingConfig
from jobs.classifier_data import Source
from jobs.train_classifier import train
from pipeline.filter.classifiers import read_card
from pipeline.filter.decisions import MODELS

NAMES = ("spam", "spam_short", "spam_lines", "toxicity", "toxicity_ar", "toxicity_de", "toxicity_zh")
_COMMAND = "python -m jobs.shipped_classifiers DATA OUT {}"
_BLOG, _TECH, _BOOKS = (
    ("en_blog_18f", "CC0"),
    ("en_tech_pep_rfc", "CC0, MIT, Apache-2.0"),
    ("en_classic_books", "public domain"),
)
_OTHER_LANGUAGES = (("fr_eltec", "texts public domain"), ("ru_eltec_dracor", "CC0, texts public domain"), ("ja_aozora", "public domain"), ("hi_midas", "MIT"))  # fmt: skip


def recipe(name: str, data: str) -> TrainingConfig:
    """How the shipped model `name` was trained. Doubtful labels and texts from templates count less.

    SemEval chose every post of its spans because it is toxic, so one without a marked word is no example of a good one.
    """

    def labelled(path: str, licence: str, *bad: str, skip: tuple[str, ...] = (), weight: float = 1.0, languages: tuple[str, ...] = ()) -> Source:  # fmt: skip
        return Source(
            path=os.path.join(data, "labelled", f"{path}.jsonl.zst"), bad=bad, skip=skip, licence=licence, weight=weight, languages=languages
        )  # fmt: skip

    def clean(*corpora: tuple[str, str], weight: float = 1.0) -> tuple[Source, ...]:
        return tuple(
            Source(path=os.path.join(data, "corpora", f"{corpus}.jsonl.zst"), bad=(), licence=licence, weight=weight)
            for corpus, licence in corpora
        )

    def spoken(file: str, licence: str, *languages: str, weight: float = 1.0) -> Source:
        return Source(path=os.path.join(data, "langid", f"{file}.jsonl.zst"), bad=(), licence=licence, weight=weight, languages=languages)  # fmt: skip

    def sentences(*languages: str, weight: float) -> tuple[Source, ...]:
        return (
            spoken("tatoeba_112", "CC BY 2.0 FR", *languages, weight=weight),
            spoken("udhr_paragraphs", "MIT, texts public domain", *languages, weight=weight),
        )

    def unseen(*languages: str) -> tuple[Source, ...]:
        return (spoken("lingua_testdata_75", "Apache-2.0", *languages),)

    if name == "spam":
        return TrainingConfig(
            name=name, kind="linear", languages=("en",), buckets=1_000_000, epochs=12, min_precision=0, command=_COMMAND.format(name), clean_documents=200, clean_every=8,
            sources=(labelled("spam/spamassassin_email", "ODC PDDL 1.0", "spam", weight=10),),
            clean=clean(_BLOG, _TECH, _BOOKS, weight=0.1),
        )  # fmt: skip
    if name == "spam_short":
        return TrainingConfig(
            name=name, kind="linear", languages=("en",), buckets=500_000, epochs=12, signs=True, min_precision=0, command=_COMMAND.format(name), clean_documents=200, clean_every=8,
            sources=(labelled("spam/sms_spam_collection", "CC BY 4.0", "spam", weight=10),),
            clean=clean(_BLOG, weight=0.1),
        )  # fmt: skip
    if name == "spam_lines":
        questions = os.path.join(data, "eval", "gsm8k_official__train.jsonl.zst")
        return TrainingConfig(
            name=name, kind="linear", languages=("en",), buckets=500_000, epochs=12, signs=True, max_missed=0.03, command=_COMMAND.format(name), clean_documents=8000, clean_every=2,
            sources=(labelled("spam/sms_spam_collection", "CC BY 4.0", "spam", skip=("ham",), weight=30),),
            clean=(*clean(_BLOG, _TECH), Source(path=questions, bad=(), licence="MIT", text_field="question")),
        )  # fmt: skip
    toxicity = partial(TrainingConfig, name=name, kind="linear", command=_COMMAND.format(name), clean_documents=100, clean_every=8)  # fmt: skip
    if name == "toxicity_de":
        return toxicity(
            languages=("de",), buckets=800_000, epochs=6, min_precision=0.9, sentences=sentences("de", weight=0.1), unseen_sentences=unseen("de"),
            sources=(
                labelled("toxicity/germeval2018_de", "CC BY 4.0", "OFFENSE"),
                labelled("toxicity/hatecheck_multilingual", "CC BY 4.0", "hateful", weight=0.1, languages=("de",)),
            ),
        )  # fmt: skip
    if name == "toxicity_zh":
        return toxicity(
            languages=("zh",), buckets=1_200_000, epochs=6, contrast=0.5, min_precision=0.9, sentences=sentences("zh", weight=0.1), unseen_sentences=unseen("zh"),
            sources=(
                labelled("toxicity/cold_zh", "Apache-2.0", "offensive"),
                labelled("toxicity/hatecheck_multilingual", "CC BY 4.0", "hateful", weight=0.1, languages=("zh",)),
            ),
            clean=clean(("ja_aozora", "public domain")),
        )  # fmt: skip
    if name == "toxicity_ar":
        return toxicity(
            languages=("ar",), buckets=600_000, epochs=6, min_precision=0.9, sentences=sentences("ar", weight=0.1), unseen_sentences=unseen("ar"),
            sources=(
                labelled("toxicity/mlma_en_fr_ar", "MIT", "!normal", weight=0.3, languages=("ar",)),
                labelled("toxicity/hatecheck_multilingual", "CC BY 4.0", "hateful", weight=0.1, languages=("ar",)),
            ),
        )  # fmt: skip
    return toxicity(
        languages=("en", "fr", "es", "it", "pt", "nl", "pl"), buckets=1_900_000, epochs=4, contrast=0.5, min_precision=0.95,
        sentences=sentences("en", "es", "fr", "it", "nl", "pl", "pt", weight=0.3), unseen_sentences=unseen("en", "es", "fr", "it", "nl", "pl", "pt"),
        sources=(
            labelled("toxicity/davidson2017_tweets", "MIT", "offensive", "hate", weight=0.4),
            labelled("toxicity/surge_ai", "MIT", "toxic", weight=2),
            labelled("toxicity/toxic_spans_semeval2021", "CC0", "toxic_span", skip=("no_toxic_span",), weight=0.65),
            labelled("toxicity/wikipedia_talk_toxicity", "CC BY 4.0", "toxic"),
            labelled("toxicity/mlma_en_fr_ar", "MIT", "!normal", weight=0.3, languages=("en", "fr")),
            labelled("toxicity/hatecheck_en", "CC BY 4.0", "hateful", weight=0.3),
            labelled("toxicity/hatecheck_multilingual", "CC BY 4.0", "hateful", weight=0.1, languages=("es", "fr", "hi-Latn", "it", "nl", "pl", "pt")),
        ),
        clean=clean(_BLOG, _TECH, _BOOKS, *_OTHER_LANGUAGES),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("folder", metavar="OUT")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=", ".join(NAMES))
    options = parser.parse_args(arguments)
    for name in options.names:
        card = train(recipe(name, options.data), options.folder)
        same = card["sha256"] == read_card(MODELS, name)["sha256"]
        print(f"{name}: {'the shipped model' if same else 'not the shipped model'}", flush=True)


if __name__ == "__main__":
    main()

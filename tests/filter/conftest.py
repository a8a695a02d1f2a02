"""Fixtures for the tests of the filter stage."""

from pathlib import Path

import pytest

from pipeline.filter.words import Vocabulary
from pipeline.records import Document
from tests.filter.kenlm_models import ARPA


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """A vocabulary that the tests of a module share."""
    return Vocabulary()


@pytest.fixture(scope="session")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lm") / "en.arpa"
    path.write_text(ARPA, "utf-8")
    return path


@pytest.fixture(scope="session")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model of a few sentences, as CCNet's are made: unigrams of text in its spelling."""
    import sentencepiece

    folder = tmp_path_factory.mktemp("sp")
    sentences = ["the old mill stood near a river", "nobody could say when the mill had been built", "an old man was there"]  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences * 5),
        model_prefix=str(folder / "en.sp"),
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return folder / "en.sp.model"


@pytest.fixture(scope="session")
def pieces_arpa(pieces: Path) -> Path:
    """Unigrams and a bigram of the pieces."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    names = [processor.id_to_piece(number) for number in range(3, processor.get_piece_size())]
    first, second = processor.encode("the old mill", out_type=str)[:2]
    head = f"\\data\\\nngram 1={len(names) + 3}\nngram 2=1\n\n\\1-grams:\n-3\t<unk>\n-99\t<s>\t-0.5\n-1\t</s>\n"
    grams = "".join(f"{-1 - number / 50:.2f}\t{name}\t-0.3\n" for number, name in enumerate(names))
    path = pieces.parent / "en.arpa"
    path.write_text(f"{head}{grams}\n\\2-grams:\n-0.25\t{first} {second}\n\n\\end\\\n", "utf-8")
    return path


def document(text: str, language: str = "en", **known: str) -> Document:
    """A document with `text`."""
    return Document(id="0" * 32, url="https://example.org/", text=text, language=language, language_score=0.99, **known)

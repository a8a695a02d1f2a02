"""Language of documents and paragraphs."""

import hashlib
from pathlib import Path

import pytest

from pipeline.errors import InputError, SettingError
from pipeline.extract.config import LanguageConfig
from pipeline.extract.language import LanguageFinder, sample

ENGLISH = "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience."
GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt."
JAPANESE = "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"


@pytest.fixture(scope="module")
def finder() -> LanguageFinder:
    return LanguageFinder(LanguageConfig())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        (JAPANESE, "ja"),
        ("Все люди рождаются свободными и равными в своём достоинстве и правах.", "ru"),
        ("12345 --- 67", "und"),  # no letter
        ("", "und"),
        ("https://example.com/the-path-of-an-address mail@example.com", "und"),  # addresses are no language
    ],
)
def test_language_of_a_document(finder: LanguageFinder, text: str, language: str) -> None:
    found = finder.of_document(text)
    assert found.language == language
    assert (found.score > 0.5) == (language != "und")


def test_shares_by_paragraph(finder: LanguageFinder) -> None:
    shares = finder.shares("\n\n".join([ENGLISH, ENGLISH, GERMAN, "ok"]))
    assert list(shares) == ["en", "de"]
    assert shares["en"] == pytest.approx(2 * len(ENGLISH) / (2 * len(ENGLISH) + len(GERMAN)), abs=1e-4)
    assert finder.shares("") == {}


def test_a_sample_is_spread_over_the_text() -> None:
    text = " ".join(f"word{n}" for n in range(10_000))
    taken = sample(text, 1000)
    assert 700 <= len(taken) <= 1010
    assert "word1 " in taken
    assert "word9999" in taken
    assert all(word in text for word in taken.split())
    assert sample("short", 1000) == "short"
    assert sample(text, 0) == text


def test_fasttext_by_path_and_hash(shared_data: Path) -> None:
    path = shared_data / "langid/lid176/lid.176.ftz"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    finder = LanguageFinder(LanguageConfig(identifier="fasttext", model_path=str(path), model_sha256=sha256))
    assert finder.of_document(GERMAN + "\n" + GERMAN).language == "de"
    with pytest.raises(InputError, match="is not the language model"):
        LanguageFinder(LanguageConfig(identifier="fasttext", model_path=str(path), model_sha256="0" * 64))


def test_a_file_that_is_no_model_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"not a model")
    with pytest.raises(InputError, match="not a fastText model"):
        LanguageFinder(LanguageConfig(identifier="fasttext", model_path=str(path)))
    with pytest.raises(InputError, match="no such file"):
        LanguageFinder(LanguageConfig(identifier="fasttext", model_path=str(tmp_path / "none")))


@pytest.mark.parametrize(
    "settings", [{"identifier": "fasttext"}, {"model_path": "x.bin"}, {"min_score": 2.0}, {"sample_chars": -1}]
)
def test_contradictory_settings(settings: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=r"extract\.language\."):
        LanguageConfig(**settings)  # type: ignore[arg-type]

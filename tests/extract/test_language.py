"""Language of documents and paragraphs."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.config import RunConfig, load
from jobs.curate import filter_pages
from jobs.engine import Engine
from jobs.settings import build, override
from pipeline import model_files
from pipeline.errors import DataError, InputError, SettingError
from pipeline.extract import language as language_module
from pipeline.extract.config import ExtractConfig, LanguageConfig
from pipeline.extract.language import LanguageFinder, sample
from pipeline.extract.stage import ExtractText
from pipeline.filter.config import FilterConfig
from pipeline.filter.stage import filter_judges
from pipeline.language_codes import codes_of_labels, language_code
from pipeline.records import Page
from pipeline.stage import judge_one
from tests.runs import Made

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
        (f"\ud83d {GERMAN}\udcff", "de"),  # halves of surrogate pairs, as JSON may escape them
        ("\ud800 Guten Tag, wie geht es dir?", "de"),
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
    with pytest.raises(InputError, match=r"is not the model that extract\.language"):
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


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Rindfleischetikettierung", "de"),  # words that py3langid alone takes for something else
        ("voorbeeld van een zin", "nl"),
        ("jedna z nich", "pl"),
        ("ඔබට ස්තුතියි", "si"),
    ],
)
def test_short_texts(finder: LanguageFinder, text: str, language: str) -> None:
    assert finder.of_line(text).language == language


def test_short_texts_in_languages_that_the_small_model_was_not_taught(finder: LanguageFinder) -> None:
    assert finder.of_line("ನೀವು ಹೇಗಿದ್ದೀರಿ").language == "kn"
    assert finder.of_line("သင်ဘယ်လိုနေလဲ").language == "my"


def test_the_small_model_has_its_hash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "short_text.ftz"
    damaged.write_bytes(language_module.SHORT_TEXT_MODEL.read_bytes()[:-1])
    monkeypatch.setattr(language_module, "SHORT_TEXT_MODEL", damaged)
    with pytest.raises(DataError, match="is damaged"):
        LanguageFinder(LanguageConfig())


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ("deu", "de"), ("EN-us", "en"), ("zh_Hant", "zh"), ("nob", "no"), ("bos", "bs"), ("kab", "kab"), ("pt-BR", "pt"),
        ("eng_Latn", "en"), ("cmn_Hani", "zh"), ("zho_Hans", "zh"), ("arb_Arab", "ar"), ("bod_Tibt", "bo"), ("srp_Latn", "sr"),
        ("hin_Deva", "hi"), ("hin_Latn", "hi-Latn"), ("hi-Latn", "hi-Latn"),  # neither stop words nor thresholds fit a romanised text
        ("ceb_Latn", "ceb"), ("und_Mymr", "und"),
    ],
)  # fmt: skip
def test_language_codes(stated: str, code: str) -> None:
    assert language_code(stated) == code
    assert language_code(code) == code


def test_labels_of_models_become_our_codes() -> None:
    assert codes_of_labels(["als_Latn", "sq"]) == {"als_Latn": "sq", "sq": "sq"}
    assert codes_of_labels(["als", "sq"]) == {"als": "gsw", "sq": "sq"}  # lid.176 has Wikipedia's codes


CHINESE = "人人生而自由 在尊严和权利上一律平等 他们赋有理性和良心"
TAUGHT = {
    "eng_Latn": ENGLISH, "deu_Latn": GERMAN, "zho_Hans": CHINESE, "cmn_Hani": CHINESE, "zxx_Zzzz": "0x3f 0x7a 0xff 0x11 qqq",
    "hin_Deva": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है",
    "hin_Latn": "sabhi manushyon ko gaurav aur adhikaron ke mamle mein janmajat svatantrata prapt hai",
}  # fmt: skip


@pytest.fixture(scope="module")
def glotlid(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fastText model whose labels have the form of GlotLID's."""
    import fasttext

    folder = tmp_path_factory.mktemp("glotlid")
    lines = [f"__label__{label} {text}" for label, text in TAUGHT.items() for _ in range(50)]
    (folder / "taught.txt").write_text("\n".join(lines) + "\n", "utf-8")
    model = fasttext.train_supervised(str(folder / "taught.txt"), epoch=50, dim=8, thread=1, verbose=0)
    model.save_model(str(folder / "model.bin"))
    return str(folder / "model.bin")


def test_a_model_with_labels_like_those_of_glotlid(glotlid: str) -> None:
    finder = LanguageFinder(LanguageConfig(identifier="fasttext", model_path=glotlid))
    assert finder.known == {"en", "de", "zh", "hi", "hi-Latn"}
    for label, text in TAUGHT.items():
        assert finder.of_document(text).language == language_code(label).replace("zxx", "und")
    assert finder.of_document(CHINESE).score > 0.9  # neither of its two labels has more than half


def test_documents_that_glotlid_names_are_asked_as_any_others(glotlid: str) -> None:
    """English in the labels of GlotLID has stop words, scores for spam and toxicity, and is an allowed language."""
    extract = ExtractConfig(isolate=False, language=LanguageConfig(identifier="fasttext", model_path=glotlid))
    judges = (ExtractText(extract), *filter_judges(FilterConfig(languages=("en",))))
    for judge in judges:
        judge.setup()
    text = " ".join([ENGLISH] * 6)
    page = Page(id="0" * 32, url="", payload=text.encode(), media_type="text/plain", charset="utf-8")
    verdict = judge_one(judges, page)
    assert not verdict.reason.startswith("language.")  # it repeats itself, and that is what it is refused for
    assert verdict.measures["num_stop_words"] >= 2
    unasked = FilterConfig(languages=("en",), sets=())
    verdict = judge_one((judges[0], *filter_judges(unasked)), page)
    assert verdict.language == "en"
    assert verdict.measures["spam_score"] < 1
    assert verdict.measures["toxicity_score"] < 1


@pytest.mark.parametrize("setting", ["extract.language.keep", "filter.languages", "filter.quality.languages"])
def test_settings_name_languages_by_our_codes(setting: str) -> None:
    with pytest.raises(SettingError, match=rf"{setting} has 'eng', whose code here is 'en'"):
        build(RunConfig, override({}, [f'{setting}=["en", "eng"]']))
    assert build(RunConfig, override({}, [f'{setting}=["en", "hi-Latn"]']))


@pytest.mark.parametrize("setting", ["extract.language.keep", "filter.languages"])
def test_a_language_that_nobody_answers_ends_the_job_before_it_begins(setting: str, copy: Callable[[], Made]) -> None:
    made = copy()
    config = load(str(made.settings), [f'{setting}=["en", "tlh"]'])
    with pytest.raises(SettingError, match=rf"{setting} names tlh, which .* never answers; it knows .*, en, .*, und, "):
        filter_pages(config, Engine(workers=1))
    assert Path(made.run, "filtered/manifest.json").exists()


def test_a_model_from_the_web_is_verified_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    served = [b"the model"]
    monkeypatch.setattr(model_files, "_download", lambda address, place: place.write_bytes(served.pop()))
    sha256 = hashlib.sha256(b"the model").hexdigest()
    kept = model_files.verified_model("https://example.org/m.bin", sha256.upper())
    assert Path(kept).read_bytes() == b"the model"
    assert model_files.verified_model("https://example.org/m.bin", sha256) == kept  # no second download
    served.append(b"another file")
    with pytest.raises(InputError, match="not the model"):
        model_files.verified_model("https://example.org/m.bin", "0" * 64)
    assert [path.name for path in Path(kept).parent.iterdir()] == [sha256], "a refused download is kept"
    with pytest.raises(SettingError, match="model_sha256"):
        LanguageConfig(identifier="fasttext", model_path="https://example.org/m.bin")

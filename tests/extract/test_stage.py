"""The judge: each page leaves once, as a document or as a rejection, whatever it does."""

import functools
import os
import pickle
import subprocess
import sys
import threading

import pytest

from pipeline.errors import InputError, SettingError
from pipeline.extract.config import ExtractConfig, LanguageConfig
from pipeline.extract.isolation import ChildExtractor, Question
from pipeline.extract.results import Extracted, Refused
from pipeline.extract.stage import ExtractText
from pipeline.records import Document, Page, Rejection
from pipeline.stage import Judge, judge_one

PROSE = "".join(
    f"<p>This is paragraph number {n} of an article about the weather, and it has more than a few words.</p>"
    for n in range(6)
)
ARTICLE = (
    "<html lang=en><head><title>The weather - A Site</title><meta name=author content='Ada L.'>"
    "<meta property='article:published_time' content='2021-03-09'></head><body><nav><a href=/>Home</a></nav>"
    f"<article><h1>The weather</h1>{PROSE}</article><footer><a href=/x>Imprint</a> All rights reserved</footer>"
)  # fmt: skip


def page(payload: bytes | str, **fields: object) -> Page:
    content = payload.encode() if isinstance(payload, str) else payload
    url = "https://example.org/a"
    return Page(id="0" * 32, url=url, payload=content, source="test", **fields)  # type: ignore[arg-type]


@functools.cache
def judge(isolate: bool = False, **settings: object) -> ExtractText:
    """A judge that is ready. It is shared between tests, which is fair: nothing that it did before may matter."""
    made = ExtractText(ExtractConfig(isolate=isolate, **settings))  # type: ignore[arg-type]
    made.setup()
    return made


ENGINES = ("blocks", "combined", "trafilatura", "trafilatura_fast", "resiliparse", "justext")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_article(engine: str) -> None:
    longer = "a few words. It has more of them than any of the items of a menu, so that all of those who read it know what they have come for.</p>"
    document = judge(engine=engine).judge(page(ARTICLE.replace("a few words.</p>", longer)))
    assert isinstance(document, Document)
    assert "paragraph number 0" in document.text
    assert "paragraph number 5" in document.text
    assert "Imprint" not in document.text
    assert (document.title, document.author, document.date, document.language) == (
        "The weather",
        "Ada L.",
        "2021-03-09",
        "en",
    )
    assert document.source == "test"


def test_it_is_a_judge_that_pickles_before_and_after_setup() -> None:
    made = judge()
    assert isinstance(made, Judge)
    assert len(pickle.dumps(made)) < 2000
    again = pickle.loads(pickle.dumps(made))
    again.setup()
    assert again.judge(page(ARTICLE)) == made.judge(page(ARTICLE))


@pytest.mark.parametrize(
    ("payload", "settings", "reason"),
    [
        (b"", {}, "empty_text"),
        (b"<html><body><nav>menu</nav></body></html>", {}, "empty_text"),
        (b"<div><a href=1>one</a> <a href=2>two</a></div>", {}, "no_main_text"),
        (b"\x00" * 500, {}, "undecodable"),
        (b"x" * 2000, {"max_page_bytes": 1000}, "too_large"),
        (b"<br>" * 2000, {"max_tags": 1000}, "too_many_tags"),
        (b"<div>" * 50_000 + b"x", {}, "too_deep"),
        (ARTICLE.encode(), {"min_text_chars": 10_000}, "empty_text"),
        (ARTICLE.encode(), {"language": LanguageConfig(keep=("de", "fr"))}, "other_language"),
        (ARTICLE.encode(), {"language": LanguageConfig(min_score=1.0)}, "unsure_language"),
    ],
)
def test_rejections(payload: bytes, settings: dict[str, object], reason: str) -> None:
    rejection = judge(**settings).judge(page(payload))
    assert isinstance(rejection, Rejection)
    assert (rejection.stage, rejection.reason) == ("extract", reason)
    assert rejection.value is not None


def test_plain_text_passes_with_the_metadata_of_its_source() -> None:
    plain = page(
        "  code\r\nsecond line of the text, in English\x00\x07 ",
        media_type="text/plain",
        metadata={"title": "T", "date": "9 March 2021", "license": "MIT"},
    )
    document = judge().judge(plain)
    assert isinstance(document, Document)
    assert document.text == "  code\nsecond line of the text, in English"
    assert (document.title, document.date, document.licence, document.language) == ("T", "2021-03-09", "MIT", "en")


@pytest.mark.parametrize("engine", ["blocks", "trafilatura"])
def test_order_does_not_matter(engine: str) -> None:
    """The same text for a page whatever was extracted before it, however often."""
    made = judge(engine=engine)
    pages = [page(ARTICLE.replace("weather", word)) for word in ("weather", "climate", "market")] + [page(ARTICLE)] * 4
    forward = [made.judge(one) for one in pages]
    backward = [made.judge(one) for one in reversed(pages)]
    assert forward == backward[::-1]
    assert forward[0] == forward[-1]


def test_settings_are_checked() -> None:
    with pytest.raises(SettingError, match="max_tags"):
        ExtractConfig(max_tags=0)
    with pytest.raises(SettingError, match="contradicts"):
        ExtractConfig(comments=True)
    ExtractConfig(comments=True, engine="trafilatura")


# --- the child process ---


@pytest.fixture(scope="module")
def child() -> ChildExtractor:
    return ChildExtractor(ExtractConfig(engine="blocks", max_cpu_seconds=2, max_memory_bytes=256 << 20))


def ask(extractor: ChildExtractor, payload: bytes) -> Extracted | Refused:
    return extractor.extract(Question(payload, "https://example.org/", "text/html", "", {}))


def test_the_child_gives_the_same_documents(child: ChildExtractor) -> None:
    inside, outside = judge(isolate=True), judge(isolate=False)
    for payload in (ARTICLE, "", "<p>Kurz, aber deutsch und gut lesbar.</p>"):
        assert inside.judge(page(payload)) == outside.judge(page(payload))


# Below the depth at which anybody looks, and yet each paragraph opens all the formatting elements again.
GROWING = b"<p>" + b"".join(b"<b id=%d>" % n for n in range(1500)) + b"x" + b"<p>y" * 2400


def test_a_page_that_explodes_takes_only_the_child_with_it(child: ChildExtractor) -> None:
    refused = ask(child, GROWING)
    assert isinstance(refused, Refused)
    assert refused.reason in ("too_much_memory", "unparsable", "too_slow", "crashed")
    assert isinstance(ask(child, ARTICLE.encode()), Extracted)


def test_a_child_that_is_killed_is_replaced(child: ChildExtractor) -> None:
    assert isinstance(ask(child, ARTICLE.encode()), Extracted)
    os.kill(child._child._process.pid, 9)  # type: ignore[union-attr]
    assert isinstance(ask(child, ARTICLE.encode()), Extracted)


def test_one_child_serves_many_threads(child: ChildExtractor) -> None:
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(child, ARTICLE.encode()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert all(answer == answers[0] and isinstance(answer, Extracted) for answer in answers)


def test_cpu_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that needs longer than the limit is refused as too slow; the next one is served."""
    slow = b"<div><p>" * 3900  # few enough tags that nobody looks at their depth
    extractor = ChildExtractor(ExtractConfig(engine="resiliparse", max_cpu_seconds=1, max_tags=10**9, max_depth=10**9))
    refused = ask(extractor, b"<div>" * 60_000 + slow)
    assert isinstance(refused, Refused)
    assert refused.reason in ("too_slow", "too_deep", "too_much_memory", "crashed")
    assert isinstance(ask(extractor, ARTICLE.encode()), Extracted)
    extractor.close()


def test_a_missing_model_is_explained_by_the_worker() -> None:
    config = ExtractConfig(language=LanguageConfig(identifier="fasttext", model_path="/nowhere/model.bin"))
    made = ExtractText(config)
    made.setup()
    with pytest.raises(InputError, match="no such file"):
        judge_one([made], page(ARTICLE))


def test_the_child_ends_with_its_owner() -> None:
    extractor = ChildExtractor(ExtractConfig())
    ask(extractor, b"<p>x")
    process = extractor._child._process  # type: ignore[union-attr]
    extractor._child._connection.close()  # type: ignore[union-attr]
    assert process.wait(timeout=120) == 0


def test_what_a_page_says_of_itself_and_its_languages_reach_the_document() -> None:
    german = "".join(
        f"<p>Dies ist der Absatz Nummer {n} über das Wetter, und er hat mehr als nur ein paar Wörter.</p>"
        for n in range(4)
    )
    head = "<link rel=canonical href=/weather><link rel=license href=https://creativecommons.org/licenses/by-sa/4.0/>"
    document = judge().judge(page(ARTICLE.replace("</head>", f"{head}</head>").replace(PROSE, PROSE + german)))
    assert isinstance(document, Document)
    assert document.canonical == "https://example.org/weather"
    assert document.licence == "CC-BY-SA-4.0"
    main, second = document.measures["main_language_share"], document.measures["second_language_share"]
    assert 0.3 < second < main < 0.7
    assert set(document.measures) == set(judge().measures)


def test_the_languages_of_paragraphs_are_an_option() -> None:
    made = judge(language=LanguageConfig(paragraphs=0))
    assert made.measures == ()
    document = made.judge(page(ARTICLE))
    assert isinstance(document, Document)
    assert document.measures == {}


LIMITED = """
import resource, sys
from pipeline.errors import SettingError
from pipeline.extract import child
name, most = "RLIMIT_" + sys.argv[1], int(sys.argv[2])
resource.setrlimit(getattr(resource, name), (most, most))
try:
    child._limit_memory(64 << 20)
    child._limit_cpu(30, at_start=True)
    child._limit_cpu(30)
except SettingError as error:
    print(error)
else:
    print(resource.getrlimit(getattr(resource, name))[1] == most)
"""


@pytest.mark.parametrize(
    ("name", "most", "says"),
    [
        ("AS", 64 << 30, "True"),  # a limit of the batch system stays, and no user may raise one
        ("CPU", 3600, "True"),
        ("CPU", 20, "extract.max_cpu_seconds is 30, and this machine allows 20 seconds"),
    ],
)
def test_the_child_keeps_to_the_limits_that_it_finds(name: str, most: int, says: str) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, name, str(most)], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(says), done.stderr


def test_a_child_without_room_for_its_limit_says_which_setting_to_lower() -> None:
    asks = LIMITED.replace("child._limit_memory(64 << 20)", "child._limit_memory(1 << 40)")
    done = subprocess.run(
        [sys.executable, "-c", asks, "AS", str(64 << 30)], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("extract.max_memory_bytes is 1099511627776, and this machine allows"), done.stderr

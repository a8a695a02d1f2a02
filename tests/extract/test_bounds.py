"""Limits that are checked before parsing."""

import pytest

from pipeline.extract.bounds import nesting, refuse_markup, refuse_payload
from pipeline.extract.config import ExtractConfig

CONFIG = ExtractConfig()


@pytest.mark.parametrize(
    ("html", "depth", "formatting"),
    [
        ("<div><p>a<p>b<br><img></div>", 1, 0),  # ended by what follows, and void
        ("<div><b><i>x</i></b></div>", 3, 2),
        ("<div>" * 50 + "</div>" * 50, 50, 0),
        ("<div></x>" * 30, 30, 0),  # stray ends close nothing
        ("</div>" * 9 + "<DIV>", 1, 0),
        ("<ul><li>" * 20, 20, 0),
        ("a < b", 0, 0),
    ],
)
def test_nesting(html: str, depth: int, formatting: int) -> None:
    assert nesting(html) == (depth, formatting)


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("<div>" * 50_000, "too_deep"),
        ("<table><tr><td>" * 5_000, "too_deep"),
        (
            "<p>" + "".join(f"<b id={n}>" for n in range(900)) + "<p>y" * 5_000,
            "too_deep",
        ),  # grows into millions of elements
        ("<br>" * 200_001, "too_many_tags"),
        ("<p>short</p>" * 50_000, None),
        ("<div>" * 900 + "<p>x" * 10_000, None),
    ],
)
def test_refuse_markup(html: str, reason: str | None) -> None:
    refused = refuse_markup(html, CONFIG)
    assert (refused.reason if refused else None) == reason
    if refused:
        assert refused.value is not None
        assert refused.threshold is not None
        assert refused.value > refused.threshold


def test_refuse_payload() -> None:
    config = ExtractConfig(max_page_bytes=10)
    assert refuse_payload(b"x" * 10, config) is None
    refused = refuse_payload(b"x" * 11, config)
    assert refused is not None
    assert (refused.reason, refused.value, refused.threshold) == ("too_large", 11, 10)

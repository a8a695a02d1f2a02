"""Notices about cookies go; texts about cookies stay."""

import pytest
from selectolax.lexbor import LexborHTMLParser

from pipeline.extract.banners import drop_banners

NOTICE = "<p>We use cookies to improve this site.</p><button>Accept</button>"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (f'<div class="cookie-banner">{NOTICE}</div><p>x', "x"),
        (f'<div id="CookieNotice"><div class="cookie-notice__text">{NOTICE}</div></div><p>x', "x"),  # one in another
        (f'<section id="onetrust-consent-sdk"><div>{NOTICE}</div></section><p>x', "x"),
        (f'<aside class="eu-cookie-compliance-banner">{NOTICE}</aside><p>x', "x"),
        ('<div id="cookie-law-info-bar">Diese Seite verwendet Cookies. Alle akzeptieren</div><p>x', "x"),
        ('<div class="gdpr-popup">このサイトはクッキーを使用します。</div><p>x', "x"),
        # other names, other words
        ('<div class="cookie-recipe">We use butter for cookies.</div>', "We use butter for cookies."),
        ('<div class="cookie-bar">Cookie bars with oats</div>', "Cookie bars with oats"),
        ('<div class="consent-notice">Patients gave consent.</div>', "Patients gave consent."),
        (f'<div class="notice">{NOTICE}</div>', "We use cookies to improve this site.Accept"),
        # too much is inside: a page and not a notice
        (f'<body class="cookie-banner">{NOTICE}x', "We use cookies to improve this site.Acceptx"),
        (
            f'<div class="cookie-modal"><h1>Cookies</h1>{NOTICE}</div>',
            "CookiesWe use cookies to improve this site.Accept",
        ),
        (
            f'<div class="cookie-modal"><p>{"y" * 2500}{NOTICE}</div>',
            "y" * 2500 + "We use cookies to improve this site.Accept",
        ),
    ],
)
def test_banners(html: str, text: str) -> None:
    tree = LexborHTMLParser(html)
    dropped = drop_banners(tree, html)
    assert tree.body is not None
    assert tree.body.text() == text
    assert dropped == (text == "x")

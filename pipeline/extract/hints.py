"""What the names of classes and ids promise about the text inside an element.

Names are split into lower-case words (`articleBody`, `article-body`, `article_body` → article, body). Each known word
belongs to a group (comments, navigation, …) and has a weight that was learned from labelled pages:
positive where the text is mostly wanted.
"""

import re
from collections.abc import Mapping

GROUPS: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (name, frozenset(words.split()))
    for name, words in (
        ("content", "article articlebody body content entry main post story text prose markdown"),
        (
            "comment",
            "comment comments commentlist disqus respond reply replies discussion reviews kommentar kommentare",
        ),
        (
            "navigation",
            "nav navbar navigation menu breadcrumb breadcrumbs pagination pager toc sitemap tabs toolbar topbar "
            "skip dropdown",
        ),
        (
            "related",
            "related recommended recommendation similar more popular trending latest teaser teasers recent also "
            "outbrain taboola promoted weitere",
        ),
        (
            "share",
            "share sharing social follow facebook twitter addthis sharedaddy bookmark like likes whatsapp pinterest",
        ),
        (
            "advert",
            "ad ads advert advertisement advertising sponsor sponsored promo promotion banner dfp anzeige werbung "
            "affiliate",
        ),
        ("sign_up", "newsletter subscribe subscription signup login register paywall cta form search donate optin"),
        (
            "byline",
            "author byline date time meta published timestamp postmeta posted credit credits bio dateline info "
            "tags tag tagged category categories",
        ),
        (
            "caption",
            "caption figcaption image img gallery photo media video slideshow thumb thumbnail carousel slider wp",
        ),
        (
            "aside",
            "sidebar aside widget rail secondary footer foot bottom header head masthead copyright legal "
            "disclaimer sidebox infobox",
        ),
        (
            "overlay",
            "cookie cookies consent gdpr modal popup overlay hidden lightbox notice alert print noprint screen "
            "reader sr",
        ),
        ("commerce", "product price cart shop buy shipping checkout sku offer deal"),
    )
)
_GROUP_OF = {word: 1 << bit for bit, (_, words) in enumerate(GROUPS) for word in words}
_WORD = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}")
_MAX_REMEMBERED = 20_000


def words_of(names: str) -> list[str]:
    """The different words in class and id names, lower case, in order."""
    return list(dict.fromkeys(word.lower() for word in _WORD.findall(names)))


class Hints:
    """Weights of words; remembers what it has looked up (which changes no answer)."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)
        self._known: dict[str, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._weights)

    def of(self, names: str) -> tuple[float, int]:
        """The sum of the weights of the words in `names`, and their groups as bits."""
        found = self._known.get(names)
        if found is None:
            words = words_of(names)
            groups = 0
            for word in words:
                groups |= _GROUP_OF.get(word, 0)
            total = sum(self._weights.get(word, 0.0) for word in words)
            found = (max(-4.0, min(4.0, total)), groups)
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[names] = found
        return found

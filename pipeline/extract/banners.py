"""Notices that ask for consent to cookies: on a page with a short text they would be most of it.

They are known by the name of their element and by what they say, both, and only as far as they are short: a page about cookies, for the
browser or from the oven, has neither.
"""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

# Parts of names; a page without one in a name has no notice. Those that scripts alone put into a page are not looked for.
_WORDS = {"ookie": "cookie", "onsent": "consent", "gdpr": "gdpr"}
_NAME_CHARS = 30
_NAMES = re.compile(
    r"cookies?[-_]?(?:(?:eu|law|policy|info|consent)[-_]?)?(?:banner|notice|consent|bar\b|pop-?up|message|msg|alert|disclaimer|overlay|modal|warning|"
    r"dialog|compliance|notification|info\b|law\b|hint|layer)|consent[-_]?(?:banner|pop-?up|modal|dialog|bar\b|overlay|manager|root|notice|sdk)|"
    r"gdpr[-_]?(?:banner|notice|pop-?up|cookie|modal|bar\b|consent)|cybotcookiebotdialog|borlabs-?cookie",
    re.IGNORECASE,
)
# What they speak of, and the word that asks.
_SPEAKS_OF = re.compile(r"cookie|куки|クッキー|ciasteczk|evästei|süti|çerez", re.IGNORECASE)
_ASKS = re.compile(
    r"accept|agree|consent|allow|reject|got it|preferences|our (?:web)?site|we use|akzept|zustimm|einverstanden|verwende|accepte|utilis|acept|utiliza|"
    r"accett|utilizz|aceit|akkoord|gebruik|zgad|zgod|souhlas|používá|godkän|använd|accepterer|samtykke|hyväksy|elfogad|kabul|kullan|соглас|использ|"
    r"同意|使用|接受|동의|موافق|قبول",
    re.IGNORECASE,
)
_NEVER = frozenset(("html", "body", "main", "article"))
_HOLD_TEXT = "h1, article, main"
_MAX_CHARS = 2500
_MAX_CANDIDATES = 300


def drop_banners(tree: LexborHTMLParser, html: str) -> int:
    """Takes the notices out of a page, whose markup is `html`; returns how many there were."""
    words = [word for part, word in _WORDS.items() if part in html]
    if not words or not any(map(_NAMES.search, _names(html))):  # to ask the tree takes a hundred times as long
        return 0
    selector = ", ".join(f'[{attribute}*="{word}" i]' for word in words for attribute in ("id", "class"))
    dropped: set[int] = set()
    for node in tree.css(selector)[:_MAX_CANDIDATES] if selector else ():
        if not _lies_in(node, dropped) and _is_banner(node):
            dropped.add(node.mem_id)
            node.replace_with("")
    return len(dropped)


def _names(html: str) -> Iterator[str]:
    """What stands in the markup around each part, and may be a name of the kind."""
    for part in _WORDS:
        at = html.find(part)
        while at >= 0:
            yield html[max(0, at - _NAME_CHARS) : at + 3 * _NAME_CHARS]
            at = html.find(part, at + _NAME_CHARS)


def _is_banner(node: LexborNode) -> bool:
    attributes = node.attributes
    if node.tag in _NEVER or not _NAMES.search(f"{attributes.get('id') or ''} {attributes.get('class') or ''}"[:300]):
        return False
    text = node.text()
    if len(text) > _MAX_CHARS or not (_SPEAKS_OF.search(text) and _ASKS.search(text)):
        return False
    return node.css_first(_HOLD_TEXT) is None


def _lies_in(node: LexborNode, dropped: set[int]) -> bool:
    above = node.parent
    while above is not None:
        if above.mem_id in dropped:
            return True
        above = above.parent
    return False

"""The licence that a page states: in links and badges, in schema.org, in meta elements, in words.

Creative Commons licences get short names, such as `CC-BY-SA-4.0`; other statements stay as they are. What belongs to a picture is
not the licence of the page, and a name with a part that is not known here gives none, since that part may be what it forbids.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.extract.normalise import one_line

_LINKS = '[rel~="license" i][href], [itemprop~="license" i][href], a[href*="creativecommons.org/" i], a[href*="//licensebuttons.net/" i]'
_BADGES = 'img[src*="creativecommons.org/" i], img[src*="//licensebuttons.net/" i]'
_RIGHTS = (
    "dc.rights", "dcterms.rights", "dcterms.license", "dc.license", "dc.rights.license", "copyright-license", "license", "og:license",
)  # fmt: skip
# Mostly claims of what is not allowed; of these only Creative Commons counts.
_CLAIMS = ("copyright", "rights")
_MAX_LINKS, _MAX_MENTIONS = 20, 20
_LEVELS = 6

_ADDRESS = re.compile(
    r"(?:creativecommons\.org|licensebuttons\.net)/(licenses|publicdomain|l|p)/([a-z+-]+)(?:/(\d\.\d))?", re.IGNORECASE
)
# The parts of a name in the languages that its deeds are read in most.
_PARTS = {
    "BY": "Attribution|Paternité|Namensnennung|Reconocimiento|Atribución|Attribuzione|Atribuição|Naamsvermelding|Uznanie autorstwa",
    "NC": "Non-?Commercial|Pas d['’]Utilisation Commerciale|Nicht[ -]?kommerziell|Keine kommerzielle Nutzung|No ?Comercial|Non commerciale"
    "|(?:Uso )?Não ?Comercial|Niet ?Commercieel|Użycie niekomercyjne",
    "ND": "No-?Deriv(?:ative)?s?(?: Works)?|Pas de Modification|Keine Bearbeitung(?:en)?|Sin ?(?:Obra ?)?Derivadas?|Non opere derivate"
    "|Sem ?Deriva(?:ções|dos)|Geen ?Afgeleide ?Werken|Bez utworów zależnych",
    "SA": "Share-?Alike|Partage (?:dans les Mêmes Conditions|(?:des Conditions Initiales )?à l['’]Identique)|Weitergabe unter gleichen Bedingungen"
    "|Compartir ?Igual|Condividi allo stesso modo|(?:Compartilha|Partilha) ?Igual|Gelijk ?Delen|Na tych samych warunkach",
}
_PART = "|".join(f"(?:{names})" for names in _PARTS.values())
_PHRASE = re.compile(
    rf"Creative Commons[\s:,(-]+((?:{_PARTS['BY']})(?:[\s–-]+(?:{_PART}))*)(?!\w|\s?[–-]\s?[^\W\d_])", re.I
)
_NAMED_PART = re.compile("|".join(f"(?P<{code}>{names})" for code, names in _PARTS.items()), re.I)
_VERSION = re.compile(r"[^\d.<]{0,40}(\d\.\d)")
_CODE_PARTS = r"\bCC(?:[ –-](BY(?:[ –-](?:NC|ND|SA)){0,2})|[ –-]?(0))"
_CODE = re.compile(rf"{_CODE_PARTS}(?:[ –-]v?(\d\.\d))?(?!\w|\.\d)")
_CODE_IN_SMALL_LETTERS = re.compile(rf"{_CODE_PARTS}[ –-]v?(\d\.\d)(?!\w|\.\d)", re.I)
# Parts of a mention and how far from its start they stand: plain strings are found in a tenth of the time of the expression.
_PARTS_OF_MENTIONS = {"ommons": 10, "cc": 0, "CC": 0}
_MENTION = re.compile(r"(creative commons\s)|\bcc[ –-]?(?:by\b|0\b)", re.I)
_MARKUP = re.compile(r"<[^>]{0,300}>")
_CONTEXT_CHARS, _NEAR_CHARS = 400, 80
_OF_A_PICTURE = re.compile(
    r"(?i)\b(?:photo|image|picture|illustration|foto|bild|imagen|immagine|credit|thumbnail|icon)"
)
_LICENSES = re.compile(
    r"(?i)licen[cszç]|lizenz|лиценз|licenc|available under|dedicat|public domain|waive|ライセンス|许可"
)


def stated_licence(tree: LexborHTMLParser, meta: Mapping[str, str], linked: Any, html: str) -> str:
    """The licence of a page, from its tree, its meta elements, the `license` of its linked data and its markup."""
    links = [node for node in tree.css(_LINKS)[:_MAX_LINKS] if not _in_figure(node)]
    for node in sorted(links, key=lambda node: "license" not in (node.attributes.get("rel") or "").lower()):
        if name := licence_name(node.attributes.get("href") or ""):
            return name
    if name := licence_name(_address_of(linked)) or licence_name(next(filter(None, map(meta.get, _RIGHTS)), "")):
        return name
    for claim in _CLAIMS:
        if name := creative_commons(meta.get(claim, "")):
            return name
    badges = [node.attributes.get("src") or "" for node in tree.css(_BADGES)[:_MAX_LINKS] if not _in_figure(node)]
    return next(filter(None, map(creative_commons, badges)), "") or _in_words(html)


def _in_figure(node: LexborNode) -> bool:
    above = node.parent
    for _ in range(_LEVELS):
        if above is None:
            return False
        if above.tag in ("figure", "figcaption"):
            return True
        above = above.parent
    return False


def _address_of(linked: Any) -> str:
    """The address or name in a value of schema.org: a text, a thing, or a list of them."""
    if isinstance(linked, list):
        linked = linked[0] if linked else ""
    if isinstance(linked, dict):
        linked = linked.get("url") or linked.get("@id") or linked.get("name")
    return linked if isinstance(linked, str) else ""


def _in_words(html: str) -> str:
    """The Creative Commons licence that a sentence names without a link: by its full name, or by its code beside a word for "licence"."""
    for mention in itertools.islice(_mentions(html), _MAX_MENTIONS):
        place = mention.start()
        before = _plain(html[max(0, place - _CONTEXT_CHARS) : place])[-_NEAR_CHARS:]
        if not _OF_A_PICTURE.search(before) and (mention[1] or _LICENSES.search(before)):
            named = _plain(html[place : place + _CONTEXT_CHARS])
            if name := _by_phrase(named) if mention[1] else _by_code(named[:20]):
                return name
    return ""


def _mentions(html: str) -> Iterator[re.Match[str]]:
    """Where Creative Commons is named, or a code of its licences, in order."""
    places = sorted(place for part, before in _PARTS_OF_MENTIONS.items() for place in _places(html, part, before))
    return filter(None, (_MENTION.match(html, place) for place in places))


def _places(html: str, part: str, before: int) -> Iterator[int]:
    found = html.find(part)
    while found >= 0:
        if found >= before:
            yield found - before
        found = html.find(part, found + len(part))


def _plain(markup: str) -> str:
    return " ".join(_MARKUP.sub(" ", markup).split())


def licence_name(stated: str) -> str:
    """A short name for a Creative Commons licence, such as `CC-BY-SA-4.0`; other statements as they are."""
    return creative_commons(stated) or ("" if "creativecommons.org" in stated.lower() else one_line(stated, 200))


def creative_commons(stated: str) -> str:
    """The short name of the Creative Commons licence whose address, name or code is in `stated`, or empty."""
    if match := _ADDRESS.search(stated):
        family, kind, version = match[1].lower(), match[2].lower(), match[3]
        if family in ("publicdomain", "p") or kind == "publicdomain":
            return "CC0-1.0" if kind == "zero" else "public domain"
        return _name(kind.upper(), version)
    return _by_phrase(stated) or _by_code(stated)


def _by_phrase(stated: str) -> str:
    match = _PHRASE.search(stated)
    if match is None:
        return ""
    parts = {part.lastgroup or "" for part in _NAMED_PART.finditer(match[1])}
    version = _VERSION.match(stated, match.end())
    return _name("-".join(code for code in _PARTS if code in parts), version and version[1])


def _by_code(stated: str) -> str:
    match = _CODE.search(stated) or _CODE_IN_SMALL_LETTERS.search(stated)
    if match is None:
        return ""
    return "CC0-1.0" if match[2] else _name(re.sub("[ –]", "-", match[1].upper()), match[3])


def _name(kind: str, version: str | None) -> str:
    return f"CC-{kind}" + (f"-{version}" if version else "")

"""Personal data and secrets in text, found by form and check digits, and replaced by stable placeholders.

`<EMAIL>`, `<IP>`, `<PHONE>`, `<IBAN>`, `<CARD>`, `<NATIONAL_ID>` and `<SECRET>` (keys and tokens) stand for what was there; masking a masked text
changes nothing. Names and addresses of people are not looked for. What has check digits must satisfy them
(cards: Luhn and a known issuer; IBAN: ISO 7064 with the length of its country), so order numbers stay.
"""

import ipaddress
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pipeline.filter.config import FilterConfig, PrivacyConfig
from pipeline.filter.identities import find_national_ids
from pipeline.filter.phones import find_phones
from pipeline.filter.secrets import find_secrets
from pipeline.records import Document, Rejection

# Letters of local parts and hosts: ASCII, the Latin ones with marks (müller@bücher.example), Greek, Cyrillic. Not those
# of scripts without spaces, whose words would stick to the address before or after them.
_LATIN = "a-z0-9\u00df-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u04ff"
# No signs that stand before an address in a link (`/?to=`) or around it, though the standard allows them.
_ATOM = rf"[{_LATIN}_!#$&'*+^~-]+"
_EMAIL = re.compile(
    rf"(?<![{_LATIN}_.+@%-])(?<!//)(?=[{_LATIN}_+]){_ATOM}(?:\.{_ATOM})*@(?:[{_LATIN}](?:[{_LATIN}-]{{0,61}}[{_LATIN}])?\.)+"
    rf"(?:[a-z\u00df-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u04ff]{{2,24}}|xn--[a-z0-9-]{{2,58}})(?![{_LATIN}_@])",
    re.I,
)
# Written out against robots: jane (at) example [dot] org.
_SPELT_EMAIL = re.compile(
    r"(?<![\w.@])[\w.+-]{1,64}\s?[\[({]\s?at\s?[\])}]\s?(?:[\w-]{1,63}\s?(?:[\[({]\s?(?:dot|punkt|punto|point)\s?[\])}]|\.)\s?){1,4}[a-z]{2,24}(?![\w@])",
    re.ASCII | re.I,
)
_SPELT_AT = re.compile(r"[\[({]\s?at\s?[\])}]", re.I)
# The names of pictures for dense screens have the form of an address: logo@2x.png.
_FILE_ENDINGS = frozenset((
    "png", "jpg", "jpeg", "gif", "webp", "svg", "avif", "bmp", "ico", "tiff", "css", "js", "mjs", "json", "xml", "html", "htm", "php", "pdf",
    "mp3", "mp4", "webm", "woff", "woff2", "ttf",
))  # fmt: skip
_IPV4 = re.compile(r"(?<![\w.])(?<!\d-)(?:\d{1,3}\.){3}\d{1,3}(?![\w-])(?!\.\d)", re.ASCII)
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9a-fA-F]*:[0-9a-fA-F:]*:)"
    r"(?:[0-9a-fA-F:]{2,32}(?<=:)(?:\d{1,3}\.){3}\d{1,3}(?!\.?\w)|[0-9a-fA-F:]{2,39}(?![\w:]|\.\d))"
)
_VERSION_BEFORE = re.compile(
    r"(?:\b(?:v\.?|ver\.?|versions?(?:\snumber|\sno\.?)?|release[sd]?|build|revision|rev\.|patch|update|firmware|driver|kernel"
    r"|chapter|section"
    # software that is named with its version
    r"|mozilla|applewebkit|chrome|chromium|firefox|safari|edge|opera|android|ios|macos|windows|linux|openssl|openssh|nginx|apache|httpd|tomcat"
    r"|php|perl|python|java|jdk|jre|ruby|rails|node(?:\.js)?|npm|mysql|mariadb|postgres(?:ql)?|sqlite|django"
    r"|wordpress|drupal|joomla|flash(?:\splayer)?|acrobat|skype|photoshop|gcc|bash|samba)|§|\.net)"
    r"[\s:(/]*$|[<>=~^]=?\s*$|[A-Za-z][-_]$",
    re.I,
)
_VERSION_AFTER = re.compile(
    r"\s(?:release|version|update|patch|firmware|build|beta|alpha|rc\d|and\s(?:earlier|later|below|above)|or\s(?:earlier|later|newer|higher))\b",
    re.I,
)
# Four small numbers are a version or the number of a section more often than a host, unless something says so.
_MAX_VERSION_PART = 19
_ADDRESS_NEAR = re.compile(
    r"\b(?:ip|ipv4|addr(?:ess)?|adresse?|host|server|from|dns|resolver|router|gateway|proxy|client|ping|peer|user|visitor|subnet|network)\b",
    re.I,
)
_PUBLIC_RESOLVER = re.compile(r"(\d+)\.(?:\1|0)\.(\d+)\.(?:\1|\2)")  # 8.8.8.8, 8.8.4.4, 1.0.0.1
_NEAR_CHARS = 40
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2} ?\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])", re.I
)
_CARD = re.compile(r"(?<![\w./=])(?<!\d[-,/])(?:\d[ -]?){11,18}\d(?![\w])(?![-,/.]\d)", re.ASCII)
_DIGITS = re.compile(r"[ -]")
# Signs that stand for others, each one character: those of full width, spaces and dashes at which no line breaks.
_VARIANTS = re.compile("[\u00a0\u2007\u2010\u2011\u202f\u3000\uff08\uff09\uff0b-\uff0e\uff10-\uff19\uff20]")
_PLAIN = {0xA0: " ", 0x2007: " ", 0x2010: "-", 0x2011: "-", 0x202F: " ", 0x3000: " "} | {
    0xFF00 + code - 0x20: chr(code) for code in (*b"()+-.0123456789@",)
}
# Letters and digits of an IBAN by country (the SWIFT registry).
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE BI", "18": "DK FI FO GL NL FK", "19": "MK SI", "20": "AT BA EE KZ LT LU XK MN", "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ TL OM SO", "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST SD",
        "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM", "28": "AL AZ BY CY DO GT HU LB NI PL SV", "29": "BR EG PS QA UA", "30": "JO KW MU YE",
        "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
PLACEHOLDERS: Mapping[str, str] = {
    "email": "<EMAIL>", "ip": "<IP>", "phone": "<PHONE>", "iban": "<IBAN>", "card": "<CARD>", "national_id": "<NATIONAL_ID>",
    "secret": "<SECRET>",
}  # fmt: skip
MASK_MEASURES = tuple(f"masked_{kind}" for kind in PLACEHOLDERS)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Personal data of one kind at text[start:end]."""

    start: int
    end: int
    kind: str


def find_private(text: str, config: PrivacyConfig) -> list[Span]:
    """The spans to mask, ascending and disjoint. Where two kinds claim the same characters, the surer one has them."""
    if _VARIANTS.search(text):
        text = text.translate(_PLAIN)  # as long as before, so places stay
    taken: list[Span] = []
    for kind, find in _FINDERS.items():
        if kind in config.masks or (kind == "national_id" and config.national_ids):
            found = (Span(start, end, kind) for start, end in find(text, config))
            taken = sorted([*taken, *_free(sorted(found), taken)])
    return taken


def _free(found: list[Span], taken: list[Span]) -> Iterator[Span]:
    """Those of `found` that overlap neither an earlier one nor any of `taken`; both ascend."""
    end = 0
    for span in found:
        place = bisect_right(taken, span)
        before = max(end, taken[place - 1].end if place else 0)
        after = taken[place].start if place < len(taken) else span.end
        if before <= span.start and span.end <= after:
            end = span.end
            yield span


def mask(text: str, config: PrivacyConfig) -> tuple[str, Counter[str]]:
    """`text` with placeholders, and how many of each kind."""
    spans = find_private(text, config)
    if not spans:
        return text, Counter()
    parts: list[str] = []
    position = 0
    for span in spans:
        parts += (text[position : span.start], PLACEHOLDERS[span.kind])
        position = span.end
    return "".join([*parts, text[position:]]), Counter(span.kind for span in spans)


def _emails(text: str, config: PrivacyConfig) -> Iterator[tuple[int, int]]:
    if "@" in text:
        for found in _EMAIL.finditer(text):
            local, _, host = found[0].partition("@")
            if len(local) <= 64 and host.rpartition(".")[2].lower() not in _FILE_ENDINGS:
                yield found.span()
    if _SPELT_AT.search(text):
        yield from (found.span() for found in _SPELT_EMAIL.finditer(text))


def _ips(text: str, config: PrivacyConfig) -> Iterator[tuple[int, int]]:
    for found in _IPV4.finditer(text):
        if _is_address(found[0], config) and not _is_version(text, found):
            yield found.span()
    if ":" in text:
        for found in _IPV6.finditer(text):
            if found[0].count(":") >= 2 and _is_address(found[0], config):
                yield found.span()


def _is_version(text: str, found: re.Match[str]) -> bool:
    """Whether what stands around four numbers, or their size, says that they are no address."""
    start, end = found.span()
    before = text[max(0, start - _NEAR_CHARS) : start]
    if _VERSION_BEFORE.search(before) or _VERSION_AFTER.match(text, end):
        return True
    if max(map(int, found[0].split("."))) > _MAX_VERSION_PART or _PUBLIC_RESOLVER.fullmatch(found[0]):
        return False
    return text[end : end + 1] not in (":", "/") and not _ADDRESS_NEAR.search(before)


def _is_address(text: str, config: PrivacyConfig) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.is_unspecified or address.is_loopback or address.is_multicast:
        return False
    # Groups such as 1::2 or ab::cd are more often code than somebody's address.
    if address.version == 6 and len(text) < 9:
        return False
    if config.mask_private_ips:
        return True
    return address.is_global and not (address.is_reserved and address.version == 4)


def _ibans(text: str, config: PrivacyConfig) -> Iterator[tuple[int, int]]:
    for found in _IBAN.finditer(text):
        letters = _DIGITS.sub("", found[0]).upper()
        wanted = _IBAN_LENGTHS.get(letters[:2])
        if wanted is None or len(letters) < wanted:
            continue
        end = found.start() + _end_of(found[0], wanted)
        letters = letters[:wanted]
        if (
            int("".join(str(int(char, 36)) for char in letters[4:] + letters[:4])) % 97 == 1
            and not text[end : end + 1].isalnum()
        ):
            yield found.start(), end


def _end_of(text: str, wanted: int) -> int:
    """How far into `text` its first `wanted` characters other than spaces and dashes reach."""
    seen = 0
    for position, char in enumerate(text):
        seen += char not in " -"
        if seen == wanted:
            return position + 1
    return len(text)


def _cards(text: str, config: PrivacyConfig) -> Iterator[tuple[int, int]]:
    for found in _CARD.finditer(text):
        digits = _DIGITS.sub("", found[0])
        if _is_issued(digits) and passes_luhn(digits):
            yield found.span()


def _is_issued(digits: str) -> bool:
    """Whether length and first digits are those of a payment network."""
    size, two, four = len(digits), int(digits[:2]), int(digits[:4])
    return (
        bool(
            (digits[0] == "4" and size in (13, 16, 19))
            or (size == 16 and (51 <= two <= 55 or 2221 <= four <= 2720))
            or (size == 15 and (two in (34, 37) or four in (1800, 2131)))
            or (size in (14, 16, 19) and (300 <= int(digits[:3]) <= 305 or two in (36, 38, 39)))
            or (16 <= size <= 19 and (four == 6011 or two in (62, 64, 65) or two == 35))
            or (
                12 <= size <= 19 and ((digits[0] == "5" and two in (50, 56, 57, 58)) or two in (60, 61, 63, 67, 68, 69))
            )
        )
        and len(set(digits)) > 1
    )


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def _phones(text: str, config: PrivacyConfig) -> Iterator[tuple[int, int]]:
    return find_phones(text)


def _national_ids(text: str, config: PrivacyConfig) -> Iterator[tuple[int, int]]:
    return find_national_ids(text, config.national_ids)


def _secrets(text: str, config: PrivacyConfig) -> Iterator[tuple[int, int]]:
    return find_secrets(text)


# The surest first.
_FINDERS: Mapping[str, Callable[[str, PrivacyConfig], Iterator[tuple[int, int]]]] = {
    "secret": _secrets, "email": _emails, "iban": _ibans, "card": _cards, "ip": _ips, "national_id": _national_ids, "phone": _phones,
}  # fmt: skip


@dataclass
class MaskPrivate:
    """Documents with their personal data replaced, and the counts as measures. Rejects nothing."""

    config: FilterConfig
    stage: str = "filter"
    measures: tuple[str, ...] = field(default=MASK_MEASURES, init=False)

    def setup(self) -> None:
        """Nothing to load."""

    def judge(self, document: Document) -> Document | Rejection:
        """The masked document."""
        if not self.config.privacy.on:
            return document
        text, counts = mask(document.text, self.config.privacy)
        values = {f"masked_{kind}": float(counts[kind]) for kind in PLACEHOLDERS}
        return replace(document, text=text, measures={**document.measures, **values})

"""Personal data in text, found by form and check digits, and replaced by stable placeholders.

`<EMAIL>`, `<IP>`, `<PHONE>`, `<IBAN>`, `<CARD>` and `<NATIONAL_ID>` stand for what was there; masking a masked text
changes nothing. Names and addresses of people are not looked for. What has check digits must satisfy them
(cards: Luhn and a known issuer; IBAN: ISO 7064 with the length of its country), so order numbers stay.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pipeline.filter.config import FilterConfig, PrivacyConfig
from pipeline.filter.identities import find_national_ids
from pipeline.filter.phones import find_phones
from pipeline.records import Document, Rejection

_EMAIL = re.compile(
    r"(?<![\w.+@/%-])[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}(?![\w@])",
    re.ASCII | re.I,
)
_IPV4 = re.compile(r"(?<![\w.])(?<!\d-)(?:\d{1,3}\.){3}\d{1,3}(?![\w-])(?!\.\d)", re.ASCII)
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9a-fA-F]*:[0-9a-fA-F:]*:)[0-9a-fA-F:]{2,39}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])"
)
_VERSION_BEFORE = re.compile(
    r"(?:\bv|\bver\.?|versions?|release[sd]?|build|firmware|driver|chapter|section|§)[\s:]*$|[<>=~^]=?\s*$|[A-Za-z]-$",
    re.I,
)
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])", re.I
)
_CARD = re.compile(r"(?<![\w./=])(?<!\d[-,/])(?:\d[ -]?){11,18}\d(?![\w])(?![-,/.]\d)", re.ASCII)
_DIGITS = re.compile(r"[ -]")
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
    taken: list[Span] = []
    for kind, find in _FINDERS.items():
        if kind in config.masks or (kind == "national_id" and config.national_ids):
            for start, end in find(text, config):
                if all(end <= span.start or start >= span.end for span in taken):
                    taken.append(Span(start, end, kind))
    return sorted(taken)


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
        yield from (found.span() for found in _EMAIL.finditer(text) if len(found[0].partition("@")[0]) <= 64)


def _ips(text: str, config: PrivacyConfig) -> Iterator[tuple[int, int]]:
    for found in _IPV4.finditer(text):
        if _is_address(found[0], config) and not _VERSION_BEFORE.search(
            text, max(0, found.start() - 16), found.start()
        ):
            yield found.span()
    if ":" in text:
        for found in _IPV6.finditer(text):
            if found[0].count(":") >= 2 and _is_address(found[0], config):
                yield found.span()


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
    return not (address.is_private or address.is_link_local or (address.is_reserved and address.version == 4))


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


# The surest first.
_FINDERS: Mapping[str, Callable[[str, PrivacyConfig], Iterator[tuple[int, int]]]] = {
    "email": _emails, "iban": _ibans, "card": _cards, "ip": _ips, "national_id": _national_ids, "phone": _phones,
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

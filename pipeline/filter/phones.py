"""Telephone numbers in text, by form and by what stands around them: there are no check digits.

Taken are international numbers (`+` or `00` and a country code), numbers in one of the usual national
groupings, and shorter ones that words such as "call" or "tel" announce. Dates, decimals, prices, ISBN,
ranges of years and plain digit strings are left alone.
"""

import re
from collections.abc import Iterator

_CANDIDATE = re.compile(
    r"(?<!\d,)(?<![\w./:#$€£=%@&?-])(?:\(?\+|00(?=[1-9]))?(?:\(\d{1,5}\)|\d)(?:[\s().\u00a0/-]{0,3}\d|x(?=\d)){5,16}(?:\s?(?:x|ext\.?)\s?\d{1,5})?(?![\w%$€£@/])(?![-.,:]\d)",
    re.I,
)
_ANNOUNCED = re.compile(
    r"(?:\b(?:tel|phone|telephone|mobile|cell|fax|call|dial|answering|office|home|work|hotline|whatsapp|sms|text|number|contact|reach|ring|tél|telefon|téléphone|teléfono|telefono|handy|numéro|número|nummer|тел|电话|電話)\b|☎|📞)[^\n\d]{0,30}\n?[^\n\d]{0,10}$",
    re.I,
)
_INTERNATIONAL = re.compile(r"\(?\+|00[1-9]")
_GROUPED = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:1[-. ])?\(?\d{3}\)?[-. ]{1,2}\d{3}[-. ]\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,5})?",  # North America
        r"1?\(\d{3}\)\d{3}-\d{4}(?:x\d{1,5})?",
        r"\(?0\d{2,4}\)?[ -]\d{3,4}[ -]\d{3,4}(?:[ -]\d{3})?",  # United Kingdom and like it
        r"0\d(?:[ .-]\d{2}){4}",  # France
        r"\(?0\d{2,5}\)?[ /-]{1,3}\d{4,9}",  # Germany, Austria
        r"\(0\d\) ?\d{4} \d{4}|0\d \d{4} \d{4}|04\d{2} \d{3} \d{3}|0\d{3} \d{2} \d{2} \d{2}",  # Australia, Belgium, Switzerland
        r"0\d{2} \d{3} \d{2} \d{2}",
        r"\(\d{2,3}\) ?\d{3,5}-\d{3,4}",  # Brazil, Hungary
        r"\(\d{2,3}\) ?\d{3}[ -]\d{3,4}",
        r"[2-9]\d-\d{2}-\d{2}-\d{2}",  # Denmark, Norway with dashes
    )
)
_DATE = re.compile(
    r"(?:19|20)\d{2}[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)?\d{2}|(?:1[5-9]|20)\d{2}\s?[-/ ]\s?(?:1[5-9]|20)\d{2}"
)


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Where telephone numbers stand."""
    for found in _CANDIDATE.finditer(text):
        written = found[0]
        if "\n" in written or (_DATE.fullmatch(written[:10].rstrip()) and len(written) < 14):
            continue
        if _is_phone(written, text[max(0, found.start() - 60) : found.start()]):
            yield found.span()


def _is_phone(written: str, before: str) -> bool:
    digits = sum(map(str.isdigit, written))
    if _INTERNATIONAL.match(written):
        return 8 <= digits <= 16
    if any(form.fullmatch(written) for form in _GROUPED):
        return not re.search(r"(?i)\b(?:isbn|issn|doi|no\.|#|rfc|order|invoice|patent|id)[\s:]*$", before)
    return 7 <= digits <= 15 and bool(_ANNOUNCED.search(before)) and not re.search(r"\d[.,]\d{1,2}$|[$€£]\s?$", written)

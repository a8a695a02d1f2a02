"""Telephone numbers in text, by form and by what stands around them: there are no check digits.

Taken are international numbers (`+` or `00` and a country code), numbers in one of the usual national
groupings, and others that words such as "call" before them or "office" behind them name. Dates, decimals, prices, ISBN,
ranges of years and plain digit strings are left alone.
"""

import re
from collections.abc import Iterator

_CANDIDATE = re.compile(
    r"(?<!\d,)(?:(?<=tel:)|(?<![A-Za-z0-9_\u00c0-\u024f./:#$€£=%@&?-]))(?:\(?\+|00(?=[1-9]))?(?:\(\d{1,5}\)|\d)(?:[ \t().\u00a0\u2009\u202f/-]{0,3}\d|x(?=\d)){5,16}(?:\s?(?:x|ext\.?)\s?\d{1,5})?(?![\w%$€£@/])(?![-.,:]\d)",
    re.I,
)
_ANNOUNCED = re.compile(
    r"(?:\b(?:tel|phone|telephone|mobile|cell|fax|call|dial|answering|office|home|work|hotline|whatsapp|sms|text|number|contact|reach|ring|tél|telefon|téléphone|teléfono|telefono|handy|numéro|número|nummer|тел|телефон"
    r"|rufnummer|durchwahl|mobil|mobiel|móvil|celular|telemóvel|cellulare|puh|puhelin|τηλ|telepon|điện\sthoại|đt|sđt"
    r"|هاتف|تلفون|جوال|موبايل|טלפון|נייד|फोन|मोबाइल)\b|โทร|연락처|핸드폰|电话|電話|手机|手機|联系方式|携帯|ＴＥＬ|전화|휴대폰|☎|📞)[^\n\d]{0,30}\n?[^\n\d]{0,10}$",
    re.I,
)
# What stands behind a number in lists of contacts, as the last word of its entry.
_NAMED = re.compile(
    r"[\s-]{0,3}\(?(?:office|fax|mobile|cell|home|work|desk|direct|phone|tel)\)?(?=\s*(?:[\\,;|\n]|$))", re.I
)
_EXTENSION = re.compile(r"(?i)\s?(?:x|ext)")
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
        r"8[ -]?\(?[3489]\d{2}\)?[ -]?\d{3}-\d{2}-\d{2}|8-800-\d{3}-\d{4}",  # Russia and neighbours
        r"1[3-9]\d[ -]\d{4}[ -]\d{4}",  # mobile numbers of China
        r"[6-9]\d{4} \d{5}",  # mobile numbers of India
        r"0\d{3} \d{3} \d{2} \d{2}|0\d{1,3}[- ]\d{2,3} \d{2,3} \d{2}",  # Turkey, Sweden
        r"8 [3489]\d{2} \d{3} \d{2} \d{2}|0[2-9]-\d{7}",  # Russia, Israel
        r"0\d{1,3}-\d{1,4}-\d{4}|0\d{1,3}\(\d{1,4}\)\d{4}",  # Japan, Korea
    )
)
# Words that stand before other numbers as well; a round number is no telephone after them.
_WEAKLY_ANNOUNCED = re.compile(r"\b(?:call|office|home|work|text|number|contact|reach|ring)\b[^\n\d]{0,30}$", re.I)
_AMOUNT = re.compile(r"\d{1,3}(?:[ .]\d{3})*[ .]000|\d+000")
_DATE = re.compile(
    r"(?:19|20)\d{2}[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)?\d{2}|(?:1[5-9]|20)\d{2}\s?[-/ ]\s?(?:1[5-9]|20)\d{2}"
)


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Where telephone numbers stand."""
    for found in _CANDIDATE.finditer(text):
        written = found[0]
        if "\n" in written or (_DATE.fullmatch(written[:10].rstrip()) and len(written) < 14):
            continue
        if _is_phone(written, text[max(0, found.start() - 60) : found.start()], text[found.end() : found.end() + 20]):
            yield found.span()


def _is_phone(written: str, before: str, after: str) -> bool:
    digits = sum(map(str.isdigit, _EXTENSION.split(written)[0]))
    if _INTERNATIONAL.match(written):
        return 8 <= digits <= 16
    if any(form.fullmatch(written) for form in _GROUPED):
        return not re.search(
            r"(?i)\b(?:isbn|issn|doi|no\.|#|rfc|order|invoice|patent|id|sku|part|model|ref\.?|serial|ticket|item|upc|ean)[\s:]*$",
            before,
        )
    if not written.isdigit() and 7 <= digits <= 15 and _NAMED.match(after):
        return True
    if _AMOUNT.fullmatch(written) and _WEAKLY_ANNOUNCED.search(before):
        return False
    return 7 <= digits <= 15 and bool(_ANNOUNCED.search(before)) and not re.search(r"\d[.,]\d{1,2}$|[$€£]\s?$", written)

"""National identity numbers by country: form, and check digits where the country has them."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

_NOT_DIGIT = re.compile(r"[^0-9A-Za-z]")
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_CF_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21) * 2 + (2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)
_VERHOEFF_MIX = [
    [
        (i + j) % 5
        if i < 5 and j < 5
        else 5 + (i + j - 5) % 5
        if i < 5
        else 5 + (i - 5 - j) % 5
        if j < 5
        else (i - j) % 5
        for j in range(10)
    ]
    for i in range(10)
]


class _Form(NamedTuple):
    pattern: re.Pattern[str]
    check: Callable[[str], bool]


def _ssn(number: str) -> bool:
    return number[:3] not in ("000", "666") and number[3:5] != "00" and number[5:] != "0000"


def _nir(number: str) -> bool:
    digits = number[:13].replace("2A", "19").replace("2B", "18")
    return digits.isdigit() and 97 - int(digits) % 97 == int(number[13:])


def _dni(number: str) -> bool:
    digits = number[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _DNI_LETTERS[int(digits) % 23] == number[-1]


def _codice_fiscale(number: str) -> bool:
    total = sum(
        _CF_ODD[char] if position % 2 == 0 else (int(char) if char.isdigit() else ord(char) - 65)
        for position, char in enumerate(number[:15])
    )
    return chr(65 + total % 26) == number[15]


def _bsn(number: str) -> bool:
    return number != "000000000" and (
        sum(int(digit) * weight for digit, weight in zip(number, (9, 8, 7, 6, 5, 4, 3, 2, -1), strict=True)) % 11 == 0
    )


def _cpf(number: str) -> bool:
    if len(set(number)) == 1:
        return False
    for size in (9, 10):
        check = (
            sum(int(digit) * weight for digit, weight in zip(number[:size], range(size + 1, 1, -1), strict=True))
            * 10
            % 11
            % 10
        )
        if check != int(number[size]):
            return False
    return True


def _aadhaar(number: str) -> bool:
    shuffle = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    table = [list(range(10))]
    for _ in range(7):
        table.append([shuffle[value] for value in table[-1]])
    check = 0
    for position, digit in enumerate(reversed(number)):
        check = _VERHOEFF_MIX[check][table[position % 8][int(digit)]]
    return check == 0 and number[0] not in "01"


def _china(number: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return (
        "10X98765432"[sum(int(digit) * weight for digit, weight in zip(number[:17], weights, strict=True)) % 11]
        == number[17].upper()
    )


def _any(number: str) -> bool:
    return True


def _form(pattern: str, check: Callable[[str], bool]) -> _Form:
    return _Form(re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.ASCII), check)


_FORMS: Mapping[str, _Form] = {
    "us_ssn": _form(r"\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}", _ssn),
    "uk_nino": _form(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]", _any),
    "fr_nir": _form(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", _nir),
    "es_dni": _form(r"(?:\d{8}|[XYZ]-?\d{7})-?[A-Z]", _dni),
    "it_cf": _form(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", _codice_fiscale),
    "nl_bsn": _form(r"\d{9}|\d{4}\.\d{2}\.\d{3}", _bsn),
    "br_cpf": _form(r"\d{3}\.\d{3}\.\d{3}-\d{2}", _cpf),
    "in_aadhaar": _form(r"\d{4} \d{4} \d{4}|\d{12}", _aadhaar),
    "cn_id": _form(r"\d{6}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]", _china),
}


def find_national_ids(text: str, wanted: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Where numbers of the kinds in `wanted` stand, those with wrong check digits left out."""
    for kind in wanted:
        form = _FORMS[kind]
        for found in form.pattern.finditer(text):
            if form.check(_NOT_DIGIT.sub("", found[0])):
                yield found.span()

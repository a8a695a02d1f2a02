"""Calendar dates as pages write them → ISO 8601 (`2021-03-09`)."""

import re
from datetime import UTC, datetime
from datetime import date as calendar_date

_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_ISO = re.compile(r"(?<!\d)(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?!\d)")
_ISO_LOOSE = re.compile(r"(?<!\d)(\d{4})[-/.年년]\s?(\d{1,2})[-/.月월]\s?(\d{1,2})(?!\d)")
_DAY_FIRST = re.compile(r"(?<!\d)(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?!\d)")
_SLASHES = re.compile(r"(?<!\d)(\d{1,2})([/-])(\d{1,2})\2(\d{4})(?!\d)")
_UNIX = re.compile(r"\s*(\d{10})(?:\d{3})?\s*")
_DAY_MONTH = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.|º)?[\s-]+(?:de\s+|of\s+)?([^\W\d_]{3,12})\.?,?[\s-]+(?:de\s+)?(\d{4})(?!\d)"
)
_MONTH_DAY = re.compile(r"(?<![^\W\d_])([^\W\d_]{3,12})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?!\d)")
_YEAR_MONTH_DAY = re.compile(r"(?<!\d)(\d{4})\.?\s+([^\W\d_]{3,12})\s+(\d{1,2})(?!\d)")  # Hungarian
_IN_URL = re.compile(r"/((?:19|20)\d{2})[/-](\d{1,2})[/-](\d{1,2})(?=[/-])|/((?:19|20)\d{2})(\d{2})(\d{2})/")
_MAX_CHARS = 200
_MONTHS = {
    name: number
    for names in (
        "january february march april may june july august september october november december",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "januari februari maart april mei juni juli augustus september oktober november december",
        "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
        "januar februar marts april maj juni juli august september oktober november december",
        "ledna února března dubna května června července srpna září října listopadu prosince",
        "január február március április május június július augusztus szeptember október november december",
        "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta syyskuuta lokakuuta "
        "marraskuuta joulukuuta",
        "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
        "januari februari maret april mei juni juli agustus september oktober november desember",
        "ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie decembrie",
        "ιανουαρίου φεβρουαρίου μαρτίου απριλίου μαΐου ιουνίου ιουλίου αυγούστου σεπτεμβρίου οκτωβρίου νοεμβρίου "
        "δεκεμβρίου",
        "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня",
        "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    )
    for number, name in enumerate(names.split(), start=1)
}
_SHORT = {
    "jan": 1, "feb": 2, "mar": 3, "mär": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9,
    "okt": 10, "oct": 10, "nov": 11, "dez": 12, "dec": 12,
}  # fmt: skip


def iso_date(stated: str) -> str:
    """The first date in a short statement, or empty. `3/4/2020` is ambiguous and only read where it can be one date."""
    stated = stated[:_MAX_CHARS]
    if match := _UNIX.fullmatch(stated):
        return datetime.fromtimestamp(int(match[1]), UTC).date().isoformat()
    for pattern in (_ISO, _ISO_LOOSE):
        if match := pattern.search(stated):
            return _valid(match[1], match[2], match[3])
    if match := _DAY_FIRST.search(stated):
        return _valid(match[3], match[2], match[1])
    if match := _DAY_MONTH.search(stated):
        return _valid(match[3], _month(match[2]), match[1])
    if match := _MONTH_DAY.search(stated):
        return _valid(match[3], _month(match[1]), match[2])
    if match := _YEAR_MONTH_DAY.search(stated):
        return _valid(match[1], _month(match[2]), match[3])
    if match := _SLASHES.search(stated):
        first, second, year = match.group(1, 3, 4)
        day_first, month_first = _valid(year, second, first), _valid(year, first, second)
        return day_first if not month_first or day_first == month_first else "" if day_first else month_first
    return ""


def iso_date_in_url(url: str) -> str:
    """The date in a path such as `/2021/03/09/`, or empty."""
    match = _IN_URL.search(url)
    if match is None:
        return ""
    return _valid(*match.group(1, 2, 3)) if match[1] else _valid(*match.group(4, 5, 6))


def _month(name: str) -> str:
    name = name.lower()
    return str(_MONTHS.get(name) or _SHORT.get(name) or 0)


def _valid(year: str, month: str, day: str) -> str:
    if not _FIRST_YEAR <= int(year) <= _LAST_YEAR:
        return ""
    try:
        return calendar_date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""

"""Calendar dates as pages write them → ISO 8601 (`2021-03-09`)."""

import re
import unicodedata
from datetime import UTC, datetime
from datetime import date as calendar_date

_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_ISO = re.compile(r"(?<!\d)(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?!\d)")
_ISO_LOOSE = re.compile(r"(?<!\d)(\d{4})[-/.年년]\s?(\d{1,2})[-/.月월]\s?(\d{1,2})(?!\d)")
_DAY_FIRST = re.compile(r"(?<!\d)(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?!\d)")
_SLASHES = re.compile(r"(?<!\d)(\d{1,2})([/-])(\d{1,2})\2(\d{4})(?!\d)")
_UNIX = re.compile(r"\s*(\d{10})(?:\d{3})?\s*")
# A month: a letter and what follows it, also the signs for vowels of Hindi and Thai.
_NAME = r"([^\W\d_][^\s\d.,،/()]{2,12})"
_DAY_MONTH = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th|er|\.|º)?[\s-]+(?:de\s+|of\s+|d['’])?{_NAME}\.?[,،]?[\s-]+(?:de[l]?\s+)?(\d{{4}})(?!\d)"
)
_MONTH_DAY = re.compile(rf"(?<![^\W\d_]){_NAME}\.?[\s-]+(\d{{1,2}})(?:st|nd|rd|th)?,?[\s-]+(\d{{4}})(?!\d)")
# As C and Unix write it: Tue Mar  9 10:00:00 PST 2021.
_MONTH_DAY_TIME = re.compile(
    rf"{_NAME}\s+(\d{{1,2}})\s+\d{{1,2}}:\d{{2}}:\d{{2}}(?:\s+[A-Z]{{3,5}})?\s+(\d{{4}})(?!\d)"
)
_YEAR_MONTH_DAY = re.compile(rf"(?<!\d)(\d{{4}})\.?(?:\s+m\.)?\s+{_NAME}\s+(\d{{1,2}})(?!\d)")  # Hungarian, Lithuanian
# The forms with the name of a month, and which group is the day, the month, the year.
_WITH_NAMES = ((_DAY_MONTH, 1, 2, 3), (_MONTH_DAY, 2, 1, 3), (_MONTH_DAY_TIME, 2, 1, 3), (_YEAR_MONTH_DAY, 3, 2, 1))
_VIETNAMESE = re.compile(r"(?<!\d)(\d{1,2})\s+tháng\s+(\d{1,2}),?\s+(?:năm\s+)?(\d{4})(?!\d)", re.IGNORECASE)
_JAPANESE = re.compile(r"(令和|平成|昭和)\s?(\d{1,2}|元)年\s?(\d{1,2})月\s?(\d{1,2})日")
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925}
_BUDDHIST_YEARS, _FIRST_BUDDHIST_YEAR = 543, 2400
_IN_URL = re.compile(
    r"/((?:19|20)\d{2})[/-](\d{1,2})[/-](\d{1,2})(?=[-/.?#]|\Z)|/((?:19|20)\d{2})(\d{2})(\d{2})(?=[-_/.?#]|\Z)"
)
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
        "gener febrer març abril maig juny juliol agost setembre octubre novembre desembre",
        "januar februar mart april maj jun jul avgust septembar oktobar novembar decembar",
        "januarja februarja marca aprila maja junija julija avgusta septembra oktobra novembra decembra",
        "januára februára marca apríla mája júna júla augusta septembra októbra novembra decembra",
        "jaanuar veebruar märts aprill mai juuni juuli august september oktoober november detsember",
        "sausio vasario kovo balandžio gegužės birželio liepos rugpjūčio rugsėjo spalio lapkričio gruodžio",
        "януари февруари март април май юни юли август септември октомври ноември декември",
        "ינואר פברואר מרץ אפריל מאי יוני יולי אוגוסט ספטמבר אוקטובר נובמבר דצמבר",
        "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
        "जनवरी फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर",
        "มกราคม กุมภาพันธ์ มีนาคม เมษายน พฤษภาคม มิถุนายน กรกฎาคม สิงหาคม กันยายน ตุลาคม พฤศจิกายน ธันวาคม",
        "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    )
    for number, name in enumerate(names.split(), start=1)
}
_SHORT = {
    "jan": 1, "feb": 2, "mar": 3, "mär": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9,
    "okt": 10, "oct": 10, "nov": 11, "dez": 12, "dec": 12, "janv": 1, "févr": 2, "fév": 2, "avr": 4, "juil": 7, "déc": 12,
    "ene": 1, "abr": 4, "ago": 8, "dic": 12, "fev": 2, "set": 9, "out": 10, "gen": 1, "mag": 5, "giu": 6, "lug": 7, "ott": 10,
}  # fmt: skip


def iso_date(stated: str) -> str:
    """The first date in a short statement, or empty. `3/4/2020` is ambiguous and only read where it can be one date."""
    stated = unicodedata.normalize("NFC", stated[:_MAX_CHARS])
    if match := _UNIX.fullmatch(stated):
        return datetime.fromtimestamp(int(match[1]), UTC).date().isoformat()
    for pattern in (_ISO, _ISO_LOOSE):
        if match := pattern.search(stated):
            return _valid(match[1], match[2], match[3])
    if match := _DAY_FIRST.search(stated):
        return _valid(match[3], match[2], match[1])
    if match := _VIETNAMESE.search(stated):
        return _valid(match[3], match[2], match[1])
    if match := _JAPANESE.search(stated):
        return _valid(str(_ERAS[match[1]] + (1 if match[2] == "元" else int(match[2]))), match[3], match[4])
    for pattern, *groups in _WITH_NAMES:
        for match in pattern.finditer(stated):
            day, month, year = match.group(*groups)
            if (number := _month(month)) != "0":
                return _valid(year, number, day)
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
    for written in (name, name.removeprefix("ב")):  # Hebrew writes "in" as part of the word
        if number := _MONTHS.get(written) or _SHORT.get(written):
            return str(number)
    return "0"


def _valid(year: str, month: str, day: str) -> str:
    if int(year) >= _FIRST_BUDDHIST_YEAR:  # as Thailand counts
        year = str(int(year) - _BUDDHIST_YEARS)
    if not _FIRST_YEAR <= int(year) <= _LAST_YEAR:
        return ""
    try:
        return calendar_date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""

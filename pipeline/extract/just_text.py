"""The engine `justext`: paragraphs of running text, told by length, links and function words (Pomikálek 2011).

The library makes the paragraphs and judges each by itself; what a paragraph's neighbours say of it is worked out here, in one pass
each way, where the library looks from every short paragraph to the next long one: a table of 20,000 cells takes it minutes.

The stop list is that of the page's language, which is identified on its longer paragraphs. Where the library has no list, and in
scripts without spaces, whose words it cannot tell apart, length and links decide alone.
"""

from collections.abc import Sequence

import justext
import lxml.etree
import lxml.html
from justext.core import ParagraphMaker, classify_paragraphs, preprocessor
from justext.paragraph import Paragraph

from pipeline.extract.language import LanguageFinder

# A heading this many characters or less before a good paragraph belongs to it, as by the library's default.
_HEADING_CHARS = 200
# Paragraphs shorter than the first are judged by their neighbours; longer than the second, with enough function words, are good.
_LENGTHS = (70, 200)
_FUNCTION_WORDS = (0.30, 0.32)
_MAX_LINK_SHARE = 0.2
# Scripts without spaces, where a sign says more than a letter: lengths are divided.
_NO_SPACES = frozenset(("bo", "ja", "km", "lo", "lzh", "my", "th", "wuu", "yue", "zh"))
_DENSER = 2
_FIRM, _FIRM_OR_NEAR = ("good", "bad"), ("good", "bad", "neargood")
# Codes of languages → names of the library's lists, all but the one for Latin: what is found by it is seldom Latin.
_PAIRS = """
af:Afrikaans sq:Albanian ar:Arabic an:Aragonese hy:Armenian rup:Aromanian ast:Asturian az:Azerbaijani eu:Basque be:Belarusian
bn:Bengali bpy:Bishnupriya_Manipuri bs:Bosnian br:Breton bg:Bulgarian ca:Catalan ceb:Cebuano cv:Chuvash hr:Croatian cs:Czech
da:Danish nl:Dutch en:English eo:Esperanto et:Estonian fi:Finnish fr:French gl:Galician ka:Georgian de:German el:Greek gu:Gujarati
ht:Haitian he:Hebrew hi:Hindi hu:Hungarian is:Icelandic io:Ido ig:Igbo id:Indonesian ga:Irish it:Italian jv:Javanese kn:Kannada
kk:Kazakh ko:Korean ku:Kurdish ky:Kyrgyz lv:Latvian lt:Lithuanian lmo:Lombard nds:Low_Saxon lb:Luxembourgish mk:Macedonian
ms:Malay ml:Malayalam mt:Maltese mr:Marathi nap:Neapolitan ne:Nepali new:Newar no:Norwegian_Bokmal nn:Norwegian_Nynorsk oc:Occitan
fa:Persian pms:Piedmontese pl:Polish pt:Portuguese qu:Quechua ro:Romanian ru:Russian sgs:Samogitian sr:Serbian sh:Serbo_Croatian
scn:Sicilian sk:Slovak sl:Slovenian es:Spanish su:Sundanese sw:Swahili sv:Swedish tl:Tagalog ta:Tamil te:Telugu tr:Turkish
tk:Turkmen uk:Ukrainian ur:Urdu uz:Uzbek vi:Vietnamese vo:Volapuk wa:Walloon war:Waray_Waray cy:Welsh fy:West_Frisian
pnb:Western_Panjabi yo:Yoruba
"""
_LISTS = dict(pair.split(":") for pair in _PAIRS.split())


class RunningText:
    """Finds the running text of pages; make it in `setup`. A stop list is read when the first page in its language comes."""

    def __init__(self, languages: LanguageFinder, *, tables: bool = True) -> None:
        self._languages = languages
        self._tables = tables
        self._stop_lists: dict[str, frozenset[str]] = {}

    def find(self, html: str) -> str:
        """The good paragraphs, parted by empty lines; only those of preformatted text keep their line ends."""
        paragraphs = paragraphs_of(html)
        language = self._language(paragraphs)
        words, (low, high) = self._stop_list(language), _LENGTHS
        if language in _NO_SPACES:
            low, high = low // _DENSER, high // _DENSER
        least, enough = _FUNCTION_WORDS if words else (0.0, 0.0)
        classify_paragraphs(paragraphs, words, low, high, least, enough, _MAX_LINK_SHARE)
        good = [each for each, what in zip(paragraphs, revised(paragraphs), strict=True) if what == "good"]
        return "\n\n".join(_text(each) for each in good if self._tables or not _inside(each, "table"))

    def _language(self, paragraphs: Sequence[Paragraph]) -> str:
        texts = [paragraph.text for paragraph in paragraphs]
        prose = [
            text
            for text, paragraph in zip(texts, paragraphs, strict=True)
            if len(text) >= _LENGTHS[0] and paragraph.chars_count_in_links <= _MAX_LINK_SHARE * len(text)
        ]
        return self._languages.of_document("\n".join(prose or texts)).language

    def _stop_list(self, language: str) -> frozenset[str]:
        if language not in self._stop_lists:
            name = _LISTS.get(language)
            words = justext.get_stoplist(name) if name else ()
            self._stop_lists[language] = frozenset(word.lower() for word in words)
        return self._stop_lists[language]


def paragraphs_of(html: str) -> list[Paragraph]:
    """The paragraphs of a page as the library cuts them; none where there is nothing to parse."""
    parser = lxml.html.HTMLParser(encoding="utf-8")  # whatever the page says of itself: it is decoded already
    try:
        tree = preprocessor(lxml.html.fromstring(html.encode("utf-8", "replace"), parser=parser))
    except lxml.etree.ParserError:  # an empty page, or comments alone
        return []
    paragraphs: list[Paragraph] = ParagraphMaker.make_paragraphs(tree)
    return paragraphs


def _text(paragraph: Paragraph) -> str:
    text: str = paragraph.text
    return text if _inside(paragraph, "pre") else " ".join(text.split())


def _inside(paragraph: Paragraph, tag: str) -> bool:
    return tag in paragraph.dom_path.split(".")


def revised(paragraphs: Sequence[Paragraph]) -> list[str]:
    """`good` or `bad` for each paragraph, of what it is by itself and what stands around it.

    A short paragraph is good between good ones, or beside one that is nearly good; a nearly good one unless it stands between bad
    ones; a heading if a good paragraph is near below it. A page begins and ends with something bad.
    """
    lengths = [len(paragraph.text) for paragraph in paragraphs]
    headings = [bool(paragraph.heading) for paragraph in paragraphs]
    alone: list[str] = [paragraph.cf_class for paragraph in paragraphs]
    now = list(alone)
    for place, kind in enumerate(alone):
        if kind == "short" and headings[place] and _good_is_near(place, alone, lengths):
            now[place] = "neargood"
    now = _without_short(now)
    now = _without_neargood(now)
    for place, kind in enumerate(now):
        if kind == "bad" and alone[place] != "bad" and headings[place] and _good_is_near(place, now, lengths):
            now[place] = "good"
    return now


def _good_is_near(place: int, kinds: Sequence[str], lengths: Sequence[int]) -> bool:
    distance = 0
    for kind, length in zip(kinds[place + 1 : place + 2 + _HEADING_CHARS], lengths[place + 1 :], strict=False):
        if distance > _HEADING_CHARS:
            return False
        if kind == "good":
            return True
        distance += length
    return False


def _before(kinds: Sequence[str], asked: tuple[str, ...]) -> list[str]:
    """For each place the last of the kinds `asked` before it, `bad` where there is none."""
    found, last = [], "bad"
    for kind in kinds:
        found.append(last)
        last = kind if kind in asked else last
    return found


def _after(kinds: Sequence[str], asked: tuple[str, ...]) -> list[str]:
    return _before(kinds[::-1], asked)[::-1]


def _without_short(kinds: Sequence[str]) -> list[str]:
    firm = zip(_before(kinds, _FIRM), _after(kinds, _FIRM), strict=True)
    nearest = zip(_before(kinds, _FIRM_OR_NEAR), _after(kinds, _FIRM_OR_NEAR), strict=True)
    return [
        _of_short(around, beside) if kind == "short" else kind
        for kind, around, beside in zip(kinds, firm, nearest, strict=True)
    ]


def _of_short(around: tuple[str, str], beside: tuple[str, str]) -> str:
    """What a short paragraph is between two that are good or bad, with what may be nearly good before these."""
    if around[0] == around[1]:
        return around[0]
    good = any(far == "bad" and near == "neargood" for far, near in zip(around, beside, strict=True))
    return "good" if good else "bad"


def _without_neargood(kinds: Sequence[str]) -> list[str]:
    decided, last = [], "bad"
    for kind, following in zip(kinds, _after(kinds, _FIRM), strict=True):
        if kind == "neargood":
            kind = "bad" if last == following == "bad" else "good"
        decided.append(kind)
        last = kind
    return decided

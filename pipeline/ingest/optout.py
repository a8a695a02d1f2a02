"""The wish of an ingested page not to be used, by the rules that a crawl goes by.

An archive tells of a page what was stored with it: its response headers, if they were kept, and the page itself. The
robots.txt of its site, and its tdmrep.json, are records of their own where there are any, and are not looked for.
"""

import re

from pipeline.ingest.captures import Capture, Refusal
from pipeline.markup import as_utf8, page_metas
from pipeline.optout import PageOptOuts, header_signal, meta_signal

# A meta element with a word in it that any wish is made of. Most pages have none, and are not parsed. The element may
# hold a `>` in quotes, so what is looked at ends where the next one begins.
_MAY_SPEAK = re.compile(rb"<meta[^<]{0,4096}?(?:no(?:ai|ml|index|ne)|tdm-reservation)", re.IGNORECASE)
_NO_AGENT = (
    ""  # nobody asked for this page by name: the rules for all, and for crawlers that gather training data, count
)
_START_BYTES = 256


def refused_by_wish(capture: Capture, config: PageOptOuts) -> Refusal | None:
    """The refusal of a page that says, by a header or a meta element, that it is not to be used."""
    signal = header_signal(capture.wishes, _NO_AGENT, config) if capture.wishes else ""
    if not signal and capture.media_type == "text/html" and _may_speak(capture.payload):
        html = as_utf8(capture.payload, f"text/html; charset={capture.charset}")
        signal = meta_signal(page_metas(html), _NO_AGENT, config)
    return Refusal(place=capture.place, url=capture.url, reason="opt_out", detail=signal) if signal else None


def _may_speak(payload: bytes) -> bool:
    """Whether parsing is worth while; of UTF-16, which begins with null bytes, the pattern knows nothing."""
    return _MAY_SPEAK.search(payload) is not None or b"\0" in payload[:_START_BYTES]

"""What the classifiers see of a text: an e-mail as a person reads it, one spelling of what varies, its sentences."""

import email
import email.message
import html
import re
import unicodedata
from email.header import decode_header, make_header

MAX_CHARS = 20_000
MAX_SENTENCE_WORDS = 40
SHORT_CHARS = 320
_ADDRESS = re.compile(r"https?://\S+|www\.\S+|@url\b")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_MENTION = re.compile(r"@\w+")
_RETWEET = re.compile(r"\brt\b")
_NUMBER = re.compile(r"\d+")
_STRETCHED = re.compile(r"([^\W\d])\1{2,}|([^\w\s])\2{2,}")
_SIGN = re.compile(r"([^\w\s']|_)")
_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u9fff])")
_LETTER_OF = "abcdefghi"
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*:|From \S|[ \t]+\S")
_BLOCK = re.compile(r"(?is)<(script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?-->")
_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,2000}>")
_MAIL_FIELD = re.compile(r"(?im)^(?:received|subject|from|date|return-path|message-id):")
_LOOKS_MARKED_UP = re.compile(r"(?i)<(?:html|body|table|font|br|p|a href)\b")


def plain_spelling(text: str) -> str:
    """Lower case, numbers as zeros, addresses and names as words, stretched letters short, signs apart; lines as they were."""
    text = text[:MAX_CHARS].encode("utf-8", "replace").decode()
    text = unicodedata.normalize("NFKC", html.unescape(text)).lower().replace("’", "'")
    if "://" in text or "www." in text or "@" in text:
        text = _MENTION.sub(" user ", _MAIL.sub(" mail ", _ADDRESS.sub(" url ", text)))
    text = _STRETCHED.sub(r"\1\1\2\2", _NUMBER.sub(_zeros, _RETWEET.sub(" ", text)))
    return _SIGN.sub(r" \1 ", text)


def normalise(text: str) -> str:
    """`text` in its plain spelling on one line, characters of scripts without spaces apart."""
    return " ".join(_UNSPACED.sub(r" \1 ", plain_spelling(text)).split())


def _zeros(number: re.Match[str]) -> str:
    """As many zeros as the number has digits, eleven for more: `0`, `00`, … are words that tell prices from phones."""
    return f" {'0' * min(11, len(number[0]))} "


def readable(text: str) -> str:
    """The text that a person would read: of an e-mail its subject and text parts, decoded and without mark-up.

    Anything that does not begin with the header of an e-mail comes back as it is.
    """
    head, blank, _ = text.partition("\n\n")
    lines = head.split("\n")
    if (
        not blank
        or len(lines) < 4
        or sum(map(bool, map(_HEADER.match, lines))) < 0.9 * len(lines)
        or not _MAIL_FIELD.search(head)
    ):
        return text
    try:
        message = email.message_from_string(text)
        parts = [_part_text(part) for part in message.walk() if part.get_content_maintype() == "text"]
        subject = str(make_header(decode_header(message.get("subject", ""))))
    except (ValueError, LookupError, AttributeError, KeyError):  # what the parser raises on mail that breaks its rules
        return text
    return "\n".join([subject, *parts]) if any(parts) else text


def _part_text(part: email.message.Message) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    try:
        found = content.decode(part.get_content_charset() or "latin-1", "replace")
    except LookupError:
        found = content.decode("latin-1")
    if part.get_content_subtype() == "html" or _LOOKS_MARKED_UP.search(found[:2000]):
        return html.unescape(_TAG.sub(" ", _BLOCK.sub(" ", found)))
    return found


def with_signs(text: str) -> str:
    """`text` and, as words on lines of their own, what a message looks like: how long, whether with a telephone or short number, a price."""
    numbers = [len(number) for number in _NUMBER.findall(text)]
    signs = [f"ʬlength{_LETTER_OF[min(len(text) // 20, 8)]}"]
    signs += ["ʬphone"] if any(digits >= 10 for digits in numbers) else []
    signs += ["ʬcode"] if any(digits in (5, 6) for digits in numbers) else []
    signs += ["ʬprice"] if "£" in text or "$" in text else []
    return "\n".join([text, *signs])


def is_message(text: str) -> bool:
    """Whether a text is short and of few lines, as messages are and lists of products are not."""
    return len(text) <= SHORT_CHARS and text.strip().count("\n") <= 2


def sentences(text: str) -> list[str]:
    """The sentences of the first `MAX_CHARS` characters, long ones cut into pieces of `MAX_SENTENCE_WORDS`."""
    pieces: list[str] = []
    for sentence in _SENTENCE_END.split(text[:MAX_CHARS]):
        words = sentence.split() if sentence else []
        if len(words) <= MAX_SENTENCE_WORDS:
            pieces += [sentence] if words else []
        else:
            pieces += [
                " ".join(words[start : start + MAX_SENTENCE_WORDS])
                for start in range(0, len(words), MAX_SENTENCE_WORDS)
            ]
    return pieces

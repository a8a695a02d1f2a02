"""fastText classifiers of ours: normalised text in, the probability of the bad label out.

A model is a folder entry of three files that the `train-classifier` job writes together: `NAME.ftz` (the quantised
model), `NAME.json` (its hash, label, thresholds, what it was measured at) and `NAME.md` (the card, for people).
The hash is checked when the model is loaded, so a truncated or exchanged file is an error, not another opinion.
"""

import email
import email.message
import html
import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.header import decode_header, make_header
from typing import Any

import numpy as np

from pipeline import storage
from pipeline.errors import DataError, InputError
from pipeline.storage import join

MAX_SENTENCES = 128
MAX_SENTENCE_WORDS = 40
SHORT_CHARS = 320
_MAX_CHARS = 20_000
_ADDRESS = re.compile(r"https?://\S+|www\.\S+|@url\b")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_MENTION = re.compile(r"@\w+")
_RETWEET = re.compile(r"\brt\b")
_NUMBER = re.compile(r"\d+")
_STRETCHED = re.compile(r"([^\W\d])\1{2,}|([^\w\s])\2{2,}")
_SIGN = re.compile(r"([^\w\s']|_)")
_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u9fff])")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*:|From \S|[ \t]+\S")
_BLOCK = re.compile(r"(?is)<(script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?-->")
_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,2000}>")
_MAIL_FIELD = re.compile(r"(?im)^(?:received|subject|from|date|return-path|message-id):")
_LOOKS_MARKED_UP = re.compile(r"(?i)<(?:html|body|table|font|br|p|a href)\b")


def normalise(text: str) -> str:
    """`text` on one line as the models see it: lower case, numbers as zeros, addresses and names as words, signs apart."""
    text = text[:_MAX_CHARS].encode("utf-8", "replace").decode()
    text = unicodedata.normalize("NFKC", html.unescape(text)).lower().replace("’", "'")
    text = _MENTION.sub(" user ", _MAIL.sub(" mail ", _ADDRESS.sub(" url ", text)))
    text = _STRETCHED.sub(r"\1\1\2\2", _NUMBER.sub(_zeros, _RETWEET.sub(" ", text)))
    return " ".join(_UNSPACED.sub(r" \1 ", _SIGN.sub(r" \1 ", text)).split())


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


def is_message(text: str) -> bool:
    """Whether a text is short and of few lines, as messages are and lists of products are not."""
    return len(text) <= SHORT_CHARS and text.strip().count("\n") <= 2


def sentences(text: str) -> list[str]:
    """The sentences of `text`, long ones cut into pieces; of a long text `MAX_SENTENCES`, evenly spread."""
    pieces: list[str] = []
    for sentence in _SENTENCE_END.split(text[:_MAX_CHARS]):
        words = sentence.split() if sentence else []
        if len(words) <= MAX_SENTENCE_WORDS:
            pieces += [sentence] if words else []
        else:
            pieces += [
                " ".join(words[start : start + MAX_SENTENCE_WORDS])
                for start in range(0, len(words), MAX_SENTENCE_WORDS)
            ]
    if len(pieces) <= MAX_SENTENCES:
        return pieces
    return [pieces[position * len(pieces) // MAX_SENTENCES] for position in range(MAX_SENTENCES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When a document is bad.

    A short one (at most two sentences) if its score reaches `short`. A longer one if its score
    reaches `whole` and at least `share` of its sentences reach `sentence`.
    """

    short: float
    whole: float
    sentence: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a classifier says of a document: of the whole, and the share of its sentences that are bad."""

    whole: float
    bad_share: float
    num_sentences: int


class Classifier:
    """A loaded model. Not to be pickled: load it where it is used.

    Messages and documents are different kinds of text: where the folder also holds `NAME_short`, that model
    answers for messages (see `is_message`), and its threshold is the one for short texts.
    """

    def __init__(self, folder: str, name: str) -> None:
        import fasttext  # a second to import, and only workers need it

        self.card = read_card(folder, name)
        path = _checked(folder, name, self.card)
        self._model = fasttext.load_model(path)
        self._label = f"__label__{self.card['label']}"
        self.thresholds = Thresholds(**self.card["thresholds"])
        self._short: Classifier | None = None
        if not name.endswith("_short") and storage.exists(join(folder, f"{name}_short.json")):
            self._short = Classifier(folder, f"{name}_short")
            self.thresholds = replace(self.thresholds, short=self._short.thresholds.short)

    def score_message(self, text: str) -> float:
        """The probability for one text as a whole: of a message by the model for messages, of an e-mail by that for documents."""
        plain = readable(text)
        model = self._short if self._short is not None and plain == text and is_message(plain) else self
        return model.score([plain])[0]

    def score(self, texts: Sequence[str]) -> list[float]:
        """The probability of the bad label for each text, 0 to 1. The order of the texts changes nothing."""
        if not texts:
            return []
        labels, values = self._model.predict([normalise(text) for text in texts], k=2)
        return [_probability(*found, self._label) for found in zip(labels, values, strict=True)]

    def judge(self, text: str, sentence_score: float) -> Scores:
        """Scores of a document, whole and by sentence."""
        plain = readable(text)
        if plain != text or (self._short is not None and is_message(plain)):
            score = self.score_message(text)  # an e-mail or a short message is judged as a whole
            return Scores(whole=score, bad_share=float(score >= sentence_score), num_sentences=1)
        pieces = sentences(plain)
        whole, *single = self.score([plain, *pieces])
        bad = sum(score >= sentence_score for score in single)
        return Scores(whole=whole, bad_share=bad / len(single) if single else 0.0, num_sentences=len(single))


def _probability(labels: Sequence[str], values: Sequence[float], wanted: str) -> float:
    """fastText lets a probability exceed 1 by rounding, and an empty text has none."""
    for label, value in zip(labels, values, strict=True):
        if label == wanted:
            return min(1.0, max(0.0, float(np.float32(value)))) if not math.isnan(value) else 0.0
    return 0.0


def read_card(folder: str, name: str) -> dict[str, Any]:
    """What `NAME.json` says of the model.

    Raises:
        DataError: it is damaged or lacks something.
    """
    path = join(folder, f"{name}.json")
    try:
        card = json.loads(storage.read_bytes(path))
        Thresholds(**card["thresholds"])
        _ = card["sha256"], card["label"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    return dict(card)


def _checked(folder: str, name: str, card: dict[str, Any]) -> str:
    """A local path of the model, whose hash is that of the card."""
    path = join(folder, f"{name}.ftz")
    sha256, _ = storage.checksum(path)
    if sha256 != card["sha256"]:
        raise DataError(
            f"{path} is not the model of its card: SHA-256 {sha256[:12]}…, the card says {card['sha256'][:12]}…"
        )
    if not storage.is_local(path):
        raise InputError(f"{path} is not on the local disk; copy the folder of the model there")
    return path.removeprefix("file://")

"""Text in, text out: prompts are encoded, continued, cut at stop strings, and shown as they come."""

import codecs
from collections.abc import Iterator, Sequence
from typing import Protocol

from model.beam import beam_search
from model.decoding import generate, stream
from model.evaluate_config import DecodingConfig
from model.transformer import Transformer


class TextCodec(Protocol):
    """What is needed of a tokenizer (`tokenizer.encoding.Encoder` is one)."""

    @property
    def end_of_text_id(self) -> int:
        """The token behind every document."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        ...

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of ids."""
        ...


def complete(model: Transformer, codec: TextCodec, prompts: Sequence[str], config: DecodingConfig) -> list[str]:
    """A continuation of each prompt; an empty prompt begins a document."""
    ids = [prompt_ids(codec, prompt) for prompt in prompts]
    if config.num_beams > 1:
        continued = [complete_ids(model, codec, prompt, config) for prompt in ids]
    else:
        continued = generate(model, ids, config, ends(codec, config))
    return [cut(codec.decode_bytes(tokens).decode("utf-8", "replace"), config.stop) for tokens in continued]


def complete_ids(model: Transformer, codec: TextCodec, prompt: Sequence[int], config: DecodingConfig) -> list[int]:
    """The ids behind one prompt of ids, the end of the document not among them; it ends early at a stop string."""
    stops = ends(codec, config)
    if config.num_beams > 1:
        best = beam_search(model, prompt, config, stops)[0]
        return [token for token in best.tokens if token not in stops]
    ids: list[int] = []
    said = bytearray()
    for token in stream(model, prompt, config, stops):
        ids.append(token)
        said += codec.decode_bytes([token])
        if any(stop.encode() in said for stop in config.stop):
            break
    return ids


def complete_stream(model: Transformer, codec: TextCodec, prompt: str, config: DecodingConfig) -> Iterator[str]:
    """The continuation in pieces, as soon as they are certain: no half characters, nothing of a stop string."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text, shown = "", 0
    for token in stream(model, prompt_ids(codec, prompt), config, ends(codec, config)):
        text += decoder.decode(codec.decode_bytes([token]))
        whole = cut(text, config.stop)
        certain = len(whole) if whole != text else len(text) - _begun(text, config.stop)
        if certain > shown:
            yield text[shown:certain]
            shown = certain
        if whole != text:
            return
    rest = text + decoder.decode(b"", final=True)
    if len(rest) > shown:
        yield rest[shown:]


def ends(codec: TextCodec, config: DecodingConfig) -> list[int]:
    """The ids at which generation ends, which are not part of the text."""
    return [codec.end_of_text_id, *config.stop_tokens]


def prompt_ids(codec: TextCodec, prompt: str) -> list[int]:
    """The ids of a prompt: a document begins with the end of the one before it."""
    return [codec.end_of_text_id, *codec.encode(prompt)]


def cut(text: str, stop: Sequence[str]) -> str:
    """`text` up to the first stop string in it."""
    places = [place for place in (text.find(each) for each in stop) if place >= 0]
    return text[: min(places)] if places else text


def _begun(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a stop string."""
    return max(
        (length for each in stop for length in range(1, len(each)) if text.endswith(each[:length])),
        default=0,
    )

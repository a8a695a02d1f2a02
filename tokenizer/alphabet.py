"""The byte alphabet of byte-level BPE: each byte has one printable character that stands for it.

`tokenizer.json` writes tokens in these characters. Printable Latin-1 bytes stand for themselves, the
others for characters from U+0100 on, in order (the mapping of GPT-2).
"""

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))


def _characters() -> tuple[str, ...]:
    others = [byte for byte in range(256) if byte not in _PRINTABLE]
    character_of = {byte: chr(byte) for byte in _PRINTABLE} | {
        byte: chr(0x100 + index) for index, byte in enumerate(others)
    }
    return tuple(character_of[byte] for byte in range(256))


CHARACTERS = _characters()
_BYTES = {character: byte for byte, character in enumerate(CHARACTERS)}
_TRANSLATION = {byte: character for byte, character in enumerate(CHARACTERS)}

# The 256 single-byte tokens in the order of their ids: by code point of the character that stands for them.
BYTE_TOKENS = tuple(bytes([_BYTES[character]]) for character in sorted(CHARACTERS))


def to_characters(token: bytes) -> str:
    """`token` as `tokenizer.json` writes it."""
    return token.decode("latin-1").translate(_TRANSLATION)


def to_bytes(text: str) -> bytes:
    """The bytes that `text` stands for.

    Raises:
        ValueError: a character stands for no byte.
    """
    try:
        return bytes(_BYTES[character] for character in text)
    except KeyError as error:
        raise ValueError(f"{text!r} is not a byte-level token: {error.args[0]!r} stands for no byte") from None

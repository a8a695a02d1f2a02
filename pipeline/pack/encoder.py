"""The encoder of a tokenizer file, or one sentence that says why there is none. No Beam."""

from pipeline.errors import InputError
from pipeline.places import naming
from tokenizer.encoding import Encoder, load_encoder

TOKENIZER_FILE = "tokenizer.json"


def open_encoder(path: str, backend: str = "auto") -> Encoder:
    """The encoder of a `tokenizer.json`.

    Raises:
        InputError: there is none, or it is not usable.
    """
    try:
        with naming(path):
            return load_encoder(path, backend=backend)
    except FileNotFoundError:
        raise InputError(f"no such tokenizer: {path}") from None
    except ValueError as error:
        raise InputError(str(error)) from None

"""`tokenizer.lock`: everything that made a tokenizer, so that it can be made again and recognised."""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from typing import Any

from tokenizer.characters import regex_unicode_sample
from tokenizer.patterns import Pattern
from tokenizer.vocabulary import Vocabulary

FORMAT = 1


def lock_value(
    vocabulary: Vocabulary, pattern: Pattern, tokenizer_json: str, training: dict[str, Any]
) -> dict[str, Any]:
    """The lock as a JSON value. `training` says what table was learned from, with what settings and what loss."""
    return {
        "format": FORMAT,
        "pattern": {"label": pattern.label, "regex": pattern.regex},
        "unicode": {"regex": importlib.metadata.version("regex"), "classes_sha256": regex_unicode_sample()},
        "vocabulary": {
            "size": len(vocabulary),
            "merges": len(vocabulary.merges),
            "sha256": vocabulary.hash(),
            "smallest_merge_count": min(vocabulary.merge_counts, default=0),
        },
        "special_ids": {name: token_id for token_id, name in enumerate(vocabulary.specials)},
        "tokenizer_json_sha256": hashlib.sha256(tokenizer_json.encode()).hexdigest(),
        "training": training,
    }


def check_lock(lock: str, tokenizer_json: str, special_ids: Mapping[str, int], encoder_hash: str) -> None:
    """Compares a tokenizer with the lock that lies beside it.

    Raises:
        ValueError: the lock is not one, or was written for another tokenizer.
    """
    try:
        value = json.loads(lock)
        locked = {name: value.get(name) for name in ("tokenizer_json_sha256", "hash", "special_ids")}
    except (ValueError, AttributeError):
        raise ValueError("the tokenizer.lock beside it is not a lock") from None
    found = {
        "tokenizer_json_sha256": hashlib.sha256(tokenizer_json.encode()).hexdigest(),
        "hash": encoder_hash,
        "special_ids": dict(special_ids),
    }
    for name, expected in locked.items():
        if expected is not None and expected != found[name]:
            raise ValueError(f"it is not the one that the tokenizer.lock beside it was written for: {name} differs")

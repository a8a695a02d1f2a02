"""The quality floors of this repository: figures that may rise and never fall."""

import json
from pathlib import Path


def floor(group: str, name: str) -> float:
    """A floor of `tests/quality_floors.json`."""
    return float(json.loads((Path(__file__).parents[1] / "quality_floors.json").read_text())[group][name])

"""What workers have to say to the log of the driver: ATTEMPT/remarks/SHARD.json, gone when the step is complete.

Here may stand what no dataset may hold, such as measured speeds. No Beam.
"""

from typing import Any

from pipeline import storage
from pipeline.places import join

_REMARKS = "remarks"


def write_remark(attempt_folder: str, shard: str, value: Any) -> None:
    """Leaves a JSON value, the last one from the work on a shard."""
    storage.write_json(join(attempt_folder, _REMARKS, shard + ".json"), value, durable=False)


def remarks(attempt_folder: str) -> list[Any]:
    """What the workers of the attempt under way left, by name of shard."""
    return [storage.read_json(path) for path in storage.list_files(join(attempt_folder, _REMARKS))]

"""Sets aside what took hours, or the time of other people's servers, before other work takes its place.

That is the pages of a crawl, and a model with its checkpoints. RUN/replaced/pages-1, RUN/replaced/model-2 have
the form of a run: the datasets with their manifests, and attempts/ of what was not finished. So they can be
looked at and verified, serve as `crawl.previous`, and be moved back. Nobody but the user removes them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from jobs.progress import Progress
from pipeline import storage
from pipeline.places import join
from pipeline.steps import ATTEMPTS, Step

REPLACED = "replaced"
_MOST_NAMED, _MOST_SHOWN = 8, 60


def set_aside(step: Step, job: str, differences: Sequence[str]) -> str:
    """The folder to which what the step's outputs hold is moved, now; empty where they hold nothing. A line says so.

    `differences` is why, in few words; there are none where the same work is done again by --force.
    """
    if not any(storage.list_files(step.folder(output)) for output in step.outputs):
        return ""
    places = (join(step.run, REPLACED, f"{step.name}-{number}") for number in count(1))
    place = next(folder for folder in places if not storage.exists(folder))
    for name in (*step.outputs, *_attempts(step)):
        storage.move_tree(join(step.run, name), join(place, name))
    more = [f"{len(differences) - _MOST_NAMED} more"] if len(differences) > _MOST_NAMED else []
    why = "; ".join([*differences[:_MOST_NAMED], *more]) or "--force"
    Progress.note(f"{job}: the earlier {step.outputs[0]}/ is set aside in {place} ({why})")
    return place


def crawled(step: Step) -> bool:
    """Whether the pages that lie there, finished or not, are of a crawl; an index of files costs little."""
    return "user_agent" in step.earlier_work().get("settings", {})


def _attempts(step: Step) -> list[str]:
    """The folders of the attempts at the step and at its parts (the rounds of a crawl), relative to the run."""
    folder = join(step.run, ATTEMPTS)
    names = {path[len(folder) + 1 :].partition("/")[0] for path in storage.list_files(folder)}
    return [join(ATTEMPTS, name) for name in sorted(names) if name == step.name or name.startswith(f"{step.name}-")]


def differences(step: Step, table: str = "") -> list[str]:
    """What differs between the work that lies there and that of `step`: `train.seed 0 → 1`, `other shards`.

    `table` is the table of the settings, where their names do not begin with it.
    """
    earlier, now = step.earlier_work(), step.work()
    if step.goes_on() or step.is_current():
        return []
    if not earlier:
        return ["other settings or inputs"]
    found = list(_differing(earlier["settings"], now["settings"], table))
    found += [f"other {name}" for name, content in now["inputs"].items() if earlier["inputs"].get(name) != content]
    found += _differing(earlier["versions"], now["versions"], "")
    return found or [f"other {' or '.join(step.external)}" if isinstance(step.external, Mapping) else "other files"]


def _differing(old: Any, new: Any, name: str) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _differing(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield f"{name} {_shown(old)} → {_shown(new)}"


def _shown(value: Any) -> str:
    text = "unset" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"

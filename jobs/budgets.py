"""Whether finished work differs from what is wanted in nothing but settings that it can go on under, like a larger budget."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline import manifests, storage
from pipeline.manifests import MANIFEST
from pipeline.places import join
from pipeline.steps import Step

Setting = tuple[str, ...]  # the names of tables and of the setting in them


def has_grown(step: Step, budgets: Sequence[Setting]) -> bool:
    """Whether what the outputs of `step` hold is finished, and of the same work but for `budgets`, none of which has become less.

    A budget that is unset has no limit.
    """
    earlier = earlier_settings(step, budgets)
    if earlier is None:
        return False
    values = ((_value(earlier, budget), _value(step.settings, budget)) for budget in budgets)
    return all(now is None or (old is not None and old <= now) for old, now in values)


def earlier_settings(step: Step, free: Sequence[Setting]) -> Mapping[str, Any] | None:
    """The settings of what the outputs of `step` hold, if that is finished and of the same work but for the `free` ones."""
    folders = [step.folder(output) for output in step.outputs]
    if not all(storage.exists(join(folder, MANIFEST)) for folder in folders):
        return None
    finished = [manifests.read_manifest(folder) for folder in folders]
    settings = json.loads(json.dumps(step.settings))
    for setting in free:
        _set(settings, setting, _value(finished[0].settings, setting))
    earlier = replace(step, settings=settings).fingerprint()
    return settings if all(manifest.fingerprint == earlier for manifest in finished) else None


def _value(settings: Mapping[str, Any], setting: Setting) -> Any:
    value: Any = settings
    for name in setting:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _set(settings: dict[str, Any], setting: Setting, value: Any) -> None:
    *tables, name = setting
    for table in tables:
        settings = settings[table]
    settings[name] = value

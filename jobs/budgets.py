"""Whether finished work differs from what is wanted in nothing but a larger budget, so that it can go on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline import manifests, storage
from pipeline.manifests import MANIFEST
from pipeline.steps import Step
from pipeline.storage import join

Setting = tuple[str, ...]  # the names of tables and of the setting in them


def has_grown(step: Step, budgets: Sequence[Setting]) -> bool:
    """Whether what the outputs of `step` hold is finished, and of the same work but for `budgets`, none of which has become less.

    A budget that is unset has no limit.
    """
    folders = [step.folder(output) for output in step.outputs]
    if not all(storage.exists(join(folder, MANIFEST)) for folder in folders):
        return False
    finished = [manifests.read_manifest(folder) for folder in folders]
    settings = json.loads(json.dumps(step.settings))
    for budget in budgets:
        old, now = _value(finished[0].settings, budget), _value(settings, budget)
        if now is not None and (old is None or old > now):
            return False
        _set(settings, budget, old)
    earlier = replace(step, settings=settings).fingerprint()
    return all(manifest.fingerprint == earlier for manifest in finished)


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

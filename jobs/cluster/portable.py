"""What a pipeline asks of an engine, read from its proto: everything outside the part that all portable engines share.

Named by experience: state, timers, splittable functions and bundle finalizers are missing or different somewhere;
custom windows and keys without a deterministic coder group differently; a Flatten of different coders, and one
collection read by a Flatten and a GroupByKey, fail on Flink.
"""

from collections.abc import Iterator
from typing import Any

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

_PRIMITIVES, _COMPOSITES = common_urns.primitives, common_urns.composites
_FLATTEN, _GROUP, _PARDO = _PRIMITIVES.FLATTEN.urn, _PRIMITIVES.GROUP_BY_KEY.urn, _PRIMITIVES.PAR_DO.urn
_ALLOWED = {_PRIMITIVES.IMPULSE.urn, _PARDO, _FLATTEN, _GROUP}
_RESHUFFLE = _COMPOSITES.RESHUFFLE.urn  # every engine brings its own
_GLOBAL_WINDOWS = common_urns.global_windows.urn
_CODERS = common_urns.coders
_KEY_CODERS = {each.urn for each in (_CODERS.BYTES, _CODERS.STRING_UTF8, _CODERS.VARINT, _CODERS.BOOL)}
_WRAPPERS = {_CODERS.LENGTH_PREFIX.urn, _CODERS.KV.urn, "beam:coder:tuple:v1"}


def violations(pipeline: Any) -> list[str]:
    """What the pipeline (as a proto) asks beyond the portable part: a sentence each, with the name of its step."""
    return sorted(set(_violations(pipeline.components)))


def _violations(components: Any) -> Iterator[str]:
    readers: dict[str, dict[str, str]] = {}
    for transform in _primitives(components):
        name, urn = transform.unique_name, transform.spec.urn
        if urn not in _ALLOWED:
            yield f"{name}: the primitive {urn or 'without a name'}"
        for collection in transform.inputs.values():
            readers.setdefault(collection, {})[urn] = name
        if urn == _PARDO:
            yield from _of_pardo(name, transform)
        if urn == _GROUP:
            yield from _of_group(name, transform, components)
        if urn == _FLATTEN and len({_spelled(components, each) for each in _coders_of(components, transform)}) > 1:
            yield f"{name}: a Flatten of different coders"
        yield from _of_windows(name, transform, components)
    for found in readers.values():
        if _FLATTEN in found and _GROUP in found:
            yield f"{found[_GROUP]}: its input is also read by the Flatten {found[_FLATTEN]}"


def _primitives(components: Any) -> Iterator[Any]:
    """The transforms that an engine has to run itself; what lies inside a Reshuffle is its own."""
    inside = set()
    for transform in components.transforms.values():
        if transform.spec.urn == _RESHUFFLE:
            inside |= set(_below(components, transform))
    for key, transform in components.transforms.items():
        if key not in inside and not transform.subtransforms and transform.inputs.keys() | transform.outputs.keys():
            passes_on = set(transform.outputs.values()) <= set(transform.inputs.values())
            if not passes_on and transform.spec.urn != _RESHUFFLE:
                yield transform


def _below(components: Any, transform: Any) -> Iterator[str]:
    for key in transform.subtransforms:
        yield key
        yield from _below(components, components.transforms[key])


def _of_pardo(name: str, transform: Any) -> Iterator[str]:
    payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
    if payload.state_specs:
        yield f"{name}: state"
    if payload.timer_family_specs:
        yield f"{name}: timers"
    if payload.restriction_coder_id:
        yield f"{name}: a splittable function"
    if payload.requests_finalization:
        yield f"{name}: bundle finalizers"
    if payload.requires_time_sorted_input:
        yield f"{name}: input sorted by time"


def _of_group(name: str, transform: Any, components: Any) -> Iterator[str]:
    for coder_id in _coders_of(components, transform):
        pair = components.coders[coder_id]
        if pair.spec.urn != _CODERS.KV.urn:
            yield f"{name}: groups what is no pair"
        elif not _is_key(components, pair.component_coder_ids[0]):
            yield f"{name}: keys of type {components.coders[pair.component_coder_ids[0]].spec.urn}, whose bytes may differ for equal keys"


def _is_key(components: Any, coder_id: str) -> bool:
    coder = components.coders[coder_id]
    if coder.spec.urn in _WRAPPERS:
        return all(_is_key(components, each) for each in coder.component_coder_ids)
    return coder.spec.urn in _KEY_CODERS


def _of_windows(name: str, transform: Any, components: Any) -> Iterator[str]:
    for collection in (*transform.inputs.values(), *transform.outputs.values()):
        strategy = components.windowing_strategies[components.pcollections[collection].windowing_strategy_id]
        if strategy.window_fn.urn != _GLOBAL_WINDOWS:
            yield f"{name}: windows of its own ({strategy.window_fn.urn})"


def _coders_of(components: Any, transform: Any) -> list[str]:
    return [components.pcollections[each].coder_id for each in transform.inputs.values()]


def _spelled(components: Any, coder_id: str) -> tuple[Any, ...]:
    """A coder with all its parts, in a form to compare: two ids may stand for the same coder."""
    coder = components.coders[coder_id]
    return (coder.spec.urn, coder.spec.payload, *(_spelled(components, each) for each in coder.component_coder_ids))

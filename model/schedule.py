"""The learning rate over the steps of a run, as a share of its peak. Pure functions of the step."""

import math

from model.train_config import ScheduleKind, TrainConfig


def rate_at(config: TrainConfig, step: int) -> float:
    """The share of the peak rate at `step`, counted from 0, of a training by `config`."""
    total = config.num_steps()
    return rate_share(
        config.schedule,
        step,
        num_steps=total,
        warmup_steps=round(config.warmup_share * total),
        decay_share=config.decay_share,
        final_share=config.final_share,
    )


def rate_share(
    kind: ScheduleKind,
    step: int,
    *,
    num_steps: int,
    warmup_steps: int,
    decay_share: float = 0.3,
    final_share: float = 0.0,
) -> float:
    """The share of the peak rate at `step` (counted from 0) of `num_steps`.

    It rises linearly over `warmup_steps`, then follows: `constant`; `linear` or `cosine` down to
    `final_share` at the last step; `wsd`, constant until the last `decay_share` of the steps, then linear.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if kind == "constant":
        return 1.0
    start = warmup_steps if kind != "wsd" else max(warmup_steps, num_steps - round(decay_share * num_steps))
    progress = min(1.0, max(0.0, (step - start) / max(1, num_steps - start)))
    fallen = 0.5 * (1.0 - math.cos(math.pi * progress)) if kind == "cosine" else progress
    return 1.0 - (1.0 - final_share) * fallen

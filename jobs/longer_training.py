"""A finished training of fewer steps as the beginning of a longer one, where nothing told them apart up to a checkpoint.

What the number of steps and the schedule decide is the learning rate of each step and nothing else: not the order of the rows,
nor the random numbers. So a checkpoint is one of both trainings if the rate was the same at every step before it.
"""

from collections.abc import Sequence
from dataclasses import replace

from jobs.budgets import Setting, earlier_settings
from jobs.progress import Progress
from model.checkpoint import FOLDER, Checkpoint, checkpoint_steps, read_checkpoint, write_checkpoint
from model.schedule import rate_at
from model.train_config import TrainConfig
from pipeline.errors import DataError
from pipeline.places import join
from pipeline.steps import Step

# All that reaches training by the learning rate alone.
_OF_THE_RATE = ("steps", "tokens", "schedule", "warmup_share", "decay_share", "final_share")
_SETTINGS: tuple[Setting, ...] = tuple(("train", name) for name in _OF_THE_RATE)


def shorter(step: Step, config: TrainConfig) -> TrainConfig | None:
    """The settings of the finished training that lies there, if it is that of `step` but for its schedule and fewer steps."""
    settings = earlier_settings(step, _SETTINGS)
    if settings is None:
        return None
    earlier = replace(config, **{name: settings["train"][name] for name in _OF_THE_RATE})
    return earlier if earlier.num_steps() < config.num_steps() else None


def begin_with(finished: str, folder: str, earlier: TrainConfig, config: TrainConfig) -> None:
    """Copies from the model `finished`, trained by `earlier`, into `folder` what training by `config` would have left there by then.

    A kill while it copies costs nothing but time. A line says from where training goes on, or why not.
    """
    first = first_difference(earlier, config)
    kept = checkpoint_steps(join(finished, FOLDER))
    wanted = [number for number in kept if number <= first]
    copied = [
        number
        for number in wanted[-config.keep_checkpoints :]
        if _copied(join(finished, FOLDER), join(folder, FOLDER), number, earlier, config)
    ]
    if copied:
        Progress.note(
            f"train: goes on from the earlier model's checkpoint of step {copied[-1]}; up to there nothing differs"
        )
        return
    Progress.note(f"train: begins anew: {_why_not(earlier, config, first, kept)}")


def _why_not(earlier: TrainConfig, config: TrainConfig, first: int, kept: Sequence[int]) -> str:
    if any(number <= first for number in kept):
        return "the checkpoints that are kept from before anything differs are damaged"
    before, now = rate_at(earlier, first), rate_at(config, first)
    return (
        f"the learning rate differs from step {first + 1} on ({before:.4g} of its peak, now {now:.4g}), "
        f"and the checkpoints that are kept are of steps {', '.join(map(str, kept))}{_remedy(earlier, config, kept)}"
    )


def _remedy(earlier: TrainConfig, config: TrainConfig, kept: Sequence[int]) -> str:
    """What to set where the warm-up alone keeps training from going on: it is a share of the steps, and so becomes longer with them."""
    share = float(f"{earlier.warmup_share * earlier.num_steps() / config.num_steps():.6g}")
    first = first_difference(earlier, replace(config, warmup_share=share))
    return f"; with train.warmup_share={share} it would go on" if any(number <= first for number in kept) else ""


def first_difference(earlier: TrainConfig, config: TrainConfig) -> int:
    """The first step, counted from 0, at which the learning rates differ; the number of steps of `earlier` if none does."""
    steps = earlier.num_steps()
    return next((step for step in range(steps) if rate_at(earlier, step) != rate_at(config, step)), steps)


def _copied(source: str, target: str, number: int, earlier: TrainConfig, config: TrainConfig) -> bool:
    """Copies a checkpoint; whether it was sound."""
    try:
        checkpoint = read_checkpoint(source, number)
    except DataError:
        return False
    at_the_end = number == earlier.num_steps()
    write_checkpoint(target, _without_end(checkpoint, config.log_steps) if at_the_end else checkpoint)
    return True


def _without_end(checkpoint: Checkpoint, log_steps: int) -> Checkpoint:
    """Without the line of the log that only a last step has."""
    log = checkpoint.state["log"]
    if log and log[-1]["step"] == checkpoint.step and checkpoint.step % log_steps and not log[-1]["skipped"]:
        return replace(checkpoint, state={**checkpoint.state, "log": log[:-1]})
    return checkpoint

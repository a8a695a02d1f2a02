"""The training loop: resumes bit for bit, weights by labels."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.checkpoint import FOLDER, checkpoint_steps, load_model, newest_checkpoint, step_folder
from model.config import ModelConfig
from model.precision import choose_device
from model.train_config import OptimizerConfig, TrainConfig
from model.trainer import Report, Trainer
from model.transformer import Transformer
from pipeline.errors import CorpusmillError, DataError, InputError, SettingError
from tests.model.sources import RandomRows

CONFIG = TrainConfig(steps=20, batch_tokens=4 * 16, checkpoint_steps=5, log_steps=1, precision="fp32", device="cpu")


def tiny(dropout: float = 0.0, **parts: object) -> Transformer:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 48, "dropout": dropout}
    return Transformer(ModelConfig(**{**shape, **parts}).architecture(vocab_size=32, context_length=16))  # type: ignore[arg-type]


def trainer(
    folder: Path, config: TrainConfig = CONFIG, *, dropout: float = 0.0, rows: RandomRows | None = None
) -> Trainer:
    return Trainer(tiny(dropout), rows or RandomRows(rows=4, length=16), config, str(folder))


def run(work: Trainer, until: int | None = None) -> list[Report]:
    reports: list[Report] = []
    work.run(reports.append, until=until)
    return reports


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", ["muon", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_twenty_steps_are_ten_and_a_kill_and_ten(kind: str, precision: str, tmp_path: Path) -> None:
    config = replace(CONFIG, optimizer=OptimizerConfig(kind=kind), precision=precision)  # type: ignore[arg-type]
    whole = run(trainer(tmp_path / "whole", config, dropout=0.1))
    first = trainer(tmp_path / "parts", config, dropout=0.1)
    before = run(first, until=12)  # two steps behind its last checkpoint, so these are lost
    for path in (tmp_path / "parts" / FOLDER / "step-00000012").iterdir():
        path.unlink()
    after = run(trainer(tmp_path / "parts", config, dropout=0.1))  # new objects: nothing in memory survives
    assert before[:10] + after == whole
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("seed", [-(1 << 63), -1, (1 << 24) - 1, 20_240_601, (1 << 63) - 1])
def test_any_seed_of_64_bits_trains(seed: int, tmp_path: Path) -> None:
    config = replace(CONFIG, seed=seed, steps=2)
    other = replace(config, seed=seed ^ (1 << 24))  # only the dropout differs: the weights are those of `tiny`
    settings = {"one": config, "two": config, "other": other}
    reports = {name: run(trainer(tmp_path / name, each, dropout=0.5)) for name, each in settings.items()}
    assert reports["one"] == reports["two"]
    assert reports["one"] != reports["other"]


@pytest.mark.parametrize("name", ["gpu", "vulkan", "meta", "", "cuda:x"])
def test_a_device_that_is_none_is_refused_by_its_setting(name: str) -> None:
    for table in ("train", "evaluate"):
        with pytest.raises(SettingError, match=f"^{table}.device is {name!r}; allowed are"):
            choose_device(name, table=table)


def test_training_learns_and_keeps_the_last_checkpoints(tmp_path: Path) -> None:
    reports = run(trainer(tmp_path, replace(CONFIG, steps=60)))
    assert reports[-1].loss < 0.7 * reports[0].loss
    assert checkpoint_steps(str(tmp_path / FOLDER)) == [55, 60]
    assert [line["step"] for line in newest_checkpoint(str(tmp_path / FOLDER)).state["log"]] == list(range(1, 61))  # type: ignore[union-attr]
    tokens = torch.randint(32, (1, 16))
    work = trainer(tmp_path, replace(CONFIG, steps=60))
    work.resume()
    torch.testing.assert_close(load_model(str(tmp_path))(tokens), work.model.eval()(tokens), rtol=0, atol=0)


def test_accumulation_weights_by_labels(tmp_path: Path) -> None:
    """Rows have between 1 and 16 labels, so a mean of means would be far off."""
    gradients = []
    for micro in (64, 32, 16):
        work = trainer(tmp_path / str(micro), replace(CONFIG, micro_batch_tokens=micro))
        loss = work._backward(work.source.next_batch())
        gradients.append((loss, [parameter.grad for parameter in work.model.parameters()]))
    for loss, pieces in gradients[1:]:
        assert loss == pytest.approx(gradients[0][0], rel=1e-6)
        for one, other in zip(gradients[0][1], pieces, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    whole = run(trainer(tmp_path / "whole"))
    run(trainer(tmp_path / "parts"), until=10)
    target = Path(step_folder(str(tmp_path / "parts" / FOLDER), 10)) / "model.safetensors"
    target.write_bytes(target.read_bytes()[:-1] + b"\0")
    assert run(trainer(tmp_path / "parts")) == whole[5:]
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    run(trainer(tmp_path), until=5)
    other = Trainer(tiny(ffn="geglu"), RandomRows(rows=4, length=16), CONFIG, str(tmp_path))
    with pytest.raises(DataError, match="another architecture"):
        run(other)


def test_a_spike_is_skipped(tmp_path: Path) -> None:
    work = trainer(tmp_path, replace(CONFIG, steps=30, spike_factor=2.0))
    reports: list[Report] = []

    def report(step: Report) -> None:
        reports.append(step)
        if step.step == 25:  # weights gone wild once
            for parameter in work.model.parameters():
                parameter.data *= 8
        elif step.step == 26:
            for parameter in work.model.parameters():
                parameter.data /= 8

    work.run(report)
    assert [step.step for step in reports if step.skipped] == [26]
    assert reports[-1].loss < reports[0].loss


def test_weights_that_are_no_numbers_end_the_run_with_a_sentence(tmp_path: Path) -> None:
    work = trainer(tmp_path, replace(CONFIG, steps=100))
    reports: list[Report] = []

    def report(step: Report) -> None:
        reports.append(step)
        if step.step == 10:
            work.model.model.embed_tokens.weight.data.fill_(float("nan"))

    with pytest.raises(CorpusmillError, match="diverged: 50 steps in a row had a gradient norm like nan"):
        work.run(report)
    assert [step.step for step in reports if step.skipped] == list(range(11, 60))
    assert newest_checkpoint(str(tmp_path / FOLDER)).state["log"][-1]["loss"] is None  # type: ignore[union-attr]  # as JSON has it


def test_an_overflow_in_fp16_lowers_the_scale_and_training_goes_on(tmp_path: Path) -> None:
    work = trainer(tmp_path, replace(CONFIG, precision="fp16"))
    work.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**28)
    reports = run(work)
    assert reports[0].skipped
    assert not reports[-1].skipped
    assert reports[-1].loss < reports[0].loss


def test_a_narrow_residual_stream_learns_alike(tmp_path: Path) -> None:
    config = replace(CONFIG, precision="bf16", optimizer=OptimizerConfig(kind="adamw"))
    wide = run(trainer(tmp_path / "wide", config))
    narrow = run(trainer(tmp_path / "narrow", replace(config, narrow_residual=True)))
    assert [report.loss for report in narrow] == pytest.approx([report.loss for report in wide], rel=2e-2)
    assert narrow != wide


def test_flex_attention_is_refused_where_it_cannot_train(tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match="attention_path is 'flex'; allowed here is 'mask', because it trains on GPUs"
    ):
        trainer(tmp_path, replace(CONFIG, attention_path="flex"))


def test_taking_documents_apart_trains_like_the_mask(tmp_path: Path) -> None:
    apart, mask = (run(trainer(tmp_path / path, replace(CONFIG, attention_path=path))) for path in ("apart", "mask"))  # type: ignore[arg-type]
    assert [report.loss for report in apart] == pytest.approx([report.loss for report in mask], rel=1e-4)
    assert run(trainer(tmp_path / "auto", CONFIG)) == apart


def test_the_end_of_the_rows_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ended at step 3 of 20"):
        run(trainer(tmp_path, rows=RandomRows(rows=4, length=16, end=3)))


def test_no_checkpoint_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("name", ["learning_rate", "muon_rate", "epsilon", "weight_decay", "beta1", "momentum"])
def test_settings_of_the_optimizer_are_numbers(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=f"train.optimizer.{name} is {value}; allowed"):
        OptimizerConfig(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"warmup_share": 1.5}, "warmup_share"),
        ({"spike_factor": 1.0}, "spike_factor"),
        ({"steps": 0}, "steps"),
        ({"seed": 1 << 63}, "seed"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingError, match=f"train.{named}"):
        TrainConfig(**settings)  # type: ignore[arg-type]


def test_a_batch_must_divide_into_rows() -> None:
    assert TrainConfig(batch_tokens=4096).rows(512, 2) == 4
    with pytest.raises(SettingError, match=r"batch_tokens is 1000.*512"):
        TrainConfig(batch_tokens=1000).rows(512)


@pytest.mark.slow
def test_compiled_training_gives_the_same_losses(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=6, optimizer=OptimizerConfig(kind="adamw"))
    plain = run(trainer(tmp_path / "plain", config))
    compiled = run(trainer(tmp_path / "compiled", replace(config, compile=True)))
    for one, other in zip(plain, compiled, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-4)
        assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-3)

"""What only a GPU can show: the kernel of flex attention with its gradients, compiled bf16 training, exact resume
there, batches in page-locked memory."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.batches import Batches
from model.config import ModelConfig
from model.objectives import SummedLoss, packed_rows
from model.train_config import OptimizerConfig, TrainConfig
from model.trainer import Report, Trainer
from model.transformer import Transformer
from tests.model.sources import RandomRows
from tests.pack.shard_maker import documents_of, spec_of, write_shards

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and torch sees none here"),
]
CONFIG = TrainConfig(steps=12, batch_tokens=8 * 128, checkpoint_steps=6, log_steps=1, device="cuda", precision="bf16")


def model_of(length: int = 256) -> Transformer:
    torch.manual_seed(0)
    config = ModelConfig(hidden_size=128, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=192)
    return Transformer(config.architecture(vocab_size=32, context_length=length))


def test_flex_attention_gives_the_loss_and_gradients_of_the_mask() -> None:
    model = model_of().cuda()
    objective = SummedLoss(model)
    tokens = torch.randint(32, (4, 257), device="cuda")
    documents = (torch.rand(4, 256, device="cuda") < 0.03).cumsum(dim=1)
    results = []
    for path in ("mask", "flex"):
        example = packed_rows(
            tokens[:, :-1],
            tokens[:, 1:],
            documents,
            within_documents=True,
            absolute=False,
            path=path,  # type: ignore[arg-type]
        )
        loss = objective(example)
        results.append((loss.detach(), torch.autograd.grad(loss, list(model.parameters()))))
    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-4, atol=1e-3)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(other, one, rtol=2e-2, atol=2e-2 * float(one.abs().max()))


@pytest.mark.parametrize("path", ["mask", "flex"])
@pytest.mark.parametrize("compiled", [False, True])
def test_training_in_bf16_follows_the_curve_of_a_cpu_in_fp32(path: str, compiled: bool, tmp_path: Path) -> None:
    adamw = replace(CONFIG, optimizer=OptimizerConfig(kind="adamw"))
    there = replace(adamw, attention_path=path, compile=compiled)  # type: ignore[arg-type]
    curves = []
    for name, config in (("cpu", replace(adamw, device="cpu", precision="fp32")), ("gpu", there)):
        curves.append([report.loss for report in trained(config, tmp_path / name)])
    assert curves[1] == pytest.approx(curves[0], rel=2e-2)


def test_on_a_gpu_too_twelve_steps_are_six_and_six(tmp_path: Path) -> None:
    whole = trained(CONFIG, tmp_path / "whole")
    parts = trained(CONFIG, tmp_path / "parts", until=6) + trained(CONFIG, tmp_path / "parts")
    assert [report.loss for report in parts] == pytest.approx([report.loss for report in whole], rel=1e-4)


def test_pinned_batches_arrive_whole_while_the_gpu_works(tmp_path: Path) -> None:
    spec = spec_of(512, vocab_size=50_000)
    shards = write_shards(tmp_path, {"train": [documents_of([70, 900, 300] * 200, source="web", spec=spec)]}, spec)
    pinned = Batches(shards, batch_rows=32, pin_memory=True, prefetch=4)
    plain = Batches(shards, batch_rows=32, prefetch=0)
    matrix = torch.randn(2048, 2048, device="cuda")
    for _ in range(60):
        ours, expected = pinned.next_batch(), plain.next_batch()
        assert ours is not None
        assert expected is not None
        assert ours.tokens.is_pinned()
        assert ours.cu_seqlens.is_pinned()
        torch.mm(matrix, matrix)  # what the copy runs beside
        there = ours.to("cuda", non_blocking=True)
        del ours  # torch must keep the page-locked memory until the copy is done
        for name in ("tokens", "cu_seqlens", "inputs", "labels", "loss_mask", "position_ids", "segment_ids"):
            assert torch.equal(getattr(there, name).cpu(), getattr(expected, name)), name
    pinned.close()


def trained(config: TrainConfig, folder: Path, until: int | None = None) -> list[Report]:
    reports: list[Report] = []
    Trainer(model_of(128), RandomRows(rows=8, length=128), config, str(folder)).run(reports.append, until=until)
    return reports

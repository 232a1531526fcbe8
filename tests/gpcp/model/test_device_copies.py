"""Batches copied ahead are the batches: passed through on the CPU, moved on CUDA, and their source is closed."""

from collections.abc import Generator, Iterator

import pytest
import torch
from torch import Tensor

from gpcp.model.batch import ModelBatch, copied_ahead, model_batch
from gpcp.model.config import ModelConfig
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig
from gpcp.training.fit import fit
from tests.gpcp.held_pairs import HeldPairs

CPU = torch.device("cpu")
FIELDS = ("token_BL", "before_BL", "target_BL", "measured_BL", "perturbed_BL")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Watched:
    """Collated batches, how many were asked for, and whether the iterator was closed."""

    def __init__(self, n_pairs: int) -> None:
        self.source = HeldPairs(n_pairs)
        self.n_asked, self.closed = 0, False

    def batches(self) -> Generator[tuple[ModelBatch, Tensor]]:
        try:
            for pairs in self.source.pairs(batch_size=4, seed=1):
                self.n_asked += 1
                yield model_batch(pairs)
        finally:
            self.closed = True


def values(batches: Iterator[tuple[ModelBatch, Tensor]]) -> list[list[Tensor]]:
    return [[*(getattr(batch, name).cpu() for name in FIELDS), after_BL.cpu()] for batch, after_BL in batches]


def same(first: list[list[Tensor]], second: list[list[Tensor]]) -> bool:
    return len(first) == len(second) and all(
        one.dtype == other.dtype and torch.equal(one, other)
        for ones, others in zip(first, second, strict=True)
        for one, other in zip(ones, others, strict=True)
    )


def test_on_the_cpu_batches_pass_through_as_they_are_and_none_is_asked_for_early():
    watched = Watched(14)
    made = list(Watched(14).batches())
    ahead = copied_ahead(iter(made), CPU)
    assert [batch is own for (batch, _), (own, _) in zip(ahead, made, strict=True)] == [True] * 4
    ahead = copied_ahead(watched.batches(), CPU)
    for number in range(1, 4):
        next(ahead)
        assert watched.n_asked == number
    ahead.close()
    assert watched.closed


@pytest.mark.parametrize("device", [CPU, pytest.param(torch.device("cuda"), marks=needs_cuda)])
def test_the_batches_are_those_of_the_source(device: torch.device):
    for n_pairs in (0, 3, 4, 14):
        watched = Watched(n_pairs)
        copied = list(copied_ahead(watched.batches(), device))
        assert all(batch.before_BL.device.type == device.type for batch, _ in copied)
        assert same(values(iter(copied)), values(Watched(n_pairs).batches()))
        assert watched.closed


@pytest.mark.parametrize("device", [CPU, pytest.param(torch.device("cuda"), marks=needs_cuda)])
def test_a_pass_left_early_closes_its_source_and_a_failure_is_passed_on(device: torch.device):
    watched = Watched(14)
    ahead = copied_ahead(watched.batches(), device)
    next(ahead)
    ahead.close()
    assert watched.closed

    def failing() -> Generator[tuple[ModelBatch, Tensor]]:
        yield from Watched(4).batches()
        raise OSError("the disk failed")

    with pytest.raises(OSError, match="the disk failed"):
        list(copied_ahead(failing(), device))


@needs_cuda
def test_on_cuda_one_batch_is_copied_ahead_from_pinned_memory_while_the_model_computes():
    device, watched = torch.device("cuda"), Watched(16)
    square = torch.ones((2048, 2048), device=device)
    sums: list[float] = []
    for number, (batch, after_BL) in enumerate(copied_ahead(watched.batches(), device), start=1):
        assert watched.n_asked == min(number + 1, 4)
        # Work that is under way when the next copy is begun.
        busy = square @ square
        sums.append(float((batch.before_BL + after_BL).sum()) + 0.0 * float(busy[0, 0]))
    wanted = [float((batch.before_BL + after_BL).sum()) for batch, after_BL in Watched(16).batches()]
    assert sums == pytest.approx(wanted)


@needs_cuda
def test_training_on_cuda_resumes_at_the_batch_after_the_last_that_was_stepped_on(tmp_path):
    config = FitConfig(
        n_steps=7, batch_size=4, warmup_steps=2, checkpoint_every=3, evaluate_every=7, accelerator="cuda"
    )

    def trained(**options: object) -> list[float]:
        model = GenePerturbationTransformer(ModelConfig(n_genes=3, width=8, n_heads=2), seed=1)
        fit(model, HeldPairs(14), config, **options)  # type: ignore[arg-type]
        return torch.cat([value.flatten().cpu() for value in model.state_dict().values()]).tolist()

    def interrupt(step: int, _: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint=tmp_path / "run.pt", on_step=interrupt)
    assert trained(checkpoint=tmp_path / "run.pt") == pytest.approx(trained(), rel=1e-4)

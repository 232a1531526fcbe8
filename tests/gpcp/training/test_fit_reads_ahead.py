"""Training from a source that is read ahead or can skip: the same weights, no batch in vain, no thread left."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpcp.core.pairs import PairSource
from gpcp.core.read_ahead import closed
from gpcp.loading.prefetch import Prefetched
from gpcp.model.config import ModelConfig
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig, FitResult
from gpcp.training.fit import fit
from tests.gpcp.held_pairs import KINDS, HeldPairs, LateHeldPairs, reading_threads

CONFIG = FitConfig(n_steps=8, batch_size=4, warmup_steps=2, evaluate_every=3, checkpoint_every=3, accelerator="cpu")
N_PAIRS = 14
"""3.5 batches a pass: 8 steps meet two ends of a pass, and a smaller batch before each."""


def trained(pairs: PairSource, config: FitConfig = CONFIG, **options: object) -> tuple[list[float], FitResult]:
    model = GenePerturbationTransformer(ModelConfig(n_genes=3, width=8, n_heads=2, dropout=0.2), seed=1)
    result = fit(model, pairs, config, **options)  # type: ignore[arg-type]
    return torch.cat([value.flatten() for value in model.state_dict().values()]).tolist(), result


@cache
def plain() -> tuple[list[float], FitResult]:
    """A training on pairs that are at hand."""
    return trained(HeldPairs(N_PAIRS))


@settings(max_examples=8)  # two trainings each
@given(st.sampled_from(KINDS), st.booleans(), st.integers(1, 6), st.booleans())
def test_training_is_the_same_to_the_letter(kind: type[HeldPairs], known: bool, depth: int, ahead: bool):
    source = kind(N_PAIRS, known=known)
    assert trained(source) == plain()
    assert trained(Prefetched(source, depth=depth, dense_ahead=ahead)) == plain()
    assert reading_threads() == []


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("stop_at", [2, 4, 7, 8])
def test_a_run_that_is_resumed_reads_ahead_from_there(stop_at: int, known: bool, tmp_path: Path):
    path, source = tmp_path / "checkpoint.pt", LateHeldPairs(N_PAIRS, known=known)

    def interrupt(step: int, _: float) -> None:
        if step == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        trained(Prefetched(source, depth=2), checkpoint=path, on_step=interrupt)
    # The traceback holds every frame of the run, yet its thread has ended.
    assert caught.value.__traceback__ is not None
    assert reading_threads() == []
    source.made_dense.clear()
    assert trained(Prefetched(source, depth=2), checkpoint=path) == plain()
    n_left = 8 - (stop_at - stop_at % 3) if stop_at < 8 else 0
    # Before the first checkpoint there is nothing to resume from: the units are learnt again, from one whole pass.
    assert len(source.made_dense) == n_left + (4 if stop_at < 3 else 0)


def one_ahead(batches: Iterator[object], device: torch.device) -> Iterator[object]:
    """What CUDA does with batches, but for the copies: each is given after the next one has been asked for."""
    del device
    try:
        waiting = [next(batches)]
        for batch in batches:
            waiting.append(batch)
            yield waiting.pop(0)
        yield from waiting
    finally:
        closed(batches)


@pytest.mark.parametrize("stop_at", [2, 3, 4, 7, 8])
def test_a_run_that_asks_one_batch_ahead_resumes_at_the_one_after_the_last_step(
    stop_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = plain()
    monkeypatch.setattr("gpcp.training.fit.copied_ahead", one_ahead)
    assert trained(HeldPairs(N_PAIRS)) == whole

    def interrupt(step: int, _: float) -> None:
        if step == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(HeldPairs(N_PAIRS), checkpoint=tmp_path / "checkpoint.pt", on_step=interrupt)
    assert trained(HeldPairs(N_PAIRS), checkpoint=tmp_path / "checkpoint.pt") == plain()


def test_a_run_that_diverges_leaves_no_thread():
    _, result = trained(Prefetched(HeldPairs(N_PAIRS), depth=1), replace(CONFIG, learning_rate=1e30, warmup_steps=0))
    assert result.stopped == "diverged"
    assert reading_threads() == []

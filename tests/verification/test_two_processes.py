"""Two processes under torchrun share every batch, take the steps of one process, and do not wait for ever."""

import json
import os
import subprocess
import sys
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpcp.core.pairs import PairSource
from gpcp.loading.sharding import epoch_seed
from gpcp.sources.cache.build import build_cache
from tests.verification.two_ranks_pairs import BATCH, N_STEPS, cells, sources


def under_torchrun(script: str, folder: Path, repo: Path, *words: str, n: int = 2) -> list[dict[str, Any]]:
    """What each of the processes found."""
    folder.mkdir(exist_ok=True)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repo)}
    done = subprocess.run(
        [*launch, str(repo / "tests" / "verification" / script), str(folder), *words],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(n)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "objective", "precision", "weight", "within"),
    [
        ("per_gene_mlp", "squared", "64-true", "entry", 1e-10),
        ("per_gene_mlp", "squared", "64-true", "pair", 1e-10),
        ("mixture", "likelihood", "64-true", "entry", 1e-10),
        ("per_gene_mlp", "squared", "32-true", "entry", 1e-6),
    ],
)
def test_two_processes_take_the_steps_of_one(
    head: str, objective: str, precision: str, weight: str, within: float, tmp_path: Path, repo: Path
) -> None:
    words = (head, objective, precision, weight)
    (alone,) = under_torchrun("two_ranks.py", tmp_path / "one", repo, *words, n=1)
    first, second = under_torchrun("two_ranks.py", tmp_path / "two", repo, *words)
    for rank in (first, second):
        np.testing.assert_allclose(rank["gradients"][0], alone["gradients"][0], rtol=0, atol=within)
        assert rank["losses"] == first["losses"]
        assert rank["weights"] == first["weights"]
        assert "multiple of 2, such as 8" in rank["refused"][0]
    if precision == "64-true":
        # In float32 rounding grows from step to step; losses are reported in float32 either way.
        np.testing.assert_allclose(first["losses"], alone["losses"], rtol=1e-6)
        np.testing.assert_allclose(first["held_out"], alone["held_out"], rtol=1e-6)
        np.testing.assert_allclose(first["weights"], alone["weights"], rtol=0, atol=1e-8)
    # By squared errors a spread gets no gradient, for which processes would wait.
    assert ("one process" in first["refused"][-1]) == (head == "mixture")


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_checkpoint_goes_on_with_another_number_of_processes(
    before: int, after: int, tmp_path: Path, repo: Path
) -> None:
    words = ("per_gene_mlp", "squared", "64-true", "pair")
    (whole,) = under_torchrun("two_ranks.py", tmp_path / "whole", repo, *words, n=1)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "stop").touch()
    first = under_torchrun("two_ranks.py", tmp_path / "parts", repo, *words, n=before)[0]
    (tmp_path / "parts" / "stop").unlink()
    second = under_torchrun("two_ranks.py", tmp_path / "parts", repo, *words, n=after)[0]
    assert (len(first["losses"]), len(second["losses"])) == (5, 5)
    np.testing.assert_allclose([*first["losses"], *second["losses"]], whole["losses"], rtol=1e-6)
    np.testing.assert_allclose(second["weights"], whole["weights"], rtol=0, atol=1e-8)


@pytest.mark.slow
def test_two_processes_share_the_pairs_of_every_source(tmp_path: Path, repo: Path) -> None:
    """9 batches, an odd number: none is lost where that is asked for, and nobody waits where it is not."""
    build_cache(cells(), tmp_path / "cache")
    first, second = under_torchrun("two_ranks_pairs.py", tmp_path, repo)
    for name, source in sources(tmp_path / "cache").items():
        alone = one_pass(source)
        assert [len(batch) for batch in alone] == [BATCH] * 8 + [1], name
        assert in_turn(first[name]["all"], second[name]["all"]) == alone
        assert in_turn(first[name]["even"], second[name]["even"]) == alone[:8]
        seen, others = (set(chain.from_iterable(rank[name]["all"])) for rank in map(as_tuples, (first, second)))
        assert seen.isdisjoint(others)
        assert len(seen | others) == 65
        assert (first[name]["loop"], second[name]["loop"]) == (4, 4)
        losses, other_losses = first[name]["fit"]["losses"], second[name]["fit"]["losses"]
        assert len(losses) == N_STEPS
        assert losses == other_losses
        assert first[name]["fit"]["weights"] == second[name]["fit"]["weights"]
    for name in ("planned", "streamed"):
        for rank in (first, second):
            assert rank[name] == rank[f"{name}, read ahead"]


def one_pass(source: PairSource) -> list[list[list[int]]]:
    """The cells of each pair of each batch that one process alone gets, as JSON has them."""
    batches = source.pairs(batch_size=BATCH, seed=epoch_seed(1, 3))
    return [[list(ids) for ids in zip(b.before_id_B.tolist(), b.after_id_B.tolist(), strict=True)] for b in batches]


def in_turn(first: list[Any], second: list[Any]) -> list[Any]:
    """A batch of the first, one of the second, and so on."""
    return [batch for both in zip_longest(first, second) for batch in both if batch is not None]


def as_tuples(rank: dict[str, Any]) -> dict[str, Any]:
    """Pairs that can be members of a set."""
    return {name: {"all": [[tuple(pair) for pair in batch] for batch in found["all"]]} for name, found in rank.items()}

"""Healthy subjects of several kinds, partly measured pairs, and one check asked by its name.

Dimension key: ``B`` pairs, ``L`` state tokens, ``G`` genes of the vocabulary.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics.checks.engine.subject import Subject
from diagnostics.inputs.diagnose import diagnose
from diagnostics.results.check_result import CheckResult
from diagnostics.results.report import Report
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.core.random import stream
from gpcp.model.batch import ModelBatch
from gpcp.model.config import preset
from gpcp.model.torch_seed import torch_seed
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.loss import masked_loss
from simulators.sources import SimulatedPairs
from simulators.worlds import world

Altered = Callable[[nn.Module, ModelBatch], Tensor]


def pairs_of(n_genes: int = 8, *, n_pairs: int = 200) -> SimulatedPairs:
    return SimulatedPairs(scm=world(f"scale_free/{n_genes}").scm, regime="interventional", n_pairs=n_pairs)


@final
@dataclass(frozen=True, slots=True)
class PartlyMeasured:
    """The pairs of a source, of which up to every other one measures about two thirds of the genes."""

    source: PairSource

    @property
    def vocab(self) -> GeneVocab:
        return self.source.vocab

    @property
    def n_pairs(self) -> int | None:
        return self.source.n_pairs

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        # One generator for the pass, a row of numbers for each pair: the same whatever the batch size.
        rng = stream(seed, "partly measured")
        n_seen = 0
        for batch in self.source.pairs(batch_size=batch_size, seed=seed):
            measured_BG = rng.random(batch.before_BG.shape) < 2 / 3
            perturbed_B = (measured_BG & batch.perturbed_BG).any(axis=1)
            scored_B = (measured_BG & batch.scored_BG).any(axis=1)
            odd_B = (n_seen + np.arange(len(batch))) % 2 == 1
            # A pair that would lose all perturbed, or all scored, genes keeps everything.
            measured_BG |= ~(odd_B & perturbed_B & scored_B)[:, None]
            n_seen += len(batch)
            yield batch.measured_where(measured_BG)


@final
class Linear(nn.Module):
    """The whole perturbation, in one linear map."""

    def __init__(self, n_genes: int) -> None:
        super().__init__()
        self.map = nn.Linear(3 * n_genes, n_genes)

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        return self.map(torch.cat((before_BG, target_BG, perturbed_BG.to(before_BG)), dim=1))


@final
class Mlp(nn.Module):
    """A perceptron over dense cells, with whatever ends it."""

    def __init__(self, n_genes: int, *, extra: nn.Module | None = None, last: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Linear(4 * n_genes, 32)
        self.extra = nn.Identity() if extra is None else extra
        self.last = nn.Linear(32, n_genes)
        self.end = nn.Identity() if last is None else last

    def forward(self, before_BG: Tensor, target_BG: Tensor, measured_BG: Tensor, perturbed_BG: Tensor) -> Tensor:
        perturbed = (before_BG, target_BG, measured_BG.to(before_BG), perturbed_BG.to(before_BG))
        return self.end(self.last(torch.relu(self.extra(self.first(torch.cat(perturbed, dim=1))))))


def made(make: Callable[[], nn.Module], *, seed: int = 0) -> nn.Module:
    """A module whose first weights are drawn from a seed."""
    with torch_seed(seed):
        return make()


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def subject(model: nn.Module | None = None, *, n_genes: int = 8, **parts: Any) -> Subject:
    """Healthy in every part that is not given; the default preset where no model is."""
    fields: dict[str, Any] = {
        "pairs": pairs_of(n_genes),
        "model": transformer("default", n_genes) if model is None else model,
        "loss": masked_loss,
        "make_optimizer": adamw,
    }
    return Subject(**{**fields, **parts})


def transformer(name: str = "default", n_genes: int = 8, *, whole: bool = False) -> GenePerturbationTransformer:
    """A preset; all of its decoder's blocks and rounds, or one, which has every kind of layer."""
    config = preset(name, n_genes)
    return GenePerturbationTransformer(config if whole else replace(config, n_decoder_blocks=1, n_rounds=1), seed=0)


def report(asked: Subject, *only: str, seed: int = 0) -> Report:
    return diagnose(asked, only=only or ("exact",), seed=seed)


def found(asked: Subject, name: str) -> CheckResult:
    """What one check finds, asked alone."""
    (result,) = report(asked, name).results
    assert result.outcome != "error", result.traceback
    return result


def failures(asked: Subject, *only: str) -> list[str]:
    """Names of the checks that fail, the exact ones by default, in their order; none may break."""
    results = report(asked, *only).results
    broken = [result.traceback for result in results if result.outcome == "error"]
    assert not broken, broken[0]
    return [result.name for result in results if result.outcome == "fail"]

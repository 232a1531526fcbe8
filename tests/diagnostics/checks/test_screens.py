"""Checks on screens: they ask by the names of perturbations, find what is wrong and accuse nothing that is right."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics.checks.cascade import all_checks, carried_out
from diagnostics.checks.data.step_inputs import _differ  # pyright: ignore[reportPrivateUsage]
from diagnostics.checks.engine.fitted_subject import fitted_subject
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.results.check_result import CheckResult
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import FixedPairs, PairBatch
from gpcp.core.perturbations import AppliedPerturbations, PerturbationVocab
from gpcp.model.batch import ModelBatch, model_batch
from gpcp.model.config import PRESETS, preset
from gpcp.model.perturbations import PerturbationReading
from gpcp.model.torch_seed import torch_seed
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.config import FitConfig

N_GENES = 8
VOCAB = GeneVocab(feature_id=tuple(f"g{i}" for i in range(N_GENES)))
NAMES = PerturbationVocab(
    target=("g0", "g1", "g2", "drug", "other"), kind=("knocked down",) * 5, gene=(0, 1, 2, -1, -1)
)


def screen(n_pairs: int = 1200, *, shuffled: bool = False) -> PairBatch:
    """Each perturbation moves two genes of its own that are not its target."""
    rng = np.random.default_rng(0)
    before, after = (rng.normal(size=(n_pairs, N_GENES)).astype(np.float32) for _ in range(2))
    token = rng.integers(len(NAMES), size=n_pairs)
    effect = np.zeros((len(NAMES), N_GENES), dtype=np.float32)
    effect[np.arange(5), 3 + np.arange(5) % 5] = 2.0
    effect[np.arange(5), 3 + (np.arange(5) + 1) % 5] = -1.5
    after += effect[token]
    applied = AppliedPerturbations.of(NAMES, (rng.permutation(token) if shuffled else token)[:, None].tolist())
    return PairBatch(
        vocab=VOCAB, before_BG=before, after_BG=after, measured_BG=np.ones_like(before, dtype=np.bool_),
        perturbed_BG=applied.targets_BG(N_GENES), before_id_B=np.arange(n_pairs),
        after_id_B=n_pairs + np.arange(n_pairs), applied=applied,
    )  # fmt: skip


def subject(name: str = "mixing", pairs: PairBatch | None = None) -> Subject:
    pairs = screen() if pairs is None else pairs
    model = GenePerturbationTransformer(preset(name, N_GENES, NAMES))
    return fitted_subject(model, FixedPairs(held=pairs), FitConfig(batch_size=64, learning_rate=3e-3))


def asked(of: Subject, *names: str) -> dict[str, CheckResult]:
    """The results of these checks, or of all that train nothing."""
    probe = Probe(of)
    some = [
        one for one in all_checks() if (one.name in names if names else one.family != "learning" and not one.optional)
    ]
    return {one.name: carried_out(one, probe) for one in some}


@pytest.mark.parametrize("name", list(PRESETS))
def test_no_preset_is_accused_and_no_check_stumbles(name: str) -> None:
    found = asked(subject(name))
    bad = {one.name: one.message for one in found.values() if one.outcome in ("fail", "error")}
    assert not bad
    for asks in ("reads_perturbation", "perturbation_reaches_others", "reads_which"):
        assert found[f"architecture.{asks}"].outcome == "pass"
    assert found["architecture.reads_dose"].outcome == "not_applicable"
    assert found["data.perturbation"].outcome == "pass"


class Deaf(nn.Module):
    """Reads the perturbation, and drops it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reading = PerturbationReading(width)

    def forward(self, token_BAD: Tensor, identity_BQD: Tensor) -> Tensor:
        return 0.0 * self.reading(token_BAD, identity_BQD)


class SameForAll(Deaf):
    """Reads that something was done, and not what."""

    def forward(self, token_BAD: Tensor, identity_BQD: Tensor) -> Tensor:
        any_B11 = (token_BAD != 0).any(dim=-1).any(dim=-1)[:, None, None]
        return any_B11 * self.reading(torch.ones_like(token_BAD[:, :1]), identity_BQD)


def with_reading(reading: Callable[[int], nn.Module]) -> Subject:
    of = subject()
    assert isinstance(of.model, GenePerturbationTransformer)
    assert of.model.perturbations is not None
    with torch_seed(0):
        other = reading(of.model.config.width)
    of.model.perturbations.reading = other  # pyright: ignore[reportAttributeAccessIssue]
    return of


def leaking(pairs: PairBatch) -> tuple[ModelBatch, Tensor]:
    batch, after_BL = model_batch(pairs)
    return replace(batch, target_BL=torch.where(batch.perturbed_BL, after_BL, 0.0)), after_BL


def moved_on(pairs: PairBatch) -> tuple[ModelBatch, Tensor]:
    batch, after_BL = model_batch(pairs)
    return replace(batch, applied_BA=batch.applied_BA.roll(1, dims=0)), after_BL


@pytest.mark.parametrize(
    ("of", "check", "message"),
    [
        (lambda: with_reading(Deaf), "architecture.reads_perturbation", "the same whatever the perturbation"),
        (lambda: with_reading(SameForAll), "architecture.reads_which", "the same whichever perturbation it is"),
        (lambda: subject(pairs=screen(8000, shuffled=True)), "data.perturbation", "carries no information"),
        (lambda: replace(subject(), collate=leaking), "data.perturbed", "values after of the targets arrive"),
        (lambda: replace(subject(), collate=moved_on), "data.perturbed", "arrive with other perturbations"),
    ],
    ids=["deaf", "same for all", "shuffled labels", "value after beside the name", "labels moved on"],
)
def test_what_is_wrong_is_named(of: Callable[[], Subject], check: str, message: str) -> None:
    found = asked(of(), check)[check]
    assert found.outcome == "fail"
    assert message in found.message


@pytest.mark.parametrize(("other", "differs"), [(float("nan"), False), (0.0, True), (1.0, True)])
def test_nan_is_the_same_as_nan_and_as_no_number(other: float, differs: bool) -> None:
    one = torch.tensor([1.0, float("nan")])
    assert _differ(one, torch.tensor([1.0, other])) is differs  # a dose, or a value that a step makes 0 of

"""Train one model as a run's settings say, in that run's folder, and keep its history and its weights."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import Experiment, steps_for
from diagnostics.runs.folder import CHECKPOINT, HISTORY
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.core.perturbations import PerturbationVocab, perturbations_of
from gpcp.core.random import seed_of

if TYPE_CHECKING:
    from gpcp.model.config import ModelConfig
    from gpcp.model.predictor import ModelPredictor
    from gpcp.training.config import FitConfig

N_CURVE = 500
"""Held-out pairs whose loss enters the history; the final loss is measured on all of them."""


N_STEPS: Mapping[str, int] = MappingProxyType({"counterfactual": 600, "interventional": 600, "matched": 1000})
"""Training steps by regime where genes meet by attention, see :func:`diagnostics.runs.experiment.steps_for`. Matched
pairs need more than the others: every set of perturbed genes is a regression of its own."""

MIXING_STEPS: Mapping[str, int] = MappingProxyType({"counterfactual": 300, "interventional": 300, "matched": 1200})
"""Training steps of a hundred genes by regime where genes meet by weights of their own."""

FEWEST_MIXING_STEPS: Mapping[str, int] = MappingProxyType(
    {"counterfactual": 350, "interventional": 350, "matched": 500}
)
"""And of few genes."""

MANY_GENES = 200
"""Up to so many genes a step takes 128 pairs and losses are measured on 6,000; beyond, half and a third of them."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How long is trained, on how many pairs a step, and on how many losses are measured."""

    n_steps: int
    batch_size: int
    n_held_out: int


def budget_of(preset_name: str, regime: str, n_genes: int, *, linear: bool = True) -> Budget:
    """The usual budget of a preset, by regime and genes.

    Steps of a mixing preset grow with the root of the genes up to 500, and are two and a half times as many in worlds
    that are not linear, which after the usual number still won a twentieth of their way in the last third of it.
    """
    from gpcp.model.config import preset
    from gpcp.training.config import FitConfig

    batch_size = FitConfig().batch_size
    if preset(preset_name, n_genes).query_mixing == "softmax":
        return Budget(n_steps=steps_for(n_genes, N_STEPS[regime]), batch_size=batch_size, n_held_out=6000)
    n_steps = max(FEWEST_MIXING_STEPS[regime], round(MIXING_STEPS[regime] * (min(n_genes, 500) / 100) ** 0.5))
    n_steps = n_steps if linear else n_steps * 5 // 2
    if n_genes <= MANY_GENES:
        return Budget(n_steps=n_steps, batch_size=batch_size, n_held_out=6000)
    return Budget(n_steps=n_steps, batch_size=batch_size // 2, n_held_out=2000)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trained:
    """A trained model and how it got there.

    Parameters
    ----------
    predictor : ModelPredictor
    config : ModelConfig
    step_point : int64, (point,)
    held_out_loss_point : float64, (point,)
        On the first :data:`N_CURVE` held-out pairs.
    n_steps, n_pairs, n_parameters : int
        Updates done, pairs seen, numbers learnt.
    stopped : str
        ``"finished"``, ``"early"`` or ``"diverged"``.
    seconds : float
        Wall time of this process, without what an earlier one did before it was interrupted.
    """

    predictor: "ModelPredictor"
    config: "ModelConfig"
    step_point: NDArray[np.int64]
    held_out_loss_point: NDArray[np.float64]
    n_steps: int
    n_pairs: int
    n_parameters: int
    stopped: str
    seconds: float

    def late_gain(self, *, baseline: float, best: float | None) -> float | None:
        """Share of the way from ``baseline`` to ``best`` that the last fifth of the steps won."""
        late_point = self.step_point >= 0.8 * self.n_steps
        if (
            best is None
            or late_point.sum() < 2
            or not baseline > best
            or not np.isfinite(self.held_out_loss_point[late_point]).all()
        ):
            return None
        loss_point = self.held_out_loss_point[late_point]
        return float(loss_point[0] - loss_point[-1]) / (baseline - best)


def configs_of(
    run: Experiment, n_genes: int, perturbations: PerturbationVocab | None = None
) -> "tuple[ModelConfig, FitConfig]":
    """The model's and the training's configuration, checked; a short training still has a history to show.

    Raises
    ------
    InputError
        There is no such preset, or a number is out of range.
    """
    model, fit = run.configs(n_genes, perturbations)
    return model, replace(
        fit,
        evaluate_every=max(1, run.n_steps // 12),
        checkpoint_every=max(1, min(200, run.n_steps // 4)),
        seed=seed_of(run.seed, "training"),
    )


def train(run: Experiment, pairs: PairSource, held_out: PairBatch, *, folder: Path, on_step: OnStep) -> Trained:
    """Train from the folder's checkpoint, or from the beginning where there is none; one thread."""
    from gpcp.model.predictor import ModelPredictor
    from gpcp.model.transformer import GenePerturbationTransformer
    from gpcp.training.fit import fit

    start_s = time.perf_counter()
    read = perturbations_of(pairs)
    config, fit_config = configs_of(run, len(pairs.vocab), read)
    model = GenePerturbationTransformer(config, seed=seed_of(run.seed, "weights"))
    result = fit(
        model,
        pairs,
        fit_config,
        held_out=held_out.rows(slice(0, N_CURVE)),
        checkpoint=folder / CHECKPOINT,
        on_step=on_step,
    )
    result.save(folder / HISTORY)
    nan = float("nan")
    losses = [nan if row.held_out_loss is None else row.held_out_loss for row in result.history]
    return Trained(
        predictor=ModelPredictor(model, pairs.vocab, perturbations=read),
        config=config,
        step_point=np.array([row.step for row in result.history], dtype=np.int64),
        held_out_loss_point=np.array(losses, dtype=np.float64),
        n_steps=result.n_steps,
        n_pairs=result.n_steps * run.batch_size,
        n_parameters=sum(parameter.numel() for parameter in model.parameters()),
        stopped=result.stopped,
        seconds=time.perf_counter() - start_s,
    )

"""Which read-outs a run reads, against which target graph, and which one is primary.

The choice is made before the model is looked at: of the read-outs that ask what training has shown (as many
perturbed genes), the one that recovers most of the target from the *exact law*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.graphs.estimators import BASELINES, estimate
from diagnostics.graphs.implied_law import implied_partial
from diagnostics.graphs.readouts import (
    READ_OUTS,
    all_but_one,
    invert_total,
    partial_from_coefficients,
    single_gene_response,
)
from diagnostics.graphs.scores import GraphScore, auprc_of, score_graph
from diagnostics.results.run_record import MethodScore, ReadOutScore
from diagnostics.scoring.levels import Levels
from gpcp.core.errors import InputError
from gpcp.core.files import write_with
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Predictor
from simulators.exact.bayes import BayesPredictor
from simulators.scm.regimes import Regime
from simulators.worlds import World

if TYPE_CHECKING:
    from gpcp.model.transformer import GenePerturbationTransformer

TARGET_OF: Mapping[str, str] = MappingProxyType(
    {"counterfactual": "direct", "interventional": "direct", "matched": "moral"}
)
"""The graph that each regime's data determine; correlation alone has no direction."""

CANDIDATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "direct": ("all_but_one", "single_gene_inverted", "single_gene"),
        "moral": ("implied_partial", "all_but_one_partial", "single_gene"),
    }
)
"""Read-outs by target; of two with equal ceilings the first is primary."""

THRESHOLD: Mapping[str, float] = MappingProxyType({"direct": 0.1, "partial": 0.05, "total": 0.1})
"""Effects above it are called edges, for the SHD alone, by what a read-out's numbers mean. Fixed before any run: direct
effects of the default worlds are .16 and more (units of expression are standard deviations), and partial correlations
of moral edges have no least value."""

N_PARTICLES = 512
"""Simulated cells behind each answer of an exact law without a closed form."""

_N_ONE = 64
"""Cells that the single-gene read-out asks about, ``2 G`` rows each."""

_ASKS_ONE = frozenset({"single_gene", "single_gene_inverted"})
_ASKS_ALL_BUT_ONE = frozenset({"all_but_one", "all_but_one_partial"})
_SAME_CEILING = 0.005

N_INSIDE = 128
"""Pairs on which gradients and attention are read."""

N_FOREST = 500
"""Pairs that the forest is grown on; the others take all, and seconds less."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Asking:
    """What every read-out of a run asks with, of the model and of the exact law alike.

    Parameters
    ----------
    cell_BG : float32, (B, G)
        Cells of one population; the first few of them are asked about where a read-out asks much of each.
    n_controls : int
        How many that are.
    perturbed_BG : float32, (B, G), or None
        Values given by the all-but-one read-out, ``n_controls`` rows; None gives each cell those of the next one.
    dose, step : float
        See :mod:`diagnostics.graphs.readouts`.
    seed : int
        Draws the questions of the implied law, the same for the model and the exact law.
    """

    cell_BG: NDArray[np.float32]
    n_controls: int
    perturbed_BG: NDArray[np.float32] | None
    dose: float
    step: float
    seed: int

    @property
    def control_BG(self) -> NDArray[np.float32]:
        """The cells asked about, float32 (B, G)."""
        return self.cell_BG[: self.n_controls]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReadOut:
    """One read-out of the model and of the exact law, scored against the target.

    Parameters
    ----------
    name : str
    supported : bool
        Training showed pairs that perturb as many genes.
    effect_GG, exact_GG : float64, (G, G)
    score, ceiling : GraphScore
    """

    name: str
    supported: bool
    effect_GG: NDArray[np.float64]
    exact_GG: NDArray[np.float64]
    score: GraphScore
    ceiling: GraphScore

    def in_short(self) -> ReadOutScore:
        """Its line among the other read-outs."""
        return ReadOutScore(
            read_out=self.name,
            target=self.score.target,
            auprc=self.score.auprc,
            ceiling_auprc=self.ceiling.auprc,
            supported=self.supported,
        )

    def fields(self) -> dict[str, Any]:
        """The part of a :class:`diagnostics.results.run_record.RunRecord` that speaks of the graph."""
        return score_fields(self.score) | {"ceiling_auprc": self.ceiling.auprc}

    def save(self, path: Path, true_GG: NDArray[np.bool_], levels: Levels) -> None:
        """Write what the figures need: its matrices, the target's edges, and the levels that the loss lies between."""
        reference = "ridge" if levels.linear is None else "linear"
        losses = {"baseline": levels.baseline, reference: levels.reference, "bayes": levels.bayes_risk}
        arrays: dict[str, NDArray[Any]] = {
            f"level_{name}": np.array(loss) for name, loss in losses.items() if loss is not None
        }
        arrays |= {"recovered_GG": self.effect_GG, "exact_GG": self.exact_GG, "target_GG": true_GG}
        write_with(path, lambda passing: np.savez(passing, allow_pickle=False, **arrays))


def score_fields(score: GraphScore) -> dict[str, Any]:
    """The fields of a score that a record carries under the same names."""
    names = ("target", "n_true", "auprc", "base_rate", "null_95", "ci_low", "ci_high", "auroc", "early_precision_ratio")
    return {name: getattr(score, name) for name in (*names, "sign_agreement", "shd", "threshold")}


def read_outs_of(
    predictor: Predictor,
    made: World,
    regime: Regime,
    *,
    n_perturbed: tuple[int, int],
    dose_sd: float,
    held_out: PairBatch,
    rng: np.random.Generator,
) -> tuple[list[ReadOut], list[str]]:
    """Every candidate of the regime's target, of the model and of the exact law, scored; and remarks."""
    target = TARGET_OF[regime]
    names = CANDIDATES[target]
    n_genes = made.graph.n_genes
    asking = asking_of(held_out.before_BG, regime, dose_sd=dose_sd, rng=rng)
    found, notes = effects(predictor, asking, names)
    exact, _ = effects(BayesPredictor(made.scm, regime, n_particles=N_PARTICLES), asking, names)

    def scored(name: str, effect_GG: NDArray[np.float64]) -> GraphScore:
        return score_graph(
            effect_GG,
            made.graph,
            target,
            threshold=threshold_of(name),
            rng=rng,
            signed_GG=effect_GG,
            true_sign_GG=exact[name],
        )

    return [
        ReadOut(
            name=name,
            supported=supported(name, n_perturbed, n_genes),
            effect_GG=found[name],
            exact_GG=exact[name],
            score=scored(name, found[name]),
            ceiling=scored(name, exact[name]),
        )
        for name in names
    ], notes


def response_ratio(read_outs: Sequence[ReadOut]) -> float | None:
    """Size of the model's single-gene responses at other genes relative to the exact law's; None if not read."""
    for read_out in read_outs:
        if read_out.name == "single_gene":
            off_GG = ~np.eye(len(read_out.exact_GG), dtype=np.bool_)
            exact = float(np.linalg.norm(read_out.exact_GG[off_GG]))
            return float(np.linalg.norm(read_out.effect_GG[off_GG])) / exact if exact > 0 else None
    return None


def supported(read_out: str, n_perturbed: tuple[int, int], n_genes: int) -> bool:
    """Whether pairs with ``n_perturbed`` perturbed genes show a model what this read-out asks."""
    if read_out in _ASKS_ONE:
        return n_perturbed[0] <= 1
    # The implied law is asked with half of the genes perturbed to all but one, the others with all but one.
    return n_perturbed[1] >= n_genes - 1 and (read_out != "implied_partial" or n_perturbed[0] <= n_genes - n_genes // 2)


def primary(read_outs: Sequence[ReadOut]) -> ReadOut:
    """The primary read-out of a run: the first with the best ceiling, of the supported ones if there are any."""
    among = [read_out for read_out in read_outs if read_out.supported] or list(read_outs)
    best = max(read_out.ceiling.auprc for read_out in among)
    return next(read_out for read_out in among if read_out.ceiling.auprc >= best - _SAME_CEILING)


def effects(
    predictor: Predictor, asking: Asking, names: Sequence[str]
) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Effect matrices (G, G) of a predictor by read-out, and remarks on those that could not be had.

    What two read-outs share is asked once. A matrix of total effects that cannot be inverted gives an empty matrix,
    which scores as chance.
    """
    found: dict[str, NDArray[np.float64]] = {}
    notes: list[str] = []
    if _ASKS_ONE & set(names):
        found["single_gene"] = single_gene_response(predictor, asking.cell_BG[:_N_ONE], dose=asking.dose)
    if "implied_partial" in names:
        rng = np.random.default_rng(asking.seed)
        found["implied_partial"] = implied_partial(predictor, asking.cell_BG, rng=rng)
    if _ASKS_ALL_BUT_ONE & set(names):
        found["all_but_one"] = all_but_one(
            predictor, asking.control_BG, step=asking.step, perturbed_BG=asking.perturbed_BG
        )
        found["all_but_one_partial"] = partial_from_coefficients(found["all_but_one"])
    if "single_gene_inverted" in names:
        try:
            found["single_gene_inverted"] = invert_total(found["single_gene"])
        except InputError as refusal:
            found["single_gene_inverted"] = np.zeros_like(found["single_gene"])
            notes.append(str(refusal))
    return {name: found[name] for name in names}, notes


def threshold_of(read_out: str) -> float:
    """The magnitude above which this read-out's numbers are called edges."""
    return THRESHOLD[READ_OUTS[read_out]]


def asking_of(cell_BG: NDArray[np.float32], regime: str, *, dose_sd: float, rng: np.random.Generator) -> Asking:
    """Questions within what training showed.

    Interventions set values of standard deviation ``dose_sd``, so the dose is one of those and the other genes are
    held at values drawn like them. In the matched regime given values are another cell's, and the dose is one
    standard deviation of expression.
    """
    n_asked = min(len(cell_BG), n_controls(cell_BG.shape[1]))
    perturbed_BG = None
    if regime == "matched":
        dose = float(np.nanstd(cell_BG, axis=0).mean())
    else:
        dose = dose_sd
        perturbed_BG = (dose_sd * rng.standard_normal((n_asked, cell_BG.shape[1]))).astype(np.float32)
    return Asking(
        cell_BG=cell_BG,
        n_controls=n_asked,
        perturbed_BG=perturbed_BG,
        dose=dose,
        step=0.5 * dose,
        seed=int(rng.integers(2**31)),
    )


def n_controls(n_genes: int, *, most: int = 32, n_rows: int = 12_000) -> int:
    """How many control cells the all-but-one read-out can afford: ``2 G (G - 1)`` rows each, at least 4 cells."""
    return min(most, max(4, n_rows // (2 * n_genes * (n_genes - 1))))


def scores_from_inside(
    model: "GenePerturbationTransformer", pairs: PairBatch, true_GG: NDArray[np.bool_], target: str
) -> tuple[ReadOutScore, ...]:
    """Gradients and attention on training-like pairs, scored."""
    from diagnostics.graphs.model_internals import attention_readout, gradient_readout

    some = pairs.rows(slice(0, N_INSIDE))
    scores: list[ReadOutScore] = []
    for name, read in (
        ("gradient_x_input", lambda: gradient_readout(model, some, times_input=True)),
        ("attention", lambda: attention_readout(model, some)),
    ):
        try:
            auprc, note = auprc_of(read(), true_GG), ""
        except InputError as refusal:
            auprc, note = None, str(refusal)
        scores.append(
            ReadOutScore(read_out=name, target=target, auprc=auprc, ceiling_auprc=None, supported=True, note=note)
        )
    return tuple(scores)


def method_scores(
    regime: str, pairs: PairBatch, true_GG: NDArray[np.bool_], target: str, *, rng: np.random.Generator
) -> tuple[MethodScore, ...]:
    """Every baseline of :data:`diagnostics.graphs.estimators.BASELINES` on some training pairs, scored."""
    scores: list[MethodScore] = []
    for name in BASELINES:
        found = estimate(name, regime, pairs.rows(slice(0, N_FOREST)) if name == "genie3" else pairs, rng=rng)
        scores.append(
            MethodScore(
                method=name,
                target=target,
                auprc=None if found.score_GG is None else auprc_of(found.score_GG, true_GG),
                classical=name == "classical",
                note=found.summary,
            )
        )
    return tuple(scores)

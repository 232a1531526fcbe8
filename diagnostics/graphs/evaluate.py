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

from diagnostics.graphs.asking import ASKS_ONE, asking_of, effects
from diagnostics.graphs.estimators import BASELINES, estimate
from diagnostics.graphs.readouts import READ_OUTS
from diagnostics.graphs.scores import GraphScore, auprc_of, score_graph, target_graph
from diagnostics.results.run_record import MethodScore, ReadOutScore
from diagnostics.scoring.levels import Levels
from gpcp.core.errors import InputError
from gpcp.core.files import write_with
from gpcp.core.pairs import PairBatch
from gpcp.core.predictors import Predictor
from simulators.exact.bayes import BayesPredictor
from simulators.graphs.gene_graph import GeneGraph
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

_SAME_CEILING = 0.005

N_INSIDE = 128
"""Pairs on which gradients and attention are read."""

_INSIDE_ENTRIES = 3_200_000
"""Entries of attention, pairs times genes squared, above which fewer pairs are read, down to 16."""

N_FOREST = 500
"""Pairs that the forest is grown on; the others take all, and seconds less."""

MOST_GENES: Mapping[str, int] = MappingProxyType(
    {"genie3": 30, "implied_partial": 40, "gradient_x_input": 100, "ridge": 500}
)
"""Up to so many genes a method or a read-out takes less than the training does; beyond, it is done where asked for."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReadOut:
    """One read-out of the model and of the exact law, scored against the target.

    Parameters
    ----------
    name : str
    target : str
    supported : bool
        Training showed pairs that perturb as many genes.
    effect_GG, exact_GG : float64, (G, G)
    auprc, ceiling_auprc : float
        Of the one and of the other.
    """

    name: str
    target: str
    supported: bool
    effect_GG: NDArray[np.float64]
    exact_GG: NDArray[np.float64]
    auprc: float
    ceiling_auprc: float

    def in_short(self) -> ReadOutScore:
        """Its line among the other read-outs."""
        return ReadOutScore(
            read_out=self.name,
            target=self.target,
            auprc=self.auprc,
            ceiling_auprc=self.ceiling_auprc,
            supported=self.supported,
        )

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
    thorough: bool = False,
) -> tuple[list[ReadOut], list[str]]:
    """Every candidate of the regime's target, of the model and of the exact law; and remarks.

    What takes longer than a training (:data:`MOST_GENES`) is left out unless ``thorough``.
    """
    target = TARGET_OF[regime]
    n_genes = made.graph.n_genes
    names, left_out = affordable(CANDIDATES[target], n_genes, thorough)
    true_GG = target_graph(made.graph, target)
    asking = asking_of(held_out.before_BG, regime, dose_sd=dose_sd, rng=rng)
    found, notes = effects(predictor, asking, names)
    exact, _ = effects(BayesPredictor(made.scm, regime, n_particles=N_PARTICLES), asking, names)
    return [
        ReadOut(
            name=name,
            target=target,
            supported=supported(name, n_perturbed, n_genes),
            effect_GG=found[name],
            exact_GG=exact[name],
            auprc=auprc_of(found[name], true_GG),
            ceiling_auprc=auprc_of(exact[name], true_GG),
        )
        for name in names
    ], [*notes, *left_out]


_LEFT_OUT = "is left out, because it takes longer than the training: --thorough has it"


def too_slow(name: str, n_genes: int, thorough: bool) -> bool:
    """Whether a method or read-out is left out for its cost."""
    return not thorough and n_genes > MOST_GENES.get(name, n_genes)


def affordable(names: Sequence[str], n_genes: int, thorough: bool) -> tuple[list[str], list[str]]:
    """Those of the read-outs that are done, and a remark on each that is left out for its cost."""
    left_out = [name for name in names if too_slow(name, n_genes, thorough)]
    return [name for name in names if name not in left_out], [f"{name} {_LEFT_OUT}" for name in left_out]


def score_of(read_out: ReadOut, graph: GeneGraph, *, rng: np.random.Generator) -> GraphScore:
    """The whole score of one read-out of a known graph, with its null and its interval."""
    return score_graph(
        read_out.effect_GG,
        graph,
        read_out.target,
        threshold=threshold_of(read_out.name),
        rng=rng,
        signed_GG=read_out.effect_GG,
        true_sign_GG=read_out.exact_GG,
    )


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
    if read_out in ASKS_ONE:
        return n_perturbed[0] <= 1
    # The implied law is asked with half of the genes perturbed to all but one, the others with all but one.
    return n_perturbed[1] >= n_genes - 1 and (read_out != "implied_partial" or n_perturbed[0] <= n_genes - n_genes // 2)


def primary(read_outs: Sequence[ReadOut]) -> ReadOut:
    """The primary read-out of a run: the first with the best ceiling, of the supported ones if there are any."""
    among = [read_out for read_out in read_outs if read_out.supported] or list(read_outs)
    best = max(read_out.ceiling_auprc for read_out in among)
    return next(read_out for read_out in among if read_out.ceiling_auprc >= best - _SAME_CEILING)


def threshold_of(read_out: str) -> float:
    """The magnitude above which this read-out's numbers are called edges."""
    return THRESHOLD[READ_OUTS[read_out]]


def scores_from_inside(
    model: "GenePerturbationTransformer",
    pairs: PairBatch,
    true_GG: NDArray[np.bool_],
    target: str,
    *,
    thorough: bool = False,
) -> tuple[ReadOutScore, ...]:
    """Gradients and attention on training-like pairs, scored; gradients of many genes only if ``thorough``."""
    from diagnostics.graphs.model_internals import attention_readout, gradient_readout

    n_genes = len(true_GG)
    some = pairs.rows(slice(0, N_INSIDE))
    fewer = some.rows(slice(0, max(16, _INSIDE_ENTRIES // n_genes**2)))
    scores: list[ReadOutScore] = []
    for name, read in (
        ("gradient_x_input", lambda: gradient_readout(model, some, times_input=True)),
        ("attention", lambda: attention_readout(model, fewer)),
    ):
        try:
            slow = too_slow(name, n_genes, thorough)
            auprc, note = (None, _LEFT_OUT) if slow else (auprc_of(read(), true_GG), "")
        except InputError as refusal:
            auprc, note = None, str(refusal)
        scores.append(
            ReadOutScore(read_out=name, target=target, auprc=auprc, ceiling_auprc=None, supported=True, note=note)
        )
    return tuple(scores)


def method_scores(
    regime: str,
    pairs: PairBatch,
    true_GG: NDArray[np.bool_],
    target: str,
    *,
    rng: np.random.Generator,
    thorough: bool = False,
) -> tuple[MethodScore, ...]:
    """Every baseline of :data:`diagnostics.graphs.estimators.BASELINES` on some training pairs, scored.

    What takes longer than a training (:data:`MOST_GENES`) is left out unless ``thorough``.
    """
    scores: list[MethodScore] = []
    for name in BASELINES:
        auprc, note = None, _LEFT_OUT
        if not too_slow(name, len(true_GG), thorough):
            found = estimate(name, regime, pairs.rows(slice(0, N_FOREST)) if name == "genie3" else pairs, rng=rng)
            auprc = None if found.score_GG is None else auprc_of(found.score_GG, true_GG)
            note = found.summary
        scores.append(MethodScore(method=name, target=target, auprc=auprc, classical=name == "classical", note=note))
    return tuple(scores)

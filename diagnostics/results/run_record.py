"""``RunRecord``: everything that one run of ``recover_graph`` measured, as it stands in the JSON file.

A number that cannot be known (the Bayes risk of real cells) or is undefined (the sign agreement of no edge) is None.
Losses are mean squared errors over the scored entries of the same held-out pairs, so *skill* follows from the keys
beside it: ``(baseline_loss - loss) / (baseline_loss - bayes_risk)``.
"""

from dataclasses import asdict, dataclass
from typing import Any, final

READ_OUT_WORDS = {
    "single_gene": "single-gene response",
    "single_gene_inverted": "single-gene response, inverted",
    "all_but_one": "all-but-one slopes",
    "all_but_one_partial": "all-but-one, partial correlations",
    "implied_partial": "implied law, partial correlations",
    "gradient_x_input": "gradient x input",
}
"""Read-outs in words; the others are words already."""


def in_words(name: str) -> str:
    """A read-out or a method as a person would call it."""
    return READ_OUT_WORDS.get(name, name.replace("_", " "))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOutScore:
    """How well one read-out of the trained model recovers one target graph, beside what the exact law gives.

    ``supported`` says whether training showed the model pairs with as many perturbed genes as the read-out perturbs.
    Where it cannot be read ``auprc`` is None and ``note`` says why.
    """

    read_out: str
    target: str
    auprc: float | None
    ceiling_auprc: float | None
    supported: bool
    note: str = ""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MethodScore:
    """How well a method without a transformer recovers the target graph; ``classical`` marks the regime's own.

    Where a method is not applicable ``auprc`` is None and ``note`` says why.
    """

    method: str
    target: str
    auprc: float | None
    classical: bool
    note: str = ""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run; see the module for the units.

    Parameters
    ----------
    world, regime, seed, preset, n_genes, n_edges, n_perturbed, n_steps, n_pairs, n_held_out
        What was run; ``n_pairs`` counts the training pairs that the model saw.
    loss, loss_se, mean_delta_loss, mean_loss, baseline_loss, ridge_loss
        Held-out losses. ``loss_se`` is the standard error over pairs; the baseline is the better of two that ignore
        the input: the mean change, and ``mean - x``, by which the cell becomes the mean cell (or, for real cells, the
        mean of its type).
    best_linear_loss
        For real cells: the better of ridge and of the linear predictor from the training cells' covariances.
    bayes_risk, bayes_risk_exact, bayes_is_exact, leak_z
        Loss of the exact Bayes predictor on the same pairs; its expectation from the law; whether it is in closed
        form; and how many standard errors of the paired difference the loss lies *below* it.
    skill, ridge_skill
        0 is the input-free baseline, 1 the exact answer.
    late_gain
        Share of the way from baseline to Bayes risk (to ridge, for real cells) that the last fifth of the steps won.
    response_ratio
        Size of the model's single-gene responses at the other genes relative to the exact law's: 0 means that the
        value given for one gene never reaches another.
    answer_spread_ratio
        Spread of the model's answers to the scored genes of one cell, relative to that of the exact answers: 0 says
        that it cannot distinguish genes.
    target, n_true, read_out, auprc, ceiling_auprc, base_rate, null_95, ci_low, ci_high, auroc, early_precision_ratio, \
sign_agreement, shd, threshold
        The main read-out against its named target graph.
    read_outs, methods
        The other read-outs, and what methods without a transformer make of the same data.
    var_sortability, r2_sortability
        .5 where marginal variances (explained variances) say nothing about the order of the graph.
    n_parameters, seconds, train_seconds, history, limits, notes
        Costs, the path of the loss history relative to ``--out``, what the architecture cannot say
        (:mod:`diagnostics.architecture.static_limits`), and remarks in plain language.
    """

    world: str
    regime: str
    seed: int
    preset: str
    n_genes: int
    n_edges: int
    n_perturbed: tuple[int, int]
    n_steps: int
    n_pairs: int
    n_held_out: int
    loss: float
    loss_se: float
    mean_delta_loss: float
    mean_loss: float
    baseline_loss: float
    ridge_loss: float | None
    best_linear_loss: float | None
    bayes_risk: float | None
    bayes_risk_exact: float | None
    bayes_is_exact: bool
    leak_z: float | None
    skill: float | None
    ridge_skill: float | None
    late_gain: float | None
    response_ratio: float | None
    answer_spread_ratio: float | None
    target: str
    n_true: int
    read_out: str
    auprc: float
    ceiling_auprc: float | None
    base_rate: float
    null_95: float
    ci_low: float
    ci_high: float
    auroc: float | None
    early_precision_ratio: float | None
    sign_agreement: float | None
    shd: int | None
    threshold: float
    read_outs: tuple[ReadOutScore, ...]
    methods: tuple[MethodScore, ...]
    var_sortability: float | None
    r2_sortability: float | None
    n_parameters: int
    seconds: float
    train_seconds: float
    history: str
    limits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Every field under its own name, as JSON's types."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RunRecord":
        """The record that :meth:`to_json` wrote; a ``key`` beside its fields is left out."""
        fields = {name: one for name, one in value.items() if name != "key"}
        fields["n_perturbed"] = tuple(fields["n_perturbed"])
        fields["limits"], fields["notes"] = tuple(fields["limits"]), tuple(fields["notes"])
        fields["read_outs"] = tuple(ReadOutScore(**score) for score in fields["read_outs"])
        fields["methods"] = tuple(MethodScore(**score) for score in fields["methods"])
        return cls(**fields)

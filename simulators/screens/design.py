"""What a simulated screen is made of: the numbers and parts of its design, and presets by name."""

from dataclasses import dataclass, replace
from typing import Any, Literal, final, get_args

from gpcp.core.errors import InputError, nearest
from simulators.assay import check_range

Values = Literal["counts", "log", "latent"]
"""What ``X`` holds: counts; log1p of counts scaled to a total; the world's own values, which may be negative."""

Kind = Literal["knockdown", "knockout", "activation"]
"""What a guide does: pull its gene toward the level of a gene that is off; set it there; push it up."""

VALUES: tuple[str, ...] = get_args(Values)
KINDS: tuple[str, ...] = get_args(Kind)

OFF = -3.0
"""Level of a gene that is switched off, in the units of iSCM and standardised worlds: 3 standard deviations down."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenDesign:
    """The design of a Perturb-seq experiment on a known world.

    Parameters
    ----------
    n_targets : int
        Genes that are perturbed, one at a time.
    least_descendants : int
        Targets are drawn among the genes that act on at least so many others, directly or not.
    n_combinations : int
        Pairs of these genes that are perturbed together.
    cells_per_target, n_controls : int
        Cells of each perturbation, and of the controls, in each context.
    kind : {"knockdown", "knockout", "activation"}
    strength : float
        Of the strongest guide: the part of the way to :data:`OFF` that a knockdown goes, and a third of the standard
        deviations by which an activation shifts; 0 .. 1. A knockout has none.
    n_guides : int
        Guides of each target.
    guide_spread : float
        Their relative strengths are uniform on ``1 - guide_spread .. 1``.
    escapers : float
        Probability that a cell's guide did nothing.
    n_batches : int
    batch_depth_sd, batch_offset_sd : float
        Standard deviations of the logarithm of a batch's depth, and of its offset to the log rate of each gene.
    n_contexts : int
        The first is the world itself.
    rewired : float
        Share of the edges that another context has in other positions; ``1 - rewired`` of the graph is common.
    rescaled_sd : float
        Standard deviation of the logarithm by which another context rescales each edge that it keeps.
    context_sd : float
        Standard deviation of another context's offset to the log rate of each gene.
    hidden_targets : float
        Share of the targets that are no measured genes.
    depth : float
        Mean counts of an untouched cell of an average batch.
    depth_sd : float
        Standard deviation of the logarithm of a cell's depth.
    log_rate_sd : float
        Standard deviation of the genes' log rates.
    scale : float
        Change of a gene's log rate for each unit of the world's expression.
    values : {"counts", "log", "latent"}
    log_total : float
        To which total ``log`` scales a cell's counts.

    Raises
    ------
    InputError
        A number lies outside its range, or a name is unknown.
    """

    n_targets: int = 20
    least_descendants: int = 0
    n_combinations: int = 0
    cells_per_target: int = 100
    n_controls: int = 400
    kind: Kind = "knockdown"
    strength: float = 0.9
    n_guides: int = 3
    guide_spread: float = 0.4
    escapers: float = 0.1
    n_batches: int = 2
    batch_depth_sd: float = 0.2
    batch_offset_sd: float = 0.1
    n_contexts: int = 1
    rewired: float = 0.0
    rescaled_sd: float = 0.0
    context_sd: float = 0.5
    hidden_targets: float = 0.0
    depth: float = 10_000.0
    depth_sd: float = 0.3
    log_rate_sd: float = 1.0
    scale: float = 0.5
    values: Values = "counts"
    log_total: float = 1e4

    def __post_init__(self) -> None:
        for name in ("n_targets", "cells_per_target", "n_controls", "n_guides", "n_batches", "n_contexts"):
            check_range("ScreenDesign", name, getattr(self, name), low=1)
        for name in ("least_descendants", "n_combinations"):
            check_range("ScreenDesign", name, getattr(self, name), low=0)
        for name in ("strength", "guide_spread", "escapers", "rewired", "hidden_targets"):
            check_range("ScreenDesign", name, getattr(self, name), low=0.0, high=1.0)
        for name in ("batch_depth_sd", "batch_offset_sd", "rescaled_sd", "context_sd", "depth_sd", "log_rate_sd"):
            check_range("ScreenDesign", name, getattr(self, name), low=0.0)
        for name in ("depth", "scale", "log_total"):
            check_range("ScreenDesign", name, getattr(self, name), low=0.0, open_low=True)
        for name, known in (("kind", KINDS), ("values", VALUES)):
            if getattr(self, name) not in known:
                raise InputError(
                    f"ScreenDesign.{name} is {getattr(self, name)!r}; {nearest(getattr(self, name), known)}"
                )
        most = self.n_targets * (self.n_targets - 1) // 2
        if self.n_combinations > most:
            raise InputError(f"n_combinations is {self.n_combinations}: {self.n_targets} targets have {most} pairs")


PRESETS: dict[str, ScreenDesign] = {
    "plain": ScreenDesign(),
    "challenge2026": ScreenDesign(
        n_targets=300,
        cells_per_target=400,
        n_controls=1_200,
        strength=0.95,
        hidden_targets=1.0,
        n_contexts=1,
        n_batches=1,
        depth=20_000.0,
    ),
    "ideal": ScreenDesign(
        strength=1.0,
        n_guides=1,
        guide_spread=0.0,
        escapers=0.0,
        n_batches=1,
        batch_depth_sd=0.0,
        batch_offset_sd=0.0,
    ),
}
"""Designs by name.

``challenge2026`` has the shape of the Virtual Cell Challenge of 2026, and ``ideal`` nothing in the way.
"""


def design_named(preset: str, **changes: Any) -> ScreenDesign:
    """A preset with some fields changed.

    Raises
    ------
    InputError
        There is no preset of that name, or as :class:`ScreenDesign`.
    """
    if preset not in PRESETS:
        raise InputError(f"screen preset {preset!r} does not exist; {nearest(preset, PRESETS)}")
    return replace(PRESETS[preset], **changes)

"""Structural causal models: noise to expression and back, under any intervention, with frozen parameters.

Arrays are gene-major inside (a gene's values lie side by side) and come out as transposed views. Many cells are
computed a gene at a time, few a level of the graph at a time. Gene ``j`` is
``x_j = (f_j(parents) + noise_scale_j e_j - centre_j) / spread_j``; the constants are those of the undisturbed
population and frozen when the world is built, so descendants at any distance respond.
"""

from dataclasses import dataclass, field, replace
from typing import cast, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import check_array, read_only
from gpcp.core.errors import InputError
from simulators.graphs.gene_graph import GeneGraph
from simulators.scm.constants import CALIBRATION_CELLS, Scaling, check_scaling, constants
from simulators.scm.interventions import Change, Intervention
from simulators.scm.levels import Levels, levels_of
from simulators.scm.mechanisms import Linear, Mechanism, build_mechanism
from simulators.scm.noises import Noise, noise_named
from simulators.scm.walk import Step, walk

_BLOCK = 16_384  # cells at a time: a few rows of 128 KiB stay in the second-level cache
_NARROW = 1_024  # cells below which calls of a gene at a time cost more than the work in them
_NARROW_VALUES, _NARROW_LEAST = 131_072, 32  # of a narrow block, 1 MiB, and its fewest cells


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scm:
    """A structural causal model with additive noise; :func:`build_scm` makes one.

    Parameters
    ----------
    graph : GeneGraph
    mechanism : Mechanism
        Of that graph, in its own units, before centring and scaling.
    noise : Noise
    scaling : {"iscm", "raw", "standardised"}
    noise_scale_G, centre_G, spread_G : float64, (G,)
        The frozen constants; ``noise_scale_G`` and ``spread_G`` are positive.

    Raises
    ------
    InputError
        The scaling does not exist, or a constant has the wrong shape or sign.
    """

    graph: GeneGraph
    mechanism: Mechanism
    noise: Noise
    scaling: Scaling
    noise_scale_G: NDArray[np.float64]
    centre_G: NDArray[np.float64]
    spread_G: NDArray[np.float64]
    _response: Mechanism = field(init=False, repr=False)
    _offset: tuple[float, ...] = field(init=False, repr=False)
    _noise_sd: tuple[float, ...] = field(init=False, repr=False)
    _walk: tuple[Step, ...] = field(init=False, repr=False)
    _levels: list[Levels] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_scaling(self.scaling)
        for name in ("noise_scale_G", "centre_G", "spread_G"):
            array_G = cast(NDArray[np.float64], getattr(self, name))
            check_array("Scm", name, array_G, (self.graph.n_genes,), np.float64)
            bad_G = ~np.isfinite(array_G) if name == "centre_G" else ~(np.isfinite(array_G) & (array_G > 0))
            if bad_G.any():
                gene = int(np.flatnonzero(bad_G)[0])
                raise InputError(f"Scm.{name} of gene {self.graph.vocab.feature_id[gene]} is {array_G[gene]}")
            object.__setattr__(self, name, read_only(array_G.copy()))
        object.__setattr__(self, "_response", self.mechanism.over(self.spread_G))
        object.__setattr__(self, "_offset", tuple((-self.centre_G / self.spread_G).tolist()))
        object.__setattr__(self, "_noise_sd", tuple((self.noise_scale_G / self.spread_G).tolist()))
        object.__setattr__(self, "_walk", walk(self.graph))
        object.__setattr__(self, "_levels", [])  # one, once there is a narrow block

    @property
    def noise_sd_G(self) -> NDArray[np.float64]:
        """Standard deviation of each gene's own noise in the units of expression, (G,)."""
        return self.noise_scale_G / self.spread_G

    def draw(self, n_cells: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Independent noise of mean 0 and variance 1, float64 (B, G), gene-major."""
        return self.noise.draw((self.graph.n_genes, n_cells), rng).T

    def sample(
        self, n_cells: int, rng: np.random.Generator, intervention: Intervention | None = None
    ) -> NDArray[np.float64]:
        """Expression of fresh cells: :meth:`draw`, then :meth:`expression`, in the memory of the noise."""
        noise_BG = self._checked("noise_BG", self.draw(n_cells, rng))
        self._write(noise_BG, noise_BG.T, intervention)
        return noise_BG

    def expression(
        self, noise_BG: NDArray[np.float64], intervention: Intervention | None = None
    ) -> NDArray[np.float64]:
        """Expression of the cells that this noise makes.

        Parameters
        ----------
        noise_BG : float64, (B, G)
            As from :meth:`draw`. The same noise under another intervention is the same cells' counterfactual.
        intervention : Intervention, optional
            Only its genes and their descendants change, and the others by exactly 0.

        Returns
        -------
        float64, (B, G)
            A transposed view of a gene-major array.

        Raises
        ------
        InputError
            The noise has another number of genes, or the intervention names an unknown one.
        """
        noise_BG = self._checked("noise_BG", noise_BG)
        expression_GB = np.empty(noise_BG.shape[::-1])
        self._write(noise_BG, expression_GB, intervention)
        return expression_GB.T

    def noise_of(
        self, expression_BG: NDArray[np.floating], intervention: Intervention | None = None
    ) -> NDArray[np.float64]:
        """The noise that made these cells, given the intervention they were under; inverse of :meth:`expression`.

        Returns
        -------
        float64, (B, G)
            NaN where the intervention left nothing of the gene's own noise (``Do``, ``DoCells``, ``KnockDown`` to 0):
            any noise would have given the same cell. Fed back under the same intervention it gives the same cells.

        Raises
        ------
        InputError
            As in :meth:`expression`.
        """
        expression_BG = self._checked("expression_BG", expression_BG)
        changes = {} if intervention is None else intervention.changes(self.graph.vocab, len(expression_BG))
        noise_GB = np.empty(expression_BG.shape[::-1])
        for cells in _blocks(len(expression_BG), _BLOCK):
            self._unfill(_rows(expression_BG, cells), noise_GB[:, cells], changes, cells)
        return noise_GB.T

    def linear_form(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """``weight_GG, offset_G, noise_sd_G`` of a linear world: ``x = offset + x W + noise_sd * e``.

        In the units of expression and exact for every scaling; ``weight_GG[i, j] != 0`` iff ``i -> j``.

        Raises
        ------
        InputError
            The mechanism is not linear.
        """
        if not isinstance(self.mechanism, Linear):
            raise InputError(
                f"the mechanism is {self.mechanism.name}, which has no matrix of effects: "
                "linear_form needs the linear mechanism"
            )
        seen_centre_G, seen_spread_G = self._seen_units()
        weight_GG = self.graph.weight_GG * seen_spread_G[:, None] / self.spread_G
        offset_G = (seen_centre_G @ self.graph.weight_GG - self.centre_G) / self.spread_G
        return weight_GG, offset_G, self.noise_sd_G

    @property
    def effective_weight_GG(self) -> NDArray[np.float64]:
        """The graph's weights in the units of expression, (G, G); linear worlds only, as :meth:`linear_form`."""
        return self.linear_form()[0]

    def _seen_units(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Children see ``centre + spread * x`` of their parents."""
        if self.scaling == "standardised":
            return self.centre_G, self.spread_G
        return np.zeros(self.graph.n_genes), np.ones(self.graph.n_genes)

    def _feature(
        self, gene: int, value_B: NDArray[np.float64], out_B: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        if self.scaling == "standardised":
            return self._response.feature(value_B * self.spread_G[gene] + self.centre_G[gene], out_B)
        return self._response.feature(value_B, out_B)

    def _checked(self, name: str, array_BG: NDArray[np.floating]) -> NDArray[np.float64]:
        if array_BG.ndim != 2 or array_BG.shape[1] != self.graph.n_genes:
            raise InputError(f"{name} has shape {array_BG.shape}, expected (cells, {self.graph.n_genes})")
        return np.asarray(array_BG, dtype=np.float64)

    def _write(
        self, noise_BG: NDArray[np.float64], expression_GB: NDArray[np.float64], intervention: Intervention | None
    ) -> None:
        """Write the expression of all cells; the arrays may be one. No byte depends on the way that is taken."""
        n_cells, n_genes = noise_BG.shape
        changes = {} if intervention is None else intervention.changes(self.graph.vocab, n_cells)
        narrow = n_cells < _NARROW
        for cells in _blocks(n_cells, max(_NARROW_LEAST, _NARROW_VALUES // n_genes) if narrow else _BLOCK):
            noise_GB = _rows(noise_BG, cells)
            if narrow:
                self._by_levels().fill(noise_GB, expression_GB[:, cells], changes, cells)
            else:
                self._fill(noise_GB, expression_GB[:, cells], changes, cells)

    def _by_levels(self) -> Levels:
        if not self._levels:
            self._levels.append(
                levels_of(
                    self.graph,
                    self._response,
                    noise_sd_G=self.noise_sd_G,
                    offset_G=-self.centre_G / self.spread_G,
                    seen_units=self._seen_units() if self.scaling == "standardised" else None,
                )
            )
        return self._levels[0]

    def _fill(
        self,
        noise_GB: NDArray[np.float64],
        expression_GB: NDArray[np.float64],
        changes: dict[int, Change],
        cells: slice,
    ) -> None:
        """Write the expression of one block, gene by gene."""
        scratch_B = np.empty(expression_GB.shape[1])
        features = [scratch_B] * self.graph.n_genes
        spare: list[NDArray[np.float64]] = []  # features that no child reads any more, still in the cache
        for step in self._walk:
            gene = step.gene
            value_B: NDArray[np.float64] = expression_GB[gene]
            np.multiply(noise_GB[gene], self._noise_sd[gene], out=value_B)
            self._response.add(gene, features, value_B, scratch_B)
            if self._offset[gene]:
                value_B += self._offset[gene]
            if gene in changes:
                changes[gene].apply(value_B, cells)
            if step.is_parent:
                features[gene] = self._feature(gene, value_B, spare.pop() if spare else None)
            if not isinstance(self._response, Linear):
                spare.extend(features[parent] for parent in step.read_last)

    def _unfill(
        self,
        expression_GB: NDArray[np.float64],
        noise_GB: NDArray[np.float64],
        changes: dict[int, Change],
        cells: slice,
    ) -> None:
        """Write the noise of one block; the order does not matter, every value is known."""
        features = [self._feature(gene, value_B) for gene, value_B in enumerate(expression_GB)]
        for gene, value_B in enumerate(expression_GB):
            natural_B = changes[gene].natural(value_B, cells) if gene in changes else value_B
            answer_B = np.full(len(value_B), self._offset[gene])
            self._response.add(gene, features, answer_B)
            noise_GB[gene] = (natural_B - answer_B) / self._noise_sd[gene]


def _blocks(n_cells: int, width: int) -> list[slice]:
    return [slice(start, min(start + width, n_cells)) for start in range(0, n_cells, width)]


def _rows(array_BG: NDArray[np.float64], cells: slice) -> NDArray[np.float64]:
    """The block (G, B) with each gene's values side by side; copied only where the caller's are not."""
    block_GB = array_BG[cells].T
    return block_GB if block_GB.strides[1] == block_GB.itemsize else np.ascontiguousarray(block_GB)


def build_scm(
    graph: GeneGraph,
    *,
    mechanism: str = "linear",
    noise: str = "gaussian",
    scaling: Scaling = "iscm",
    noise_scale: float = 1.0,
    n_calibration: int = CALIBRATION_CELLS,
    rng: np.random.Generator,
) -> Scm:
    """An SCM on a graph, with the constants of its scaling.

    For linear worlds they are exact, by recursion of the covariance in causal order (any noise of unit variance
    has the same); for the others they are those of one draw of ``n_calibration`` cells from a stream of its own.
    The internal standardisation is that of Ormaniec et al., "Standardizing structural causal models" (2024).

    Parameters
    ----------
    graph : GeneGraph
    mechanism : str
        One of :data:`simulators.scm.mechanisms.MECHANISMS`.
    noise : str
        One of :data:`simulators.scm.noises.NOISES`.
    scaling : {"iscm", "raw", "standardised"}
        See :data:`SCALINGS`.
    noise_scale : float
        Standard deviation of every gene's own noise before scaling.
    n_calibration : int
        Used where the constants are not known exactly.
    rng : np.random.Generator
        Draws what the mechanism's weights leave open, and the calibration's stream.

    Raises
    ------
    InputError
        An unknown mechanism, noise or scaling (the message names the nearest), or a noise scale that is not positive.
    """
    check_scaling(scaling)
    if n_calibration < 2:
        raise InputError(f"n_calibration is {n_calibration}: it must be at least 2")
    raw = Scm(
        graph=graph,
        mechanism=build_mechanism(mechanism, graph, rng),
        noise=noise_named(noise),
        scaling="raw",
        noise_scale_G=np.full(graph.n_genes, float(noise_scale)),
        centre_G=np.zeros(graph.n_genes),
        spread_G=np.ones(graph.n_genes),
    )
    if scaling == "raw":
        return raw
    centre_G, spread_G = constants(
        graph,
        raw.mechanism,
        raw.noise,
        raw.noise_scale_G,
        scaling=scaling,
        n_calibration=n_calibration,
        rng=rng,
    )
    return replace(raw, scaling=scaling, centre_G=centre_G, spread_G=spread_G)

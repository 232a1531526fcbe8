"""How somebody's batch says which genes are perturbed and how strongly, read and written.

Three forms: a mask over genes; a mask whose numbers are doses; numbers of genes, one or several a pair.
"""

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.checks.engine.intent import Given, NotExpressibleError
from diagnostics.inputs.loaders.batch_fields import read, steps_of
from diagnostics.inputs.loaders.number_coding import Coding
from diagnostics.inputs.loaders.values import array
from gpcp.core.errors import InputError

Form = Literal["mask", "doses", "numbers"]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PerturbationEntry:
    """One form, as the first batches of a loader show it.

    Parameters
    ----------
    form : {"mask", "doses", "numbers"}
    n_genes : int
    gene_of_number : tuple of int
        Of the form ``"numbers"``: the gene's column for each number, -1 for "nothing is perturbed".
    n_slots : int
        Of the form ``"numbers"``: numbers a pair.
    flat : bool
        Whether numbers come as (pairs,).
    nothing : int, optional
        The number that says that nothing is perturbed, where there is one.
    control : int, optional
        Of a mask over perturbations: the column that is on where nothing is perturbed, where there is one.
    inferred : str
        How the coding of numbers was inferred from the pairs, in words; empty where it was not.
    """

    form: Form
    n_genes: int
    gene_of_number: tuple[int, ...] = ()
    n_slots: int = 0
    flat: bool = False
    nothing: int | None = None
    control: int | None = None
    inferred: str = ""

    @classmethod
    def of(
        cls, value: NDArray[np.generic], n_genes: int, genes_of: tuple[int, ...] | None, coding: Coding | None = None
    ) -> "PerturbationEntry":  # fmt: skip
        """The form of an entry.

        Parameters
        ----------
        value : array, (pairs, genes), (pairs,) or (pairs, perturbations)
        n_genes : int
        genes_of : tuple of int, optional
            Of perturbations that are no genes' numbers: the gene's column of each, -1 for a control.
        coding : Coding, optional
            Where the numbers do not fit the genes, what they say as far as the pairs show it.

        Raises
        ------
        InputError
            It is none of the three forms.
        """
        shape = value.shape
        whole = bool((value == np.round(value.astype(np.float64))).all()) if value.dtype.kind in "biuf" else False
        if value.dtype.kind not in "biuf" or value.ndim not in (1, 2):
            raise InputError(
                f"fields: 'perturbation' holds {value.dtype} of shape {shape}: give a mask (pairs, genes), or the "
                "number of each pair's perturbed gene"
            )
        n_columns = n_genes if genes_of is None else len(genes_of)
        if (
            value.ndim == 2
            and shape[1] == n_columns
            and not (value.dtype.kind in "iu" and int(value.max(initial=0)) > 1)
        ):
            signs = value.dtype.kind == "b" or bool(np.isin(value, (0, 1)).all())
            genes = np.asarray(genes_of or (), dtype=np.int64)
            # A column that no batch ever turns on, such as a batch's own, is no control's.
            control = next((int(one) for one in np.flatnonzero(genes < 0)), None)
            return cls(
                form="mask" if signs else "doses", n_genes=n_genes, gene_of_number=genes_of or (), control=control
            )  # fmt: skip
        if not whole or (value.ndim == 2 and value.dtype.kind in "bf"):
            of = f"the cells have {n_genes} genes" if genes_of is None else f"targets= names {n_columns} perturbations"
            raise InputError(
                f"fields: 'perturbation' has shape {shape}, and {of}: where its columns are perturbations, give "
                "targets=, the gene of each"
            )
        highest = int(value.max(initial=0))
        numbers = tuple(range(n_genes)) if genes_of is None else genes_of
        if coding is not None and genes_of is None:
            return cls(
                form="numbers", n_genes=n_genes, gene_of_number=coding.gene_of_number, flat=value.ndim == 1,
                n_slots=1 if value.ndim == 1 else shape[1], nothing=coding.nothing, inferred=coding.summary,
            )  # fmt: skip
        if highest >= len(numbers):
            raise InputError(
                f"fields: 'perturbation' holds the number {highest}, and there are {len(numbers)} "
                f"{'genes' if genes_of is None else 'targets'}: give targets=, the gene's column for each number, -1 "
                "for a control, such as\n"
                f"    targets=[-1, *range({n_genes})]  # 0 is a control, and gene i has the number i + 1"
            )
        return cls(
            form="numbers", n_genes=n_genes, gene_of_number=numbers,
            n_slots=1 if value.ndim == 1 else shape[1], flat=value.ndim == 1,
            nothing=-1 if int(value.min(initial=0)) < 0 else numbers.index(-1) if -1 in numbers else None,
        )  # fmt: skip

    @property
    def most_perturbed(self) -> int | None:
        """Perturbed genes that a pair can have; None where all can be."""
        return self.n_slots if self.form == "numbers" else None

    @property
    def perturbable(self) -> tuple[int, ...] | None:
        """Columns of the genes that have a perturbation; None where all have."""
        genes = sorted({gene for gene in self.gene_of_number if gene >= 0})
        return None if not genes or len(genes) == self.n_genes else tuple(genes)

    def given(self, has_dose: bool) -> Given:
        """What a model can be given by this form, unless somebody says otherwise."""
        return "identity and dose" if has_dose or self.form == "doses" else "identity"

    def beyond(self, value: NDArray[np.generic]) -> int | None:
        """The highest number, where it is none of the known ones."""
        highest = int(value.max(initial=-1)) if self.form == "numbers" else -1
        return highest if highest >= len(self.gene_of_number) else None

    def read(self, value: NDArray[np.generic], dose: NDArray[np.generic] | None) -> tuple[Bools, Floats]:
        """Which genes are perturbed, and how strongly, bool and float64 (B, G); dose 1 where none is given."""
        shape = (len(value), self.n_genes)
        perturbed_BG, dose_BG = np.zeros(shape, dtype=np.bool_), np.zeros(shape)
        if self.form == "numbers":
            number_BP = value.reshape(len(value), -1).astype(np.int64)
            known = np.asarray(self.gene_of_number)
            # A number beyond the known ones is no gene's: held-out pairs may hold some by mistake.
            is_known_BP = (number_BP >= 0) & (number_BP < len(known))
            gene_BP = np.where(is_known_BP, known[np.clip(number_BP, 0, len(known) - 1)], -1)
            row, slot = np.nonzero(gene_BP >= 0)
            perturbed_BG[row, gene_BP[row, slot]] = True
            if dose is not None and dose.shape != shape:
                dose_BG[row, gene_BP[row, slot]] = np.broadcast_to(
                    dose.reshape(len(value), -1).astype(np.float64), gene_BP.shape
                )[row, slot]
        else:
            wide = self._wide(value.astype(np.float64))
            perturbed_BG = wide != 0
            dose_BG = wide if self.form == "doses" else dose_BG
            if dose is not None and dose.shape != shape:
                dose_BG = np.where(perturbed_BG, dose.reshape(len(value), -1)[:, :1].astype(np.float64), 0.0)
        if dose is not None and dose.shape == shape:
            dose_BG = np.where(perturbed_BG, dose.astype(np.float64), 0.0)
        if dose is None and self.form != "doses":
            dose_BG = perturbed_BG.astype(np.float64)
        return perturbed_BG, dose_BG

    def written(self, perturbed_BG: Bools, dose_BG: Floats) -> NDArray[np.generic]:
        """The entry for some pairs.

        Raises
        ------
        NotExpressibleError
            There are more perturbed genes than numbers, a gene has no number, or "nothing" has none.
        """
        if self.form != "numbers":
            value_BG = np.where(perturbed_BG, dose_BG, 0.0) if self.form == "doses" else perturbed_BG.astype(np.float64)
            if not self.gene_of_number:
                return value_BG
            self._all_known(perturbed_BG)
            genes = np.asarray(self.gene_of_number)
            value_BC = np.where(genes >= 0, value_BG[:, np.maximum(genes, 0)], 0.0)
            if self.control is not None:
                value_BC[~perturbed_BG.any(axis=1), self.control] = 1.0
            return value_BC
        number_BP = np.full((len(perturbed_BG), self.n_slots), -1, dtype=np.int64)
        for row, gene in self._slots(perturbed_BG):
            number_BP[row, : len(gene)] = gene
        if (number_BP < 0).any():
            if self.nothing is None:
                raise NotExpressibleError("the perturbation entry has no number that says that nothing is perturbed")
            number_BP[number_BP < 0] = self.nothing
        return number_BP[:, 0] if self.flat else number_BP

    def doses_by_slot(self, perturbed_BG: Bools, dose_BG: Floats) -> Floats:
        """Doses in the order in which :meth:`written` gives the numbers, float64 (B, P); 0 where there is none."""
        dose_BP = np.zeros((len(perturbed_BG), max(self.n_slots, 1)))
        for row in range(len(perturbed_BG)):
            of_row = dose_BG[row, np.flatnonzero(perturbed_BG[row])]
            dose_BP[row, : len(of_row)] = of_row[: dose_BP.shape[1]]
        return dose_BP

    def _slots(self, perturbed_BG: Bools) -> list[tuple[int, list[int]]]:
        number_of = {gene: number for number, gene in reversed(list(enumerate(self.gene_of_number))) if gene >= 0}
        self._all_known(perturbed_BG)
        found: list[tuple[int, list[int]]] = []
        for row in range(len(perturbed_BG)):
            genes = np.flatnonzero(perturbed_BG[row])
            if len(genes) > self.n_slots:
                raise NotExpressibleError(
                    f"a pair has room for {self.n_slots} perturbed genes, and {len(genes)} were to be asked for"
                )
            found.append((row, [number_of[int(gene)] for gene in genes]))
        return found

    def _all_known(self, perturbed_BG: Bools) -> None:
        asked = set(np.flatnonzero(perturbed_BG.any(axis=0)).tolist())
        unknown = asked - set(self.gene_of_number)
        if unknown:
            raise NotExpressibleError(f"no perturbation is of gene {min(unknown)}, which was to be perturbed")

    def _wide(self, value: Floats) -> Floats:
        """Columns of perturbations as columns of genes."""
        if not self.gene_of_number:
            return value
        wide = np.zeros((len(value), self.n_genes))
        for column, gene in enumerate(self.gene_of_number):
            if gene >= 0:
                wide[:, gene] = np.where(value[:, column] != 0, value[:, column], wide[:, gene])
        return wide


def masks_among(batch: object, perturbed_BG: NDArray[np.bool_], own: set[Any]) -> tuple[Any, ...]:
    """Entries of a batch beside its ``own`` fields that say which genes are perturbed: they change with them."""
    if not perturbed_BG.any():
        return ()
    found = ((step, read(batch, step)) for step in steps_of(batch) if step not in own)
    return tuple(
        step
        for step, value in found
        if tuple(getattr(value, "shape", ())) == perturbed_BG.shape and np.array_equal(array(value), perturbed_BG)
    )

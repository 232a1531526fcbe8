"""``LoaderPairs``: somebody's loader as a source of pairs, and any pairs as one of its batches again.

Every pass is a pass of the loader itself, so that its dataset, sampler and ``collate_fn`` are judged. What a batch
holds beside the fields (cell types, names, graphs) is kept by row, and goes with a pair wherever the checks take it.

At perturbed genes a ``PairBatch`` holds what the model is given, not what the cell after expresses there: a value, or
the value before plus the dose. The cell after is put back where a batch is made for the user's own code.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.checks.engine.copies import Drawn
from diagnostics.checks.engine.intent import Given
from diagnostics.inputs.loaders.anndata_rows import is_anndata, rows_of
from diagnostics.inputs.loaders.batch_fields import BatchFields, Entry, put, read, steps_of
from diagnostics.inputs.loaders.number_coding import coding_of
from diagnostics.inputs.loaders.own_generators import own_generators
from diagnostics.inputs.loaders.perturbation_entry import PerturbationEntry, masks_among
from diagnostics.inputs.loaders.values import array, as_like, content_names, gathered, is_by_row, matrix
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, rebatched
from gpcp.model.batch import ModelBatch

Loader: TypeAlias = Iterable[Any] | Callable[[], Iterator[Any]]
Floats = NDArray[np.float32]

Kept: TypeAlias = tuple[Any, int, int, Floats]
"""A batch without its two cells, a row of it, how many rows it has, and the cell after of that row."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """One batch, read.

    Parameters
    ----------
    pairs : PairBatch
    after_BG : float32, (B, G)
        The cell after at every gene, perturbed ones included.
    """

    pairs: PairBatch
    after_BG: Floats


@final
class LoaderPairs:
    """A loader as a :class:`gpcp.core.pairs.PairSource`.

    Parameters
    ----------
    loader : iterable or callable
        Gives the batches of one pass each time it is iterated (or called): a ``DataLoader``, a list of batches.
    fields : BatchFields
    genes : sequence of str, optional
        Their names, for messages.
    targets : sequence of int, optional
        Where perturbations are no genes' numbers: the gene's column of each, -1 for a control.
    given : Given, optional
        What the model is given of a perturbation; by the form of the entry by default.
    beside : LoaderPairs, optional
        Another loader of the same kind of batches, with which what is kept is shared.

    Raises
    ------
    InputError
        There is no batch, or an entry is lacking or of the wrong shape.
    """

    def __init__(
        self,
        loader: Loader,
        fields: BatchFields,
        *,
        genes: tuple[str, ...] | None = None,
        targets: tuple[int, ...] | None = None,
        given: Given | None = None,
        beside: "LoaderPairs | None" = None,
    ) -> None:
        self.loader = loader
        self._generators = own_generators(loader)
        # What a pair holds beside the fields is found by either of two loaders whose pairs go through one collation.
        self._rows: dict[tuple[int, int], int] = {} if beside is None else beside._rows
        self._kept: list[Kept] = [] if beside is None else beside._kept
        if (first := next(self.batches(0), None)) is None:
            raise InputError("the loader gives no batch: there is nothing to diagnose")
        self.fields = fields = fields.named(first)
        self.first_batch, n_genes = first, matrix(first, fields.before, "before").shape[1]
        if genes is not None and len(genes) != n_genes:
            raise InputError(f"genes= names {len(genes)} genes, and 'before' has {n_genes} columns")
        self.vocab = GeneVocab(feature_id=genes or tuple(f"gene_{gene}" for gene in range(n_genes)))
        self.has_nan_before = self.has_nan_after = False
        self._is_beside = beside is not None
        self.beyond: int | None = None  # The highest number of a perturbation that the other loader does not know.
        self.entry: PerturbationEntry | None = None
        if fields.perturbation is not None:
            self.entry = self._entry(fields.perturbation, targets, beside)
        by_form = "value" if self.entry is None else self.entry.given(fields.dose is not None)
        self.given: Given = given or by_form
        perturbed_BG = self.opened(first).pairs.perturbed_BG
        self.batch_size = len(perturbed_BG)
        self._masks = masks_among(first, perturbed_BG, set(fields.present.values()))

    def _entry(
        self, entry: Entry, targets: tuple[int, ...] | None, beside: "LoaderPairs | None"
    ) -> PerturbationEntry:  # fmt: skip
        """The form of the perturbations; where numbers go beyond the genes, as the pairs show their coding."""
        n_genes, first = len(self.vocab), array(read(self.first_batch, entry))
        shared = None if beside is None else beside.entry
        if shared is not None and shared.form == "numbers":
            # Held-out pairs mean by a number what training means.
            return shared
        coding = None
        if targets is None and first.dtype.kind in "iu" and first.shape[1:] != (n_genes,):
            coding = coding_of(self._numbered(entry), n_genes)
        return PerturbationEntry.of(first, n_genes, targets, coding)

    def _numbered(self, entry: Entry) -> Iterator[tuple[NDArray[np.generic], NDArray[np.float64], NDArray[np.float64]]]:
        for batch in self.batches(0):
            before_BG, after_BG = (matrix(batch, self.fields.present[name], name) for name in ("before", "after"))
            yield array(read(batch, entry)), before_BG, after_BG

    @property
    def n_pairs(self) -> int | None:
        """Length of the loader's dataset; None where it has none."""
        dataset = getattr(self.loader, "dataset", None)
        return len(dataset) if isinstance(dataset, Sized) else None

    @property
    def has_nan(self) -> bool:
        """Whether either cell stores values that are not finite."""
        return self.has_nan_before or self.has_nan_after

    @property
    def masked(self) -> bool:
        """Whether batches say which genes were measured, by a mask or by NaN."""
        return self.fields.measured is not None or self.has_nan

    def batches(self, seed: int) -> Iterator[Any]:
        """The loader's own batches of one pass; torch, numpy, random and what the loader holds draw from ``seed``."""
        state = Drawn(seed, self._generators)
        with state:
            passing = iter(self.loader() if callable(self.loader) else self.loader)
        while True:
            with state:
                try:
                    batch = next(passing)
                except StopIteration:
                    return
            yield batch

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        """One pass of the loader, cut into batches of this size."""
        return rebatched((self.opened(batch).pairs for batch in self.batches(seed)), batch_size=batch_size)

    def opened(self, batch: object) -> Opened:
        """Read a batch and keep what else it holds.

        Raises
        ------
        InputError
            An entry is lacking or of the wrong shape.
        """
        before_BG, after_BG = (matrix(batch, self.fields.present[name], name) for name in ("before", "after"))
        if before_BG.shape != after_BG.shape:
            raise InputError(f"fields: 'before' has shape {before_BG.shape} and 'after' {after_BG.shape}")
        finite_BG = np.isfinite(before_BG) & np.isfinite(after_BG)
        self.has_nan_before |= not bool(np.isfinite(before_BG).all())
        self.has_nan_after |= not bool(np.isfinite(after_BG).all())
        measured_BG = finite_BG
        if self.fields.measured is not None:
            measured_BG = finite_BG & (matrix(batch, self.fields.measured, "measured") != 0)
        perturbed_BG = np.zeros(before_BG.shape, dtype=np.bool_)
        given_BG = after_BG
        if self.entry is not None and self.fields.perturbation is not None:
            dose = None if self.fields.dose is None else array(read(batch, self.fields.dose))
            value = array(read(batch, self.fields.perturbation))
            self._note_beyond(self.entry.beyond(value))
            perturbed_BG, dose_BG = self.entry.read(value, dose)
            is_value = self.given == "value"
            has_numbers = self.fields.dose is not None or self.entry.form == "doses"
            if not is_value or has_numbers:
                given_BG = np.where(perturbed_BG, (0 if is_value else before_BG) + dose_BG, after_BG)
        perturbed_BG &= measured_BG
        before_BG, after_BG, given_BG = (
            np.where(measured_BG, value_BG, 0).astype(np.float32) for value_BG in (before_BG, after_BG, given_BG)
        )
        before_id_B, after_id_B = content_names(before_BG), content_names(after_BG, perturbed_BG)
        self._keep(batch, before_id_B, after_id_B, after_BG)
        pairs = PairBatch(
            vocab=self.vocab, before_BG=before_BG, after_BG=np.where(perturbed_BG, given_BG, after_BG),
            measured_BG=measured_BG, perturbed_BG=perturbed_BG, before_id_B=before_id_B, after_id_B=after_id_B,
        )  # fmt: skip
        return Opened(pairs=pairs, after_BG=after_BG)

    def _note_beyond(self, number: int | None) -> None:
        if number is None or self.entry is None:
            return
        if not self._is_beside:
            raise InputError(
                f"fields: 'perturbation' holds the number {number}, and {len(self.entry.gene_of_number)} numbers are "
                "known from the first batches: give targets=, the gene's column for each number, -1 for a control"
            )
        self.beyond = max(number, self.beyond or 0)

    def model_batch(self, pairs: PairBatch) -> tuple[ModelBatch, Tensor]:
        """Some pairs, gene by gene, for :attr:`diagnostics.checks.engine.subject.Subject.collate`."""
        row_B = self.rows_of(pairs)
        batch = ModelBatch(
            token_BL=torch.arange(len(self.vocab))[None],
            before_BL=torch.as_tensor(pairs.before_BG.copy()),
            target_BL=torch.as_tensor(np.where(pairs.perturbed_BG, pairs.after_BG, 0).astype(np.float32)),
            measured_BL=torch.as_tensor(pairs.measured_BG.copy()),
            perturbed_BL=torch.as_tensor(pairs.perturbed_BG.copy()),
            row_B=torch.as_tensor(row_B),
        )
        return batch, torch.as_tensor(self._after(pairs, row_B))

    def batch_of(self, pairs: PairBatch) -> Any:
        """Some pairs as a batch of the loader's kind."""
        batch, after_BL = self.model_batch(pairs)
        return self.written(batch, after_BL)

    def written(self, batch: ModelBatch, after_BL: Tensor | None = None) -> Any:
        """A batch of the checks as one of the loader's kind; its other entries are those of its rows.

        Raises
        ------
        NotExpressibleError
            The perturbation cannot be said in the form of its entry.
        """
        n = len(batch)
        row_B = np.arange(n) % len(self._kept) if batch.row_B is None else batch.row_B.numpy()
        before_BG, target_BG = (self._dense(value, batch) for value in (batch.before_BL, batch.target_BL))
        measured_BG, perturbed_BG = (
            self._dense(value, batch).astype(np.bool_) for value in (batch.measured_BL, batch.perturbed_BL)
        )
        if after_BL is None:
            kept_BG = np.stack([self._kept[row][3] for row in _numbers(row_B)])
            after_BG = kept_BG.astype(np.float64)
        else:
            after_BG = self._dense(after_BL, batch)
        if self.has_nan_before and self.fields.measured is None:
            before_BG = np.where(measured_BG, before_BG, np.nan)
        if self.has_nan_after and self.fields.measured is None:
            after_BG = np.where(measured_BG, after_BG, np.nan)
        made = self._with_rows(row_B, batch.before_BL)
        like = self.first_batch
        values: dict[Any, object] = {
            self.fields.before: as_like(before_BG, read(like, self.fields.before), batch.before_BL),
            self.fields.after: as_like(after_BG, read(like, self.fields.after), batch.before_BL),
        }
        if self.fields.measured is not None:
            values[self.fields.measured] = as_like(measured_BG, read(like, self.fields.measured), batch.before_BL)
        for step in self._masks:
            values[step] = as_like(perturbed_BG, read(like, step), batch.before_BL)
        if self.entry is not None and self.fields.perturbation is not None:
            dose_BG = target_BG if self.given == "value" else np.where(perturbed_BG, target_BG - before_BG, 0.0)
            number = self.entry.written(perturbed_BG, dose_BG)
            values[self.fields.perturbation] = as_like(number, read(like, self.fields.perturbation), batch.before_BL)
            if self.fields.dose is not None:
                asked = read(like, self.fields.dose)
                dense = tuple(asked.shape[1:]) == (len(self.vocab),)
                dose = dose_BG if dense else self.entry.doses_by_slot(perturbed_BG, dose_BG)
                if not dense:
                    dose = dose[:, 0] if len(asked.shape) == 1 else dose[:, : asked.shape[1]]
                values[self.fields.dose] = as_like(dose, asked, batch.before_BL)
        return put(made, values)

    def rows_of(self, pairs: PairBatch) -> NDArray[np.int64]:
        """Where the other entries of each pair are kept, int64 (B,)."""
        ids = zip(pairs.before_id_B.tolist(), pairs.after_id_B.tolist(), strict=True)
        found = [self._rows.get(key, position % len(self._kept)) for position, key in enumerate(ids)]
        return np.array(found, dtype=np.int64)

    def beside(self, pairs: PairBatch) -> Mapping[str, NDArray[np.float64]]:
        """What batches hold of some pairs beside the fields, where it is numbers: (B, columns) by the entry's name."""
        kept = [self._kept[row] for row in _numbers(self.rows_of(pairs))]
        own, found = set(self.fields.present.values()), dict[str, NDArray[np.float64]]()
        for step in steps_of(kept[0][0]):
            if step in own or not is_by_row(read(kept[0][0], step), kept[0][2]):
                continue
            rows = [np.asarray(array(read(rest, step)[row])) for rest, row, _, _ in kept]
            if rows[0].dtype.kind in "biuf" and len({row.shape for row in rows}) == 1:
                found[str(step)] = np.stack(rows).reshape(len(rows), -1).astype(np.float64)
        return found

    def _after(self, pairs: PairBatch, row_B: NDArray[np.int64]) -> Floats:
        kept_BG = np.stack([self._kept[row][3] for row in _numbers(row_B)])
        return np.where(pairs.perturbed_BG, kept_BG, pairs.after_BG).astype(np.float32)

    def _keep(
        self, batch: object, before_id_B: NDArray[np.int64], after_id_B: NDArray[np.int64], after: Floats
    ) -> None:
        rest: object = None
        for row, key in enumerate(zip(before_id_B.tolist(), after_id_B.tolist(), strict=True)):
            if key in self._rows:
                continue
            if rest is None:
                # The cell before is the pair's own; the cell after is not at perturbed genes, and is kept beside.
                whole = is_anndata(batch)
                rest = batch if whole else put(batch, {self.fields.before: None, self.fields.after: None})
            self._rows[key] = len(self._kept)
            self._kept.append((rest, row, len(before_id_B), after[row]))

    def _with_rows(self, row_B: NDArray[np.int64], precise: Tensor) -> object:
        """A batch whose entries beside the fields are those of some rows, in the precision of ``precise``."""
        kept = [self._kept[row] for row in _numbers(row_B)]
        if is_anndata(kept[0][0]):
            return rows_of([one[0] for one in kept], [one[1] for one in kept])
        made = kept[0][0]
        own = set(self.fields.present.values())
        for step in steps_of(made):
            if step in own:
                continue
            parts = [(read(rest, step), row, n_rows) for rest, row, n_rows, _ in kept]
            if (rows := gathered(parts, precise)) is not parts[0][0]:
                made = put(made, {step: rows})
        return made

    def _dense(self, value_BL: Tensor, batch: ModelBatch) -> NDArray[np.float64]:
        """Values at their genes, float64 (B, G); 0 at genes without a measured position."""
        shape = tuple(value_BL.shape)
        wide = np.zeros((shape[0], len(self.vocab)))
        row, place = np.nonzero(batch.measured_BL.cpu().numpy())
        token_BL = np.broadcast_to(batch.token_BL.cpu().numpy(), shape)
        wide[row, token_BL[row, place]] = value_BL.detach().cpu().double().numpy()[row, place]
        return wide


def _numbers(row_B: NDArray[np.int64]) -> list[int]:
    return [int(row) for row in row_B]

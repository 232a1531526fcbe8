"""The probe of a subject: its pairs, the exact copy of its model and the trial trainings that checks share.

Each is made when it is first asked for, and only once. Everything random comes from streams named by their purpose, so
that no check's answer depends on which others ran.
"""

import copy
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from diagnostics.checks.engine.batches import partly_measured, random_pairs
from diagnostics.checks.engine.copies import Drawn, copied
from diagnostics.checks.engine.identities import Deviation
from diagnostics.checks.engine.restored import Rate, at_rate, kept, schedulers, schedules_lent
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.engine.weights import modes_kept, with_generic_weights
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.random import stream
from gpcp.model.batch import ModelBatch

MadeT = TypeVar("MadeT")

N_EXACT = 12
"""Pairs that exact checks look at: enough for every identity to meet several masks."""

EXACT_ENTRIES = 6_000
"""Entries (pairs x genes) that they look at, and at least three pairs: a pass over 2,000 genes takes a second."""

_N_MASKS = 256
"""Pairs among which one that leaves a gene unmeasured is looked for."""

N_SAMPLE = 4_000
"""Pairs that a statistic rests on, and as many held-out ones."""


@final
class Probe:
    """What the checks of one subject ask.

    Parameters
    ----------
    subject : Subject
    seed : int
    n_sample : int
        Pairs of :attr:`sample` and of :attr:`held_out`.
    """

    def __init__(self, subject: Subject, *, seed: int = 0, n_sample: int = N_SAMPLE) -> None:
        self.subject = subject
        self.seed = seed
        self.n_sample = n_sample
        self._made: dict[str, Any] = {}
        self._schedules: tuple[torch.optim.Optimizer | None, list[LRScheduler]] = None, []

    def once(self, name: str, make: "Callable[[Probe], MadeT]") -> "MadeT":
        """What ``make`` makes, made once: a ladder of rates or a short training that several checks judge."""
        if name not in self._made:
            self._made[name] = make(self)
        return self._made[name]

    def made(self, name: str) -> Any:
        """What :meth:`once` has made under a name; None where no check has asked for it."""
        return self._made.get(name)

    def rng(self, *purpose: str | int) -> np.random.Generator:
        """Random numbers of one purpose."""
        return stream(self.seed, "checks", *purpose)

    def seed_of(self, *purpose: str | int) -> int:
        """A seed of one purpose, for what takes seeds."""
        return int(self.rng("seed", *purpose).integers(2**31))

    @cached_property
    def vocab(self) -> GeneVocab:
        """The genes of the pairs; where there are none, as many as the model knows, under made-up names."""
        if self.subject.pairs is not None:
            return self.subject.pairs.vocab
        return GeneVocab(feature_id=tuple(f"gene_{gene}" for gene in range(self.subject.n_genes)))

    def drawn(self, n_pairs: int, purpose: str, *, held_out: bool = False) -> PairBatch:
        """Up to ``n_pairs`` pairs of as many passes as it takes, at most 20.

        Raises
        ------
        InputError
            The source gives no pair.
        """
        source = self.subject.held_out if held_out and self.subject.held_out is not None else self.subject.pairs
        if source is None:
            raise InputError("there is no source of pairs")
        parts: list[PairBatch] = []
        n_found = 0
        for one_pass in range(20):
            batch_size = min(n_pairs, 1024)
            wanted = -(-(n_pairs - n_found) // batch_size)
            passed = list(islice(source.pairs(batch_size=batch_size, seed=self.seed_of(purpose, one_pass)), wanted))
            if not passed:
                break
            parts += passed
            n_found = sum(map(len, parts))
            if n_found >= n_pairs:
                break
        return concatenate(parts).rows(slice(0, n_pairs))

    @cached_property
    def sample(self) -> PairBatch:
        """Training pairs for statistics."""
        return self.drawn(self.n_sample, "sample")

    @cached_property
    def held_out(self) -> PairBatch:
        """Pairs that no fit of a check has seen, if the source keeps its promise."""
        return self.drawn(self.n_sample, "held out", held_out=True)

    @cached_property
    def few(self) -> PairBatch:
        """A few pairs as the source gives them; without a source, random ones with everything measured."""
        if self.subject.pairs is not None:
            return self.drawn(self.n_exact, "few")
        return random_pairs(self.vocab, self.n_exact, self.rng("few"), self.subject.intent.most_perturbed)

    @property
    def n_exact(self) -> int:
        """Pairs of :attr:`few`, in whole sets where cells are answered in sets."""
        return self.whole_sets(min(N_EXACT, max(3, EXACT_ENTRIES // len(self.vocab))))

    def whole_sets(self, n_pairs: int) -> int:
        """At least so many pairs, in whole sets."""
        size = self.subject.intent.set_size
        return -(-n_pairs // size) * size

    @cached_property
    def masks(self) -> bool:
        """Whether a gene can be unmeasured: in some pair of the source, or by intent where there is none."""
        if not self.subject.intent.masked or self.subject.pairs is None:
            return self.subject.intent.masked
        return not bool(self.few.measured_BG.all() and self.drawn(_N_MASKS, "masks").measured_BG.all())

    @cached_property
    def stores_nan(self) -> bool:
        """Whether a batch of a few pairs stores NaN anywhere."""
        batch, after_BL = self.subject.collate(self.few)
        return any(bool(one.isnan().any()) for one in (batch.before_BL, batch.target_BL, after_BL))

    @cached_property
    def most_perturbed(self) -> int | None:
        """Perturbed genes that a pair can have: by intent, else as many as any of the sample has; None if unknown."""
        if self.subject.intent.most_perturbed is not None or self.subject.pairs is None:
            return self.subject.intent.most_perturbed
        return max(1, int(self.sample.perturbed_BG.sum(axis=1).max(initial=0)))

    @cached_property
    def masked(self) -> PairBatch:
        """The same with a third of the genes taken as unmeasured at random, other ones in each pair.

        Where every pair measures everything they stay as they are: no mask matters there.
        """
        if not self.masks:
            return self.few
        return partly_measured(self.few, self.rng("masked"))

    @cached_property
    def device(self) -> torch.device:
        """Where the model's parameters are."""
        first = next(iter(self._model.parameters()), None)
        return torch.device("cpu") if first is None else first.device

    @cached_property
    def exact_dtype(self) -> torch.dtype:
        """Double precision; single where the model's own code knows no other."""
        batch, _ = self.subject.collate(self.few.rows(slice(0, self.whole_sets(2))))
        trial = copied(self._model).double().eval()
        try:
            with torch.no_grad(), Drawn(0):
                self.subject.predict(trial, batch.to(self.device, torch.float64))
        except (RuntimeError, TypeError):
            # A float32 tensor made inside the model does not multiply with float64 ones. What fails in single
            # precision as well is reported by the check that needs it.
            return torch.float32
        return torch.float64

    @cached_property
    def exact_model(self) -> nn.Module:
        """A copy of the model in :attr:`exact_dtype`, in evaluation mode, that remembers nothing of its training."""
        return copied(self._model).to(self.exact_dtype).eval()

    @property
    def generic_model(self) -> nn.Module:
        """The exact copy with weights drawn anew: what it cannot do with these, no training teaches it.

        Layers that begin at 0, as the last one of many healthy models does, hide every path behind them.
        """
        return self.generic(0)

    def generic(self, draw: int) -> nn.Module:
        """One of several draws of generic weights, each made once."""

        def drawn(probe: "Probe") -> nn.Module:
            batch, _ = probe.exact(probe.few)
            for attempt in range(3):
                model = with_generic_weights(
                    probe.exact_model, probe.rng("generic", 3 * draw + attempt), positive=attempt > 0
                )
                if bool(torch.isfinite(probe.answer(batch, model)[batch.measured_BL]).all()):
                    return model
            return probe.exact_model

        return self.once(f"generic weights {draw}", drawn)

    def most_moved(self, ask: Callable[[nn.Module], Deviation]) -> Deviation:
        """The deviation under the first of three draws of generic weights that shows one, or else the last.

        A ReLU that ends a model can be silent for all that is asked of one draw; a path that is not there is silent
        for all draws.
        """
        found = ask(self.generic(0))
        for draw in (1, 2):
            if not found.equal or not found.n:
                break
            found = ask(self.generic(draw))
        return found

    @cached_property
    def value_range(self) -> tuple[float, float]:
        """Least and greatest expression of the pairs, so that invented cells hold nothing that real ones do not."""
        values = np.concatenate(
            [value_BG[self.few.measured_BG] for value_BG in (self.few.before_BG, self.few.after_BG)]
        )
        lo, hi = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        return (lo, hi) if hi > lo else (lo, lo + 1.0)

    def exact(self, pairs: PairBatch) -> tuple[ModelBatch, Tensor]:
        """Some pairs through the subject's own collation, in float64, on the model's device."""
        batch, after_BL = self.subject.collate(pairs)
        return batch.to(self.device, self.exact_dtype), after_BL.to(self.device, self.exact_dtype)

    def answer(self, batch: ModelBatch, model: nn.Module | None = None, *, draw: int = 0) -> Tensor:
        """An answer, in :attr:`exact_dtype` (B, L), without gradients; that of the exact copy by default.

        ``draw`` names the random numbers that a model may take, so that two questions that share it differ in what
        was asked alone.
        """
        model = self.exact_model if model is None else model
        with torch.no_grad(), Drawn(self.seed_of("answer", draw)):
            n_pairs, wanted = len(batch), self.whole_sets(len(batch))
            if wanted == n_pairs:
                return self.subject.predict(model, batch)
            # A set that is not whole is filled with pairs of the same batch.
            filled = batch.rows(torch.arange(wanted, device=batch.before_BL.device) % n_pairs)
            return self.subject.predict(model, filled)[:n_pairs]

    def answer_of(self, pairs: PairBatch) -> NDArray[np.float64]:
        """The exact copy's answer in the order of the vocabulary, float64 (B, G); NaN where a gene has no place."""
        batch, _ = self.exact(pairs)
        return self.unpacked(self.answer(batch), batch)

    def unpacked(self, value_BL: Tensor, batch: ModelBatch) -> NDArray[np.float64]:
        """Values at their genes, float64 (B, G); NaN at genes that have no measured place."""
        shape = batch.before_BL.shape
        value_BG = np.full((shape[0], len(self.vocab)), np.nan)
        measured_BL = batch.measured_BL.cpu().numpy()
        token_BL = batch.token_BL.expand(shape).cpu().numpy()
        row_BL = np.broadcast_to(np.arange(shape[0])[:, None], shape)
        value_BG[row_BL[measured_BL], token_BL[measured_BL]] = value_BL.double().cpu().numpy()[measured_BL]
        return value_BG

    @contextmanager
    def trial(
        self, purpose: str, *, learning_rate: float | Rate | None = None, dropout: bool = True, redrawn: bool = False
    ) -> Generator[tuple[nn.Module, torch.optim.Optimizer], None, None]:
        """The model and an optimiser to train; all that a step can reach is put back as it was at the end.

        Parameters
        ----------
        purpose : str
            Names the stream of random numbers inside: torch's, numpy's and Python's own.
        learning_rate : float or callable, optional
            Of every parameter group at every step, whatever a schedule makes of it; the optimiser's own by default.
        dropout : bool
            False begins in evaluation mode, where nothing is dropped; a step may leave it.
        redrawn : bool
            Whether generators of the step's own stand elsewhere than they do; else every trial meets the same draws.
        """
        model, optimizer = self._model, self._optimizer(self._model)
        # An optimiser that every trial has is looked up once: to find its schedules goes through all that lives.
        if self._schedules[0] is not optimizer:
            self._schedules = optimizer, schedulers(optimizer)
        weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
        parameters = [(one, one.grad, one.requires_grad) for one in model.parameters()]
        n_groups = len(optimizer.param_groups)
        with (
            kept((self.subject.training_step, self.subject.on_epoch), model, optimizer, redrawn=redrawn),
            schedules_lent(self._schedules[1], held=learning_rate is not None),
            at_rate(optimizer, learning_rate),
            modes_kept(model),
        ):
            # What was left over from outside would be added to the trial's own.
            for parameter in model.parameters():
                parameter.grad = None
            try:
                model.train(dropout)
                with Drawn(self.seed_of("trial", purpose)):
                    yield model, optimizer
            finally:
                model.load_state_dict(weights)
                del optimizer.param_groups[n_groups:]
                optimizer.load_state_dict(state)
                for parameter, gradient, trained in parameters:
                    parameter.grad = gradient
                    parameter.requires_grad_(trained)

    def batches(self, purpose: str, *, batch_size: int = 64) -> Iterator[PairBatch]:
        """Training batches for ever, pass after pass."""
        source = self.subject.pairs
        if source is None:
            raise InputError("there is no source of pairs to train on")
        # Of batches that are smaller than a set none would be whole.
        one_pass, size = 0, self.whole_sets(batch_size)
        while True:
            empty = True
            for batch in source.pairs(batch_size=size, seed=self.seed_of("train", purpose, one_pass)):
                whole = len(batch) // self.subject.intent.set_size * self.subject.intent.set_size
                if whole:
                    empty = False
                    yield batch if whole == len(batch) else batch.rows(slice(0, whole))
            if empty:
                raise InputError("the source gives no pair, or no whole set of them")
            one_pass += 1

    @property
    def _model(self) -> nn.Module:
        if self.subject.model is None:
            raise InputError("the subject has no model")
        return self.subject.model

    def _optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        if self.subject.make_optimizer is not None:
            return self.subject.make_optimizer(model)
        return torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)

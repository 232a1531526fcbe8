"""The subject of a diagnosis, part by part, so that each part can be tested alone and a fault planted in it.

A part that is not given is not judged: its checks are not applicable, and say so. The model that is given is worked on
in place and put back as it was, since a training step of one's own holds on to that very object.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, cast, final

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from diagnostics.checks.engine.intent import NO_INTENT, Intent
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource
from gpcp.core.perturbations import PerturbationVocab, perturbations_of
from gpcp.model.batch import ModelBatch, model_batch
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.loss import masked_loss
from simulators.exact.bayes import BayesAnswer

Collate: TypeAlias = Callable[[PairBatch], tuple[ModelBatch, Tensor]]
Forward: TypeAlias = Callable[[nn.Module, ModelBatch], Tensor]
Loss: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
Objective: TypeAlias = Callable[[nn.Module, ModelBatch, Tensor], Tensor]
MakeOptimizer: TypeAlias = Callable[[nn.Module], torch.optim.Optimizer]
TrainingStep: TypeAlias = Callable[[nn.Module, torch.optim.Optimizer, PairBatch], float | Tensor]
AfterEpoch: TypeAlias = Callable[[], object]
OfWidth: TypeAlias = Callable[[int], nn.Module | tuple[nn.Module, torch.optim.Optimizer]]
ExactAnswer: TypeAlias = Callable[[PairBatch], BayesAnswer]

DENSE_NAMES = ("before_BG", "target_BG", "measured_BG", "perturbed_BG")
"""What a plain module is called with, in this order, where it takes more than one argument."""


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Subject:
    """A model, its data and its training step, each replaceable.

    Parameters
    ----------
    pairs : PairSource, optional
        What is trained on.
    held_out : PairSource, optional
        What is measured on; by default other passes over ``pairs``.
    model : nn.Module, optional
        Called as ``forward`` says.
    forward : callable
        ``(model, ModelBatch) -> prediction_BL``, the expected expression after at every place of the batch.
    as_used : callable, optional
        The same as the trained model is used, where that may be with other weights than those that are trained: with
        their average, or with the best of the training.
    collate : callable
        ``PairBatch -> (ModelBatch, after_BL)``: the line between the data and the model.
    loss : callable, optional
        ``(prediction_BL, after_BL, scored_BL) -> scalar``.
    objective : callable, optional
        ``(model, ModelBatch, after_BL) -> scalar``: what training lowers, where it is not ``loss`` of the answer, such
        as a likelihood. ``loss`` still says how good an answer is.
    make_optimizer : callable, optional
        ``model -> optimizer``, fresh; or an optimiser that exists, through :func:`existing`.
    training_step : callable, optional
        ``(model, optimizer, PairBatch) -> loss``: one whole update. By default it is composed of the other parts.
    on_epoch : callable, optional
        ``() -> None``: what the training runs after each epoch, such as a schedule's step.
    n_epochs : int, optional
        Passes over the pairs that the training makes.
    exact : callable, optional
        ``PairBatch -> BayesAnswer``: the exact answer and its risk, where the world that made the pairs is known,
        such as :func:`simulators.exact.bayes.bayes` with its first two arguments.
    of_width : callable, optional
        ``width -> model`` or ``width -> (model, optimizer)``, with first weights drawn anew at each call.
    intent : Intent
        What is so on purpose.
    name : str
        What reports call it.
    taken_as : mapping of str to str
        What the parts were taken for, in words, for the report.

    Raises
    ------
    InputError
        There is neither a model nor a source of pairs.
    """

    pairs: PairSource | None = None
    held_out: PairSource | None = None
    model: nn.Module | None = None
    forward: Forward | None = None
    as_used: Forward | None = None
    collate: Collate = model_batch
    loss: Loss | None = None
    objective: Objective | None = None
    make_optimizer: MakeOptimizer | None = None
    training_step: TrainingStep | None = None
    on_epoch: AfterEpoch | None = None
    n_epochs: int | None = None
    exact: ExactAnswer | None = None
    of_width: OfWidth | None = None
    intent: Intent = NO_INTENT
    name: str = "the model"
    taken_as: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if self.pairs is None and self.model is None:
            raise InputError("there is nothing to diagnose: give a model, a source of pairs, or both")
        if self.perturbations is not None and self.intent.given == "value":
            object.__setattr__(self, "intent", replace(self.intent, given="identity"))
        if self.model is not None and self.forward is None:
            object.__setattr__(self, "forward", forward_of(self.model, self.n_genes, self.perturbations))

    @property
    def perturbations(self) -> PerturbationVocab | None:
        """Those of a screen, which have names; None where values at genes are given."""
        return perturbations_of(self.pairs)

    @property
    def n_genes(self) -> int:
        """Genes of the vocabulary: that of the pairs, or else as many as the model says it knows.

        Raises
        ------
        InputError
            Neither says.
        """
        if self.pairs is not None:
            return len(self.pairs.vocab)
        known = getattr(getattr(self.model, "config", self.model), "n_genes", None)
        if not isinstance(known, int):
            raise InputError(
                "how many genes the model knows is not said: give a source of pairs, or set the attribute n_genes"
            )
        return known

    def counted(self, batch: ModelBatch) -> Tensor:
        """Places that the loss counts, bool (B, L), by :attr:`intent`."""
        return batch.scored_BL if self.intent.counted == "unperturbed" else batch.measured_BL

    def predict(self, model: nn.Module, batch: ModelBatch) -> Tensor:
        """The model's answer, float (B, L).

        Raises
        ------
        InputError
            It is no tensor of the batch's shape.
        """
        if self.forward is None:
            raise InputError("the subject has no model to ask")
        prediction_BL = self.forward(model, batch)
        if not isinstance(prediction_BL, Tensor) or prediction_BL.shape != batch.before_BL.shape:  # pyright: ignore[reportUnnecessaryIsInstance]
            found = tuple(prediction_BL.shape) if hasattr(prediction_BL, "shape") else type(prediction_BL).__name__
            raise InputError(
                f"{self.name} answers with {found}, expected one expression for each of "
                f"{tuple(batch.before_BL.shape)} (pairs, genes)"
            )
        return prediction_BL

    def scalar_loss(self, prediction_BL: Tensor, after_BL: Tensor, scored_BL: Tensor) -> Tensor:
        """The loss that is given, or the library's where none is."""
        return (masked_loss if self.loss is None else self.loss)(prediction_BL, after_BL, scored_BL)

    def lowered(self, model: nn.Module, batch: ModelBatch, after_BL: Tensor) -> Tensor:
        """What training lowers, a scalar with its graph: the objective, or the loss of the answer where none is."""
        if self.objective is not None:
            return self.objective(model, batch, after_BL)
        return self.scalar_loss(self.predict(model, batch), after_BL, self.counted(batch))

    def composed_loss(self, model: nn.Module, pairs: PairBatch) -> Tensor:
        """What training lowers, of some pairs, on the device and in the precision of the model: a scalar."""
        batch, after_BL = self.collate(pairs)
        first = next(iter(model.parameters()), None)
        if first is not None:
            batch, after_BL = batch.to(first.device, first.dtype), after_BL.to(first.device, first.dtype)
        return self.lowered(model, batch, after_BL)

    def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, pairs: PairBatch) -> float:
        """One update; the loss before it."""
        if self.training_step is not None:
            loss = self.training_step(model, optimizer, pairs)
            return float(loss.detach() if isinstance(loss, Tensor) else loss)
        optimizer.zero_grad()
        loss = self.composed_loss(model, pairs)
        # torch's own stubs leave a part of its signature open.
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimizer.step()
        return float(loss.detach())

    def end_epoch(self) -> None:
        """What the training runs after an epoch; of a schedule, the step that it has within a trial."""
        schedule = getattr(self.on_epoch, "__self__", None)
        if isinstance(schedule, LRScheduler):
            schedule.step()
        elif self.on_epoch is not None:
            self.on_epoch()


def existing(optimizer: torch.optim.Optimizer) -> MakeOptimizer:
    """An optimiser that exists already, for :attr:`Subject.make_optimizer`."""

    def made(model: nn.Module) -> torch.optim.Optimizer:
        del model
        return optimizer

    return made


def forward_of(model: nn.Module, n_genes: int, perturbations: PerturbationVocab | None = None) -> Forward:
    """How a module is called: with a ``ModelBatch`` if it takes one argument, else with four dense tensors.

    The four are :data:`DENSE_NAMES`, each (B, G) in the order of the vocabulary, unmeasured genes 0; the answer is
    (B, G). Where perturbations have names, one that takes two arguments is called with ``before`` and
    ``perturbation``, by these names or in this order: 1 in the columns of :func:`input_columns`, (B, inputs).

    Raises
    ------
    InputError
        It takes neither one argument nor those four.
    """
    # A compiled module takes what the one that was compiled takes, and says nothing of it.
    own = getattr(model, "_orig_mod", model)
    if isinstance(own, GenePerturbationTransformer):
        return _with_batch
    parameters = [
        parameter
        for parameter in inspect.signature(own.forward).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    n_needed = sum(parameter.default is parameter.empty for parameter in parameters)
    if n_needed <= 1 <= len(parameters):
        return _with_batch
    if perturbations is not None and n_needed <= 2 <= len(parameters):
        names = {parameter.name for parameter in parameters}
        token_columns, n_inputs = input_columns(perturbations, n_genes)
        by_name = names >= {"before", "perturbation"}
        return lambda model, batch: _with_names(model, batch, n_genes, token_columns, n_inputs, by_name=by_name)
    if n_needed <= len(DENSE_NAMES) <= len(parameters):
        return lambda model, batch: _with_dense(model, batch, n_genes)
    or_named = "" if perturbations is None else ", or with before, perturbation"
    raise InputError(
        f"{type(model).__name__}.forward needs {n_needed} arguments: a model is called with one ModelBatch, or with "
        f"{', '.join(DENSE_NAMES)}{or_named}; give forward=, a function of (model, batch)"
    )


def input_columns(perturbations: PerturbationVocab, n_genes: int) -> tuple[Tensor, int]:
    """The column that each perturbation has among a module's inputs, and how many there are.

    Columns are the genes, then the targets that are not measured, sorted by name: those of
    :attr:`diagnostics.inputs.frameworks.screen_module.ScreenPairs.inputs`.

    Returns
    -------
    int64 tensor, (tokens,)
    int
    """
    named = list(zip(perturbations.target, perturbations.gene, strict=True))
    unmeasured = sorted({target for target, gene in named if gene < 0})
    columns = [gene if gene >= 0 else n_genes + unmeasured.index(target) for target, gene in named]
    return torch.tensor(columns, dtype=torch.int64), n_genes + len(unmeasured)


def _with_batch(model: nn.Module, batch: ModelBatch) -> Tensor:
    return cast("Tensor", model(batch))


def _with_dense(model: nn.Module, batch: ModelBatch, n_genes: int) -> Tensor:
    """Unpack the places of a batch to their genes, ask, and pack the answer again."""
    measured_BL = batch.measured_BL
    before_BL = torch.where(measured_BL, batch.before_BL, 0.0)
    target_BL = torch.where(batch.perturbed_BL, batch.target_BL, 0.0)
    every = (before_BL, target_BL, measured_BL, batch.perturbed_BL & measured_BL)
    return _packed(model, model(*(_dense(value_BL, batch, n_genes) for value_BL in every)), batch, n_genes)


def _with_names(
    model: nn.Module, batch: ModelBatch, n_genes: int, token_columns: Tensor, n_inputs: int, *, by_name: bool
) -> Tensor:
    """The same of a module that reads which perturbations were applied."""
    before_BG = _dense(torch.where(batch.measured_BL, batch.before_BL, 0.0), batch, n_genes)
    # A token of -1 looks up the last entry: a column of its own, which is dropped.
    column_BA = torch.cat([token_columns, token_columns.new_tensor([n_inputs])]).to(batch.applied_BA.device)[
        batch.applied_BA
    ]
    applied_BF = before_BG.new_zeros((len(batch), n_inputs + 1)).scatter(1, column_BA, 1.0)[:, :n_inputs]
    if by_name:
        return _packed(model, model(before=before_BG, perturbation=applied_BF), batch, n_genes)
    return _packed(model, model(before_BG, applied_BF), batch, n_genes)


def _dense(value_BL: Tensor, batch: ModelBatch, n_genes: int) -> Tensor:
    """The places of a batch at their genes, (B, G)."""
    # Padding places carry any gene: they are sent to a column of their own, which is dropped.
    place_BL = torch.where(batch.measured_BL, batch.token_BL.expand(value_BL.shape), n_genes)
    return value_BL.new_zeros((len(batch), n_genes + 1)).scatter(1, place_BL, value_BL)[:, :n_genes]


def _packed(model: nn.Module, answer_BG: Tensor, batch: ModelBatch, n_genes: int) -> Tensor:
    """The answers at the places of a batch, (B, L)."""
    if answer_BG.shape != (len(batch), n_genes):
        raise InputError(
            f"{type(model).__name__} answers with shape {tuple(answer_BG.shape)}, expected ({len(batch)}, {n_genes}), "
            "one expression for every gene"
        )
    return answer_BG.gather(1, batch.token_BL.expand(batch.before_BL.shape))

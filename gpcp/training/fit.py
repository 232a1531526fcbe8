"""``fit``: trains a transformer on a source of pairs, and returns its history.

Lightning Fabric does device, precision and several processes. A checkpoint holds all that decides what follows
(weights, optimiser, position in the data, random state), so that a resumed run walks the identical loss curve.
"""

import io
import math
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, final

import torch
from lightning_fabric import Fabric
from torch import Tensor

from gpcp.core.errors import InputError
from gpcp.core.files import write_with
from gpcp.core.pairs import PairBatch, PairSource, concatenate
from gpcp.core.perturbations import perturbations_of
from gpcp.core.random import seed_of
from gpcp.loading.sharding import epoch_seed, shard
from gpcp.model.batch import ModelBatch, copied_ahead, model_batch
from gpcp.model.config import made_for
from gpcp.model.heads.registry import HEADS, gives_distribution
from gpcp.model.torch_seed import torch_seed
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.training.checkpoint import check_checkpoint
from gpcp.training.config import FitConfig, FitResult, HistoryRow, StopReason
from gpcp.training.loss import loss_terms
from gpcp.training.objective import Objective
from gpcp.training.ranks import measured_by_first, of_whole_batch, part_of_batch, share_of
from gpcp.training.trained import GENES, names_of

__all__ = ["FitConfig", "FitResult", "HistoryRow", "fit", "mean_loss"]

OnStep = Callable[[int, float], None]
_UNITS_PAIRS = 2048
_EVALUATION_BATCH = 512


def fit(
    model: GenePerturbationTransformer,
    pairs: PairSource,
    config: FitConfig,
    *,
    held_out: PairBatch | None = None,
    checkpoint: Path | None = None,
    on_step: OnStep | None = None,
    fabric: Fabric | None = None,
) -> FitResult:
    """Train ``model`` in place.

    Parameters
    ----------
    model : GenePerturbationTransformer
    pairs : PairSource
        Gone through again with another seed whenever it ends, until ``config.n_steps`` are done. Wrapped in
        :class:`gpcp.loading.prefetch.Prefetched` it is read while the model computes, with the same result; no thread
        is left
        when ``fit`` returns or raises.
    config : FitConfig
    held_out : PairBatch, optional
        Its loss enters the history every ``config.evaluate_every`` steps, and decides early stopping.
    checkpoint : Path, optional
        Where a file exists already, training goes on from it; it is written every ``config.checkpoint_every`` steps
        and at the end, atomically.
    on_step : callable, optional
        Called after every step with the number of steps done and the training loss; what it raises ends training.
    fabric : lightning_fabric.Fabric, optional
        One that is launched already, for several processes: each takes an equal share of every batch, see
        :mod:`gpcp.training.ranks`, so that loss and weights are those of one process up to rounding.

    Returns
    -------
    FitResult
        The history, and why training stopped.

    Raises
    ------
    InputError
        Vocabulary and model differ, early stopping lacks held-out pairs, the head gives no distribution where the
        objective is likelihood, the source is empty, processes cannot share a batch equally, or the checkpoint was made
        with another configuration.
    """
    _check(model, pairs, config, held_out)
    fabric = fabric or Fabric(accelerator=config.accelerator, devices=1, precision=config.precision)
    if fabric.world_size > 1 and config.objective == "squared" and model.gives_distribution:
        # Processes wait for gradients of every parameter; squared errors give none to spreads.
        raise InputError(
            f"the head {model.config.head!r} trained by squared errors leaves parameters without a gradient, for "
            "which several processes would wait: set FitConfig.objective to 'likelihood', or take one process"
        )
    run = _Run(model, pairs, config, held_out, fabric)
    # Dropout of every rank is its own.
    seed = seed_of(config.seed, "rank", fabric.global_rank) if fabric.global_rank else config.seed
    with torch_seed(seed), closing(run.batches):
        run.begin(checkpoint)
        while run.stopped is None:
            loss = run.advance()
            if checkpoint is not None and (run.stopped or run.step % config.checkpoint_every == 0):
                run.save(checkpoint)
            if on_step is not None:
                on_step(run.step, loss)
        run.finish()
    return FitResult(history=tuple(run.history), stopped=run.stopped, n_steps=run.step)


@torch.no_grad()
def mean_loss(model: GenePerturbationTransformer, pairs: PairBatch) -> float:
    """Mean squared error over the scored entries of some pairs, with the model in evaluation mode."""
    was_training = model.training
    model.eval()
    weight = model.state_identity.weight
    total, n = 0.0, 0.0
    for start in range(0, len(pairs), _EVALUATION_BATCH):
        batch, after_BL = model_batch(pairs.rows(slice(start, start + _EVALUATION_BATCH)))
        prediction_BL: Tensor = model(batch.to(weight.device, weight.dtype)).cpu()
        part_total, part_n = loss_terms(prediction_BL.float(), after_BL, batch.scored_BL)
        total, n = total + float(part_total), n + float(part_n)
    model.train(was_training)
    if not n:
        raise InputError("the pairs score no gene: every gene is perturbed or unmeasured")
    return total / n


def _check(
    model: GenePerturbationTransformer, pairs: PairSource, config: FitConfig, held_out: PairBatch | None
) -> None:
    if model.config.n_genes != len(pairs.vocab):
        raise InputError(f"the model knows {model.config.n_genes} genes, the source has {len(pairs.vocab)}")
    if model.config != made_for(model.config, perturbations_of(pairs)):
        raise InputError(
            "the model was made for other perturbations than the source gives: take its configuration through "
            "gpcp.model.config.made_for(config, perturbations_of(source))"
        )
    if held_out is not None and held_out.vocab != pairs.vocab:
        raise InputError("held-out pairs and training pairs have different vocabularies")
    if config.patience is not None and held_out is None:
        raise InputError("FitConfig.patience asks for early stopping: give held_out, whose loss decides it")
    if config.objective == "likelihood" and not model.gives_distribution:
        known = ", ".join(repr(name) for name in HEADS if gives_distribution(name))
        raise InputError(
            f"FitConfig.objective is 'likelihood' and the head {model.config.head!r} gives a mean alone: choose one "
            f"of {known} in ModelConfig.head, or the objective 'squared'"
        )


@final
class _Run:
    """One training under way: what a checkpoint has to hold."""

    def __init__(
        self,
        model: GenePerturbationTransformer,
        pairs: PairSource,
        config: FitConfig,
        held_out: PairBatch | None,
        fabric: Fabric,
    ) -> None:
        self.model, self.pairs, self.config, self.held_out, self.fabric = model, pairs, config, held_out, fabric
        self.step, self.epoch, self.batch_of_epoch = 0, 0, 0
        self.history: list[HistoryRow] = []
        self.stopped: StopReason | None = None
        self.best_loss, self.best_weights = math.inf, dict[str, Tensor]()
        self._share = share_of(config, fabric.world_size)
        self._since_row: list[float] = []
        # Where the run stands after each batch that was asked for and not yet stepped on: copies are made ahead.
        self._positions = deque[tuple[int, int]]()
        self.batches = copied_ahead(self._from_here(), fabric.device)

    def begin(self, checkpoint: Path | None) -> None:
        config = self.config
        resume = checkpoint is not None and checkpoint.exists()
        if not resume:
            self._learn_units()
        optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.learning_rate,
            betas=(0.9, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._objective = Objective(self.model, config)
        self._wrapped, self._optimizer = self.fabric.setup(self._objective, optimizer)
        if checkpoint is not None and resume:
            self._load(checkpoint)
        self.model.train()

    def advance(self) -> float:
        """One step; the loss of its batch, by entry."""
        config, fabric = self.config, self.fabric
        batch, after_BL = next(self.batches)
        self.epoch, self.batch_of_epoch = self._positions.popleft()
        batch, after_BL = batch.to(fabric.device), after_BL.to(fabric.device)
        rate = config.learning_rate_at(self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        n_own, part = part_of_batch(fabric, batch.scored_BL, config.pair_weight)
        objective, own_loss = self._wrapped(*self._objective.of(batch, after_BL), part=part)
        loss, lowered = of_whole_batch(fabric, own_loss, objective, n_own)
        if not (math.isfinite(loss) and math.isfinite(lowered)):
            self._record(loss, rate)
            self.stopped = "diverged"
            return loss
        self._optimizer.zero_grad()
        fabric.backward(objective)
        if config.gradient_clip is not None:
            fabric.clip_gradients(
                self._wrapped, self._optimizer, max_norm=config.gradient_clip, error_if_nonfinite=False
            )
        self._optimizer.step()
        self.step += 1
        self._since_row.append(loss)
        if self.step % config.evaluate_every == 0 or self.step == config.n_steps:
            self._record(sum(self._since_row) / len(self._since_row), rate)
        if self.stopped is None and self.step == config.n_steps:
            self.stopped = "finished"
        return loss

    def finish(self) -> None:
        """Put back the weights of the best held-out loss, where early stopping kept them."""
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()

    def save(self, path: Path) -> None:
        state: dict[str, Any] = {
            "made_with": self._made_with(),
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "place": [self.step, self.epoch, self.batch_of_epoch],
            "random_state": torch.get_rng_state(),
            "history": [row.to_json() for row in self.history],
            "since_row": list(self._since_row),
            "stopped": self.stopped,
            "best_loss": self.best_loss,
            "best_weights": self.best_weights,
        }
        if self.fabric.is_global_zero:
            # In memory first: torch's own writer makes a RuntimeError without a reason of a full disk.
            content = io.BytesIO()
            torch.save(state, content)
            write_with(path, lambda passing: passing.write_bytes(content.getbuffer()))
        self.fabric.barrier()

    def _load(self, path: Path) -> None:
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.fabric.device, weights_only=True)
            made_with: dict[str, Any] = state["made_with"]
            # A checkpoint from before a field existed was made with that field's default, or with unknown genes.
            known = FitConfig().to_json() | made_with["fit configuration"]
            made_with = {GENES: list(self.pairs.vocab.feature_id), **made_with, "fit configuration": known}
        except Exception as error:
            # A reader of damaged files may stumble over anything; it is the file that cannot be used all the same.
            kind = type(error).__name__
            raise InputError(f"{str(path)!r} is no checkpoint of gpcp ({kind}): remove it or name another") from error
        differing = [name for name, value in self._made_with().items() if made_with.get(name) != value]
        if differing:
            raise InputError(
                f"the checkpoint {str(path)!r} was made with another {', '.join(differing)}: "
                "give the same configuration, or another checkpoint"
            )
        try:
            check_checkpoint(state, self.model, self._optimizer)
        except InputError as error:
            raise InputError(
                f"the checkpoint {str(path)!r} is damaged or of another version: {error}; remove it or name another"
            ) from None
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.epoch, self.batch_of_epoch = state["place"]
        if self.fabric.is_global_zero:
            torch.set_rng_state(state["random_state"].cpu())
        self.history = [HistoryRow(**row) for row in state["history"]]
        self._since_row = state["since_row"]
        self.stopped, self.best_loss, self.best_weights = state["stopped"], state["best_loss"], state["best_weights"]

    def _made_with(self) -> dict[str, Any]:
        configurations = {
            "model configuration": self.model.config.to_json(),
            "fit configuration": self.config.to_json(),
        }
        named = names_of(perturbations_of(self.pairs))
        return {**configurations, GENES: list(self.pairs.vocab.feature_id), **named}

    def _learn_units(self) -> None:
        size, seed = self.config.batch_size, epoch_seed(self.config.seed, 0)
        with closing(shard(self.pairs, batch_size=size, seed=seed)) as batches:
            first = [batch.dense() for batch in islice(batches, -(-_UNITS_PAIRS // size))]
        self.model.learn_units(model_batch(concatenate(first))[0])

    def _from_here(self) -> Generator[tuple[ModelBatch, Tensor]]:
        """Shares of batches for ever, from the batch that the run has reached when the first one is asked for.

        Places are counted in whole batches, so that a checkpoint is gone on from by any number of processes.
        """
        n_ranks, rank = self.fabric.world_size, self.fabric.global_rank
        epoch, n_done = self.epoch, self.batch_of_epoch
        while True:
            own = shard(
                self.pairs,
                batch_size=self._share,
                seed=epoch_seed(self.config.seed, epoch),
                start=n_done * n_ranks,
                rank=rank,
                n_ranks=n_ranks,
            )
            with closing(own):
                for batch in own:
                    n_done += 1
                    self._positions.append((epoch, n_done))
                    yield model_batch(batch.dense())
            if not n_done:
                raise InputError(
                    f"the source gives fewer than {n_ranks} batches a pass: it needs one for every process"
                )
            epoch, n_done = epoch + 1, 0

    def _record(self, train_loss: float, rate: float) -> None:
        known = self.held_out
        held_out_loss = None if known is None else measured_by_first(self.fabric, lambda: mean_loss(self.model, known))
        self.history.append(
            HistoryRow(step=self.step, train_loss=train_loss, held_out_loss=held_out_loss, learning_rate=rate)
        )
        self._since_row = []
        if self.config.patience is None or held_out_loss is None:
            return
        if held_out_loss < self.best_loss:
            self.best_loss = held_out_loss
            self.best_weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        held_out = [row.held_out_loss for row in self.history]
        # A loss that is no number is never the best: where all are, the best lies before the first row.
        best = held_out.index(self.best_loss) if self.best_weights else -1
        if len(held_out) - best > self.config.patience:
            self.stopped = "early"

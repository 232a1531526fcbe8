"""What ``train`` says: the held-out loss between the losses that it is read against."""

from dataclasses import dataclass
from typing import Any, final

from diagnostics.cli.text import fill, number, plural, score, table
from diagnostics.commands.train.plan import Plan
from diagnostics.scoring.levels import Levels
from diagnostics.scoring.model_losses import ModelLosses
from gpcp.training.config import FitResult

_STOPPED = {
    "finished": "all steps done",
    "early": "stopped early, with the weights of the best held-out loss",
    "diverged": "diverged: the loss was no longer finite; take a lower --learning-rate",
}


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trained:
    """A training that has ended.

    Parameters
    ----------
    plan : Plan
    result : FitResult
    losses : ModelLosses or None
        None where it diverged.
    levels : Levels
    n_parameters, n_processes : int
    """

    plan: Plan
    result: FitResult
    losses: ModelLosses | None
    levels: Levels
    n_parameters: int
    n_processes: int

    def to_json(self) -> dict[str, Any]:
        """What the JSON file holds of it."""
        model = None if self.losses is None else self.losses.model
        loss = None if model is None else model.loss
        return {
            "source": self.plan.opened.name,
            "n_genes": len(self.plan.split.held_out.vocab),
            "n_held_out": len(self.plan.split.held_out),
            "model": self.plan.model.to_json(),
            "fit": self.plan.fit.to_json(),
            "n_parameters": self.n_parameters,
            "n_processes": self.n_processes,
            "n_steps": self.result.n_steps,
            "stopped": self.result.stopped,
            "loss": loss,
            "loss_se": None if model is None else model.standard_error,
            "skill": self.levels.skill(loss),
            "levels": self.levels.to_json(),
        }


def screen(trained: Trained) -> str:
    """All that the command prints of its result."""
    plan, levels = trained.plan, trained.levels
    known = len(plan.split.held_out.vocab)
    by = "" if trained.n_processes == 1 else f" by {trained.n_processes} processes"
    lines = [
        fill(f"{plan.opened.name}, {known:,} genes"),
        *([fill(plan.opened.provenance)] if plan.opened.provenance else []),
        fill(
            f"{plural(trained.result.n_steps, 'step')} of {plan.fit.batch_size} pairs{by}, "
            f"{trained.n_parameters:,} parameters: {_STOPPED[trained.result.stopped]}"
        ),
        fill(f"judged by {plural(len(plan.split.held_out), 'held-out pair')}: {plan.split.summary}"),
    ]
    rows = [(name, number(loss), score(levels.of_way(loss))) for name, loss in levels.named().items()]
    if trained.losses is not None:
        model = trained.losses.model
        shown = f"{number(model.loss)} +- {number(model.standard_error)}"
        rows.append(("this model", shown, score(levels.of_way(model.loss))))
    scale = "skill" if levels.exact is not None else "of the way"
    return "\n".join([*lines, "", table(("held-out loss", "", scale), rows, align="lrr")])

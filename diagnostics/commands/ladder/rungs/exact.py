"""The first rung: the exact checks, on the untrained model and its wiring, with pairs of a known world."""

from typing import Any

from diagnostics.checks.cascade import chosen, run_checks
from diagnostics.checks.engine.probe import Probe
from diagnostics.commands.ladder.rungs.asked import Budget
from diagnostics.commands.ladder.rungs.known import known_pairs, known_world
from diagnostics.commands.ladder.rungs.learner import subject_of_model
from diagnostics.inputs.models import Model
from gpcp.core.genes import GeneVocab
from gpcp.core.pairs import PairSource

N_PAIRS = 4_096
"""Of a pass."""


def exact_rung(
    vocab: GeneVocab, model: Model, budget: Budget, *, n_perturbed: tuple[int, int] | None, seed: int
) -> dict[str, Any]:
    """How many checks pass, and the first that fails with its cause."""
    made = known_world(len(vocab), seed)
    return checked_on(known_pairs(made, "counterfactual", N_PAIRS, n_perturbed), model, budget, seed=seed)


def checked_on(pairs: PairSource, model: Model, budget: Budget, *, seed: int) -> dict[str, Any]:
    """The same on any pairs."""
    subject = subject_of_model(model, pairs, budget, seed=seed)
    report = run_checks(Probe(subject, seed=seed), chosen(("exact",)))
    first = report.diagnosis
    return {
        "facts": {
            "n_passed": sum(one.outcome == "pass" for one in report.results),
            "n_failed": sum(one.outcome == "fail" for one in report.results),
            "errors": [one.name for one in report.results if one.outcome == "error"],
            "failed": None if first is None else first.name,
            "code": None if first is None else first.code,
            "cause": None if first is None else first.cause,
            "message": "" if first is None else first.message,
            "next_step": "" if first is None else first.next_step,
        },
    }

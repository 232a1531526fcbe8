"""What a prediction depends on: cells of another perturbation or context in its place, and answers asked for again."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from diagnostics.audit.evaluation.data import ScreenData, Split
from diagnostics.audit.evaluation.predictions import Groups
from diagnostics.audit.evaluation.references import Answer
from gpcp.core.random import stream

PERTURBATION, CONTEXT = "the perturbation", "the context"
"""What is taken away."""


def ablated(answer: Answer, screen: ScreenData, split: Split, *, seed: int) -> dict[str, Answer]:
    """The answer without its information on the perturbation, and without that on the context.

    Every perturbation gets the predicted cells of another one of its context, or its own of another context; one that
    has no other keeps its cells. An answer that loses nothing by it does not use what was taken away.

    Parameters
    ----------
    answer : Answer
    screen : ScreenData
    split : Split
    seed : int

    Returns
    -------
    dict
        By what is missing; without :data:`CONTEXT` where no perturbation has two contexts. What the predictor was
        asked again without comes last.
    """
    rng = stream(seed, "evaluate", "ablation")
    of_other: dict[tuple[str, str], NDArray[np.float32]] = {}
    for context in screen.contexts:
        labels = screen.in_context(context, split.test)
        for label, other in _circle(labels, rng).items():
            of_other[label, context] = answer.groups[other, context]
    found: dict[str, Groups] = {PERTURBATION: of_other}
    elsewhere = dict(answer.groups)
    for label in split.test:
        contexts = [one for one in screen.contexts if (label, one) in answer.groups]
        for context, other in _circle(contexts, rng).items():
            elsewhere[label, context] = answer.groups[label, other]
    if any(elsewhere[at] is not answer.groups[at] for at in elsewhere):
        found[CONTEXT] = elsewhere
    found |= answer.without
    return {
        what: Answer(name=f"{answer.name} without {what}", kind=answer.kind, groups=groups)
        for what, groups in found.items()
    }


def _circle(names: Sequence[str], rng: np.random.Generator) -> dict[str, str]:
    """For each name another one, its neighbour on a random circle; itself where it is alone."""
    order: list[int] = rng.permutation(len(names)).tolist()
    return {names[one]: names[after] for one, after in zip(order, order[1:] + order[:1], strict=True)}

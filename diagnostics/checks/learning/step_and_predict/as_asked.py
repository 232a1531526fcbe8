"""The check that predict gives back what the training step's loss asks the model for.

The answer of the model's last part is replaced in the step, and moved to where the gradient of the loss changes its
sign: that is what the loss asks for, entry by entry, whatever the loss is. Put into predict, the same answer should
make the cell after. What it makes instead (another unit, a change without the cell before) is blamed only where a
trained model's predictions of unseen pairs get clearly better once that is undone.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.checks.engine.answers import answers, errors_if_finite
from diagnostics.checks.engine.check import ALPHA, check
from diagnostics.checks.engine.identities import NO_OWN_STEP
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.learning.short_training import ShortTraining, short_training
from diagnostics.checks.learning.step_and_predict.sites import answering, calls_of, common_site
from diagnostics.checks.learning.step_and_predict.trained_again import (
    WORSE,
    Both,
    at_better_rate,
    batched,
    of_part,
    p_worse,
    predicted,
    some_judged,
    trained_again,
)
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import ModelBatch

LEFT_OVER = 0.05
"""Share of the cells' variance that a training that could not be better may leave before anything is asked."""

_DOUBLINGS, _HALVINGS = 8, 12
"""Steps by which an answer is moved until the gradient's sign has changed, and by which that place is narrowed down."""

_ENOUGH = 0.9
"""Share of the entries whose gradient must change its sign, else the loss asks for no single answer."""

_SAME = 0.02
"""Share of the variance that two draws may differ by, or a kind of difference leave unexplained."""

_N_PAIRS = 256

_BEFORE = {"the change alone, without the cell before": 1.0, "the cell before on top of the cell after": -1.0}
"""Differences that the cell before makes, and what of it undoes them."""

_CURVE = "curve"


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Asked:
    """What predict makes of the answers that the step's loss asks for, beside the cells after.

    Parameters
    ----------
    pairs : PairBatch
        Of the genes evaluated.
    made_BG : float64, (B, G)
    """

    pairs: PairBatch
    made_BG: NDArray[np.float64]

    @property
    def left_over(self) -> float:
        """Share of the variance of the cells after that it misses."""
        return self._share(self.made_BG - self.pairs.after_BG)

    def apart(self, other: "Asked") -> float:
        """Share of the variance by which two of them differ."""
        return self._share(self.made_BG - other.made_BG)

    def _share(self, miss_BG: NDArray[np.float64]) -> float:
        scored_BG, after_BG = self.pairs.scored_BG, self.pairs.after_BG.astype(np.float64)
        mean_G = np.where(scored_BG, after_BG, 0.0).sum(axis=0) / np.maximum(scored_BG.sum(axis=0), 1)
        total = float(((after_BG - mean_G)[scored_BG] ** 2).sum())
        return float((miss_BG[scored_BG] ** 2).sum()) / total if total > 0 else 0.0

    def undone(self, kind: str, answer_BG: NDArray[np.float64], pairs: PairBatch) -> NDArray[np.float64]:
        """Predictions without a difference of that kind."""
        if kind in _BEFORE:
            return answer_BG + _BEFORE[kind] * pairs.before_BG
        found_BG = np.array(answer_BG)
        for gene, scored_B in enumerate(self.pairs.scored_BG.T):
            if scored_B.sum() > 2:
                made_B, after_B = self.made_BG[scored_B, gene], self.pairs.after_BG[scored_B, gene].astype(np.float64)
                found_BG[:, gene] = _carried(made_B, after_B, answer_BG[:, gene])
        return found_BG

    def kind(self) -> str | None:
        """What undoes the difference; None where nothing does."""
        for kind in (*_BEFORE, _CURVE):
            if self._share(self.undone(kind, self.made_BG, self.pairs) - self.pairs.after_BG) < _SAME:
                return kind
        return None

    def in_words(self, kind: str) -> str:
        """What predict would make of a training without any error."""
        if kind != _CURVE:
            return kind
        slopes: list[NDArray[np.floating]] = [
            np.polyfit(self.pairs.after_BG[scored_B, gene].astype(np.float64), self.made_BG[scored_B, gene], 1)
            for gene, scored_B in enumerate(self.pairs.scored_BG.T)
            if scored_B.sum() > 2 and np.ptp(self.pairs.after_BG[scored_B, gene]) > 0
        ]
        slope, shift = (float(one) for one in np.median(slopes, axis=0))
        return f"each gene on another scale, typically {slope:.3g} times its value {shift:+.3g}"


def _carried(
    made_B: NDArray[np.float64], after_B: NDArray[np.float64], answer_B: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Answers on the scale of the cells after: along a straight line where one fits, else from point to point."""
    if np.ptp(made_B) > 0:
        line = np.polyfit(made_B, after_B, 1)
        missed_B = np.polyval(line, made_B) - after_B
        if float(np.square(missed_B).sum()) < _SAME * float(np.square(after_B - after_B.mean()).sum()):
            return np.polyval(line, answer_B).astype(np.float64)
    order = np.argsort(made_B)
    return np.interp(answer_B, made_B[order], after_B[order])


@check(
    "GP512",
    "learning.as_asked",
    "Does predict give back what the training step's loss asks the model for?",
    cause="bug", kind="statistical", needs=("pairs", "model", "optimizer"),
)  # fmt: skip
def as_asked(probe: Probe) -> CheckResult:
    """The answer at which the gradient of the loss changes its sign, as predict gives it, beside the cell after."""
    if probe.subject.training_step is None:
        return NO_OWN_STEP
    training = short_training(probe)
    asked = None if training is None else _asked(probe, training)
    if training is None or asked is None:
        return CheckResult(
            outcome="not_applicable", message="the step's loss asks the model's last part for no single answer"
        )
    kind = None if asked.left_over < LEFT_OVER else asked.kind()
    if kind is None:
        return CheckResult(
            outcome="pass" if asked.left_over < LEFT_OVER else "not_applicable",
            message=f"a training without error would leave {asked.left_over:.1%} of the variance by predict",
            statistic=asked.left_over, tolerance=LEFT_OVER, n=len(asked.pairs),
        )  # fmt: skip
    compared = _compared(probe, training, asked, kind)
    if compared is None:
        return CheckResult(outcome="not_applicable", message="a trained model's predictions are not finite")
    own, undone = compared
    p = p_worse(training, own, undone)
    return CheckResult(
        outcome="fail" if p < ALPHA else "pass",
        message=f"if the model answered exactly what the training step's loss asks for, predict would give "
        f"{asked.in_words(kind)}; after {training.n_steps} steps of training the held-out loss is {own.loss:.4g} as "
        f"predict answers, and {undone.loss:.4g} once that is undone",
        next_step="compare how the training step makes the values that its loss compares with, and how predict turns "
        "the model's answer back: a mean, a spread, a logarithm, the cell before",
        statistic=own.loss / max(undone.loss, 1e-30), null=WORSE, p=p, n=len(own.n_B),
    )  # fmt: skip


def _asked(probe: Probe, training: ShortTraining) -> Asked | None:
    """None where the loss asks for no single answer, or for another one at every draw."""
    size = training.batch_size
    pairs = probe.sample.rows(slice(0, max(1, _N_PAIRS // size) * size))
    made: list[NDArray[np.float64]] = []
    for draw in range(2):
        parts = [_made(probe, part, batch, draw, training) for part, batch in batched(probe, pairs, size)]
        whole = [one for one in parts if one is not None]
        if len(whole) < len(parts):
            return None
        made.append(np.concatenate(whole))
    one, other = (Asked(pairs=training.fit.part.of(pairs), made_BG=made_BG) for made_BG in made)
    if not np.isfinite(one.made_BG[one.pairs.scored_BG]).all() or one.apart(other) > _SAME:
        return None
    return one


def _made(
    probe: Probe, pairs: PairBatch, batch: ModelBatch, draw: int, training: ShortTraining
) -> NDArray[np.float64] | None:  # fmt: skip
    """What predict makes of the answer that the loss asks for; None where there is none."""
    with probe.trial(f"as asked {draw}", redrawn=draw > 0) as (model, optimizer):
        with calls_of(model) as asked:
            predicted(probe.subject, model, batch)
        with calls_of(model) as stepped:
            probe.subject.step(model, optimizer, pairs)
        site = common_site(stepped, asked, len(pairs))
    if site is None:
        return None
    output = stepped.once()[site].output
    assert output is not None
    wanted = _where_it_vanishes(probe, pairs, site, output.detach(), draw)
    if wanted is None:
        return None
    with probe.trial("as asked") as (model, _), answering(site, lambda answer: wanted.to(answer)):
        answer_BL = predicted(probe.subject, model, batch)
    return of_part(probe, answer_BL, batch, training.fit.part.token_G)


def _where_it_vanishes(
    probe: Probe, pairs: PairBatch, site: nn.Module, start: Tensor, draw: int
) -> Tensor | None:  # fmt: skip
    """The answer of a part at which the gradient of the step's loss changes its sign, entry by entry.

    Against the gradient by steps that double until its sign changes, then by halves: an absolute error has no slope.
    None where it does not change its sign there, all entries taken together.
    """

    def rises(answer: Tensor) -> Tensor | None:
        gradient = _gradient(probe, pairs, site, answer, draw)
        return None if gradient is None or not bool(torch.isfinite(gradient).all()) else gradient.sign()

    first = rises(start)
    if first is None or not bool((first != 0).any()):
        return None
    unit = float(start.std()) + 1e-3
    near, far = start, start - first * unit
    crossed = first == 0
    for _ in range(_DOUBLINGS):
        sign = rises(far)
        if sign is None:
            return None
        crossed |= sign != first
        if bool(crossed.all()):
            break
        near, far = torch.where(crossed, near, far), torch.where(crossed, far, far + 2 * (far - near))
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        sign = rises(middle)
        if sign is None:
            return None
        near, far = torch.where(sign == first, middle, near), torch.where(sign == first, far, middle)
    found, slack = (near + far) / 2, (near - far).abs() + 1e-3 * unit
    below, above = rises(found - slack), rises(found + slack)
    if below is None or above is None:
        return None
    turns = ((below < 0) & (above > 0))[first != 0]
    return torch.where(first == 0, start, found) if float(turns.double().mean()) >= _ENOUGH else None


def _gradient(probe: Probe, pairs: PairBatch, site: nn.Module, answer: Tensor, draw: int) -> Tensor | None:
    """Of one step's loss by the answer of a part."""
    leaf = answer.clone().requires_grad_()
    with (
        probe.trial(f"as asked {draw}", redrawn=draw > 0) as (model, optimizer),
        # The part's own answer stays in the graph, for steps that look at every gradient.
        answering(site, lambda own: leaf.to(own) + 0 * own),
    ):
        probe.subject.step(model, optimizer, pairs)
    return leaf.grad


def _compared(probe: Probe, training: ShortTraining, asked: Asked, kind: str) -> Both | None:
    """Errors on unseen pairs as predict answers, and with the difference undone."""
    pairs = some_judged(probe, training)
    part = training.fit.part.of(pairs)

    def judged(rate: float | None) -> Both | None:
        with trained_again(probe, training, rate) as (model, _):
            own_BG = answers(probe, model, pairs)[:, training.fit.part.token_G]
        own, undone = errors_if_finite(own_BG, part), errors_if_finite(asked.undone(kind, own_BG, part), part)
        return None if own is None or undone is None else (own, undone)

    return at_better_rate(probe, training, judged)

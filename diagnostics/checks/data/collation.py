"""Checks of collation: whether the model's input holds the pairs' values and masks, and nothing of the target.

Everything goes through the subject's own ``collate``, and is compared with the pairs gene by gene.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.checks.data.transforms import EXACT, Bools, Floats, transform_of
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import LARGEST, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.pairs import PairBatch
from gpcp.model.batch import TENSORS, ModelBatch

_Values: TypeAlias = NDArray[np.floating]
_Right: TypeAlias = Callable[[PairBatch], tuple[_Values, Bools]]
_Instead: TypeAlias = Callable[[PairBatch], Mapping[str, _Values]]

_OWN_UNITS = "; if that is meant, do it in the source, so that pairs hold what the model is to see, or in the model"


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Arrived:
    """The contents of a batch, in the order of the vocabulary.

    Parameters
    ----------
    measured_BG, perturbed_BG : bool, (B, G)
        Genes with a position that counts as measured, and as perturbed.
    before_BG, target_BG, after_BG : float64, (B, G)
        NaN at genes without a measured position.
    n_twice : int
        Genes that have more than one measured position in a pair.
    """

    measured_BG: Bools
    perturbed_BG: Bools
    before_BG: Floats
    target_BG: Floats
    after_BG: Floats
    n_twice: int

    @classmethod
    def of(cls, batch: ModelBatch, after_BL: Tensor, n_genes: int) -> "Arrived":
        """Unpack a batch and its target."""
        shape = tuple(batch.before_BL.shape)
        token_BL = batch.token_BL.cpu().expand(shape).numpy()
        measured_BL = batch.measured_BL.cpu().numpy()
        row_E, column_E = np.nonzero(measured_BL)
        gene_E = token_BL[row_E, column_E]
        n_BG = np.zeros((shape[0], n_genes), dtype=np.int64)
        np.add.at(n_BG, (row_E, gene_E), 1)

        def at_genes(value_BL: Tensor) -> Floats:
            value_BG = np.full((shape[0], n_genes), np.nan)
            value_BG[row_E, gene_E] = value_BL.detach().cpu().double().numpy()[row_E, column_E]
            return value_BG

        perturbed_BG = np.zeros((shape[0], n_genes), dtype=np.bool_)
        perturbed_BG[row_E, gene_E] = batch.perturbed_BL.cpu().numpy()[row_E, column_E]
        return cls(
            measured_BG=n_BG > 0,
            perturbed_BG=perturbed_BG,
            before_BG=at_genes(batch.before_BL),
            target_BG=at_genes(batch.target_BL),
            after_BG=at_genes(after_BL),
            n_twice=int((n_BG > 1).sum()),
        )

    def row(self, row: int) -> "Arrived":
        """The contents of one pair."""
        one = slice(row, row + 1)
        arrays = {field.name: getattr(self, field.name)[one] for field in fields(self) if field.name != "n_twice"}
        return Arrived(**arrays, n_twice=0)


def arrived(probe: Probe) -> tuple[tuple[PairBatch, Arrived], ...]:
    """Pairs as the source gives them and partly measured ones, each with its collated contents; collated once."""

    def collated(probe: Probe) -> tuple[tuple[PairBatch, Arrived], ...]:
        return tuple(
            (pairs, Arrived.of(*probe.subject.collate(pairs), len(probe.vocab))) for pairs in (probe.few, probe.masked)
        )

    return probe.once("arrived", collated)


@check(
    "GP101",
    "data.masks",
    "Do the masks of each gene agree with the pairs?",
    cause="bug", kind="exact", needs=("pairs",),
)  # fmt: skip
def masks(probe: Probe) -> CheckResult:
    """Measured and perturbed, gene by gene; every measured gene has one position."""
    n_wrong, n, words, n_twice = 0, 0, list[str](), 0
    for pairs, found in arrived(probe):
        n_twice += found.n_twice
        for name, right_BG, found_BG in (
            ("measured", pairs.measured_BG, found.measured_BG),
            ("perturbed", pairs.perturbed_BG, found.perturbed_BG),
        ):
            wrong_BG = right_BG != found_BG
            n_wrong, n = n_wrong + int(wrong_BG.sum()), n + wrong_BG.size
            if wrong_BG.any():
                words.append(f"the mask of {name} genes {_mask_in_words(found_BG, right_BG)}")
    if n_twice:
        words.append(f"{n_twice} genes have more than one position in their pair")
    return verdict(
        good=not words,
        message=f"{'; '.join(dict.fromkeys(words))} ({n_wrong} of {n} mask entries are wrong)" if words
        else f"all {n} mask entries (measured and perturbed) are those of the pairs",
        next_step="look at the function that makes a batch of pairs: True means that a gene counts, and every gene's "
        "mask entry is at the position of its token",
        statistic=float(n_wrong + n_twice), null=0.0, tolerance=0.0, n=n,
    )  # fmt: skip


def _mask_in_words(found_BG: Bools, right_BG: Bools) -> str:
    if (found_BG == ~right_BG).all():
        return "is inverted"
    for value, words in ((True, "is True throughout"), (False, "is False throughout")):
        if (found_BG == value).all():
            return words
    if (found_BG.sum(axis=1) == right_BG.sum(axis=1)).all():
        return "selects other genes, as many in each pair"
    if (np.sort(_packed(found_BG)) == np.sort(_packed(right_BG))).all():
        return "is that of other pairs"
    if not (found_BG & ~right_BG).any():
        return f"lacks {int((right_BG & ~found_BG).sum())} entries"
    if not (right_BG & ~found_BG).any():
        return f"has {int((found_BG & ~right_BG).sum())} entries too many"
    return f"differs at {float((found_BG != right_BG).mean()):.0%} of the positions"


def _packed(mask_BG: Bools) -> NDArray[np.bytes_]:
    return np.array([row.tobytes() for row in np.packbits(mask_BG, axis=1)])


@check(
    "GP102",
    "data.before",
    "Does the cell before reach the model as the pairs hold it?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def before(probe: Probe) -> CheckResult:
    """At measured genes; a second logarithm, another scale, another order of genes or pairs is named."""
    return _values(
        probe, "before_BG", "the cell before",
        lambda pairs: (pairs.before_BG, pairs.measured_BG),
        lambda pairs: {"the cell after": pairs.after_BG, "the change": pairs.delta_BG},
        "look at what lies between the source and the model" + _OWN_UNITS,
    )  # fmt: skip


@check(
    "GP103",
    "data.perturbed",
    "Does the perturbation reach the model as the pairs hold it?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def perturbed(probe: Probe) -> CheckResult:
    """The value after of every perturbed gene: its size and its sign."""
    if probe.subject.perturbations is not None:
        return _by_name(probe)
    return _values(
        probe, "target_BG", "the perturbation",
        lambda pairs: (pairs.after_BG, pairs.perturbed_BG),
        lambda pairs: {
            "the change instead of the value after": pairs.delta_BG,
            "the change with its sign turned": -pairs.delta_BG,
            "the value before instead of after": pairs.before_BG,
            "before minus the change": pairs.before_BG - pairs.delta_BG,
            "1, whatever the dose": np.ones_like(pairs.after_BG),
        },
        "target_BL holds the perturbed genes' expression after, in the units of before; a model of changes takes "
        "the difference itself",
    )  # fmt: skip


@check(
    "GP104",
    "data.target",
    "Is the target the cell after?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def target(probe: Probe) -> CheckResult:
    """At scored genes: not the cell before, not the change, not another pair's."""
    return _values(
        probe, "after_BG", "the target",
        lambda pairs: (pairs.after_BG, pairs.scored_BG),
        lambda pairs: {
            "the cell before": pairs.before_BG,
            "the change instead of the cell after": pairs.delta_BG,
            "the change with its sign turned": -pairs.delta_BG,
        },
        "the second value that collate returns is the expression after at every position, from which the loss is "
        "computed" + _OWN_UNITS,
    )  # fmt: skip


def _by_name(probe: Probe) -> CheckResult:
    """The perturbations of a screen as tokens, in any order, and no value of a target beside them."""
    pairs = probe.few
    batch, _ = probe.subject.collate(pairs)
    right = [] if pairs.applied is None else pairs.applied.tokens()
    token_BA: NDArray[np.int64] = batch.applied_BA.cpu().numpy()
    found: list[list[int]] = token_BA.tolist()
    n_wrong = sum(sorted(token for token in row if token >= 0) != own for row, own in zip(found, right, strict=True))
    leaked = bool((batch.target_BL != 0).any())
    words = f"{n_wrong} of {len(right)} pairs arrive with other perturbations than they have" if n_wrong else ""
    words = "values after of the targets arrive beside the names" if leaked else words
    return verdict(
        good=not words,
        message=words or "each pair arrives with the perturbations that it has, and no value of the cell after",
        next_step="collate gives applied_BA, the tokens of the source's perturbations, and leaves target_BL 0",
        statistic=float(n_wrong), null=0.0, tolerance=0.0, n=len(right),
    )  # fmt: skip


def _values(probe: Probe, name: str, what: str, right_of: _Right, instead_of: _Instead, next_step: str) -> CheckResult:
    """Compare one of the three values at every gene where the pairs define it and that has a position."""
    words, worst, n = list[str](), 0.0, 0
    for pairs, found in arrived(probe):
        right_BG, where_BG = right_of(pairs)
        right_BG, found_BG = right_BG.astype(np.float64), getattr(found, name)
        where_BG = where_BG & found.measured_BG
        n += int(where_BG.sum())
        if not where_BG.any():
            continue
        instead = {words: value_BG.astype(np.float64) for words, value_BG in instead_of(pairs).items()}
        words += [wrong] if (wrong := transform_of(found_BG, right_BG, where_BG, instead)) else []
        gap = np.nan_to_num(np.abs(found_BG - right_BG)[where_BG], nan=LARGEST, posinf=LARGEST)
        worst = max(worst, float(gap.max()) / max(float(np.abs(right_BG[where_BG]).max()), 1e-30))
    if not n:
        return CheckResult(outcome="not_applicable", message=f"there is no position at which {what} could be compared")
    summary = "; ".join(dict.fromkeys(words))
    return verdict(
        good=not words,
        message=f"{what} arrives as {summary}" if words else f"{what} arrives as the pairs hold it, at {n} positions",
        next_step=next_step, statistic=min(worst, LARGEST), null=0.0, tolerance=EXACT, n=n,
    )  # fmt: skip


@check(
    "GP105",
    "data.leak",
    "Does the model's input stay the same when only the target changes?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def leak(probe: Probe) -> CheckResult:
    """Other values after at scored genes: the input must not change by a bit."""
    changed: dict[str, int] = {}
    n = 0
    for turn, pairs in enumerate((probe.few, probe.masked)):
        usual, _ = probe.subject.collate(pairs)
        other, _ = probe.subject.collate(with_other_answers(pairs, probe.rng("leak", turn)))
        n += int(pairs.scored_BG.sum())
        for name, count in differing(usual, other).items():
            changed[name] = changed.get(name, 0) + count
    n_changed = sum(changed.values())
    held = " and ".join(sorted(changed))
    return verdict(
        good=not n_changed,
        message=f"{held} changes at {n_changed} positions when only the targets do: the input holds them"
        if n_changed
        else f"other targets at all {n} scored positions leave the model's input as it is, to the bit",
        next_step="pass the cell after at perturbed genes only: target_BL is 0 elsewhere, and nothing else is made of "
        "the cell after",
        statistic=float(n_changed), null=0.0, tolerance=0.0, n=n,
    )  # fmt: skip


def with_other_answers(pairs: PairBatch, rng: np.random.Generator) -> PairBatch:
    """The pairs with other values after wherever they are scored."""
    other_BG = pairs.after_BG + 1 + rng.random(pairs.after_BG.shape, dtype=np.float32)
    return replace(pairs, after_BG=np.where(pairs.scored_BG, other_BG, pairs.after_BG).astype(np.float32))


def differing(one: ModelBatch, other: ModelBatch) -> dict[str, int]:
    """Names of the tensors in which two batches differ, each with the number of positions; NaN equals NaN."""
    found: dict[str, int] = {}
    for name in TENSORS:
        a, b = (getattr(batch, name) for batch in (one, other))
        if a.shape != b.shape:
            found[name] = max(a.numel(), b.numel())
            continue
        unlike = (a != b) & ~((a != a) & (b != b))
        if bool(unlike.any()):
            found[name] = int(unlike.sum())
    return found


@check(
    "GP106",
    "data.collate_alone",
    "Is a pair's input to the model independent of the other pairs of its batch?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def collate_alone(probe: Probe) -> CheckResult:
    """Each pair collated by itself, and all of them a second time: no unit depends on the batch, nothing is random."""
    n_genes = len(probe.vocab)
    (pairs, _), (masked, usual) = arrived(probe)
    del pairs
    again = Arrived.of(*probe.subject.collate(masked), n_genes)
    alone = [
        Arrived.of(*probe.subject.collate(masked.rows(slice(row, row + 1))), n_genes) for row in range(len(masked))
    ]
    n_drawn = _unlike(usual, again)
    n_mixed = sum(_unlike(usual.row(row), one) for row, one in enumerate(alone))
    message = f"{len(masked)} pairs look the same alone as beside each other"
    if n_mixed:
        message = f"the model's input for a pair depends on the other pairs of its batch, at {n_mixed} positions"
    if n_drawn:
        message = f"the same pairs look different the second time, at {n_drawn} positions: collate draws at random"
    return verdict(
        good=not n_drawn and not n_mixed, message=message,
        next_step="draw in the source, where a seed decides"
        if n_drawn
        else "take units from the whole source once, not from each batch: a model would see another scale at every "
        "step and at evaluation",
        statistic=float(max(n_drawn, n_mixed)), null=0.0, tolerance=0.0, n=len(masked),
    )  # fmt: skip


def _unlike(one: Arrived, other: Arrived) -> int:
    """Entries in which two differ by more than rounding."""
    n = int((one.measured_BG != other.measured_BG).sum() + (one.perturbed_BG != other.perturbed_BG).sum())
    perturbed_BG = one.perturbed_BG & other.perturbed_BG
    both_BG = one.measured_BG & other.measured_BG
    for name, where_BG in (("before_BG", both_BG), ("target_BG", perturbed_BG), ("after_BG", both_BG & ~perturbed_BG)):
        a, b = getattr(one, name)[where_BG], getattr(other, name)[where_BG]
        scale = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
        n += int((~(np.isclose(a, b, rtol=0, atol=EXACT * scale, equal_nan=True))).sum())
    return n

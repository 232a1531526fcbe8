"""Checks of a source's passes: a seed decides a pass, another seed gives another, and a pass repeats no pair."""

from itertools import islice

import numpy as np

from diagnostics.checks.engine.cell_ids import Codes, row_codes
from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.identities import as_risk, verdict
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, concatenate

BATCH = 64
MOST_PAIRS = 1024
MOST_ENTRIES = 400_000
"""Pairs, and entries (pairs x genes), of the beginning of a pass that are compared."""

FEWEST = 16
"""Pairs that a pass needs for its order to be compared: by chance half of them agree once in thousands."""

SAME_ORDER = 0.5
"""Share of pairs that follow each other as in another pass from which on it is the same order, perhaps shifted."""

_DRAWN = 0.6
"""Share of repeats that drawing with replacement may give: 37% of equal weights, more of others."""

MOST_REPEATS = 0.01
"""Share of a pass that may repeat pairs: two cells can be alike in a panel of few genes."""


def beginning(probe: Probe, seed: int, *, batch_size: int = BATCH, n_pairs: int | None = None) -> PairBatch:
    """The first pairs of one pass.

    Raises
    ------
    InputError
        There is no source, or it gives no pair.
    """
    source = probe.subject.pairs
    if source is None:
        raise InputError("there is no source of pairs")
    wanted = n_compared(probe) if n_pairs is None else n_pairs
    batches = islice(source.pairs(batch_size=batch_size, seed=seed), -(-wanted // batch_size))
    return concatenate(list(batches)).rows(slice(0, wanted))


def n_compared(probe: Probe) -> int:
    """Pairs of the beginning of a pass that are compared."""
    return max(FEWEST, min(MOST_PAIRS, MOST_ENTRIES // len(probe.vocab)))


def pair_codes(pairs: PairBatch, *, perturbed: bool = True) -> Codes:
    """A number for each pair: both cells' values and names and, where asked for, which genes are perturbed."""
    id_B2 = np.stack((pairs.before_id_B, pairs.after_id_B), axis=1)
    parts = [id_B2.view(np.uint8), pairs.before_BG.view(np.uint8), pairs.after_BG.view(np.uint8)]
    if perturbed:
        parts.append(pairs.perturbed_BG.view(np.uint8))
    return row_codes(np.hstack([np.ascontiguousarray(part) for part in parts]))


def different(pairs: PairBatch) -> PairBatch:
    """Each pair once: a short source is passed several times."""
    _, first_N = np.unique(pair_codes(pairs), return_index=True)
    return pairs.rows(np.sort(first_N))


def same_position_share(one_B: Codes, other_B: Codes) -> tuple[float, int]:
    """Largest share of the second pass's pairs that are in the first at one common distance, and that distance."""
    first: list[int] = one_B.tolist()
    second: list[int] = other_B.tolist()
    # The first of equal pairs: later ones are overwritten.
    position_of = {code: len(first) - 1 - position for position, code in enumerate(reversed(first))}
    lags = [position_of[code] - position for position, code in enumerate(second) if code in position_of]
    if not lags:
        return 0.0, 0
    lag, count = np.unique(lags, return_counts=True)
    best = int(count.argmax())
    # Of a shifted pass the end is not seen: what can be compared is shorter by the shift.
    comparable = max(1, min(len(other_B), len(one_B) - abs(int(lag[best]))))
    enough = comparable >= FEWEST
    return (float(count[best]) / comparable if enough else 0.0), int(lag[best])


@check(
    "GP108",
    "data.same_seed",
    "Does a seed decide the pairs, whatever the batch size?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def same_seed(probe: Probe) -> CheckResult:
    """One pass twice, and once in batches of an odd size: the same bytes."""
    seed = probe.seed_of("same seed")
    n = min(4 * BATCH, n_compared(probe))
    usual, again = (pair_codes(beginning(probe, seed, n_pairs=n)) for _ in range(2))
    odd = pair_codes(beginning(probe, seed, batch_size=17, n_pairs=n))
    n_again, n_odd = _unequal(usual, again), _unequal(usual, odd)
    message = f"the first {len(usual)} pairs are the same a second time, and in batches of another size"
    if n_odd:
        message = f"in batches of 17 instead of {BATCH} the same seed gives other pairs, {n_odd} of {len(usual)}"
    if n_again:
        message = f"the same seed gives other pairs the second time, {n_again} of {len(usual)}"
    return verdict(
        good=not n_again and not n_odd, message=message,
        next_step="look for a __getitem__, a transform or a collation that changes the stored cells in place, and "
        "work on a copy there; draw every random number from a generator made of the seed of the pass: no run can "
        "be repeated otherwise",
        statistic=float(max(n_again, n_odd)), null=0.0, tolerance=0.0, n=len(usual),
    )  # fmt: skip


def _unequal(one_B: Codes, other_B: Codes) -> int:
    n = min(len(one_B), len(other_B))
    return int((one_B[:n] != other_B[:n]).sum()) + abs(len(one_B) - len(other_B))


@check(
    "GP109",
    "data.other_seed",
    "Does another seed give other pairs, or the same ones in another order?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def other_seed(probe: Probe) -> CheckResult:
    """Neighbouring seeds and a distant one: no pass is another one, not even shifted by some batches."""
    seed = probe.seed_of("other seed")
    first, *others = (beginning(probe, one) for one in (seed, seed + 1, seed + 2, probe.seed_of("another seed")))
    if min(map(len, (first, *others))) < FEWEST:
        return CheckResult(
            outcome="not_applicable", message=f"a pass has fewer than {FEWEST} pairs: too few to compare"
        )
    worst, shift, cells_alone = 0.0, 0, False
    for perturbed in (True, False):
        code_B = pair_codes(first, perturbed=perturbed)
        for other in others:
            share, lag = same_position_share(code_B, pair_codes(other, perturbed=perturbed))
            if share > worst:
                worst, shift, cells_alone = share, lag, not perturbed
    what = "cells, other perturbed genes," if cells_alone else "pairs"
    message = f"no more than {worst:.0%} of the pairs of a pass follow each other as under another seed"
    if worst >= SAME_ORDER:
        message = f"another seed gives the same {what} in the same order" + (
            f", {abs(shift)} pairs {'earlier' if shift > 0 else 'later'}" if shift else ""
        )
    found = verdict(
        good=worst < SAME_ORDER, message=message,
        next_step="shuffle by the seed that pairs() is given: every epoch has the same order otherwise"
        if not shift
        else "look for next(iter(loader)) in a loop, which gives one batch for ever; derive the seeds of batches or "
        "workers from the pass's seed by a hash, not by adding to it: passes overlap otherwise",
        statistic=worst, tolerance=SAME_ORDER, n=len(first),
    )  # fmt: skip
    # A source of this library is made to shuffle by its seed; a loader of somebody's need not where nothing is sorted.
    if shift or not hasattr(probe.subject.pairs, "loader") or _in_an_order(first):
        return found
    return as_risk(found, "which stand in no order of perturbations or cells")


def _in_an_order(pairs: PairBatch) -> bool:
    """Whether neighbours in a pass are more alike than any two of its pairs: sorted pairs want to be shuffled."""
    code_B = np.unique(pairs.perturbed_BG, axis=0, return_inverse=True)[1].reshape(-1)
    share_C = np.unique_counts(code_B).counts / len(code_B)
    if float((code_B[1:] == code_B[:-1]).mean()) > 2 * float((share_C**2).sum()) + 0.05:
        return True
    value_BG = pairs.before_BG - pairs.before_BG.mean(axis=0)
    size = float((value_BG**2).sum())
    return size > 0 and float((value_BG[1:] * value_BG[:-1]).sum()) > 0.2 * size


@check(
    "GP110",
    "data.repeats",
    "Does a pass give each pair once?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def repeats(probe: Probe) -> CheckResult:
    """Pairs that are equal in both cells and in the perturbation: workers that draw the same numbers give them.

    Repeats without a rhythm, as a sampler that draws with replacement gives them, are a note.
    """
    pairs = beginning(probe, probe.seed_of("repeats"))
    code_B = pair_codes(pairs)
    n_repeated = len(code_B) - len(np.unique(code_B))
    share, rhythm = n_repeated / len(code_B), _rhythm(code_B)
    message = f"{n_repeated} of the first {len(code_B)} pairs of a pass are repeats"
    if share > MOST_REPEATS:
        message += f": it gives {len(code_B) - n_repeated} different ones{rhythm}"
    if share > MOST_REPEATS and not rhythm and share < _DRAWN:
        return CheckResult(
            outcome="pass", message=f"{message}, drawn with replacement as it seems",
            next_step="if each pair was to come once a pass, draw without replacement", statistic=share, null=0.0,
            tolerance=MOST_REPEATS, n=len(code_B),
        )  # fmt: skip
    return verdict(
        good=share <= MOST_REPEATS, message=message,
        next_step="look for next(iter(loader)) in a loop, which gives the first batch for ever, and for the weights "
        "of a sampler (one for each pair, not for each class); give every worker of a loader a stream of its own; if "
        "pairs are drawn with replacement on purpose, there are this many fewer of them",
        statistic=share, null=0.0, tolerance=MOST_REPEATS, n=len(code_B),
    )  # fmt: skip


def _rhythm(code_B: Codes) -> str:
    """The distance at which pairs are repeated, where most are at one."""
    last: dict[int, int] = {}
    gaps: list[int] = []
    for position, code in enumerate(code_B.tolist()):
        if code in last:
            gaps.append(position - last[code])
        last[code] = position
    gap, count = np.unique(gaps, return_counts=True)
    regular = bool(len(gaps)) and int(count.max()) > len(gaps) / 2
    return f", most again after {int(gap[count.argmax()])}" if regular else ""


@check(
    "GP111",
    "data.two_cells",
    "Are the two cells of a pair two cells?",
    cause="data", kind="exact", needs=("pairs",),
)  # fmt: skip
def two_cells(probe: Probe) -> CheckResult:
    """By name and value: a cell paired with itself shows no change, whatever the perturbation."""
    pairs = probe.sample
    alike_B = (pairs.before_BG == pairs.after_BG).all(axis=1)
    # Equal names with other values are no names: nothing hangs on them.
    n_bad = int(((pairs.before_id_B == pairs.after_id_B) & alike_B).sum())
    return verdict(
        good=not n_bad,
        message=f"{n_bad} of {len(pairs)} pairs hold one cell twice" if n_bad
        else f"the two cells of each of {len(pairs)} pairs are different ones",
        next_step="leave a cell out of its own partners",
        statistic=n_bad / len(pairs), null=0.0, tolerance=0.0, n=len(pairs),
    )  # fmt: skip

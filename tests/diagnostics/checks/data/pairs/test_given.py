"""Labels, doses and cells of a part of the pairs that belong to others are found and named; healthy pairs pass."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.diagnostics.checks.data.pairs.batches import Batch, asked, columns
from tests.diagnostics.checks.subjects import found


def shuffled(made: Batch, some: np.ndarray) -> None:
    order = np.random.default_rng(1).permutation(some)
    for name in ("gene", "dose"):
        made[name][some] = made[name][order]


def exchanged(made: Batch, some: np.ndarray) -> None:
    made["before"][some], made["after"][some] = made["after"][some].copy(), made["before"][some].copy()


def rolled(made: Batch, some: np.ndarray) -> None:
    for name in ("gene", "dose"):
        made[name][some] = np.roll(made[name][some], 1, axis=1)


FAULTS: dict[str, tuple[Callable[[Batch, np.ndarray], None], str]] = {
    "shuffled": (shuffled, "of other pairs"),
    "exchanged": (exchanged, "the two cells of these pairs are exchanged"),
    "rolled": (rolled, "1 column before that which is given: labels are of other genes"),
}


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_part_that_goes_with_other_pairs_is_found(fault: str, share: float):
    change, words = FAULTS[fault]
    made = columns()
    change(made, np.flatnonzero(np.random.default_rng(2).random(1_000) < share))
    result = found(asked(made), "data.given")
    assert (result.outcome, result.cause) == ("fail", "data")
    assert words in result.message
    assert result.statistic == pytest.approx(share, abs=0.05)


def test_all_of_them_are_found_beside_held_out_pairs():
    made = columns()
    shuffled(made, np.arange(1_000))
    assert found(asked(made), "data.given").outcome == "not_applicable"
    result = found(asked(made, columns(seed=1)), "data.given")
    assert result.outcome == "fail"
    assert "100% of those in held-out pairs do" in result.message


def test_healthy_doses_pass_and_noisy_ones_or_other_units_are_not_asked():
    made = columns()
    assert found(asked(made), "data.given").outcome == "pass"
    zeros = columns()
    zeros["after"][np.random.default_rng(0).random((1_000, 6)) < 0.3] = 0
    assert found(asked(zeros), "data.given").outcome == "pass"
    noisy = columns()
    noisy["after"] += np.random.default_rng(0).normal(0, 0.1, (1_000, 6))
    assert found(asked(noisy), "data.given").outcome == "not_applicable"
    other = columns()
    other["dose"] *= 2
    assert found(asked(other, columns(seed=1) | {"dose": 2 * columns(seed=1)["dose"]}), "data.given").outcome == (
        "not_applicable"
    )


def test_repeated_pairs_count_once():
    made = columns(60)
    shuffled(made, np.arange(2))
    repeated = {name: np.tile(value, (20, 1)) for name, value in made.items()}
    assert found(asked(repeated), "data.given").outcome == "pass"

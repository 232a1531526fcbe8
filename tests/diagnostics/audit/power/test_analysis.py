"""Limits and cells needed: more cells find more, and normal cells agree with the closed form."""

import numpy as np
import pytest
from scipy import stats

from diagnostics.audit.power.analysis import detection_power
from diagnostics.audit.power.design import EXPRESSED_BINS, PowerDesign
from diagnostics.audit.power.limits import crossing, crossing_interval
from diagnostics.graphs.planted import GraphDesign, graph_recovery
from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.graphs.families import simulated_vocab
from simulators.spike_ins.real_cells import RealCells

SMALL = PowerDesign(effects=(0.3, 0.6, 1.2), n_cells=(20, 80, 320), n_resamplings=12, n_draws=60, expressed=0.0)


def normal_cells(n: int = 300, n_genes: int = 40) -> RealCells:
    value_NG = generator("test normal cells").standard_normal((n, n_genes)).astype(np.float32)
    return RealCells(
        vocab=simulated_vocab(n_genes),
        value_NG=value_NG,
        measured_NG=np.ones(value_NG.shape, dtype=np.bool_),
        cell_id_N=np.arange(n, dtype=np.int64),
    )


def test_power_rises_with_effect_and_cells_and_limits_fall():
    found = detection_power(normal_cells(), SMALL)
    assert found.rule == "shift"
    power = found.power[0, :, :, 0]
    assert (np.diff(power, axis=0) > -0.02).all()
    assert (np.diff(power, axis=1) > -0.02).all()
    limits = [one.value for one in found.limits["welch"] if one.value is not None]
    assert limits == sorted(limits, reverse=True)
    assert {row["test"] for row in found.rows()} == {"welch", "wilcoxon"}


def test_the_limit_of_normal_cells_is_that_of_the_closed_form():
    """Within 10 %: power .8 at the level at which Benjamini and Hochberg's procedure settles (Genovese, Wasserman)."""
    found = detection_power(normal_cells(), PowerDesign(cells=80, n_cells=(80,), expressed=0.0))
    # t = fdr * ((1 - affected) t + affected * .8)
    level = 0.05 * 0.1 * 0.8 / (1 - 0.05 * 0.9)
    wanted = (stats.norm.isf(level / 2) + stats.norm.ppf(0.8)) * np.sqrt(1 / 80 + 1 / 300)
    assert found.limit("welch").value == pytest.approx(wanted, rel=0.1)


def counted_cells(n: int = 400, n_genes: int = 60) -> RealCells:
    """Poisson counts of genes that 5 to nearly 100 % of the cells express."""
    mean_G = np.geomspace(0.06, 4.0, n_genes)
    count_NG = generator("test counted cells").poisson(mean_G, size=(n, n_genes))
    return RealCells(
        vocab=simulated_vocab(n_genes),
        value_NG=np.log1p(count_NG).astype(np.float32),
        measured_NG=np.ones(count_NG.shape, dtype=np.bool_),
        cell_id_N=np.arange(n, dtype=np.int64),
        count_NG=count_NG,
        total_N=np.full(n, 1_000.0),
    )


def test_the_expression_that_is_needed_falls_with_cells_and_divides_genes_by_their_power():
    design = PowerDesign(effect=0.6, cells=80, n_cells=(40, 80, 320), n_resamplings=20, effects=(0.6,))
    found = detection_power(counted_cells(), design)
    needed = [one.value for one in found.expression_needed["wilcoxon"]]
    known = [one for one in needed if one is not None]
    assert len(known) >= 2
    assert known == sorted(known, reverse=True)
    one = found.expression("wilcoxon")
    assert one.value is not None
    assert one.low is None or one.low <= one.value
    power = found.power[1, 0, 1, 1:]
    for low, high, share in zip(EXPRESSED_BINS[:-1], EXPRESSED_BINS[1:], power, strict=True):
        if high < one.value / 2:
            assert not share > design.power
        if low > one.value:
            assert share >= design.power - 0.02


def test_a_call_goes_on_with_what_is_kept():
    first: dict[int, np.ndarray] = {}
    whole = detection_power(normal_cells(), SMALL, keep=first.__setitem__)
    again = detection_power(normal_cells(), SMALL, kept={20: first[20]})
    np.testing.assert_array_equal(whole.power, again.power)


def test_crossings_on_and_beyond_the_grid():
    grid, power = np.array([1.0, 2.0, 4.0]), np.array([0.2, 0.5, 0.9])
    assert crossing(grid, power, 0.5) == pytest.approx(2.0)
    assert crossing(grid, power, 0.1) == -np.inf
    assert crossing(grid, power, 0.95) == np.inf
    many = np.repeat(power[None], 10, axis=0)
    found = crossing_interval(grid, power, many, many, wanted=0.7, level=0.9)
    assert (found.low, found.high) == (pytest.approx(found.value), pytest.approx(found.value))
    assert crossing_interval(grid, power, many, many, wanted=0.99, level=0.9).value is None


def test_graphs_are_found_where_doses_are_large():
    design = GraphDesign(doses=(0.01, 6.0), n_cells=(100,), n_targets=4, n_repeats=3)
    found = graph_recovery(normal_cells(), design)
    assert found.auprc["welch"][6.0, 100].value > 0.7
    assert found.auprc["welch"][0.01, 100].value < 0.4
    assert found.smallest_dose("welch", 100) in (None, 6.0)


def test_who_knows_the_effects_finds_the_whole_graph_and_others_are_as_before():
    design = GraphDesign(doses=(0.5,), n_cells=(20,), n_targets=3, n_repeats=2, n_genes=12)
    found = graph_recovery(normal_cells(), design, more={"truth": lambda screen, seed: np.abs(screen.effect_target_G)})
    assert found.auprc["truth"][0.5, 20].value == 1.0
    plain = graph_recovery(normal_cells(), design)
    assert {name: found.auprc[name] for name in ("welch", "ridge")} == plain.auprc
    assert {row["read_out"] for row in found.rows()} == {"welch", "ridge", "truth"}
    with pytest.raises(InputError, match="ridge"):
        graph_recovery(normal_cells(), design, more={"ridge": lambda screen, seed: screen.effect_target_G})
    with pytest.raises(InputError, match="n_genes"):
        graph_recovery(normal_cells(), GraphDesign(n_genes=1_000))


@pytest.mark.parametrize("bad", [{"power": 1.0}, {"effect": 0.0}, {"cells": 2}, {"controls": 1}, {"n_resamplings": 2}])
def test_numbers_out_of_range_are_refused(bad: dict[str, float]):
    with pytest.raises(InputError, match=next(iter(bad))):
        PowerDesign(**bad)  # pyright: ignore[reportArgumentType]


def test_a_pilot_of_a_few_cells_is_refused():
    with pytest.raises(InputError, match="at least 20"):
        detection_power(normal_cells(10), SMALL)

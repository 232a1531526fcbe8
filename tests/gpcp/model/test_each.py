"""Many perturbations of one cell at once are what each is alone, whatever the model's parts."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.predictors import Perturbation
from gpcp.model import each
from gpcp.model.config import PRESETS, preset
from gpcp.model.perturbation_table import PerturbationTable
from gpcp.model.predictor import ModelPredictor
from gpcp.model.transformer import GenePerturbationTransformer
from tests.gpcp.model.model_cases import N_GENES, models

Alone = tuple[NDArray[np.bool_], NDArray[np.float32]]


def table_of(sets: list[list[int]], rng: np.random.Generator, *, shifts: bool = False) -> PerturbationTable:
    """Perturbations of these tokens, in this order, by values of any size."""
    sizes = [len(one) for one in sets]
    return PerturbationTable(
        n=len(sets),
        row_E=np.repeat(np.arange(len(sets)), sizes),
        token_E=np.array([token for one in sets for token in one], dtype=np.int64),
        value_E=rng.normal(size=sum(sizes)).astype(np.float32),
        shifts=shifts,
    )


def alone(table: PerturbationTable, row: int, control_G: NDArray[np.float32]) -> Alone:
    """Masks and values of one perturbation of one cell, as a predictor takes them."""
    perturbed, target = np.zeros((1, len(control_G)), dtype=np.bool_), np.zeros((1, len(control_G)), dtype=np.float32)
    for entry in np.flatnonzero(table.row_E == row):
        token = table.token_E[entry]
        perturbed[0, token] = True
        target[0, token] = table.value_E[entry] + (control_G[token] if table.shifts else np.float32(0))
    return perturbed, target


@st.composite
def screens(draw: st.DrawFn) -> tuple[NDArray[np.float32], PerturbationTable]:
    """Cells that measure some genes, and sets of genes in any order."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    control = rng.normal(size=(draw(st.integers(1, 4)), N_GENES)).astype(np.float32)
    control[rng.random(control.shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = np.nan
    tokens = st.lists(st.integers(0, N_GENES - 1), max_size=3, unique=True)
    return control, table_of(draw(st.lists(tokens, min_size=1, max_size=6)), rng, shifts=draw(st.booleans()))


@given(models(), screens(), st.sampled_from([1, 4096]))
def test_any_model_in_float64(
    model: GenePerturbationTransformer, screen: tuple[NDArray[np.float32], PerturbationTable], pass_tokens: int
):
    control, table = screen
    seen = set[tuple[int, int]]()
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(each, "PASS_TOKENS", pass_tokens)
        patch.setattr(each, "LEAST_ROWS", 2)
        for some in each.answers_to_each(model, control, table):
            for at_cell, cell in enumerate(some.cell_B):
                for at_row, row in enumerate(some.asked):
                    perturbed, target = alone(table, int(row), control[cell])
                    pairs = each._batch(  # pyright: ignore[reportPrivateUsage]
                        control[[cell]], table.rows(np.array([row])), some.token_L
                    )
                    assert np.array_equal(pairs.perturbed_BL.numpy(), perturbed[:, some.token_L])
                    assert np.array_equal(pairs.target_BL.numpy(), target[:, some.token_L])
                    expected = model(pairs.to(torch.device("cpu"), torch.float64))[0]
                    torch.testing.assert_close(some.after[at_cell, at_row], expected, rtol=1e-9, atol=1e-9)
                    seen.add((int(cell), int(row)))
    # Every perturbation of every cell that measures something and all of its genes.
    known = np.isfinite(control)
    genes = [table.token_E[table.row_E == row] for row in range(len(table))]
    assert seen == {
        (cell, row) for cell in range(len(control)) for row in range(len(table))
        if known[cell].any() and known[cell, genes[row]].all()
    }  # fmt: skip


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("shifts", [False, True])
def test_a_predictor_of_every_preset(name: str, shifts: bool):
    rng = np.random.default_rng(0)
    model = GenePerturbationTransformer(preset(name, 12), seed=1)
    predictor = ModelPredictor(model, GeneVocab(feature_id=tuple(f"g{i}" for i in range(12))))
    control = rng.normal(size=(4, 12)).astype(np.float32)
    control[1:3, [2, 7]] = np.nan
    table = table_of([[0], [7], [3, 11], [11, 3, 2], []], rng, shifts=shifts)
    found = each.predict_each_by(model, control, table)
    assert model.training
    for cell in range(4):
        for row in range(5):
            perturbed, target = alone(table, row, control[cell])
            measured = np.isfinite(control[cell])
            if not measured[perturbed[0]].all():
                assert np.isnan(found[cell, row]).all()
                continue
            perturbation = Perturbation(perturbed_BG=perturbed, target_BG=target)
            expected = predictor.predict(control[[cell]], perturbation)[0]
            assert np.isnan(found[cell, row, ~measured]).all()
            np.testing.assert_allclose(found[cell, row, measured], expected[measured], rtol=1e-5, atol=1e-5)


def test_the_state_is_encoded_once_for_each_cell(monkeypatch: pytest.MonkeyPatch):
    model = GenePerturbationTransformer(preset("default", 12)).eval()
    rows: list[int] = []
    encoded = model.encoded
    monkeypatch.setattr(model, "encoded", lambda batch: rows.append(len(batch)) or encoded(batch))
    monkeypatch.setattr(each, "PASS_TOKENS", 12 * 6)
    monkeypatch.setattr(each, "LEAST_ROWS", 1)
    table = table_of([[token] for token in range(12)], np.random.default_rng(0))
    found = list(each.answers_to_each(model, np.zeros((5, 12), dtype=np.float32), table))
    assert rows == [1] * 5
    assert [tuple(some.after.shape) for some in found] == [(1, 6, 12)] * 10


def test_a_table_refuses_what_makes_no_sense():
    empty: dict[str, Any] = {"row_E": np.zeros(0, dtype=np.int64), "token_E": np.zeros(0, dtype=np.int64)}
    one: dict[str, Any] = {"row_E": np.zeros(1, dtype=np.int64), "token_E": np.zeros(1, dtype=np.int64)}
    assert PerturbationTable(n=2, **empty, value_E=np.zeros(0, dtype=np.float32)).within(
        np.zeros(3, bool)
    ).tolist() == [
        0,
        1,
    ]
    with pytest.raises(InputError, match="not finite"):
        PerturbationTable(n=1, **one, value_E=np.full(1, np.nan, dtype=np.float32))
    with pytest.raises(InputError, match="rise within"):
        PerturbationTable(n=0, **one, value_E=np.zeros(1, dtype=np.float32))
    with pytest.raises(InputError, match="twice"):
        PerturbationTable(
            n=1, row_E=np.zeros(2, dtype=np.int64), token_E=np.zeros(2, dtype=np.int64),
            value_E=np.zeros(2, dtype=np.float32),
        )  # fmt: skip

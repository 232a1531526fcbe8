"""Screens as pairs: what each cell got, controls of its context, nothing of the cell after, splits without a leak."""

from pathlib import Path
from typing import Any, cast

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import gpcp
from gpcp.core.errors import InputError
from gpcp.core.pairs import FixedPairs, PairBatch, PairSource, concatenate
from gpcp.core.perturbations import CONTROL, perturbations_of
from gpcp.core.predictors import control_of, perturbation_of
from gpcp.model.batch import model_batch
from gpcp.screens import h5ad_screen
from gpcp.screens.h5ad_screen import H5adScreen
from gpcp.screens.pairs import ScreenPairs
from gpcp.screens.splits import hold_out

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
LABELS = ("control", "AAA", "BBB", "AAA+BBB", "UNMEASURED", "BBB+UNMEASURED")


def screen(n_cells: int = 240, *, seed: int = 0, **columns: Any) -> ad.AnnData:
    """A screen of the form of PerturBench, of which two targets are genes; every cell has a value of its own."""
    rng = np.random.default_rng(seed)
    value = (1 + np.arange(n_cells)[:, None] / n_cells + rng.random((n_cells, len(SYMBOLS)))).astype(np.float32)
    obs = {
        "condition": np.array(LABELS)[np.arange(n_cells) % len(LABELS)],
        "cell_type": np.array(["one", "two"])[np.arange(n_cells) // len(LABELS) % 2],
        "perturbation_type": "CRISPRi",
    } | columns
    names = [f"cell {i}" for i in range(n_cells)]
    var = pd.DataFrame({"symbol": SYMBOLS}, index=[f"ENSG0000000000{i}" for i in range(len(SYMBOLS))])
    return ad.AnnData(value, pd.DataFrame(obs, index=pd.Index(names)), var)


def values_of(data: ad.AnnData) -> NDArray[np.float32]:
    return cast("NDArray[np.float32]", data.X)


def read(data: ad.AnnData, **options: Any) -> H5adScreen:
    return H5adScreen(data, values="log", **options)


def whole(pairs: PairSource, seed: int = 0, batch_size: int = 7) -> PairBatch:
    return concatenate(pairs.pairs(batch_size=batch_size, seed=seed))


def test_what_was_done_to_each_cell_is_read_with_its_genes_and_kind() -> None:
    made = read(screen())
    assert made.perturbations.target == ("AAA", "BBB", "UNMEASURED")
    assert set(made.perturbations.kind) == {"knocked down"}
    assert made.perturbations.gene == (0, 1, -1)
    assert made.applied.labels() == tuple(
        CONTROL if label == "control" else label for label in np.array(LABELS)[np.arange(240) % len(LABELS)]
    )
    assert "2 of 3 perturbations act on a gene that is measured" in made.provenance
    assert made.n_pairs == 200


@given(st.integers(0, 99), st.integers(1, 50))
def test_a_pass_gives_every_perturbed_cell_once_with_a_control_of_its_type(seed: int, batch_size: int) -> None:
    data = screen()
    made = read(data)
    pairs = whole(made, seed, batch_size)
    perturbed = np.flatnonzero(data.obs["condition"] != "control")
    assert np.array_equal(np.sort(pairs.after_id_B), perturbed)
    assert set(data.obs["condition"].iloc[pairs.before_id_B]) == {"control"}
    types = data.obs["cell_type"].to_numpy()
    assert np.array_equal(types[pairs.before_id_B], types[pairs.after_id_B])
    assert np.array_equal(pairs.before_BG, values_of(data)[pairs.before_id_B])
    assert np.array_equal(pairs.after_BG, values_of(data)[pairs.after_id_B])
    assert pairs.applied is not None
    assert pairs.applied.labels() == tuple(data.obs["condition"].iloc[pairs.after_id_B])
    again = whole(made, seed, 64)
    assert np.array_equal(again.before_id_B, pairs.before_id_B)
    assert np.array_equal(again.after_BG, pairs.after_BG)
    assert not np.array_equal(whole(made, seed + 1).before_id_B, pairs.before_id_B)


@given(st.integers(0, 9), st.floats(0, 3, width=32))
def test_no_value_of_the_cell_after_reaches_a_model_or_a_predictor(seed: int, shift: float) -> None:
    data, other = screen(seed=seed), screen(seed=seed)
    perturbed = (data.obs["condition"] != "control").to_numpy()
    values_of(other)[perturbed] += shift + np.random.default_rng(seed).random((int(perturbed.sum()), len(SYMBOLS)))
    one, two = (whole(read(some), seed) for some in (data, other))
    assert not np.array_equal(one.after_BG, two.after_BG)
    for name in ("token_BL", "before_BL", "target_BL", "measured_BL", "perturbed_BL", "applied_BA"):
        assert np.array_equal(getattr(model_batch(one)[0], name), getattr(model_batch(two)[0], name)), name
    assert np.array_equal(control_of(one), control_of(two))
    given_one, given_two = perturbation_of(one), perturbation_of(two)
    assert np.array_equal(given_one.target_BG, given_two.target_BG)
    assert not given_one.target_BG.any()


@pytest.mark.parametrize("by", ["cells", "perturbation", "combination", "context"])
@given(seed=st.integers(0, 20))
def test_no_cell_is_on_both_sides_and_what_is_held_out_is_new(by: Any, seed: int) -> None:
    data = screen()
    made = read(data)
    split = made.split(by=by, seed=seed)
    parts = (split.training, split.held_out)
    sides = [whole(side) for side in parts]
    ids = [set(side.before_id_B.tolist()) | set(side.after_id_B.tolist()) for side in sides]
    assert not ids[0] & ids[1]
    controls = [set(side.control_N.tolist()) for side in (split.training, split.held_out)]
    assert not controls[0] & controls[1]
    assert min(map(len, controls)) > 0
    trained, scored = ({tuple(sorted(label.split("+"))) for label in side.applied.labels()} for side in parts)
    if by == "cells":
        assert split.names == ()
        assert trained == scored
    elif by == "perturbation":
        assert all(set(label) & set(split.names) for label in scored)
        assert not any(set(label) & set(split.names) for label in trained)
    elif by == "combination":
        assert {"+".join(label) for label in scored} == set(split.names)
        assert not scored & trained
        assert {one for label in scored for one in label} <= {one for label in trained for one in label}
    else:
        types = data.obs["cell_type"].to_numpy()
        assert set(types[list(ids[1])]) == set(split.names)
        assert not set(types[list(ids[0])]) & set(split.names)


def test_a_split_is_decided_by_its_seed_and_by_names() -> None:
    made = read(screen())
    first, again = (made.split(seed=3).held_out.perturbed_N for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, made.split(seed=4).held_out.perturbed_N)
    held = made.split(by="combination", names=["AAA+BBB"]).held_out
    assert set(held.applied.labels()) == {"AAA+BBB"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "perturbation", "names": ["AAB"]}, "perturbation 'AAB' to hold out is not in the screen; nearest: AAA"),
        ({"by": "context", "names": ["on"]}, "context 'on' to hold out is not in the screen; nearest: one"),
        ({"by": "perturbation", "names": ["AAA", "BBB", "UNMEASURED"]}, "all 3 perturbations of the screen"),
        ({"by": "cells", "names": ["AAA"]}, "cells are held out by share"),
        ({"by": "genes"}, "not by 'genes'"),
        ({"share": 1.0}, "it must be above 0 and below 1"),
    ],
)
def test_a_split_that_cannot_be_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(screen()).split(**options)
    assert "\n" not in str(caught.value)


def test_a_combination_that_training_would_not_know_is_refused_by_name_and_never_drawn() -> None:
    labels = {"A+B": ("A", "B"), "A": ("A",), "A+C": ("A", "C"), "C": ("C",), CONTROL: ()}
    label_N = np.array([label for label in labels for _ in range(9)])
    context_N = np.full(len(label_N), "")
    with pytest.raises(InputError, match="training would never see 'B'"):
        hold_out(label_N, labels, context_N, by="combination", names=["A+B"])
    for seed in range(20):
        assert hold_out(label_N, labels, context_N, by="combination", seed=seed, share=0.9).names == ("A+C",)


def test_a_perturbed_cell_without_a_control_of_its_context_is_left_out_and_counted() -> None:
    data = screen()
    data.obs["cell_type"] = np.where(data.obs["condition"] == "AAA", "three", data.obs["cell_type"])
    made = read(data)
    assert made.n_pairs == 160
    assert "40 perturbed cells without a control left out" in made.provenance
    assert read(data, match_on=()).n_pairs == 200
    data.obs["cell_type"] = np.where(data.obs["condition"] == "control", "four", data.obs["cell_type"])
    with pytest.raises(InputError, match="no perturbed cell of the screen has a control of its context: match on less"):
        read(data)
    with pytest.raises(InputError, match="no covariate 'batch' to match controls on"):
        read(data, match_on=["batch"])


def test_doses_are_numbers_of_each_target_or_are_not_used() -> None:
    dose = np.array(["0", "1", "2.5", "1+3", "4", "2+2"])[np.arange(240) % len(LABELS)]
    made = read(screen(dose=dose))
    rows = made.applied.rows(np.arange(6))
    assert rows.dose_BA[1, 0] == 1
    assert rows.dose_BA[3].tolist() == [1, 3]
    assert np.isnan(rows.dose_BA[0]).all()
    assert np.isnan(read(screen(dose=dose), doses=False).applied.dose_BA).all()
    assert "doses 'dose' are no numbers and not used" in read(screen(dose=["low"] * 240)).provenance


def test_cells_without_a_label_are_left_out() -> None:
    data = screen()
    label = data.obs["condition"].astype(object)
    label.iloc[:12] = np.nan
    data.obs["condition"] = label
    made = read(data)
    assert "12 cells without a label left out" in made.provenance
    assert min(whole(made).after_id_B) >= 12


def test_a_screen_with_controls_alone_and_pairs_of_the_wrong_cells_are_refused() -> None:
    data = screen()
    with pytest.raises(InputError, match="controls alone"):
        read(data[data.obs["condition"] == "control"], perturbation="condition")
    made = read(data)
    rows = np.arange(12)
    with pytest.raises(InputError, match="a cell after must be perturbed"):
        ScreenPairs(made.cells, made.applied, made.context_N, perturbed_N=rows, control_N=rows)


def test_by_name_with_a_split_of_its_own(tmp_path: Path) -> None:
    screen().write_h5ad(tmp_path / "screen.h5ad")
    options: dict[str, Any] = {"values": "log", "hold_out_by": "perturbation", "hold_out": ["AAA"]}
    opened = gpcp.open_pairs(f"screen:{tmp_path / 'screen.h5ad'}", gpcp.PairOptions(), **options)
    split = gpcp.split_pairs(opened, n_held_out=50, seed=0)
    assert perturbations_of(split.training) == perturbations_of(FixedPairs(held=split.held_out))
    assert split.held_out.applied is not None
    assert all("AAA" in label for label in split.held_out.applied.labels())
    assert split.summary == "held out perturbation AAA"
    assert len(gpcp.open_cells(f"screen:{tmp_path / 'screen.h5ad'}", values="log").vocab) == len(SYMBOLS)
    for asked, flag in (
        (gpcp.PairOptions(regime="matched"), "--regime"),
        (gpcp.PairOptions(n_perturbed=(1, 2)), "--n-perturbed"),
        (gpcp.PairOptions(differ_on=("donor",)), "--differ-on"),
    ):
        with pytest.raises(InputError, match=f"{flag} has no meaning for a screen"):
            gpcp.open_pairs(f"screen:{tmp_path / 'screen.h5ad'}", asked, values="log")


def test_part_of_the_pairs_and_some_genes_are_those_of_the_whole() -> None:
    made = read(screen())
    training = made.split(seed=0).training
    rest, some = training.apart(share=0.2, seed=0)
    sides = [set(map(int, (*side.perturbed_N, *side.control_N))) for side in (rest, some)]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == set(map(int, (*training.perturbed_N, *training.control_N)))
    genes = ("ENSG00000000002", "ENSG00000000000")
    fewer, every = whole(made.split(seed=0).training.with_genes(genes)), whole(training)
    assert np.array_equal(fewer.after_BG, every.after_BG[:, [2, 0]])
    assert fewer.applied is not None
    assert fewer.applied.vocab.gene == (1, -1, -1)
    assert training.cells.n_cells == len(sides[0] | sides[1])


@pytest.mark.parametrize(("sparse", "seed", "batch_size"), [(True, 0, 40), (True, 1, 7), (False, 2, 40)])
def test_values_that_stay_in_the_file_give_the_same_bytes(
    sparse: bool, seed: int, batch_size: int, tmp_path: Path
) -> None:
    path, data = tmp_path / "screen.h5ad", screen(96)
    values_of(data)[np.arange(0, 96, 3)] = 0
    data.X = sp.csr_matrix(values_of(data)) if sparse else values_of(data)
    data.write_h5ad(path)
    kept, left = H5adScreen(path, values="log"), H5adScreen(path, values="log", in_memory=False)
    assert "values stay in the file" in left.provenance
    assert "values stay in the file" not in kept.provenance
    for one, two in zip(*(side.pairs(batch_size=batch_size, seed=seed) for side in (kept, left)), strict=True):
        for name in ("before_BG", "after_BG", "measured_BG", "perturbed_BG", "before_id_B", "after_id_B"):
            assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name


def test_a_file_of_many_values_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen(24).write_h5ad(tmp_path / "screen.h5ad")
    monkeypatch.setattr(h5ad_screen, "IN_MEMORY_BYTES", 24 * len(SYMBOLS) * 8 - 1)
    assert not H5adScreen(tmp_path / "screen.h5ad", values="log").cells.cheap_rows
    monkeypatch.setattr(h5ad_screen, "IN_MEMORY_BYTES", 24 * len(SYMBOLS) * 8)
    assert H5adScreen(tmp_path / "screen.h5ad", values="log").cells.cheap_rows

"""What a program is handed: never anything of a test cell's expression, and one key for one question."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.audit.evaluation.data import CONTROL, ScreenData, split_of
from diagnostics.audit.exchange.programs.asked import Asked
from diagnostics.audit.exchange.request import Request, request_of
from tests.diagnostics.audit.evaluation.screens import small_screen

SCREEN = small_screen(n_contexts=2)
SPLIT = split_of(SCREEN, share=0.5, seed=0)


def handed_over(request: Request) -> list[Any]:
    """Everything that a program can read, as bytes and text."""
    parts: list[Any] = [json.dumps(request.content, sort_keys=True)]
    for adata in (request.train, request.ask):
        parts += [adata.X.data.tobytes(), adata.X.indices.tobytes(), adata.X.indptr.tobytes()]
        parts += [adata.obs.to_csv(), adata.var.to_csv(), sorted(adata.uns), sorted(adata.layers), sorted(adata.obsm)]
    return parts


def with_test_cells(screen: ScreenData, seed: int) -> ScreenData:
    """The same screen, its test cells measured as something else entirely."""
    import scipy.sparse as sp

    X_BG = screen.X_BG.toarray()
    test_B = np.isin(screen.label_B, SPLIT.test)
    X_BG[test_B] = np.random.default_rng(seed).poisson(30.0, size=(int(test_B.sum()), X_BG.shape[1]))
    return replace(screen, X_BG=sp.csr_array(X_BG), uns={"world": seed})


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), draws=st.integers(0, 5))
def test_no_value_of_a_test_cell_reaches_a_program(seed: int, draws: int):
    first = request_of(SCREEN, SPLIT, seed=draws)
    second = request_of(with_test_cells(SCREEN, seed), SPLIT, seed=draws)
    assert handed_over(first) == handed_over(second)
    assert first.key == second.key


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_batches_are_handed_over_and_those_of_test_cells_are_not(seed: int):
    test_B = np.isin(SCREEN.label_B, SPLIT.test)
    rng = np.random.default_rng(seed)
    batch_B = np.where(test_B, f"only in test {seed}", rng.choice(["one", "two", "three"], size=len(test_B)))
    screen = replace(SCREEN, covariates={"batch": batch_B.astype(object)})
    other = replace(screen, covariates={"batch": np.where(test_B, "another", batch_B).astype(object)})
    request = request_of(screen, SPLIT, seed=0)
    assert handed_over(request) == handed_over(request_of(with_test_cells(other, seed), SPLIT, seed=0))
    assert list(request.train.obs.columns) == list(request.ask.obs.columns) == ["perturbation", "context", "batch"]
    assert request.content["columns"]["covariates"] == ["batch"]
    kept_B = np.isin(screen.label_B, [CONTROL, *SPLIT.train])
    np.testing.assert_array_equal(request.train.obs["batch"].to_numpy(), batch_B[kept_B])
    control_B = screen.label_B == CONTROL
    of_control = dict(zip(map(bytes, screen.X_BG[control_B].toarray()), batch_B[control_B], strict=True))
    asked = [of_control[bytes(cell_G)] for cell_G in request.ask.X.toarray().astype(screen.X_BG.dtype)]
    assert asked == request.ask.obs["batch"].tolist()
    assert request.key != request_of(SCREEN, SPLIT, seed=0).key


def test_a_program_reads_the_batches_of_a_screen_that_has_them(tmp_path: Path):
    screen = small_screen(n_batches=2)
    request_of(screen, split_of(screen, share=0.5, seed=0), seed=0).write(tmp_path)
    asked = Asked.read(tmp_path)
    assert set(asked.covariates(asked.train)["batch"]) == {"batch_0", "batch_1"}
    assert len(asked.covariates(asked.ask)["batch"]) == asked.ask.n_obs


def test_training_cells_and_controls_are_all_there_and_what_is_asked_is_a_control_each():
    request = request_of(SCREEN, SPLIT, seed=0)
    assert set(request.train.obs["perturbation"]) == {CONTROL, *SPLIT.train}
    kept_B = np.isin(SCREEN.label_B, [CONTROL, *SPLIT.train])
    np.testing.assert_array_equal(request.train.X.toarray(), SCREEN.X_BG[kept_B].toarray())
    assert set(request.ask.obs["perturbation"]) == set(SPLIT.test)
    for one in request.content["asked"]:
        rows = (request.ask.obs["perturbation"] == one["perturbation"]) & (request.ask.obs["context"] == one["context"])
        assert rows.sum() == one["n_cells"] == len(SCREEN.rows(one["perturbation"], one["context"]))
        control = SCREEN.X_BG[SCREEN.rows(CONTROL, one["context"])].toarray()
        for cell_G in request.ask.X.toarray()[rows.to_numpy()]:
            assert (control == cell_G).all(axis=1).any()
    assert set(request.content["targets"]) == set(SCREEN.labels)


def test_another_question_has_another_key(tmp_path: Path):
    script = tmp_path / "mine.py"
    script.write_text("1")
    asker = ("python", str(script))
    keys = [request_of(SCREEN, SPLIT, seed=0, asker=asker).key, request_of(SCREEN, SPLIT, seed=1, asker=asker).key]
    keys.append(request_of(SCREEN, split_of(SCREEN, share=0.5, seed=1), seed=0, asker=asker).key)
    keys.append(request_of(SCREEN, SPLIT, seed=0, asker=(*asker, "--steps=2")).key)
    more = replace(SCREEN, X_BG=SCREEN.X_BG * 2)
    keys.append(request_of(more, SPLIT, seed=0, asker=asker).key)
    script.write_text("2")
    keys.append(request_of(SCREEN, SPLIT, seed=0, asker=asker).key)
    assert len(set(keys)) == len(keys)
    assert request_of(SCREEN, SPLIT, seed=0, asker=asker).key == keys[-1]


def test_files_come_back_as_they_were_written(tmp_path: Path):
    request = request_of(SCREEN, SPLIT, seed=0)
    request.write(tmp_path)
    assert json.loads((tmp_path / "request.json").read_text()) == request.content
    for name, made in (("train.h5ad", request.train), ("ask.h5ad", request.ask)):
        back: Any = anndata.read_h5ad(tmp_path / name)
        np.testing.assert_array_equal(back.X.toarray(), made.X.toarray())
        assert list(back.obs["perturbation"]) == list(made.obs["perturbation"])
        assert tuple(back.var_names) == SCREEN.genes

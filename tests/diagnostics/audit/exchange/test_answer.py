"""Answers of programs: used whole or refused in one line, and asked for once."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnostics.audit.evaluation.data import split_of
from diagnostics.audit.exchange.answer import answered, read_answer, silent_genes
from diagnostics.audit.exchange.program import Program
from diagnostics.audit.exchange.request import request_of
from gpcp.core.errors import InputError
from tests.diagnostics.audit.evaluation.screens import small_screen

SCREEN = small_screen()
SPLIT = split_of(SCREEN, share=0.5, seed=0)
REQUEST = request_of(SCREEN, SPLIT, seed=0)
LABEL = SPLIT.test[0]

COPYING = """
import json, pathlib, shutil, sys

folder = pathlib.Path(sys.argv[-1])
assert json.loads((folder / "request.json").read_text())["format"] == 1
(folder / "runs.txt").open("a").write("x")
shutil.copy(folder / "ask.h5ad", folder / "answer.h5ad")
"""
"""Every control as it is: no change."""


def counted(place: Path) -> int:
    return len((place / "runs.txt").read_text())


def test_a_program_is_asked_once_for_one_question(tmp_path: Path):
    script, place = tmp_path / "mine.py", tmp_path / "exchange"
    script.write_text(COPYING)
    program = Program(name="mine", argv=(sys.executable, "-I", "-S", str(script)))
    first = answered(program, SCREEN, SPLIT, folder=place, seed=0)
    for label in SPLIT.test:
        asked = REQUEST.ask[REQUEST.ask.obs["perturbation"] == label]
        np.testing.assert_array_equal(first.groups[label, "context_0"], asked.X.toarray())
    assert first.kind == "prediction"
    assert "CPU s" in first.note
    again = answered(program, SCREEN, SPLIT, folder=place, seed=0)
    assert counted(place) == 1
    assert "used again" in again.note
    np.testing.assert_array_equal(again.groups[LABEL, "context_0"], first.groups[LABEL, "context_0"])
    answered(program, SCREEN, SPLIT, folder=place, seed=0, fresh=True)
    assert counted(place) == 2
    # A record that was cut short is none.
    (place / "done.json").write_text(json.dumps({"key": REQUEST.key})[:-1])
    answered(program, SCREEN, SPLIT, folder=place, seed=1)
    assert counted(place) == 3


def test_an_answer_that_was_there_before_is_not_taken_for_a_failed_run(tmp_path: Path):
    REQUEST.ask.write_h5ad(tmp_path / "answer.h5ad")
    program = Program(name="mine", argv=(sys.executable, "-I", "-S", "-c", ""))
    with pytest.raises(InputError, match=r"ended without an error and wrote no .*its answer is missing"):
        answered(program, SCREEN, SPLIT, folder=tmp_path)


def test_a_gene_that_is_never_predicted_is_named():
    shown = {
        (label, "context_0"): np.asarray(REQUEST.ask.X[(REQUEST.ask.obs["perturbation"] == label).to_numpy()].todense())
        for label in SPLIT.test
    }
    assert silent_genes(shown, REQUEST) == ()
    for cell_BG in shown.values():
        cell_BG[:, 4] = 0
    assert silent_genes(shown, REQUEST) == (SCREEN.genes[4],)


def means() -> Any:
    first = [int(np.flatnonzero(REQUEST.ask.obs["perturbation"] == label)[0]) for label in SPLIT.test]
    return REQUEST.ask[first].copy()


def without(label: str) -> Any:
    return REQUEST.ask[REQUEST.ask.obs["perturbation"] != label].copy()


def renamed(old: str, new: str) -> Any:
    made = REQUEST.ask.copy()
    made.obs["perturbation"] = made.obs["perturbation"].astype(str).replace(old, new)
    return made


def with_gene(name: str) -> Any:
    made = REQUEST.ask.copy()
    made.var_names = [name, *made.var_names[1:]]
    return made


def holding(value: float) -> Any:
    made = REQUEST.ask.copy()
    made.X.data[0] = value
    return made


def moved(column: str, text: str) -> Any:
    made = REQUEST.ask.copy()
    made.obs[column] = text
    return made


def test_one_row_for_each_is_its_mean(tmp_path: Path):
    means().write_h5ad(tmp_path / "answer.h5ad")
    groups = read_answer(tmp_path / "answer.h5ad", REQUEST, SCREEN, SPLIT, name="mine", seed=0)
    assert groups[LABEL, "context_0"].shape == (40, 30)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: without(LABEL), f"has no row of perturbation '{LABEL}'"),
        (lambda: REQUEST.ask[1:].copy(), "has 39 rows of .* where 40 were asked for"),
        (lambda: renamed(LABEL, LABEL[:-1]), f"perturbation not asked for, '{LABEL[:-1]}'; nearest: {LABEL[:-2]}"),
        (lambda: with_gene("ENSSIMG"), "gene that was not asked for, 'ENSSIMG'; nearest"),
        (lambda: REQUEST.ask[:, 1:].copy(), "lacks 1 of 30 genes"),
        (lambda: holding(float("nan")), "values that are not finite"),
        (lambda: holding(0.5), "holds log, and the screen holds counts|neither whole nor logarithms"),
        (lambda: moved("context", "elsewhere"), "context that was not asked for, 'elsewhere'"),
        (lambda: without_column("context"), "has no column 'context'"),
    ],
)
def test_a_partial_or_foreign_answer_is_refused(made: Callable[[], Any], message: str, tmp_path: Path):
    made().write_h5ad(tmp_path / "answer.h5ad")
    with pytest.raises(InputError, match=message):
        read_answer(tmp_path / "answer.h5ad", REQUEST, SCREEN, SPLIT, name="mine", seed=0)


def without_column(name: str) -> Any:
    made = REQUEST.ask.copy()
    del made.obs[name]
    return made


def test_a_file_that_is_no_answer_is_refused(tmp_path: Path):
    (tmp_path / "answer.h5ad").write_text("none")
    with pytest.raises(InputError, match=r"cannot be read as \.h5ad"):
        read_answer(tmp_path / "answer.h5ad", REQUEST, SCREEN, SPLIT, name="mine", seed=0)

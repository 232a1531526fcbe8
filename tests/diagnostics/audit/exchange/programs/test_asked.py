"""The exchange as a program sees it: units there and back, encodings of what is known, and errors as one line."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest

from diagnostics.audit.evaluation.data import CONTROL, ScreenData, split_of
from diagnostics.audit.exchange.answer import read_answer
from diagnostics.audit.exchange.programs.asked import Asked, Encoding, program
from diagnostics.audit.exchange.request import Request, request_of
from gpcp.core.errors import InputError
from tests.diagnostics.audit.evaluation.screens import small_screen

SCREEN = small_screen()
SPLIT = split_of(SCREEN, share=0.5, seed=0)


def written(screen: ScreenData, folder: Path) -> tuple[Request, Asked]:
    request = request_of(screen, SPLIT, seed=0)
    request.write(folder)
    return request, Asked.read(folder)


@pytest.mark.parametrize("values", ["counts", "log"])
def test_an_answer_of_the_controls_themselves_comes_back_in_the_units_of_the_screen(values: str, tmp_path: Path):
    screen = small_screen(values=values)
    request, asked = written(screen, tmp_path)
    asked.write(asked.logs(asked.ask))
    groups = read_answer(tmp_path / "answer.h5ad", request, screen, SPLIT, name="mine", seed=0)
    expected = np.concatenate([groups[label, "context_0"] for label in SPLIT.test])
    control = np.concatenate(
        [request.ask.X.toarray()[(request.ask.obs["perturbation"] == label).to_numpy()] for label in SPLIT.test]
    )
    # Whole counts that float32 rounds come back within one.
    np.testing.assert_allclose(expected, control, atol=1.0 if values == "counts" else 1e-6)
    assert np.mean(expected != control) < 0.01


def test_counts_keep_the_depth_of_their_control_and_the_mean_that_was_predicted(tmp_path: Path):
    _, asked = written(SCREEN, tmp_path)
    log_BG = asked.logs(asked.ask)
    asked.write(log_BG[::-1])
    found = anndata.read_h5ad(tmp_path / "answer.h5ad")
    total_B = np.asarray(asked.ask.X.sum(axis=1)).ravel()
    np.testing.assert_allclose(np.asarray(found.X).sum(axis=1), total_B, rtol=0.02)
    asked.write(np.full_like(log_BG, -1.0))
    assert np.asarray(anndata.read_h5ad(tmp_path / "answer.h5ad").X).max() == 0


def test_a_perturbation_is_encoded_by_its_targets_and_what_is_not_known_is_refused(tmp_path: Path):
    _, asked = written(SCREEN, tmp_path)
    encoding = Encoding.of(asked)
    assert not encoding.row(CONTROL).any()
    for label in SPLIT.train:
        row = encoding.row(label)
        (place,) = np.flatnonzero(row[: len(encoding.known)])
        assert encoding.known[place] in asked.targets(label)
    for label in SPLIT.test:
        assert not encoding.row(label)[: len(encoding.known)].any()
        assert encoding.row(label)[len(encoding.known) :].any()
    first = SPLIT.test[0]
    targets = {**asked.request["targets"], first: ["ENSSIMG00000000099"], SPLIT.test[1]: []}
    other = Encoding.of(replace(asked, request={**asked.request, "targets": targets}))
    with pytest.raises(InputError, match="'ENSSIMG00000000099' is neither a target of training nor a measured"):
        other.row(first)
    with pytest.raises(InputError, match="has no target that could be encoded"):
        other.row(SPLIT.test[1])


def test_a_program_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    request, _ = written(SCREEN, tmp_path)
    seen = list[tuple[str, ...]]()

    def predict(asked: Asked, words: Sequence[str]) -> None:
        seen.append(tuple(words))
        asked.write(asked.logs(asked.ask))

    def refuse(asked: Asked, words: Sequence[str]) -> None:
        raise InputError("it is not known")

    monkeypatch.setattr(sys, "argv", ["mine", "--steps", "3", str(tmp_path)])
    assert program(predict) == 0
    assert seen == [("--steps", "3")]
    assert program(refuse) == 2
    assert capsys.readouterr().err == "it is not known\n"
    replace(request, content={**request.content, "format": 2}).write(tmp_path)
    assert program(predict) == 2
    assert "has format 2 of the exchange, and 1 is known" in capsys.readouterr().err

"""Options that verbs share: every one that a kind of source has registered, as typed fields of a frozen value."""

import pytest

from diagnostics.cli.options import PairChoice, SourceOptions
from gpcp.core.errors import InputError
from gpcp.opening.cells import OPTIONS, SCHEMES
from tests.diagnostics.commands.verbs import calling, request_of


def test_every_option_of_a_source_can_be_given(capsys: pytest.CaptureFixture[str]):
    assert calling("diagnose")(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"--{option.replace('_', '-')}" in shown for option in OPTIONS)
    assert all(f"{name}:" in shown for name in SCHEMES)


def test_only_what_was_given_goes_to_the_source():
    words = ["--source", "x.h5ad", "--tissue", "blood", "--tissue", "lung", "--all-cells", "--io-batch-size", "7"]
    source = request_of("diagnose", *words).source
    assert source.given() == {"tissue": ("blood", "lung"), "all_cells": True, "io_batch_size": 7}
    assert source.source == "x.h5ad"
    assert source.genes is None
    assert SourceOptions().given() == {}


def test_pairs_are_checked_before_anything_is_read():
    with pytest.raises(InputError, match="nearest: interventional"):
        PairChoice(regime="intervention").options(max_cells=None)
    with pytest.raises(InputError):
        PairChoice(match_on=("cell_tpye",)).options(max_cells=None)
    assert PairChoice(n_perturbed=(1, 3)).given() == ["--n-perturbed"]

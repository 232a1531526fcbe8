"""Sweeps whose settings or trainings are missing or odd, as another version would have left them: one line."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gpcp.core.errors import InputError
from gpcp.search.storage import SweepStore, check_settings
from gpcp.search.trial import replicates_of
from tests.alterations import ODD, alterations, refusal

SETTINGS: dict[str, Any] = {
    "seeds": [1, 2],
    "_points": [{"learning_rate": 0.1}],
    "_start_loss": 1.5,
    "_levels": {"a": 1},
}


def test_every_alteration_of_the_settings(tmp_path: Path):
    store = SweepStore(str(tmp_path / "a.journal"), "one")
    assert not refusal(partial(check_settings, SETTINGS, store))
    altered = {words: kept for words, kept in alterations(SETTINGS) if isinstance(kept, dict)}
    refusals = {words: refusal(partial(check_settings, kept, store)) for words, kept in altered.items()}
    assert not any("\n" in one for one in refusals.values())
    for name in SETTINGS:
        assert "the sweep 'one' in" in refusals[f"{name} deleted"]
    assert sum(map(bool, refusals.values())) > 50


class _Trial:
    number = 3

    def __init__(self, replicates: Any) -> None:
        self.user_attrs = {"replicates": replicates}


@pytest.mark.parametrize("odd", [one for one in ODD if one not in ({}, [], "")], ids=repr)
def test_trainings_of_another_version_are_named(odd: Any):
    with pytest.raises(InputError, match="trial 3 of the sweep is damaged"):
        replicates_of(_Trial({"0": odd}))  # pyright: ignore[reportArgumentType]

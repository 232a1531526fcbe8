"""The contract by capabilities: sets, samplers and identities keep it, and what each of them may not use is found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnostics.checks import check_predictor
from gpcp.core.errors import InputError
from gpcp.core.genes import GeneVocab
from gpcp.core.predictors import Capabilities, Perturbation

VOCAB = GeneVocab(feature_id=tuple(f"G{i}" for i in range(6)))
SET = 4
IN_SETS = Capabilities(set_size=SET)

Answer = Callable[[NDArray[np.float32], Perturbation], NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Made:
    answer: Answer
    capabilities: Capabilities = field(default_factory=Capabilities)
    vocab: GeneVocab = VOCAB

    def predict(
        self,
        control_BG: NDArray[np.float32],
        perturbation: Perturbation,
        covariates: Mapping[str, NDArray[np.str_]] | None = None,
    ) -> NDArray[np.float32]:
        return self.answer(np.nan_to_num(control_BG), perturbation).astype(np.float32)


def sets(n: int, size: int = SET) -> list[slice]:
    return [slice(start, start + size) for start in range(0, n, size)]


def moved(control_BG: NDArray[np.float32], perturbation: Perturbation) -> NDArray[np.float32]:
    return control_BG + perturbation.target_BG.sum(axis=1, keepdims=True)


def mean_of_the_set(control_BG: NDArray[np.float32], perturbation: Perturbation) -> NDArray[np.float32]:
    answer_BG = moved(control_BG, perturbation)
    return np.concatenate([answer_BG[rows] + answer_BG[rows].mean(axis=0) for rows in sets(len(answer_BG))])


def mean_of_all(control_BG: NDArray[np.float32], perturbation: Perturbation) -> NDArray[np.float32]:
    answer_BG = moved(control_BG, perturbation)
    return answer_BG + answer_BG.mean(axis=0)


def first_of_its_set(control_BG: NDArray[np.float32], perturbation: Perturbation) -> NDArray[np.float32]:
    answer_BG = moved(control_BG, perturbation)
    answer_BG[::SET] += 1
    return answer_BG


def sampled(control_BG: NDArray[np.float32], perturbation: Perturbation) -> NDArray[Any]:
    return moved(control_BG, perturbation) + np.random.default_rng(5).standard_normal(control_BG.shape)


def sampled_by_position(control_BG: NDArray[np.float32], perturbation: Perturbation) -> NDArray[Any]:
    answer_BG = sampled(control_BG, perturbation)
    return answer_BG + (np.arange(len(answer_BG)) % 7 == 0)[:, None]


def switched(control_BG: NDArray[np.float32], perturbation: Perturbation) -> NDArray[np.float32]:
    return control_BG - perturbation.perturbed_BG.sum(axis=1, keepdims=True)


SAMPLER = Capabilities(returned="samples")
IDENTITY = Capabilities(given="identity")

KEPT = {
    "sets": Made(answer=mean_of_the_set, capabilities=IN_SETS),
    "alone where sets are allowed": Made(answer=moved, capabilities=IN_SETS),
    "sampler": Made(answer=sampled, capabilities=SAMPLER),
    "sampler of sets": Made(
        answer=lambda control_BG, perturbation: mean_of_the_set(sampled(control_BG, perturbation), perturbation),
        capabilities=Capabilities(set_size=SET, returned="samples"),
    ),
    "identity": Made(answer=switched, capabilities=IDENTITY),
}

BROKEN = {
    "sets declared as cells": (Made(answer=mean_of_the_set), "cells_alone", "asked one cell at a time"),
    "another set": (Made(answer=mean_of_all, capabilities=IN_SETS), "sets_alone", "asked one set at a time"),
    "position in the set": (Made(answer=first_of_its_set, capabilities=IN_SETS), "order_in_a_set", "within each set"),
    "sampler by position": (Made(answer=sampled_by_position, capabilities=SAMPLER), "cells_alone", "more than chance"),
    "value where identity is given": (Made(answer=moved, capabilities=IDENTITY), "identity_alone", "another value"),
}


@pytest.mark.parametrize("name", KEPT)
def test_healthy_ones_keep_the_contract(name: str):
    for _, check in check_predictor(KEPT[name]):
        check()


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_allowed_is_found_by_the_check_of_its_name(name: str):
    made, expected, message = BROKEN[name]
    failed = dict[str, str]()
    for check_name, check in check_predictor(made):
        try:
            check()
        except AssertionError as error:
            failed[check_name] = str(error)
    assert list(failed) == [expected]
    assert message in failed[expected]


@pytest.mark.parametrize("seed", range(20))
def test_a_sampler_is_not_accused_by_chance(seed: int):
    for _, check in check_predictor(KEPT["sampler"], seed=seed):
        check()


def test_cells_must_be_whole_sets():
    for n in (SET, SET + 1):
        with pytest.raises(InputError, match=f"has {n} cells: give two sets or more of {SET} cells each"):
            check_predictor(KEPT["sets"], control_BG=np.zeros((n, 6), dtype=np.float32))
    (names,) = {tuple(name for name, _ in check_predictor(KEPT["sets"]))}
    assert "sets_alone" in names
    assert "cells_alone" not in names

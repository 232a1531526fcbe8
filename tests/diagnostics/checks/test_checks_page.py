"""The page of checks has a section with all its parts for each check, and its own example of a check works."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional

from diagnostics.checks.cascade import all_checks, carried_out
from diagnostics.checks.engine.check import CHECKS, Check
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.explained import PAGE, explained, sections
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch
from tests.diagnostics.checks.subjects import Linear, made, pairs_of, report, subject
from tests.source_tree import REPO

PARTS = ("What it measures", "Null or tolerance", "Example of the bug", "Fix", "Known limits")
OWN = [check for check in all_checks() if check.code.startswith("GP")]


def test_the_sections_are_those_of_the_checks_in_their_order() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [f"{check.code} {check.name}" for check in OWN]
    assert (REPO / "docs" / "checks.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("check", OWN, ids=lambda check: check.code)
def test_a_section_has_the_question_and_every_part(check: Check) -> None:
    _, question, kind, *parts = re.split(r"\n\n(?!```)", sections()[f"{check.code} {check.name}"])
    assert question == check.question
    assert kind == f"Kind: {check.kind}. Cause: {check.cause}."
    body = "\n\n".join(parts)
    found = re.split(r"^\*([A-Z][a-z ]+)\*: ?", body, flags=re.MULTILINE)
    assert tuple(found[1::2]) == PARTS
    assert all(len(text.split()) > 2 for text in found[2::2]), found
    code = re.fullmatch(r":?\s*```python\n(.*?)\n```\s*", found[6], re.DOTALL)
    assert code is not None
    assert 1 <= len(code[1].splitlines()) <= 6


def example(code: str) -> str:
    (section,) = [text for heading, text in sections().items() if heading.startswith(code)]
    return re.findall(r"^```python\n(.*?)\n```", section, re.MULTILINE | re.DOTALL)[0]


class OneUnscored:
    """Pairs, of which the first of each batch has every gene perturbed."""

    def __init__(self) -> None:
        self.source = pairs_of()
        self.vocab, self.n_pairs = self.source.vocab, self.source.n_pairs

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        for batch in self.source.pairs(batch_size=batch_size, seed=seed):
            perturbed_BG = batch.perturbed_BG.copy()
            perturbed_BG[0] = batch.measured_BG[0]
            yield replace(batch, perturbed_BG=perturbed_BG)


@pytest.mark.parametrize("code", ["GP201", "GP202", "GP203", "GP204", "GP205", "GP206", "GP207", "GP209"])
def test_the_example_of_a_loss_is_found_by_its_check(code: str) -> None:
    made_by: dict[str, Any] = {"F": functional, "torch": torch}
    body = textwrap.indent(example(code), "    ")
    exec(f"def loss_of(prediction, after, scored):\n{body}\n    return loss", made_by)
    (found,) = report(Subject(name="a loss", pairs=OneUnscored(), loss=made_by["loss_of"]), code).results
    # These pairs store no NaN: there it is a risk.
    assert found.outcome == ("pass" if code == "GP203" else "fail"), found.message
    assert found.next_step


@pytest.mark.parametrize("code", ["GP408", "GP409", "GP410", "GP411"])
def test_the_example_of_an_optimiser_is_found_by_its_check(code: str) -> None:
    def make(model: torch.nn.Module) -> torch.optim.Optimizer:
        return eval(example(code).removeprefix("optimizer = "), {"torch": torch, "model": model})

    (found,) = report(subject(made(lambda: Linear(8)), make_optimizer=make), code).results
    assert found.outcome == "fail", found.message


@pytest.mark.parametrize("word", ["GP203", "gp203", "loss.nan_unscored"])
def test_a_check_is_explained_by_its_code_or_name(word: str) -> None:
    assert explained(word).startswith("## GP203 loss.nan_unscored\n\nDoes a NaN")
    assert "## GP204" not in explained(word)


def test_a_wrong_code_gives_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'GP2O3'; nearest: .*GP203"):
        explained("GP2O3")


def test_the_pages_own_check_is_asked_and_explained() -> None:
    (code,) = re.findall(
        r"^```python\n(# my_package.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(code.splitlines()) <= 15
    try:
        exec(code, {})
        (own,) = [check for check in all_checks() if check.code == "LAB101"]
        assert [check.code for check in all_checks() if check.family == "data"][-1] == "LAB101"
        assert carried_out(own, Probe(Subject(name="pairs", pairs=pairs_of()))).outcome in ("pass", "fail")
        assert explained("LAB101") == f"## LAB101 data.per_gene\n\n{own.question}"
    finally:
        CHECKS[:] = [check for check in CHECKS if check.code != "LAB101"]

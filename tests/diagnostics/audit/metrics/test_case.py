"""Cases: their keys hold all that decides a record, and dials multiply what they are named for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from diagnostics.audit.metrics.case import Case, Design, ScreenFile
from diagnostics.audit.metrics.dials import DIALS, dials_named
from diagnostics.audit.metrics.plan import cases_of
from diagnostics.audit.metrics.protocols import protocols_named
from gpcp.core.errors import InputError


def test_any_field_changes_the_key():
    case = Case(seed=0, protocols=("mse",), subject=Design())
    others = [
        replace(case, seed=1),
        replace(case, protocols=("mse", "rank")),
        replace(case, subject=Design(cells=50)),
        replace(case, dial="cells", dose=0.5),
        replace(case, answer_dials=("noise",)),
        replace(case, reference_cells=10),
    ]
    assert len({case.key, *(one.key for one in others)}) == 7
    assert json.loads(case.key)["subject"]["depth"] == 4000


def test_another_file_under_the_same_name_is_another_case(tmp_path: Path):
    file = tmp_path / "screen.h5ad"
    file.write_bytes(b"one")
    case = Case(seed=0, protocols=("mse",), subject=ScreenFile(path=str(file)))
    before = case.key
    file.write_bytes(b"another")
    assert case.key != before


def test_dials_multiply():
    design = Design(world="erdos_renyi/200/hill", cells=100, controls=400, depth=4000.0, effect=0.5)
    assert design.times("effect", 0.5) == replace(design, effect=0.25)
    assert design.times("depth", 3) == replace(design, depth=12_000.0)
    assert design.times("cells", 0.3) == replace(design, cells=30, controls=120)
    # Counts a gene stay what they are.
    assert design.times("genes", 2) == replace(design, world="erdos_renyi/400/hill", depth=8000.0)


def test_each_seed_has_one_plain_case_and_one_for_each_dose():
    cases = cases_of(Design(), protocols=["mse", "vcc2026"], dials=["cells", "noise"], seeds=[3, 4])
    assert [one.name for one in cases[:3]] == ["seed 3", "seed 3, cells x 0.3", "seed 3, cells x 3"]
    assert len(cases) == 6
    assert cases[0].answer_dials == ("noise",)
    assert cases[1].answer_dials == ()
    assert cases[0].protocols == ("vcc2026", "mse")
    assert dials_named(["all"]) == DIALS


def test_groups_and_tunable_protocols_are_found():
    chosen = protocols_named(["de", "mse_top_k=30", "v2"])
    assert chosen.presets == ("v2",)
    assert chosen.scpert == ("de_auprc", "de_auroc", "de_overlap_k=50", "mse_top_k=30")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: dials_named(["noize"]), "no dial 'noize'; nearest: noise"),
        (lambda: protocols_named(["pearson_ctr"]), "no protocol 'pearson_ctr'; nearest: pearson_ctrl"),
        (lambda: protocols_named(["vcc26"]), "nearest: vcc2026"),
        (lambda: protocols_named(["mse=3"]), "unknown tunable protocol 'mse'"),
        (lambda: Design(world="nowhere").times("genes", 2), "needs FAMILY/GENES"),
        (lambda: cases_of(Design(), protocols=[]), "names none"),
        (lambda: cases_of(ScreenFile(path="x"), protocols=["mse"], dials=["depth"]), "give --world instead"),
    ],
)
def test_what_cannot_be_is_refused(change, message: str):
    with pytest.raises(InputError, match=message):
        change()

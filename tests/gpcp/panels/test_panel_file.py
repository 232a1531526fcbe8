"""Files of panels and of statistics: what is written is read, and what is damaged is refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.panels.annotation import GeneAnnotation
from gpcp.panels.panel import GenePanel, choose_genes
from gpcp.panels.panel_file import load_panel, read_genes, save_panel
from gpcp.panels.statistics import GeneStatistics
from gpcp.panels.statistics_file import SavedStatistics, load_statistics, save_statistics
from tests.gpcp.panels.selection_cases import same, statistics, statistics_of

FOUND = statistics_of([(10, 9), (10, 1), (2, 2), (10, 5)], n_cells=10)
ABOUT = GeneAnnotation(
    symbol_of={"ENSG00000000000": 'a "b"\n'}, biotype_of={"ENSG00000000001": "lncRNA"}, summary="there"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("panels")


@given(found=statistics(), keep=st.booleans())
def test_a_panel_comes_back(found: GeneStatistics, keep: bool, folder: Path):
    kept = found.vocab.feature_id[:1] if keep else ()
    panel = GenePanel(
        statistics=found,
        chosen_by="hand",
        kept=frozenset(kept),
        notes=("one", "two"),
        provenance="é",
        about=ABOUT.only(found.vocab),
    )
    save_panel(folder / "panel.json", panel)
    read = load_panel(folder / "panel.json")
    assert same(read.statistics, found)
    for name in ("chosen_by", "rules", "kept", "notes", "provenance", "about"):
        assert getattr(read, name) == getattr(panel, name)
    assert read_genes(folder / "panel.json") == found.vocab.feature_id


@given(found=statistics())
def test_statistics_come_back(found: GeneStatistics, folder: Path):
    saved = SavedStatistics(
        statistics=found, about=ABOUT.only(found.vocab), provenance="é", asked={"source": "h5ad:x", "seed": "0"}
    )
    # The name given is the name written, whatever it ends in.
    save_statistics(folder / "first.pass", saved)
    read = load_statistics(folder / "first.pass")
    assert same(read.statistics, found)
    assert (read.about, read.provenance, read.asked) == (saved.about, saved.provenance, saved.asked)


def test_a_panel_is_readable_and_whole(tmp_path: Path):
    panel = choose_genes(FOUND, n_genes=2, about=ABOUT)
    save_panel(tmp_path / "deep" / "panel.json", panel)
    lines = (tmp_path / "deep" / "panel.json").read_text().splitlines()
    assert sum('"feature_id"' in line for line in lines) == 2
    content = json.loads("\n".join(lines))
    assert content["genes"][0]["expressed_share"] == 0.9
    assert content["genes"][0]["feature_name"] == 'a "b"\n'
    assert content["genes"][1]["feature_name"] is None
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["panel.json"]


def test_a_panel_of_a_gene_measured_nowhere_is_json(tmp_path: Path):
    panel = choose_genes(statistics_of([(3, 3), (0, 0)], n_cells=3), n_genes=2, keep=["ENSG00000000001"])
    save_panel(tmp_path / "panel.json", panel)
    assert json.loads((tmp_path / "panel.json").read_text())["genes"][1]["mean"] is None
    assert same(load_panel(tmp_path / "panel.json").statistics, panel.statistics)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"version": 1', '"version": 2', "is of version 2 of the format, this gpcp reads 1"),
        ('"version": 1,', "", "is of version None"),
        ("gpcp gene panel", "panel", "'panel.json' is not a gene panel"),
        ('"n_genes": 3', '"n_genes": 4', "damaged: it holds 3 genes and says 4"),
        ('"n_cells": 10', '"n_cells": 5', "damaged: GeneStatistics: gene ENSG00000000000 is measured in more cells"),
        ('"n_cells": 10', '"n_cells": 10.5', "damaged: n_cells is 10.5, not int"),
        ('"n_cells": 10', '"n_cells": true', "damaged: n_cells is True, not int"),
        ('"n_expressed": 9', '"n_expressed": "9"', r"n_expressed of genes\[0\] is '9', not int"),
        ('"n_expressed": 9, ', "", r"n_expressed of genes\[0\] is missing, not int"),
        ('"n_measured": 10', '"n_measured": 99999999999999999999', "damaged: .*too large"),
        ('"mean_nonzero": 1.0', '"mean_nonzero": NaN', "of a mean that is not finite"),
        ("ENSG00000000000", "ENSG00000000001", "each gene may occur once"),
        ("ENSG00000000000", "ENSG00000000000.4", "with a version"),
        ('"rules": [', '"rules": [7,', r"rules\[0\] is 7, not a mapping"),
        ('"datasets": {}', '"datasets": {"d": "zz"}', "genes of dataset 'd' are 'zz'"),
        ('"datasets": {}', '"datasets": {"d": "0000"}', "genes of dataset 'd' are 16 bits for 3 genes"),
        ('"notes": []', '"notes": 3', "notes is 3, not list"),
        ("]\n}", "", "cannot be read as JSON"),
    ],
)
def test_a_damaged_panel_is_refused(tmp_path: Path, old: str, new: str, message: str):
    path = tmp_path / "panel.json"
    save_panel(path, choose_genes(FOUND, n_genes=3, about=ABOUT))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as error:
        load_panel(path)
    assert "\n" not in str(error.value)


def test_what_is_no_panel(tmp_path: Path):
    save_panel(tmp_path / "panel.json", choose_genes(FOUND, n_genes=3))
    with pytest.raises(InputError, match=r"gene panel .*panl.json' does not exist; in its folder, nearest: panel.json"):
        load_panel(tmp_path / "panl.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(InputError, match=r"'list.json' is not a gene panel"):
        load_panel(tmp_path / "list.json")


def test_damaged_statistics_are_refused(tmp_path: Path):
    path = tmp_path / "first.npz"
    save_statistics(path, SavedStatistics(statistics=FOUND))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for keep in rng.integers(0, len(whole) - 1, 20).tolist():
        path.write_bytes(whole[:keep])
        with pytest.raises(InputError, match="cannot be read as gene statistics"):
            load_statistics(path)
    for content, message in (
        (b"text", "cannot be read as gene statistics"),
        (_npz(tmp_path, head=np.array('{"format": "x", "version": 1}')), "is 'x' of version 1, and what is read here"),
        (_npz(tmp_path, head=np.array('{"format": "gpcp gene statistics", "version": 1}')), "are damaged"),
        (_npz(tmp_path, other=np.zeros(3)), "cannot be read as gene statistics"),
        (_npy(tmp_path), "cannot be read as gene statistics"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message) as error:
            load_statistics(path)
        assert "\n" not in str(error.value)


def _npz(folder: Path, **arrays: np.ndarray) -> bytes:
    np.savez(folder / "some.npz", **arrays)  # pyright: ignore[reportArgumentType]  # a name may not be allow_pickle
    return (folder / "some.npz").read_bytes()


def _npy(folder: Path) -> bytes:
    np.save(folder / "some.npy", np.zeros(3))
    return (folder / "some.npy").read_bytes()


@pytest.mark.parametrize(
    ("text", "genes"),
    [
        ("ENSG00000000001\nENSG00000000002.5\n", ("ENSG00000000001", "ENSG00000000002")),
        ("# mine\n\nfeature_id\tname\nENSG00000000001\tTP53\n", ("ENSG00000000001",)),
        ('"ENSG00000000001",TP53,1\r\n g1 \r\n', ("ENSG00000000001", "g1")),
    ],
)
def test_a_list_of_genes(tmp_path: Path, text: str, genes: tuple[str, ...]):
    (tmp_path / "genes.txt").write_text(text)
    assert read_genes(tmp_path / "genes.txt") == genes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# none\n", "names no gene"),
        (b"a\nb\na\n", "'genes.txt': GeneVocab.feature_id holds 'a' at 0 and at 2"),
        (b"\xff\xfe", "cannot be read as text"),
        (b"{}", "is not a gene panel"),
    ],
)
def test_what_is_no_list_of_genes(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "genes.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_genes(tmp_path / "genes.txt")

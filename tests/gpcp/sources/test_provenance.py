"""What a source says of itself is data: the same in every process, and another where anything is another."""

import functools
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from gpcp.sources.cache.build import build_cache
from gpcp.sources.provenance import digest_of, provenance_of
from simulators.scm.noises import NOISES
from simulators.sources import SimulatedCells
from simulators.worlds import world
from tests.gpcp.sources.cache.cache_sources import bytes_of
from tests.gpcp.sources.cache.cached_elsewhere import SOURCES, OutOfBreath, ask, simulated


def elsewhere(folder: Path, repo: Path, *names: str) -> list[str]:
    """Ask for caches in a process of its own; their provenance."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.gpcp.sources.cache.cached_elsewhere", str(folder), *names],
        cwd=repo,
        env={**os.environ, "PYTHONPATH": str(repo), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        [name for name in SOURCES if name != "census"],
        # tiledbsoma-ml compiles its kernels once in each process.
        pytest.param(["census"], marks=pytest.mark.slow),
    ],
)
def test_the_cache_of_every_source_opens_in_another_process(names: list[str], tmp_path: Path, repo: Path):
    texts = [ask(tmp_path, name) for name in names]
    manifests = [tmp_path / name / "cache" / "manifest.json" for name in names]
    inodes = [path.stat().st_ino for path in manifests]
    assert elsewhere(tmp_path, repo, *names) == texts
    assert [path.stat().st_ino for path in manifests] == inodes


@pytest.mark.slow
def test_a_cache_of_simulated_cells_is_gone_on_with_in_another_process(tmp_path: Path, repo: Path):
    folder = tmp_path / "sequenced"
    source = SOURCES["sequenced"](folder)
    broken = OutOfBreath(source, provenance_of(source), 80)
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        build_cache(broken, folder / "cache", part_cells=20)
    assert len(list((folder / "cache.partial").glob("part-*.npz"))) == 4
    elsewhere(tmp_path, repo, "sequenced")
    assert bytes_of(folder / "cache") == bytes_of(build_cache(source, tmp_path / "whole").folder)


def test_whatever_decides_simulated_cells_is_in_their_provenance():
    source, sequenced = simulated(), simulated(sequenced=True)
    assert sequenced.assay is not None
    others = [
        sequenced,
        replace(source, n_cells=121),
        replace(source, population=1),
        replace(source, scm=replace(source.scm, noise=NOISES["laplace"])),
        replace(source, scm=replace(source.scm, centre_G=source.scm.centre_G + 1e-9)),
        replace(sequenced, assay=replace(sequenced.assay, dropout=0.1)),
        SimulatedCells(scm=world("scale_free/10", seed=1).scm, n_cells=120),
        SimulatedCells(scm=world("scale_free/10/hill", seed=0).scm, n_cells=120),
    ]
    texts = [provenance_of(one) for one in (source, *others)]
    assert len(set(texts)) == len(texts)
    assert provenance_of(simulated()) == texts[0]
    assert not any("0x" in text for text in texts)
    assert texts[0].startswith("120 simulated cells of 10 genes, population 0, in the world's units: linear, gaussian")


@dataclass(frozen=True)
class Held:
    value: object


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value


VALUES = [
    None,
    0,
    0.0,
    False,
    "0",
    (),
    (0,),
    {},
    {"a": 0},
    {0},
    np.zeros(2),
    np.zeros(2, dtype=np.float32),
    np.zeros((2, 1)),
    np.array([0, -0.0]),
    np.random.default_rng(0),
    np.random.default_rng(1),
    np.sum,
    digest_of,
    functools.partial(digest_of, 1),
    functools.partial(digest_of, 2),
    Held(0),
    Held(1),
    Plain(0),
    Plain(1),
    Path("a"),
    Path("b"),
]


def test_different_data_have_different_digests():
    digests = [digest_of(value) for value in VALUES]
    assert len(set(digests)) == len(VALUES)
    assert [digest_of(Held(value)) for value in VALUES] == [digest_of(Held(value)) for value in VALUES]


def test_what_holds_itself_has_a_digest_and_order_matters_where_it_means_something():
    held: list[object] = [1]
    held.append(held)
    assert digest_of(held)
    assert digest_of([1, 2]) != digest_of([2, 1])
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of({"a", "b"}) == digest_of({"b", "a"})


def test_addresses_are_no_provenance():
    class Printed:
        vocab = simulated().vocab

        def __init__(self) -> None:
            self.make = lambda: None

        def __repr__(self) -> str:
            return f"Printed({self.make})"

    found = {provenance_of(Printed()) for _ in range(3)}  # pyright: ignore[reportArgumentType]
    assert len(found) == 1
    assert "0x" not in found.pop()

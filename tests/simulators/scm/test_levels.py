"""Few cells, which are computed a level at a time, have the bytes of the same cells among many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.random import generator
from simulators.graphs.families import DENSE_FAMILIES
from simulators.scm.constants import SCALINGS, Scaling
from simulators.scm.interventions import DoCells
from simulators.scm.mechanisms import MECHANISMS
from simulators.scm.scm import build_scm
from tests.simulators.graphs.test_families import drawn
from tests.simulators.scm.test_scm import KINDS, intervened

MANY = 1_100  # above what counts as few


@given(
    st.sampled_from(sorted(DENSE_FAMILIES)),
    st.integers(2, 40),
    st.sampled_from(sorted(MECHANISMS)),
    st.sampled_from(SCALINGS),
    st.sampled_from([*KINDS, None]),
    st.integers(1, 200),
    st.integers(0, 2**32),
)
def test_levels_and_genes_give_the_same_bytes(
    family: str, n_genes: int, mechanism: str, scaling: Scaling, kind: str | None, n_cells: int, seed: int
):
    scm = build_scm(
        drawn(family, n_genes, seed), mechanism=mechanism, scaling=scaling, n_calibration=50, rng=generator(seed)
    )
    noise_BG = scm.draw(n_cells, generator("cells", seed))
    many_BG = np.resize(noise_BG, (MANY, n_genes))
    perturbed = generator("perturbed", seed).permutation(n_genes)[: n_genes // 2].tolist()
    many = None if kind is None else intervened(kind, scm, perturbed, seed, n_cells=MANY)
    few = many
    if isinstance(many, DoCells):
        few = DoCells(many.perturbed_BG[:n_cells], many.value_BG[:n_cells])
    assert scm.expression(noise_BG, few).tobytes() == scm.expression(many_BG, many)[:n_cells].tobytes()


def test_blocks_leave_no_seam():
    scm = build_scm(drawn("scale_free", 12, 0), mechanism="hill", n_calibration=50, rng=generator(0))
    noise_BG = scm.draw(33_000, generator("cells", 0))  # two blocks of many cells and a bit
    all_BG = scm.expression(noise_BG)
    for start, stop in ((16_000, 18_000), (16_383, 16_386), (32_000, 33_000)):
        assert scm.expression(noise_BG[start:stop]).tobytes() == all_BG[start:stop].tobytes()
    sampled_BG = scm.sample(33_000, generator("cells", 0))
    assert sampled_BG.tobytes() == all_BG.tobytes()

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from simulators.scm.constants import SCALINGS
from simulators.scm.mechanisms import MECHANISMS
from simulators.scm.noises import NOISES
from simulators.worlds import FAMILIES, NETWORK, world

FREE = [family for family in FAMILIES if family != NETWORK]


@given(
    st.sampled_from(FREE),
    st.integers(2, 8),
    st.sampled_from(sorted(MECHANISMS)),
    st.sampled_from(sorted(NOISES)),
    st.sampled_from(SCALINGS),
    st.permutations(range(3)),
)
def test_a_name_says_everything_in_any_order(
    family: str, n_genes: int, mechanism: str, noise: str, scaling: str, order: list[int]
):
    parts = [(mechanism, noise, scaling)[place] for place in order]
    made = world("/".join([family, str(n_genes), *parts]), seed=1)
    assert made.graph.n_genes == n_genes
    assert (made.scm.mechanism.name, made.scm.noise.name, made.scm.scaling) == (mechanism, noise, scaling)
    again = world(made.name, seed=1)
    assert again.name == made.name
    assert again.graph.weight_GG.tobytes() == made.graph.weight_GG.tobytes()
    assert again.scm.spread_G.tobytes() == made.scm.spread_G.tobytes()
    assert again.scm.mechanism == made.scm.mechanism


def test_defaults_are_left_out_of_the_name():
    assert world("fork/3/gaussian/linear/iscm").name == "fork/3"
    assert world("fork/3/raw/uniform").name == "fork/3/uniform/raw"


@pytest.mark.parametrize("family", FREE)
def test_another_seed_gives_another_world(family: str):
    weights = {world(f"{family}/6", seed=seed).graph.weight_GG.tobytes() for seed in range(10)}
    assert len(weights) == 10


def test_worlds_that_differ_in_their_parts_share_their_graph():
    graphs = {
        world(f"scale_free/20{parts}").graph.weight_GG.tobytes() for parts in ("", "/hill", "/raw/laplace", "/tanh")
    }
    assert len(graphs) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("scale_fre/20", "nearest: scale_free"),
        ("", "no known family"),
        ("scale_free", "number of genes: write 2 or more, such as scale_free/20"),
        ("chain/x", "'x' as its number of genes"),
        ("chain/1", "2 or more"),
        ("chain/-3", "2 or more"),
        ("chain/5/hil", "nearest: hill"),
        ("chain/5/", "unknown part ''"),
        ("chain/5/hill/tanh", "hill and tanh: keep one mechanism"),
        ("network/5", "needs network="),
    ],
)
def test_a_wrong_name_is_refused_in_one_line(name: str, message: str):
    with pytest.raises(InputError, match=message) as error:
        world(name)
    assert "\n" not in str(error.value)


def test_a_network_is_for_network_worlds(tmp_path: Path):
    with pytest.raises(InputError, match="is chain, not network"):
        world("chain/5", network=tmp_path / "table.tsv")


def test_smallest_effect_is_in_units_of_expression():
    made = world("scale_free/20")
    weight_GG = made.scm.effective_weight_GG
    assert made.smallest_effect == np.abs(weight_GG[weight_GG != 0]).min()
    raw = world("scale_free/20/raw")
    assert raw.smallest_effect == np.abs(raw.graph.weight_GG[raw.graph.adjacency_GG]).min() >= 0.5
    with pytest.raises(InputError, match="needs the linear mechanism"):
        _ = world("scale_free/20/hill").smallest_effect


def test_sortability_is_reported_and_repeats():
    made = world("erdos_renyi/20/raw")
    both = made.sortability()
    assert both == made.sortability()
    assert both != made.sortability(n_cells=100)
    assert 0.5 < both.var <= 1


def test_a_network_world_is_sampled_from_a_table(shared_data: Path):
    path = shared_data / "graphs" / "ecoli_transcriptional_network_regulonDB_6_7.tsv"
    if not path.is_file():
        pytest.skip(f"no real network: {path} does not exist")
    made, again, other = (world("network/30/hill", seed=seed, network=path) for seed in (0, 0, 1))
    assert made.graph.n_genes == 30
    assert made.graph.vocab == again.graph.vocab != other.graph.vocab
    assert made.graph.weight_GG.tobytes() == again.graph.weight_GG.tobytes()

"""Randomness is an argument: no file of the packages, examples or tests draws from a global generator.

``numpy.random`` serves only to make generators from a seed, the ``random`` module serves nothing, scikit-learn,
scipy and networkx are given theirs, and torch draws from the generator it is handed. What torch can do in no other
way is confined: layers set their first weights where they are made, as torch's own do, and that happens between the
two ends of ``FROM_A_SEED``.
"""

import ast
import re
from collections.abc import Mapping

import pytest

from tests.source_tree import PACKAGES, Source, functions, parsed, sources

OUTSIDE = ("tests/outside/", "tests/verification/peers/")
"""Code as people outside write it, which seeds and draws from torch's global generator as they do."""

EVERYTHING = tuple(one for one in sources(*PACKAGES, "examples", "tests") if not one.path.startswith(OUTSIDE))

FROM_A_SEED: Mapping[str, frozenset[str]] = {
    "gpcp/model/torch_seed.py": frozenset({"torch_seed", "seed_torch"}),
    "gpcp/training/fit.py": frozenset({"_Run._load"}),
}
"""Files, and the functions in each, that may set torch's global generator: ``torch_seed``, which leaves it as it
was, and what goes on from a checkpoint inside it."""

LENT = frozenset(
    {
        "diagnostics/checks/engine/copies.py",
        "diagnostics/checks/engine/restored.py",
        "diagnostics/checks/optimiser/width.py",
        "diagnostics/inputs/frameworks/replayed.py",
        "diagnostics/audit/exchange/programs/gears.py",
        "tests/diagnostics/checks/architecture/test_frozen.py",
        "tests/diagnostics/checks/learning/step_and_predict/test_step_and_predict.py",
        "tests/diagnostics/checks/loss/test_in_the_step.py",
        "tests/diagnostics/checks/optimiser/test_width.py",
        "tests/diagnostics/inputs/loaders/test_loader_pairs.py",
        "tests/diagnostics/inputs/loaders/test_own_generators.py",
        "tests/diagnostics/checks/engine/test_restored.py",
        "tests/diagnostics/checks/optimiser/test_one_step.py",
    }
)
"""Files that lend all global generators to other people's code and put them back, and the tests of that."""

NUMPY = frozenset({"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64", "PCG64DXSM", "SFC64", "Philox"})
"""All that is used of ``numpy.random``."""

FROM_A_SEED_ONLY = frozenset({"default_rng", "SeedSequence", "PCG64", "PCG64DXSM", "SFC64", "Philox"})
"""Without an argument these take the operating system's entropy: another run, other numbers."""

GLOBAL_STATE = frozenset({"manual_seed", "seed", "set_rng_state", "seed_everything"})
GLOBAL_OWNERS = frozenset({"torch", "torch.random", "torch.cuda", "torch.default_generator"})

LAYERS = frozenset({"nn.Module", "GeneMixing"})
"""Bases of the classes that draw first weights as torch's own layers do: a model is built under a seed."""

DRAWS: Mapping[str, re.Pattern[str]] = {
    "generator": re.compile(
        r"torch\.(rand|randn|randint)(_like)?|torch\.(randperm|normal|bernoulli|multinomial|poisson)"
        r"|.*\.(normal|uniform|bernoulli|exponential|geometric|log_normal|cauchy|random|trunc_normal)_"
        r"|.*\.((xavier|kaiming)_(normal|uniform)|orthogonal|sparse)_"
    ),
    "random_state": re.compile(
        r".*\.rvs|.*\b(RandomForest|ExtraTrees|GradientBoosting)\w+|.*\b(train_test_split|KMeans|ShuffleSplit)"
    ),
    "seed": re.compile(r"nx\.(\w*random\w*|erdos_renyi_graph|barabasi_albert_graph|scale_free_graph)"),
}
"""Calls that draw from a global generator unless this argument names another one."""


def global_draws(source: Source) -> list[str]:
    """Every line of a file that draws from, seeds or imports a generator that nobody gave it."""
    if source.path in LENT:
        return []
    exempt = FROM_A_SEED.get(source.path, frozenset())
    inside = {id(node) for name, one in functions(source) if name in exempt for node in ast.walk(one)}
    inside |= _first_weights(source)
    return [
        f"{source.path}:{node.lineno} {said}"
        for node in ast.walk(source.tree)
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.Attribute, ast.Call))
        and id(node) not in inside
        and (said := _said(node))
    ]


def _first_weights(source: Source) -> set[int]:
    """Calls of ``nn.init`` in the constructor of a layer."""
    layers = {
        f"{node.name}.__init__"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and LAYERS & set(map(ast.unparse, node.bases))
    }
    return {
        id(node)
        for name, one in functions(source)
        if name in layers
        for node in ast.walk(one)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("nn.init.")
    }


def _said(node: ast.Import | ast.ImportFrom | ast.Attribute | ast.Call) -> str | None:
    if isinstance(node, ast.Import):
        return "imports random" if any(alias.name == "random" for alias in node.names) else None
    if isinstance(node, ast.ImportFrom):
        strangers = {alias.name for alias in node.names} - NUMPY
        if node.module == "random" or (node.module == "numpy.random" and strangers):
            return f"imports {', '.join(sorted(strangers))} from {node.module}"
        return None
    if isinstance(node, ast.Attribute):
        of_numpy = ast.unparse(node.value) in ("np.random", "numpy.random")
        return f"uses {ast.unparse(node)}" if of_numpy and node.attr not in NUMPY else None
    return _called(node)


def _called(call: ast.Call) -> str | None:
    whole = ast.unparse(call.func)
    owner, _, name = whole.rpartition(".")
    if name in ("seed_everything", "seed_torch") or (name in GLOBAL_STATE and owner in GLOBAL_OWNERS):
        return f"sets global state with {whole}"
    if name in FROM_A_SEED_ONLY and not call.args and not call.keywords:
        return f"calls {whole} without a seed"
    for argument, draws in DRAWS.items():
        if draws.fullmatch(whole) and argument not in {one.arg for one in call.keywords}:
            return f"calls {whole} without {argument}"
    return None


def test_nothing_draws_from_a_global_generator():
    assert [line for source in EVERYTHING for line in global_draws(source)] == []


def test_what_may_set_a_global_generator_leaves_it_as_it_was():
    of_path = {source.path: source for source in EVERYTHING}
    for path, names in FROM_A_SEED.items():
        assert names <= {name for name, _ in functions(of_path[path])}
        assert "fork_rng" in of_path[path].text or "with torch_seed(" in of_path[path].text


@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "from random import shuffle",
        "from numpy.random import randn",
        "np.random.seed(0)",
        "x = numpy.random.normal(size=3)",
        "draw = np.random.shuffle",
        "rng = np.random.default_rng()",
        "np.random.Generator(np.random.SFC64())",
        "torch.manual_seed(0)",
        "torch.cuda.manual_seed(0)",
        "torch.default_generator.manual_seed(0)",
        "seed_torch(0)",
        "torch.rand(3)",
        "torch.randn_like(x)",
        "w.normal_(0, 1)",
        "nn.init.xavier_uniform_(w)",
        "L.seed_everything(0)",
        "stats.norm.rvs(size=3)",
        "RandomForestRegressor(100)",
        "nx.gnp_random_graph(10, 0.1)",
    ],
)
def test_a_global_draw_is_found(line: str):
    assert len(global_draws(parsed(f"def f():\n    {line}\n", "gpcp/new.py"))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "rng = np.random.default_rng(seed)",
        "rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))",
        "x = rng.normal(size=3)",
        "def f(rng: np.random.Generator): ...",
        "g = torch.Generator().manual_seed(seed)",
        "torch.rand(3, generator=g)",
        "w.normal_(0, 1, generator=g)",
        "stats.norm.rvs(size=3, random_state=rng)",
        "RandomForestRegressor(100, random_state=seed)",
        "y = stats.norm.pdf(x)",
        "scheduler.step(x.normal)",
    ],
)
def test_a_draw_from_a_given_generator_is_let_through(line: str):
    assert global_draws(parsed(line, "gpcp/new.py")) == []


def test_first_weights_are_let_through_where_a_layer_is_made_and_nowhere_else():
    text = "class Layer(nn.Module):\n    def {}(self):\n        nn.init.normal_(self.w)\n"
    assert global_draws(parsed(text.format("__init__"), "gpcp/new.py")) == []
    assert len(global_draws(parsed(text.format("forward"), "gpcp/new.py"))) == 1


@pytest.mark.parametrize("name", ["default", "seed"])
def test_a_model_is_made_from_its_seed_alone_and_leaves_the_global_generator_as_it_was(name: str):
    import torch

    from gpcp.model.config import preset
    from gpcp.model.transformer import GenePerturbationTransformer

    before = torch.random.get_rng_state()
    first = GenePerturbationTransformer(preset(name, 5), seed=1).state_dict()
    torch.empty(3).uniform_(generator=torch.default_generator)
    moved = torch.random.get_rng_state()
    again = GenePerturbationTransformer(preset(name, 5), seed=1).state_dict()
    other = GenePerturbationTransformer(preset(name, 5), seed=2).state_dict()
    assert not torch.equal(before, moved)
    assert torch.equal(torch.random.get_rng_state(), moved)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)

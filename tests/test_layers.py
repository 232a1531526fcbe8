"""The house stands: nothing imports upwards, and what is heavy is imported only where it is used.

``HOUSE`` is the one table of the project's files and their floors; the docstring of ``gpcp`` draws it. A new file
needs a row here. Third-party packages are stated by floor, too.
"""

import re
import sys
import tomllib
from collections.abc import Mapping
from graphlib import TopologicalSorter

import pytest

from tests.source_tree import PACKAGES, REPO, Import, Source, imports, parsed, sources

HOUSE: Mapping[tuple[str, int], str] = {
    ("gpcp", 0): "__init__ errors genes cells pairs predictors randomness registry atomic command_line places",
    ("gpcp", 1): "files gene_table expression_values h5ad_file h5ad_genes h5ad_values h5ad subsets pairing cell_index "
    "pairing_keys pairing_stats signatures told matching pools planning planned streaming "
    "sparse_cells sparse_pairs gene_statistics selection statistics_file gene_notes "
    "gene_panel panel_file source_names plugins census census_store census_query census_reader "
    "cache_format cache_arrays cache_parts cache_rows cache_join cache cache_build "
    "read_ahead prefetch shares seed_noise sampled_cells cell_split pair_names",
    ("gpcp", 2): "pair_dataset seeding batches device_copies attention embedding queries distributions point_heads "
    "distribution_heads heads model_config model",
    ("gpcp", 3): "loss fit_config training prediction replicate",
    ("gpcp", 4): "sweep_space sweep_store sweep_trial sweep_result sweeps offers "
    "sweep_command sweep_table sweep_figures",
    ("gpcp", 5): "selection_report select_genes sweep",
    ("simulators", 0): "__init__ randomness regimes graphs networks noises mechanisms interventions scm sortability",
    ("simulators", 1): "laws conditioning equations monte_carlo particles quadrature bayes",
    ("simulators", 2): "assay sources worlds census_tables census_labels census_values census_spool census_writer "
    "export embedded_census",
    ("diagnostics", 0): "__init__ result report record settings verdict_card svg_figures checks/__init__ "
    "checks/predictor",
    ("diagnostics", 1): (
        "losses ridge loss_baselines low_rank rankings graph_scores readouts implied_law torch_readouts oracles "
        "baselines forests_and_covariances matched_linear partial_graph "
        "audit_intervals audit_sample audit_expressed audit_parts audit_noise audit_partners audit_gain "
        "overlap virtual_pass core_use input_ways stage_times sample_size power_law curve_answer"
    ),
    ("diagnostics", 2): (
        "standing readings methods limits verdicts real_cells trained runs progress tables figures "
        "source_names audit audit_verdicts audit_table audit_figure "
        "overlap_report overlap_words timeline_figure"
        " compared compared_table compared_figure compared_json run_store graph_theory stages"
    ),
    ("diagnostics", 3): "recovery cells_recovery input_speeds",
    ("diagnostics", 4): (
        "checks/check checks/weights checks/subject checks/probe checks/cascade checks/altered checks/identities "
        "checks/signal checks/loss checks/loss_directions checks/inputs checks/told_inputs checks/invariances "
        "checks/paths checks/outputs checks/told_apart "
        "fault fault_entries altered_pairs faults_shown faults_data faults_loss faults_model faults_optimiser faults "
        "healthy "
        "checks/start checks/wiring checks/step_sizes checks/ladder "
        "checks/cell_names checks/gains checks/linear checks/transforms checks/provenance checks/step_inputs "
        "checks/passes checks/units checks/contents checks/relations checks/paces checks/answers "
        "checks/short_training checks/one_batch checks/learning checks/directions "
        "fitted_subject named_model named_subject verdict_figures diagnose yardsticks carried head_contract"
        " device_clock throughput_subject"
    ),
    ("diagnostics", 5): "plan command recover_graph benchmark audit_command audit_pairs "
    "selftest selftest_runs selftest_table compare_heads compare_command compare_plan compared_runs "
    "learning_curve curve_command curve_runs curve_points curve_table curve_figures genes_needed "
    "__main__ diagnosis_command verdict_page throughput throughput_command",
}
"""Files by package and floor. A file imports from its own floor and from those below, never from one above."""

BELOW: Mapping[str, frozenset[tuple[str, int]]] = {
    "gpcp": frozenset(),
    "simulators": frozenset({("gpcp", 0)}),
    "diagnostics": frozenset(floor for floor in HOUSE if floor[0] != "diagnostics"),
}
"""The floors of other packages that a package may import."""

THIRD_PARTY: Mapping[tuple[str, int], frozenset[str]] = {
    ("gpcp", 0): frozenset({"numpy"}),
    ("gpcp", 1): frozenset(
        [
            "numpy",
            "scipy",
            "anndata",
            "h5py",
            "pandas",
            "pyarrow",
            "tqdm",
            "cellxgene_census",
            "tiledbsoma",
            "tiledbsoma_ml",
        ]
    ),
    ("gpcp", 2): frozenset({"numpy", "torch"}),
    ("gpcp", 3): frozenset({"numpy", "torch", "lightning_fabric", "tqdm"}),
    ("simulators", 0): frozenset({"numpy", "scipy"}),
    ("simulators", 1): frozenset({"numpy", "scipy"}),
    ("simulators", 2): frozenset(["numpy", "scipy", "anndata", "pandas", "pyarrow", "tqdm", "tiledbsoma"]),
}
"""What the floors may import from outside, wherever in the file; diagnostics may use every dependency."""

HEAVY = frozenset(
    {"anndata", "cellxgene_census", "h5py", "lightning_fabric", "matplotlib", "optuna", "pandas", "pyarrow", "sklearn"}
    | {"tiledbsoma", "tiledbsoma_ml", "torch"}
)
"""Up to seconds to import, each. A command reaches none of them before it has read its arguments."""

HEAVY_AT_TOP: Mapping[tuple[str, int], frozenset[str]] = {
    ("gpcp", 2): frozenset({"torch"}),
    ("gpcp", 3): frozenset({"torch", "lightning_fabric"}),
    ("gpcp", 4): frozenset({"torch", "optuna"}),
    ("diagnostics", 4): frozenset({"torch"}),
}
"""Floors that are of no use without a heavy package and may import it at the top; elsewhere: inside the function."""

_PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = frozenset(re.split("[<>=~ ]", line)[0].replace("-", "_") for line in _PROJECT["dependencies"])
DECLARED = DECLARED - {"scikit_learn"} | {"sklearn"}
FLOOR = {
    f"{package}/{name}.py": (package, floor) for (package, floor), names in HOUSE.items() for name in names.split()
}
BUILT = sources(*PACKAGES)
COMMANDS = [source.module for source in BUILT if re.search(r"^if __name__ == .__main__.:", source.text, re.MULTILINE)]


def floor_of(path: str) -> tuple[str, int]:
    """Package and floor of a file."""
    assert path in FLOOR, f"HOUSE has no row for {path}: say on which floor it stands"
    return FLOOR[path]


def violations(*files: Source) -> list[str]:
    """What the files import against the rules, one line for each import."""
    path_of = {source.module: source.path for source in (*BUILT, *files)}
    found: list[str] = []
    for source in files:
        for one in imports(source, frozenset(path_of)):
            why = _upwards(source, one.module, path_of) or _outside(source, one)
            if why:
                found.append(f"{source.path}:{one.line} imports {one.module}: {why}")
    return found


def _upwards(source: Source, module: str, path_of: Mapping[str, str]) -> str | None:
    package, floor = floor_of(source.path)
    if module.split(".")[0] not in PACKAGES:
        return None
    if module not in path_of:
        return "there is no such file"
    other, other_floor = floor_of(path_of[module])
    if other == package:
        return f"upwards, from floor {floor} to floor {other_floor}" if other_floor > floor else None
    return None if (other, other_floor) in BELOW[package] else f"floor {other_floor} of {other} is not below {package}"


def _outside(source: Source, found: Import) -> str | None:
    top = found.module.split(".")[0]
    if top in ("tests", "examples"):
        return "nothing imports tests or examples"
    if top in PACKAGES or top in sys.stdlib_module_names:
        return None
    floor = floor_of(source.path)
    if floor in THIRD_PARTY and top not in THIRD_PARTY[floor]:
        return f"floor {floor[1]} of {floor[0]} does without {top}"
    if top not in DECLARED and not found.typing:
        return f"pyproject.toml does not declare {top}"
    if found.at_top and top in HEAVY - HEAVY_AT_TOP.get(floor, frozenset()):
        return f"{top} takes long to import: do it in the function that needs it"
    return None


def reached(module: str) -> dict[str, str]:
    """Every module that importing ``module`` imports, third parties too, each with the file that asks for it."""
    source_of = {source.module: source for source in BUILT}
    asked_by, todo = {module: "the command line"}, [module]
    while todo:
        source = source_of.get(todo.pop())
        if source is None:
            continue
        for found in imports(source, frozenset(source_of)):
            if found.at_top and found.module not in asked_by:
                asked_by[found.module] = source.path
                todo.append(found.module)
    return asked_by


def test_every_file_has_a_floor_and_every_row_a_file():
    assert sorted(FLOOR) == sorted(source.path for source in BUILT), "HOUSE and the packages differ"


@pytest.mark.parametrize("source", BUILT, ids=lambda source: source.path)
def test_nothing_imports_upwards(source: Source):
    assert violations(source) == []


def test_no_file_imports_itself_by_a_detour():
    graph = {
        source.module: {one.module for one in imports(source, frozenset(s.module for s in BUILT)) if one.at_top}
        for source in BUILT
    }
    # Raises CycleError, which names the circle.
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_reads_its_arguments_before_it_imports_what_is_heavy(command: str):
    slow = {module: by for module, by in reached(command).items() if module.split(".")[0] in HEAVY}
    assert not slow, f"{command} imports at its top, by way of the file named: {slow}"


def test_no_dependency_is_declared_in_vain():
    used = {one.module.split(".")[0] for source in BUILT for one in imports(source)}
    assert used >= DECLARED


def test_there_are_commands():
    assert "diagnostics.recover_graph" in COMMANDS


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("gpcp/genes.py", "import torch", "floor 0 of gpcp does without torch"),
        ("gpcp/genes.py", "def f():\n    import scipy.sparse", "floor 0 of gpcp does without scipy"),
        ("gpcp/cells.py", "from gpcp import training", "upwards, from floor 0 to floor 3"),
        ("gpcp/pairs.py", "if TYPE_CHECKING:\n    from gpcp.model import ModelConfig", "upwards"),
        ("gpcp/training.py", "import simulators.worlds", "floor 2 of simulators is not below gpcp"),
        ("gpcp/model.py", "from diagnostics.result import CheckResult", "floor 0 of diagnostics is not below gpcp"),
        ("simulators/scm.py", "import torch.nn", "floor 0 of simulators does without torch"),
        ("simulators/scm.py", "from gpcp.pairing import Paired", "floor 1 of gpcp is not below simulators"),
        ("simulators/laws.py", "from simulators.sources import SimulatedPairs", "upwards, from floor 1 to floor 2"),
        ("diagnostics/report.py", "from tests.strategies import vocabs", "nothing imports tests"),
        ("diagnostics/baselines.py", "from sklearn.linear_model import Ridge", "takes long to import"),
        ("diagnostics/baselines.py", "try:\n    import matplotlib\nexcept E:\n    pass", "takes long to import"),
        ("diagnostics/report.py", "import requests", "pyproject.toml does not declare requests"),
        ("diagnostics/report.py", "from gpcp.nowhere import thing", "there is no such file"),
    ],
)
def test_a_wrong_import_is_found(path: str, text: str, why: str):
    (found,) = violations(parsed(text, path))
    assert found.startswith(f"{path}:")
    assert why in found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("diagnostics/baselines.py", "def ridge():\n    from sklearn.linear_model import Ridge"),
        ("diagnostics/baselines.py", "from gpcp.training import fit\nfrom simulators.worlds import world"),
        ("simulators/scm.py", "import math\nfrom numpy.typing import NDArray\nfrom gpcp import errors"),
        ("gpcp/h5ad.py", "if TYPE_CHECKING:\n    import pandas as pd"),
    ],
)
def test_a_right_import_is_let_through(path: str, text: str):
    assert violations(parsed(text, path)) == []

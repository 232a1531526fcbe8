"""The rows and columns of a screen's results, as tables of AnnData."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpcp.core.cells import CellBatch
from gpcp.in_silico.perturbations import ScreenPerturbation
from gpcp.model.perturbation_table import PerturbationTable

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]  # typed by its stubs alone


def obs_of_perturbations(wanted: Sequence[ScreenPerturbation]) -> "pd.DataFrame":
    """One row for each perturbation, named as it is."""
    import pandas as pd

    return pd.DataFrame(
        {
            "n_genes": [len(one.genes) for one in wanted],
            "value": ["+".join(f"{value:g}" for value in one.values) for one in wanted],
        },
        index=[one.name for one in wanted],
    )


def obs_of_cells(cells: CellBatch, wanted: Sequence[ScreenPerturbation]) -> "pd.DataFrame":
    """One row for each perturbation of each cell, cell by cell."""
    import pandas as pd

    n = len(wanted)
    names, kind = [one.name for one in wanted], np.tile(np.arange(n), len(cells))
    columns: dict[str, Any] = {
        "cell_id": np.repeat(cells.cell_id_B, n),
        "perturbation": _labels(kind, names),
    }
    for name, text_B in cells.covariates.items():
        known, code_B = np.unique(text_B, return_inverse=True)
        columns[name] = _labels(np.repeat(code_B, n), known.tolist())
    return pd.DataFrame(columns, index=[str(row) for row in range(n * len(cells))])


def var_of(cells: CellBatch, table: PerturbationTable) -> "pd.DataFrame":
    """One row for each gene: whether it is perturbed, and in how many of the cells it is measured."""
    import pandas as pd

    perturbed_G = np.isin(np.arange(len(cells.vocab)), table.token_E)
    return pd.DataFrame(
        {"perturbed": perturbed_G, "n_cells_measured": cells.measured_BG.sum(axis=0)},
        index=list(cells.vocab.feature_id),
    )


def _labels(code: NDArray[np.integer], names: Sequence[str]) -> Any:
    """Labels held once."""
    import pandas as pd

    made: Any = pd.Categorical
    return made.from_codes(code, categories=list(names))

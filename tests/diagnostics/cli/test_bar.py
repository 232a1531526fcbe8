"""Progress of the library's functions: a bar where one can be drawn, a notebook among them."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diagnostics import progress_bar
from gpcp import H5adCells, gene_statistics


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.lists(st.integers(0, 500), min_size=1, max_size=20).map(sorted))
def test_the_bar_ends_at_the_last_count(counts: list[int], capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    with progress_bar("reading", unit=" cells") as on_progress:
        for count in counts:
            on_progress(count, 500)
    assert f"{counts[-1]}/500" in capsys.readouterr().err


def test_a_function_of_the_library_moves_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cells = anndata.AnnData(np.ones((30, 2), np.float32), obs=pd.DataFrame(index=[f"c{row}" for row in range(30)]))
    cells.var_names = ["ENSG00000000001", "ENSG00000000002"]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with progress_bar("reading", unit=" cells") as on_progress:
        gene_statistics(H5adCells(tmp_path / "cells.h5ad"), on_progress=on_progress)
    assert "30" in capsys.readouterr().err


NOTEBOOK = """
from diagnostics import progress_bar
with progress_bar("reading", unit=" cells") as on_progress:
    for n_done in range(0, 101, 10):
        on_progress(n_done, 100)
"""


@pytest.mark.slow
def test_a_notebook_draws_a_bar_of_its_own(tmp_path: Path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    (bar,) = [one for one in notebook.cells[0].outputs if one.output_type == "display_data"]
    assert "application/vnd.jupyter.widget-view+json" in bar.data
    assert "100" in bar.data["text/plain"] or "reading" in bar.data["text/plain"]
    assert not [one for one in notebook.cells[0].outputs if one.output_type == "stream"]

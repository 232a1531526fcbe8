"""What a batch holds beside its cells: the cell after in any form is found where it is read; ordinary entries pass."""

import numpy as np
import pytest

from tests.diagnostics.checks.data.pairs.batches import Batch, ReadsKind, asked, columns
from tests.diagnostics.checks.subjects import found


def with_kind(kind: np.ndarray, made: Batch) -> Batch:
    return made | {"kind": kind}


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_cell_after_among_the_covariates_is_found_where_it_is_read(noise: float):
    made = columns(noise=noise)
    made = with_kind(2 * made["after"][:, ::-1] - 3, made)
    result = found(asked(made, model=ReadsKind(6)), "data.beside")
    assert (result.outcome, result.cause) == ("fail", "data")
    assert "entry 'kind'" in result.message
    unread = found(asked(made, model=ReadsKind(0)), "data.beside")
    assert unread.outcome == "pass"
    assert "predictions do not depend on it" in unread.message


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_cell_types_doses_names_and_other_forms_of_the_inputs_pass(noise: float):
    made = columns(noise=noise)
    ordinary = {
        "type": made["kind"],
        "dose": made["dose"],
        "set to": made["gene"] * made["before"] + made["dose"],
        "number": made["gene"].argmax(axis=1)[:, None].astype(float),
        "logged": np.log1p(made["before"].clip(0)),
        "depth after": made["after"].sum(axis=1, keepdims=True),
    }
    for name, kind in ordinary.items():
        result = found(asked(with_kind(kind, made), model=ReadsKind(kind.shape[1])), "data.beside")
        assert result.outcome == "pass", (name, result.message)

from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gpcp.sources.h5ad.kinds import ValueTally, tally
from gpcp.sources.h5ad.normalise import log1p_tpm

MATRICES = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([0, 1, 2.5, 40, np.nan])
)


@given(hnp.arrays(np.float64, st.integers(0, 12), elements=st.sampled_from([0, 1, -2, 2.5, 30, np.nan])), st.data())
def test_tallies_add_up(values: NDArray[np.float64], data: st.DataObject):
    cut = data.draw(st.integers(0, len(values)))
    assert tally(values[:cut]) + tally(values[cut:]) == tally(values)
    assert ValueTally() + tally(values) == tally(values)


@given(MATRICES, st.booleans())
def test_log1p_tpm_is_its_formula(counts: NDArray[np.float64], with_lengths: bool):
    length = np.arange(1.0, counts.shape[1] + 1) * 300 if with_lengths else None
    stored: Any = sp.csr_array(counts)
    log, used = log1p_tpm(stored, length)
    rate = counts if length is None else counts / length
    total = np.nansum(rate, axis=1)
    expected = np.log1p(rate * np.divide(1e6, total, out=np.zeros_like(total), where=total > 0)[:, None])
    # The order of summation may differ: a few units in the last place.
    np.testing.assert_allclose(log.toarray(), expected, rtol=1e-12)
    np.testing.assert_allclose(used, total, rtol=1e-12)
    np.testing.assert_array_equal(stored.toarray(), counts)

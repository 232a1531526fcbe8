import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.random import generator
from simulators.scm.counterfactuals import counterfactual
from simulators.scm.interventions import Do
from simulators.scm.scm import Scm
from tests.simulators.scm.test_scm import downstream, scms


@given(scms(), st.data())
def test_they_are_the_cells_simulated_again_and_what_is_not_downstream_keeps_every_bit(scm: Scm, data: st.DataObject):
    perturbed = data.draw(st.lists(st.integers(0, scm.graph.n_genes - 1), unique=True))
    values = generator("values", data.draw(st.integers(0, 1000))).uniform(-5, 5, len(perturbed))
    noise_BG = scm.draw(30, generator("cells", 1))
    before_BG = scm.expression(noise_BG)
    do = Do(scm.graph.vocab.genes(perturbed), values)
    after_BG = counterfactual(scm, before_BG, do)
    again_BG = scm.expression(noise_BG, do)
    np.testing.assert_allclose(after_BG, again_BG, rtol=1e-9, atol=1e-9 * (1 + np.abs(before_BG).max()))
    np.testing.assert_array_equal(after_BG[:, perturbed], np.broadcast_to(values, (30, len(perturbed))))
    if scm.mechanism.name == "linear":
        calm_G = ~downstream(scm.graph, perturbed)
        assert after_BG[:, calm_G].tobytes() == before_BG[:, calm_G].tobytes()


@given(scms(mechanisms=("linear",)))
def test_the_cells_that_are_given_stay_as_they_are(scm: Scm):
    before_BG = scm.sample(5, generator("cells", 2))
    kept_BG = before_BG.copy()
    counterfactual(scm, before_BG, Do(scm.graph.vocab.genes([0]), 2.0))
    assert before_BG.tobytes() == kept_BG.tobytes()


@given(scms(mechanisms=("linear",)))
def test_bad_input_is_refused(scm: Scm):
    with pytest.raises(InputError, match=r"expression_BG has shape \(3,\)"):
        counterfactual(scm, np.zeros(3), Do([], []))
    with pytest.raises(InputError, match="is not among"):
        counterfactual(scm, np.zeros((1, scm.graph.n_genes)), Do(["ENSSIMG99999999999"], 1.0))

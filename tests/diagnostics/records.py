"""Run records for tests: one plain example, and every record that a run could leave."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from diagnostics.results.run_record import MethodScore, ReadOutScore, RunRecord

EXAMPLE = RunRecord(
    world="scale_free/20",
    regime="interventional",
    seed=0,
    preset="default",
    n_genes=20,
    n_edges=37,
    n_perturbed=(1, 19),
    n_steps=1000,
    n_pairs=128000,
    n_held_out=6000,
    loss=0.71,
    loss_se=0.01,
    mean_delta_loss=2.1,
    mean_loss=1.2,
    baseline_loss=1.2,
    ridge_loss=0.9,
    best_linear_loss=None,
    bayes_risk=0.7,
    bayes_risk_exact=0.701,
    bayes_is_exact=True,
    leak_z=-3.0,
    skill=0.98,
    ridge_skill=0.6,
    late_gain=0.01,
    response_ratio=1.0,
    answer_spread_ratio=1.0,
    target="direct",
    n_true=37,
    read_out="single_gene_inverted",
    auprc=1.0,
    ceiling_auprc=1.0,
    base_rate=0.097,
    null_95=0.17,
    ci_low=0.99,
    ci_high=1.0,
    auroc=1.0,
    early_precision_ratio=10.2,
    sign_agreement=1.0,
    shd=0,
    threshold=0.08,
    read_outs=(
        ReadOutScore(read_out="single-gene response", target="direct", auprc=0.5, ceiling_auprc=0.54, supported=True),
    ),
    methods=(
        MethodScore(method="GENIE3", target="direct", auprc=0.4, classical=False),
        MethodScore(method="inverted means", target="direct", auprc=0.98, classical=True),
    ),
    var_sortability=0.5,
    r2_sortability=0.52,
    n_parameters=40000,
    seconds=41.2,
    train_seconds=37.0,
    history="interventional_seed0/history.json",
)


def example_record(**changes: Any) -> RunRecord:
    return replace(EXAMPLE, **changes)


@st.composite
def run_records(draw: st.DrawFn) -> RunRecord:
    loss = st.floats(min_value=0, max_value=1e9)
    unit = st.floats(min_value=0, max_value=1)
    maybe_unit = st.none() | unit
    return example_record(
        regime=draw(st.sampled_from(["matched", "counterfactual", "interventional"])),
        seed=draw(st.integers(min_value=0, max_value=2**31 - 1)),
        n_genes=draw(st.integers(min_value=3, max_value=2000)),
        loss=draw(loss),
        baseline_loss=draw(loss),
        ridge_loss=draw(loss),
        bayes_risk=draw(st.none() | loss),
        skill=draw(st.none() | st.floats(min_value=-1e6, max_value=1.01)),
        auprc=draw(unit),
        ceiling_auprc=draw(maybe_unit),
        ci_low=draw(unit),
        ci_high=draw(unit),
        null_95=draw(unit),
        auroc=draw(maybe_unit),
        sign_agreement=draw(maybe_unit),
        shd=draw(st.none() | st.integers(min_value=0, max_value=9999)),
        seconds=draw(st.floats(min_value=0, max_value=99999)),
        notes=tuple(draw(st.lists(st.text(alphabet="abc ", min_size=1, max_size=300), max_size=2))),
    )

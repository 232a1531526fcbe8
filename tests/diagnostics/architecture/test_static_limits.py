"""Sentences about an architecture follow from its configuration and from what a run measured, not from its name."""

from dataclasses import replace

import pytest

from diagnostics.architecture.static_limits import CANNOT, limits
from diagnostics.commands.recover_graph.verdicts import evidence, verdicts
from gpcp.model.config import preset
from tests.diagnostics.records import example_record


def test_the_default_has_no_limits_and_the_seeds_have() -> None:
    assert limits(preset("default", 10)) == ()
    for name in ("seed", "seed_perturbed"):
        assert limits(preset(name, 10))


@pytest.mark.parametrize(
    ("repair", "field"),
    [
        ({"value_embedding": "identity_plus_mlp"}, "value_embedding"),
        ({"query_attention": True}, "query_attention"),
        ({"query_features": "delta_and_state"}, "query_features"),
        ({"skip": True}, "skip"),
    ],
)
def test_a_repair_takes_its_sentence_away(repair: dict[str, object], field: str) -> None:
    seed = preset("seed", 10)
    assert any(field in reason for reason in limits(seed))
    repaired = limits(replace(seed, **repair))  # pyright: ignore[reportArgumentType]
    assert len(repaired) < len(limits(seed))
    assert not any(f"({field}" in reason for reason in repaired)


def test_the_pooled_head_is_named_where_it_is() -> None:
    assert any("'pooled'" in reason for reason in limits(preset("seed_perturbed", 10)))
    assert not any("'pooled'" in reason for reason in limits(preset("seed", 10)))


def test_the_scalar_bottleneck_is_named_as_what_cannot_represent_which() -> None:
    (reason,) = limits(replace(preset("default", 10), head="pooled_scalar"))
    assert reason.startswith(CANNOT)
    assert "on one line" in reason


def test_evidence_is_what_was_measured() -> None:
    assert evidence(example_record()) == ()
    flat = example_record(skill=0.0, response_ratio=0.001, answer_spread_ratio=0.0, mean_loss=1.0, mean_delta_loss=2.0)
    seen = " ".join(evidence(flat))
    assert "does not distinguish genes" in seen
    assert "does not get through" in seen
    assert "50%" in seen


def test_a_failing_run_says_why_and_a_passing_one_does_not() -> None:
    reasons = limits(preset("seed", 10))
    failing = example_record(skill=0.0, preset="seed", limits=reasons, response_ratio=0.0)
    first, *others = verdicts([failing])
    assert first.name == "architecture of preset 'seed'"
    assert first.outcome == "fail"
    assert all(reason in first.message for reason in reasons)
    assert "does not get through" in {result.name: result for result in others}["interventional: learns"].next_step
    passing = verdicts([example_record(limits=reasons)])
    assert all(result.outcome == "pass" for result in passing)

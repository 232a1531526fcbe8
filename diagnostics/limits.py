"""What an architecture cannot say whatever its weights, derived from its configuration, beside what a run measured.

No dimension key: nothing here is an array.
"""

from typing import TYPE_CHECKING

from diagnostics.record import RunRecord

if TYPE_CHECKING:
    from gpcp.model_config import ModelConfig

_HARDLY = 0.1
"""Share of the exact answer's size below which a model says hardly anything."""

_SHARED_HEADS = frozenset({"linear", "mlp"})


def limits(config: "ModelConfig") -> tuple[str, ...]:
    """Why this architecture cannot learn some things, or only with difficulty; empty for one without such limits.

    Each sentence follows from named fields of the configuration, so a repaired configuration loses its sentence.
    """
    all_genes = config.query_form == "all_genes"
    nameless = config.value_embedding == "product" and config.query_features == "delta"
    reasons: list[str] = []
    if all_genes and nameless:
        answer = (
            "and the head is shared, so in each cell all scored genes get one and the same answer"
            if config.head in _SHARED_HEADS
            else "so only the head knows which gene is asked for"
        )
        reasons.append(
            "a query is identity x change, and the change told of a scored gene is 0: its query is the zero vector, "
            f"without identity, {answer} (value_embedding 'product', query_features 'delta')"
        )
    if all_genes and not config.query_attention:
        reasons.append(
            "queries do not attend to each other: what is told of one gene stays in that gene's query and reaches no "
            "other gene's answer (query_attention off)"
        )
    if config.head == "pooled":
        reasons.append(
            "the told genes' queries are averaged into one vector before the head: the answer hardly changes when "
            f"one of many told genes moves, and every answer is a linear map of {config.width} numbers (head 'pooled')"
        )
    if config.query_features == "delta":
        reasons.append(
            "a query tells the change but not the value that it ends at: where the second cell's noise is fresh the "
            "answer depends on that value, which must be pieced together from the state (query_features 'delta')"
        )
    if not config.skip:
        reasons.append(
            "no path carries a gene's expression before to its own answer, so even 'nothing else changes' has to be "
            "learnt through attention (skip off)"
        )
    return tuple(reasons)


def not_getting_through(record: RunRecord) -> bool:
    """Whether what is told of one gene hardly moves the answers to others."""
    return record.response_ratio is not None and record.response_ratio < _HARDLY


def evidence(record: RunRecord) -> tuple[str, ...]:
    """What the run itself shows of such limits, in its own numbers."""
    seen: list[str] = []
    if record.answer_spread_ratio is not None and record.answer_spread_ratio < _HARDLY:
        seen.append(
            f"within a cell the answers to different scored genes spread {record.answer_spread_ratio:.3f} times as "
            "much as the exact ones: the model does not tell genes apart"
        )
    if not_getting_through(record):
        seen.append(
            f"telling one gene moves the other genes' answers {record.response_ratio:.3f} times as much as the exact "
            "law: what is told does not get through"
        )
    free = 1 - record.mean_loss / record.mean_delta_loss
    if record.skill is not None and record.skill < 0.05 and free > 0.05:
        seen.append(
            f"the loss stands on the plateau of 'mean - x', which explains {free:.0%} of the change's mean square "
            "without knowing anything: a loss that fell that far has learnt nothing yet"
        )
    return tuple(seen)

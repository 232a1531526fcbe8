"""What an architecture cannot say, or hardly, derived from its configuration; and what a run measured of it.

No dimension key: nothing here is an array.
"""

from typing import TYPE_CHECKING

from diagnostics.record import RunRecord

if TYPE_CHECKING:
    from gpcp.model_config import ModelConfig

_FAINT = 0.1
"""Share of the exact answer's size below which a model says hardly anything."""

CANNOT, HARDLY = "cannot", "can hardly"
"""How a limit begins: true whatever the weights, or an obstacle that training may get around in part."""

_SHARED_HEADS = frozenset({"linear", "mlp"})


def limits(config: "ModelConfig") -> tuple[str, ...]:
    """What this architecture cannot do, whatever its weights, and what it hardly can; empty for one without limits.

    Each begins with :data:`CANNOT` or :data:`HARDLY` and follows from the fields of the configuration that it names,
    so that a repaired configuration loses it.
    """
    all_genes = config.query_form == "all_genes"
    nameless = config.value_embedding == "product" and config.query_features == "delta"
    found: list[str] = []
    if all_genes and nameless:
        shared = config.head in _SHARED_HEADS
        answer = "and the head is the same for all" if shared else "and only the head knows which gene is asked for"
        found.append(
            f"{CANNOT if shared else HARDLY} tell scored genes apart: a query is identity x change, and the change "
            f"told of a scored gene is 0, so its query is the zero vector, {answer} (value_embedding 'product', "
            "query_features 'delta')"
        )
    if all_genes and not config.query_attention:
        found.append(
            f"{CANNOT} pass on what is told: queries do not attend to each other, so what is told of one gene stays in "
            "that gene's query and reaches no other gene's answer (query_attention off)"
        )
    if config.head == "pooled":
        found.append(
            f"{HARDLY} notice one of many told genes: their queries are averaged into one vector, of whose "
            f"{config.width} numbers every answer is a linear map (head 'pooled')"
        )
    if config.head == "pooled_scalar":
        found.append(
            f"{CANNOT} say what happened, only how much: the queries are averaged and squeezed to one "
            "number, so that all answers lie on one line (head 'pooled_scalar')"
        )
    if config.query_features == "delta":
        found.append(
            f"{HARDLY} know where a told gene ends: a query tells the change alone, and where the second cell's noise "
            "is fresh the answer depends on the value (query_features 'delta')"
        )
    if not config.skip:
        found.append(
            f"{HARDLY} keep what does not change: no path carries a gene's expression before to its own answer, which "
            "attention has to rebuild (skip off)"
        )
    return tuple(found)


def not_getting_through(record: RunRecord) -> bool:
    """Whether what is told of one gene hardly moves the answers to others."""
    return record.response_ratio is not None and record.response_ratio < _FAINT


def evidence(record: RunRecord) -> tuple[str, ...]:
    """What the run itself shows of such limits, in its own numbers."""
    seen: list[str] = []
    if record.answer_spread_ratio is not None and record.answer_spread_ratio < _FAINT:
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

"""Limits of an architecture's output, derived from its configuration."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpcp.model.config import ModelConfig

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
        answer = "and the head is the same for all" if shared else "and only the head identifies the gene"
        found.append(
            f"{CANNOT if shared else HARDLY} distinguish scored genes: a query is identity x change, and the change "
            f"given for a scored gene is 0, so its query is the zero vector, {answer} (value_embedding 'product', "
            "query_features 'delta')"
        )
    if all_genes and not config.query_attention:
        found.append(
            f"{CANNOT} pass on the perturbation: queries do not attend to each other, so that of one gene stays in "
            "that gene's query and reaches no other gene's prediction (query_attention off)"
        )
    if config.head == "pooled":
        found.append(
            f"{HARDLY} notice one of many perturbed genes: their queries are averaged into one vector, of whose "
            f"{config.width} numbers every prediction is a linear map (head 'pooled')"
        )
    if config.head == "pooled_scalar":
        found.append(
            f"{CANNOT} represent what happened, only how much: the queries are averaged and squeezed to one "
            "number, so that all predictions lie on one line (head 'pooled_scalar')"
        )
    if config.query_features == "delta":
        found.append(
            f"{HARDLY} know where a perturbed gene ends: a query holds the change alone; where the second cell's noise "
            "is fresh the prediction depends on the value (query_features 'delta')"
        )
    if not config.skip:
        found.append(
            f"{HARDLY} keep what does not change: no path carries a gene's expression before to its prediction, which "
            "attention has to rebuild (skip off)"
        )
    return tuple(found)

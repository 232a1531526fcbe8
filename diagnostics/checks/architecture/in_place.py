"""The check that layers that work in place do so on numbers that nothing else reads."""

from collections.abc import Iterator
from typing import cast

from torch import nn

from diagnostics.checks.engine.check import check
from diagnostics.checks.engine.copies import copied
from diagnostics.checks.engine.identities import Deviation, deviation, must_equal
from diagnostics.checks.engine.probe import Probe
from diagnostics.results.check_result import CheckResult


@check(
    "GP328",
    "architecture.in_place",
    "Are predictions the same if no layer works in place?",
    cause="bug", kind="exact", needs=("model",),
)  # fmt: skip
def in_place(probe: Probe) -> CheckResult:
    """Every layer that has a flag ``inplace`` gets it taken away; what such a layer overwrites and is read later shows.

    A residual block that begins with a ReLU in place adds the cut values, not those that came in.
    """
    modules = cast("Iterator[tuple[str, nn.Module]]", probe.exact_model.named_modules())
    names = [name for name, module in modules if getattr(module, "inplace", False) is True]
    if not names:
        return CheckResult(outcome="not_applicable", message="no layer works in place")
    batch, _ = probe.exact(probe.few)

    def apart(model: nn.Module) -> Deviation:
        return deviation(probe.answer(batch, model), probe.answer(batch, _out_of_place(model)), batch.measured_BL)

    return must_equal(
        probe.most_moved(apart),
        same=f"the {len(names)} layers that work in place overwrite nothing that is read again",
        differs=f"a layer that works in place overwrites what is read again later, as a residual connection does: "
        f"{', '.join(names[:3])}",
        next_step="set inplace=False there: the sum or the branch that reads the same tensor gets the changed values",
    )


def _out_of_place(model: nn.Module) -> nn.Module:
    other = copied(model)
    for module in other.modules():
        if getattr(module, "inplace", False) is True:
            vars(module)["inplace"] = False
    return other

"""What files are written with for a tool is what they are recognised by."""

import pytest

from diagnostics.audit.screens.tools.rewrite import FORMS
from gpcp.screens import known_names
from simulators.screens.conventions import CONVENTIONS


@pytest.mark.parametrize("tool", sorted(CONVENTIONS))
def test_a_tool_has_the_same_names_wherever_they_are_used(tool: str) -> None:
    written = CONVENTIONS[tool]
    known = [one for one in known_names.CONVENTIONS if written.perturbation in one.columns]
    assert tool in {one.name for one in known}
    assert written.control in {control for one in known for control in one.controls} | {"control"}
    for column in (written.context, written.batch):
        assert any(column in columns for columns in known_names.CONTEXT_COLUMNS.values())
    if tool in FORMS:
        form = FORMS[tool]
        assert (form.perturbation, form.control, form.alone) == (written.perturbation, written.control, written.alone)

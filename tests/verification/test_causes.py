"""The right cause is named in one situation of several kinds; all figures are those of ``causes/measured.py``."""

import pytest

from tests.verification.causes.situations import situations


@pytest.mark.slow
def test_the_planted_cause_is_named():
    kinds = ("bug", "architecture", "few cells", "pairing")
    found = {one.kind: (one.verdict().cause, one.cause) for one in situations(1_000, 1) if one.kind in kinds}
    assert found == {kind: (cause, cause) for kind, (_, cause) in found.items()}
    assert set(found) == set(kinds)

"""pytest: the fixture ``assert_healthy``, which fails a test with the diagnosis of a training."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def assert_healthy() -> Callable[..., Any]:
    """A function with the arguments of ``diagnostics.diagnose``, which gives its report where no cause is found.

    A test calls it with its model, loader and step: ``assert_healthy(model, loader, fields=..., only=["exact"])``.
    """

    def healthy(*parts: Any, **options: Any) -> Any:
        # pytest loads this file in every run of whoever has the library installed.
        from diagnostics.inputs.diagnose import diagnose

        report = diagnose(*parts, **options)
        broken = [one for one in report.results if one.outcome == "error"]
        found = report.diagnosis or next(iter(broken), None)
        if found is not None:
            pytest.fail(f"{found.code} {found.name}: {found.message}\n-> {found.next_step}", pytrace=False)
        return report

    return healthy

"""Every damage is named by its check, and in a sound screen nothing is."""

from collections.abc import Callable
from typing import Any

import pytest

from diagnostics.audit.screens.doctor import SCREEN_CHECKS, check_screen
from tests.diagnostics.audit.screens.damages import DAMAGES
from tests.diagnostics.audit.screens.later_damages import LATER
from tests.diagnostics.audit.screens.small_screens import SCREENS, screen_named, small_screen

CASES = [(damage, check, name) for damage, check, names in (*DAMAGES, *LATER) for name in SCREENS if name in names]


def failed(screen: Any) -> list[str]:
    report = check_screen(screen)
    assert [one.traceback for one in report.results if one.outcome == "error"] == []
    return [one.name for one in report.failed]


@pytest.mark.parametrize(("damage", "check", "name"), CASES, ids=[f"{d.__name__}-{c}-{n}" for d, c, n in CASES])
def test_a_damage_is_named(damage: Callable[[Any], Any], check: str, name: str):
    assert check in failed(damage(screen_named(name)))


@pytest.mark.parametrize("name", SCREENS)
def test_a_sound_screen_is_not_accused(name: str):
    assert failed(screen_named(name)) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["knocked down", "activated"])
def test_sound_screens_are_hardly_ever_accused(kind: str):
    accused = {seed: found for seed in range(1, 41) if (found := failed(small_screen(seed, kind=kind)))}
    assert len(accused) <= 1, accused


def test_codes_and_names_are_used_once():
    assert len({one.code for one in SCREEN_CHECKS}) == len({one.name for one in SCREEN_CHECKS}) == len(SCREEN_CHECKS)

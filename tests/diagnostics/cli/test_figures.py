"""Colours of figures, as they are seen by the colour-blind.

Dichromats are simulated by the matrices of Machado, Oliveira and Fernandes 2009 (severity 1), in linear RGB; colours
are compared by the distance of CIE 1976 L*a*b*, of which 2.3 is just noticeable. Ten was asked before the first run.
"""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from diagnostics.cli.figures import BASELINE, CEILING, CLASSICAL, INK, MODEL, SERIES, TRAINING, WRONG, shades

SEEN_AS = {
    "all": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
LEAST = 10.0


def lab(colour: str, seen: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(SEEN_AS[seen] @ linear, 0, 1) / (TO_XYZ @ np.ones(3))
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def too_alike(colours: tuple[str, ...], seen: str) -> list[str]:
    pairs = [
        (one, two, float(np.linalg.norm(lab(one, seen) - lab(two, seen)))) for one, two in combinations(colours, 2)
    ]
    return [f"{one} and {two}: {distance:.1f}" for one, two, distance in pairs if distance < LEAST]


@pytest.mark.parametrize("seen", SEEN_AS)
@pytest.mark.parametrize(
    "colours",
    [(MODEL, TRAINING, BASELINE, CEILING, CLASSICAL, WRONG, INK), SERIES, tuple(shades(4))],
    ids=["roles", "series", "shades"],
)
def test_colours_of_one_figure_are_distinguished(colours: tuple[str, ...], seen: str):
    assert too_alike(colours, seen) == []


def test_red_and_green_of_one_brightness_are_found_alike():
    assert too_alike(("#d05050", "#808030"), "deuteranopia")
    assert not too_alike(("#d05050", "#808030"), "all")

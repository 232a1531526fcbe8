"""Drawings of pages: their colours on dark pages, and the numbers that they give to who does not see them."""

import re

import numpy as np
import pytest

from diagnostics.cli.figures import BASELINE, INK, WRONG, new_axes, reference_line
from diagnostics.cli.svg import in_words, svg


def test_a_curve_is_named_with_its_axes_and_both_ends():
    figure, ax = new_axes(4, 3)
    ax.plot([0, 1, 2], [3.0, 2.0, 1.25], label="held out")
    reference_line(ax, 0.5, "bayes")
    ax.set_xlabel("training step")
    ax.set_ylabel("mean squared error")
    assert in_words(figure) == (
        "mean squared error by training step: held out from 3 at 0 to 1.25 at 2; Bayes risk 0.5"
    )


@pytest.mark.parametrize("level", [False, True])
def test_bars_bear_the_names_of_their_ticks(level: bool):
    figure, ax = new_axes(4, 3)
    draw = ax.barh if level else ax.bar
    draw([0, 1], [2.0, -1.5])
    (ax.set_yticks if level else ax.set_xticks)([0, 1], ["ridge", "the\nmodel"])
    assert in_words(figure) == ": ridge 2; the model -1.5"


def test_a_matrix_gives_its_shape_and_range():
    figure, ax = new_axes(4, 3)
    figure.colorbar(ax.imshow(np.array([[0.0, 2.0], [np.nan, -1.0]])))
    ax.set_title("recovered")
    assert in_words(figure) == "recovered: a matrix of 2 x 2 with values from -1 to 2"


def test_of_a_drawing_without_axes_the_legend_is_given():
    figure, ax = new_axes(4, 3)
    ax.plot([], [], label="found (3)")
    ax.plot([], [], label="missed (1)")
    ax.set_title("graph")
    ax.set_axis_off()
    assert in_words(figure) == "graph: found (3), missed (1)"


def test_a_curve_without_a_finite_value_is_named():
    figure, ax = new_axes(4, 3)
    ax.plot([0, 1], [np.nan, np.nan], label="blew up")
    assert "blew up has no value" in in_words(figure)


def test_the_drawing_has_its_words_and_no_colour_too_dark_for_a_dark_page():
    figure, ax = new_axes(4, 3)
    for row, colour in enumerate((INK, BASELINE, WRONG)):
        ax.plot([0, 1], [row, row + 1], color=colour, label=f'<line> "{row}" & more')
    drawn = svg(figure, "one & two")
    label = re.search(r'aria-label="([^"]*)"', drawn)
    assert label is not None
    assert label[1].startswith("one &amp; two: ")
    assert "&lt;line&gt; &quot;0&quot; &amp; more from 0 at 0 to 1 at 1" in label[1]
    assert not [colour for colour in (INK, BASELINE, WRONG) if colour in drawn]

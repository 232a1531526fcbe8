"""A figure as inline SVG that takes the page's own colours, in the light and in the dark."""
# pyright: reportUnknownMemberType=false
# Matplotlib leaves the **kwargs of its drawing methods untyped, so that every call of one counts as partly unknown.

import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE_INK = "#010203"
"""Stands for the colour of the page's text, which matplotlib cannot name."""


def svg(figure: "Figure", title: str) -> str:
    """The drawing alone: text stays text, what is black takes the page's colour, nothing points outside the page.

    Parameters
    ----------
    figure : Figure
        Its black lines and letters are recoloured.
    title : str
        What it shows, for who does not see it; it keeps the ids of several drawings on one page apart.
    """
    import matplotlib as mpl

    _take_the_colour_of_the_page(figure)
    out = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        # A margin for browsers whose letters are wider than those that the figure was measured with.
        figure.savefig(out, format="svg", transparent=True, metadata=nothing, bbox_inches="tight", pad_inches=0.15)
    text = out.getvalue()
    text = text[text.index("<svg") :].replace(PAGE_INK, "currentColor")
    # Inside HTML an svg needs no name spaces; the addresses that name them would look like links.
    text = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", text, count=2).replace("xlink:href", "href")
    prefix = re.sub(r"\W+", "-", title)
    label = re.sub(r"[^\w ,.:-]", " ", title)
    text = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{label}">', text, count=1
    )
    # Ids are of their own drawing: several stand on one page.
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    return re.sub(r'(href="|url\()#', rf"\1#{prefix}-", text)


def _take_the_colour_of_the_page(figure: "Figure") -> None:
    from matplotlib.colors import to_hex
    from matplotlib.lines import Line2D
    from matplotlib.spines import Spine
    from matplotlib.text import Text

    for found in figure.findobj(lambda artist: isinstance(artist, (Text, Line2D))):
        if isinstance(found, (Text, Line2D)) and to_hex(found.get_color()) == "#000000":
            found.set_color(PAGE_INK)
    for spine in figure.findobj(Spine):
        spine.set_edgecolor(PAGE_INK)
    for ax in figure.axes:
        ax.tick_params(colors=PAGE_INK, which="both")

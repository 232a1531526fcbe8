"""``ToolNote``: one thing that a tool does with a file: it stops, goes on with something not meant, or is fine."""

from dataclasses import dataclass
from typing import Literal, final


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ToolNote:
    """What a tool does with one property of a file.

    Parameters
    ----------
    effect : {"stops", "silent", "fine"}
        It raises; it goes on and means something else; it does what is meant.
    text : str
        What it finds and does.
    """

    effect: Literal["stops", "silent", "fine"]
    text: str


def stops(text: str) -> ToolNote:
    """The tool raises."""
    return ToolNote(effect="stops", text=text)


def silent(text: str) -> ToolNote:
    """The tool goes on, with something else than was meant."""
    return ToolNote(effect="silent", text=text)


def fine(text: str) -> ToolNote:
    """The tool does what is meant."""
    return ToolNote(effect="fine", text=text)

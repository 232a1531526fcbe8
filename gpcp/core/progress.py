"""How a function that takes long reports to its caller how far it has come: a callback; the library prints nothing."""

from typing import Protocol


class OnProgress(Protocol):
    """Called again and again while something is done."""

    def __call__(self, n_done: int, n_total: int | None, /) -> None:
        """Take note of the progress.

        Parameters
        ----------
        n_done : int
            Cells, steps or whatever is counted, that are done by now.
        n_total : int or None
            All of them; None where it is not known how many there are.
        """
        ...


def no_progress(n_done: int, n_total: int | None, /) -> None:
    """Take no note."""
    del n_done, n_total

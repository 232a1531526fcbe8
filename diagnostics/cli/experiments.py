"""From ``--source`` and its options to the fields of an ``Experiment`` that say what its data are."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter

from diagnostics.cli.options import DATA, PAIRS, REGIMES, SourceOptions
from diagnostics.cli.values import POSITIVE
from diagnostics.runs.experiment import SCREEN, WORLD
from gpcp.core.errors import InputError, nearest
from gpcp.core.files import existing_file
from gpcp.opening.cells import scheme_and_place
from gpcp.opening.stamps import stamp_of
from gpcp.sources.h5ad.files.open_file import existing_cells

USUAL = f"{WORLD}:scale_free/20"
"""Where data come from that are not named."""

NGenes: TypeAlias = Annotated[
    int | None,
    POSITIVE,
    Parameter(name="--n-genes", group=DATA, help="of real cells: the N genes of largest variance (default 20)"),
]


Regime: TypeAlias = Annotated[
    str | None,
    Parameter(
        group=PAIRS,
        metavar="NAME",
        help="of a world: counterfactual, interventional (default) or matched; cells are always matched",
    ),
]


def is_world(source: SourceOptions) -> bool:
    """Whether pairs are of a world in its own units: graph and law are known."""
    return scheme_and_place(source.source or USUAL)[0] == WORLD and "library_size" not in source.given()


def is_screen(source: SourceOptions) -> bool:
    """Whether pairs are of a screen: perturbed cells with controls."""
    return scheme_and_place(source.source or USUAL)[0] == SCREEN


def world_of(source: SourceOptions, *, takes: tuple[str, ...] = (), n_genes: int | None = None) -> str:
    """The world of ``--source synthetic:WORLD``, ``scale_free/20`` by default.

    Parameters
    ----------
    source : SourceOptions
    takes : tuple of str
        The options of sources that have a meaning here.
    n_genes : int, optional
        Of ``--n-genes``, which has none.

    Raises
    ------
    InputError
        Another kind of source is named, or an option that has no meaning here.
    """
    if not is_world(source):
        raise InputError(f"--source {source.source}: a known world is needed, such as {USUAL}")
    if n_genes is not None:
        raise InputError("--n-genes is for real cells: a world names its number of genes, such as scale_free/20")
    for name in [*source.given(), *(["genes"] if source.genes else [])]:
        if name not in takes:
            raise InputError(f"--{name.replace('_', '-')} has no meaning for pairs of a world: leave it out")
    return scheme_and_place(source.source or USUAL)[1]


def world_fields(source: SourceOptions, *, takes: tuple[str, ...] = (), n_genes: int | None = None) -> dict[str, Any]:
    """``source``, ``options`` and ``stamp`` of an experiment on a world.

    Raises
    ------
    InputError
        As :func:`world_of`, or there is no such regulator-target table.
    """
    name = world_of(source, takes=takes, n_genes=n_genes)
    network: str | None = source.given().get("network")
    stamp = "" if network is None else _digest(existing_file(network, what="regulator-target table"))
    return {"source": f"{WORLD}:{name}", "options": tuple(sorted(source.given().items())), "stamp": stamp}


def cells_fields(
    source: SourceOptions, *, n_genes: int | None, regimes: Sequence[str | None], of_worlds: Mapping[str, object] = {}
) -> dict[str, Any]:
    """``source``, ``options``, ``stamp``, ``genes`` and ``n_genes`` of an experiment on cells.

    Parameters
    ----------
    source : SourceOptions
    n_genes : int or None
        Of ``--n-genes``.
    regimes : sequence of str or None
        Of ``--regime``: cells are always matched.
    of_worlds : mapping of str to object
        Other options that have a meaning for worlds alone, with what was given.

    Raises
    ------
    InputError
        There is no such file, its column of cell types is not named, or an option is given that has no meaning here.
    """
    for regime in regimes:
        if regime not in (None, *REGIMES):
            raise InputError(f"--regime is {regime!r}; {nearest(str(regime), REGIMES)}")
    given = {"--regime": any(regime not in (None, "matched") for regime in regimes), **of_worlds}
    scheme, place = scheme_and_place(source.source or USUAL)
    how = "what was done to each cell is in its file" if scheme == SCREEN else "cells are matched two by two"
    for flag in (flag for flag, value in given.items() if value):
        raise InputError(f"{flag} is for simulated worlds: leave it out; {how}")
    if scheme == SCREEN:
        existing_cells(place)
    if scheme == "h5ad":
        existing_cells(place)
        if "cell_type_key" not in source.given():
            raise InputError(
                "an AnnData file needs --cell-type-key, the column of obs with cell types: pairs are of one type"
            )
    if n_genes is not None and source.genes is not None:
        raise InputError("--n-genes chooses genes and --genes names them: give one of them")
    panel = "" if source.genes is None else _digest(existing_file(source.genes, what="file of genes"))
    return {
        "source": f"{scheme}:{place}",
        "options": tuple(sorted(source.given().items())),
        "stamp": stamp_of(f"{scheme}:{place}", **source.given()) + panel,
        "genes": source.genes,
        "n_genes": n_genes,
    }


def _digest(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()

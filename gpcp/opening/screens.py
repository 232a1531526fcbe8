"""``screen:FILE``: the perturbation screen in a file as pairs, some to train on and others to score."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gpcp.core.cells import CellSource
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairSource
from gpcp.opening.cells import COLUMNS, H5AD_OPTIONS, OPTIONS, SCHEMES, Option, Scheme, h5ad_arguments, shown_as
from gpcp.opening.pairs import OWN_PAIRS, OpenedPairs, PairOptions
from gpcp.panels.panel_file import read_genes
from gpcp.screens.h5ad_screen import H5adScreen
from gpcp.screens.splits import SPLITS, SplitBy

if TYPE_CHECKING:
    from anndata import AnnData  # pyright: ignore[reportMissingTypeStubs]  # typed, but not marked so

_OPTIONS = {
    "perturbation_key": Option(metavar="COLUMN", summary="column of obs with what was done (default: recognised)"),
    "control": Option(metavar="LABEL", many=True, summary="label that means control; repeat it for several"),
    "separator": Option(metavar="TEXT", summary="what joins the targets of a combination (default: recognised)"),
    "guide_key": Option(metavar="COLUMN", summary="column of obs with guides (default: recognised)"),
    "dose_key": Option(metavar="COLUMN", summary="column of obs with doses (default: recognised)"),
    "perturbation_kind": Option(metavar="KIND", summary="'knocked down', activated, 'knocked out', compound, ..."),
    "in_file": Option(summary="values stay in the file, for one larger than memory (default: above 4 GiB of them)"),
    "identity_only": Option(summary="models are given which perturbation it was, and no dose"),
    "hold_out_by": Option(metavar="WHAT", summary=f"what is new where it is scored: {', '.join(SPLITS)} (cells)"),
    "hold_out": Option(
        metavar="NAME", many=True, summary="perturbation, combination or context to hold out (default: a fifth, drawn)"
    ),
}


def open_screen(
    place: "str | AnnData",
    *,
    genes: Sequence[str] | str | None = None,
    match_on: Sequence[str] | None = None,
    perturbation_key: str | None = None,
    control: Sequence[str] | None = None,
    separator: str | None = None,
    guide_key: str | None = None,
    dose_key: str | None = None,
    perturbation_kind: str | None = None,
    identity_only: bool = False,
    in_file: bool | None = None,
    hold_out_by: str | None = None,
    hold_out: Sequence[str] = (),
    **options: Any,
) -> H5adScreen:
    """The screen in a file; the options of a split are for :func:`screen_pairs`.

    Raises
    ------
    InputError
        As :class:`gpcp.screens.h5ad_screen.H5adScreen`.
    """
    del hold_out_by, hold_out
    contexts = {key.removesuffix("_key"): options.pop(key) for key in COLUMNS if key in options}
    return H5adScreen(
        place,
        perturbation=perturbation_key,
        control=tuple(control) if control else None,
        separator=separator,
        guide=guide_key,
        dose=dose_key,
        kind=perturbation_kind,
        contexts=contexts,
        match_on=match_on,
        doses=not identity_only,
        in_memory=None if in_file is None else not in_file,
        genes=tuple(read_genes(genes)) if isinstance(genes, str) else genes,
        **h5ad_arguments(**options),
    )


def screen_pairs(
    place: str, pair_options: PairOptions, *, genes: Sequence[str] | str | None = None, **options: Any
) -> OpenedPairs:
    """The pairs of the screen in a file.

    Raises
    ------
    InputError
        As :func:`open_screen`, or something is asked that has no meaning for a screen.
    """
    for given, flag in (
        (pair_options.regime, "--regime"),
        (pair_options.n_perturbed, "--n-perturbed"),
        (pair_options.differ_on, "--differ-on"),
    ):
        if given:
            raise InputError(f"{flag} has no meaning for a screen, whose file says what was done to each cell")
    screen = open_screen(place, genes=genes, match_on=pair_options.match_on, **options)
    by, names = options.get("hold_out_by") or "cells", tuple(options.get("hold_out") or ())
    what = f"{screen.n_pairs:,} perturbed cells, {len(screen.perturbations)} perturbations"
    return OpenedPairs(
        pairs=screen,
        name=f"{shown_as(place)} ({what})",
        apart=partial(_apart, screen, by, names),
        provenance=screen.provenance,
    )


def _apart(screen: H5adScreen, by: SplitBy, names: Sequence[str], seed: int) -> tuple[PairSource, PairSource, str]:
    split = screen.split(by=by, names=names, seed=seed)
    return split.training, split.held_out, split.summary


def _cells(place: str, **options: Any) -> CellSource:
    return open_screen(place, **options).cells


OWN_PAIRS.register("screen")(screen_pairs)
SCHEMES.register("screen")(
    Scheme(
        summary="FILE, a perturbation screen in an AnnData file",
        cells=_cells,
        options=(*COLUMNS, *H5AD_OPTIONS, *_OPTIONS),
    )
)
for _name, _option in _OPTIONS.items():
    OPTIONS.register(_name)(_option)

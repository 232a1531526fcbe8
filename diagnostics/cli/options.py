"""Options that verbs share, each declared once, as frozen values that a request is composed of."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, final

from cyclopts import Group, Parameter

# Registers the scheme `synthetic:`.
import diagnostics.inputs.planted.spiked  # pyright: ignore[reportUnusedImport]
import diagnostics.inputs.synthetic  # noqa: F401  # pyright: ignore[reportUnusedImport]
from diagnostics.cli.values import FLAG, KINDS, MANY, POSITIVE, RANGE, SEEDS, WHOLE
from gpcp.core.errors import InputError, nearest
from gpcp.core.files import check_file, check_folder, write_json
from gpcp.opening.cells import OPTIONS, SCHEMES, source_options
from gpcp.opening.pairs import MAX_CELLS, OpenedPairs, PairOptions, open_pairs
from gpcp.pairing.rules import KEYS, PairRule

DATA = Group("Data", sort_key=1)
PAIRS = Group("Pairs", sort_key=20)
MODEL = Group("Model and training", sort_key=30)
RUNS = Group("Runs", sort_key=40)
OUTPUT = Group("Output", sort_key=50)

REGIMES = ("counterfactual", "interventional", "matched")

CommandLine: TypeAlias = Annotated[tuple[str, ...], Parameter(parse=False)]
"""What was typed; a verb takes it beside its request."""


def _source_options() -> type:
    """The dataclass of ``--source``, ``--genes`` and every option that a kind of source has registered."""
    kinds = "; ".join(f"{name}:{SCHEMES[name].summary}" for name in SCHEMES)
    about = {
        "source": Annotated[
            str | None, Parameter(group=DATA, metavar="KIND:PLACE", help=f"where the data come from: {kinds}")
        ],
        "genes": Annotated[
            str | None,
            Parameter(group=DATA, metavar="FILE", help="keep the genes of this panel, or of this list of ids"),
        ],
    }
    groups = {name: Group(f"{name} sources", sort_key=2 + place) for place, name in enumerate(SCHEMES)}
    for name in OPTIONS:
        option = OPTIONS[name]
        group = next((groups[scheme] for scheme in SCHEMES if name in SCHEMES[scheme].options), DATA)
        kind, bounds = KINDS[option.kind]
        shown = Parameter(group=group, help=option.summary, show_default=False)
        if not option.metavar:
            about[name] = Annotated[bool | None, FLAG, shown]
        elif option.many:
            about[name] = Annotated[tuple[kind, ...] | None, MANY, bounds, shown, Parameter(metavar=option.metavar)]
        else:
            about[name] = Annotated[kind | None, bounds, shown, Parameter(metavar=option.metavar)]
    body = {"__module__": __name__, "__annotations__": about, "given": source_options, **dict.fromkeys(about)}
    made = dataclass(frozen=True, kw_only=True, slots=True)(type("SourceOptions", (), body))
    return Parameter(name="*")(made)


if TYPE_CHECKING:

    @final
    @dataclass(frozen=True, kw_only=True, slots=True)
    class SourceOptions:
        """Where data come from, with the options that kinds of sources have registered as further fields.

        Parameters
        ----------
        source : str, optional
            ``KIND:PLACE``.
        genes : str, optional
            File of a panel, or of ids.
        """

        source: str | None = None
        genes: str | None = None

        def given(self) -> Mapping[str, Any]:
            """The further options that were given, as :func:`gpcp.opening.cells.open_cells` takes them."""
            ...

else:
    SourceOptions = _source_options()


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class PairChoice:
    """How cells become pairs, or which pairs a world makes."""

    regime: Annotated[
        str | None,
        Parameter(group=PAIRS, metavar="NAME", help=f"of a simulated world: {', '.join(REGIMES)} (interventional)"),
    ] = None
    n_perturbed: Annotated[
        tuple[int, int] | None,
        RANGE,
        Parameter(group=PAIRS, help="perturbed genes of a pair, N to M (default: 1 to all but one)"),
    ] = None
    match_on: Annotated[
        tuple[str, ...] | None,
        MANY,
        Parameter(
            group=PAIRS,
            metavar="NAME",
            help=f"what both cells share: {', '.join(KEYS)} (default cell_type, where it is known)",
        ),
    ] = None
    differ_on: Annotated[
        tuple[str, ...], MANY, Parameter(group=PAIRS, metavar="NAME", help="what they differ in, such as disease")
    ] = ()

    def options(self, *, max_cells: int | None) -> PairOptions:
        """As :func:`gpcp.opening.pairs.open_pairs` takes them.

        Raises
        ------
        InputError
            The regime is unknown, or the keys exclude each other.
        """
        if self.regime is not None and self.regime not in REGIMES:
            raise InputError(f"--regime is {self.regime!r}; {nearest(self.regime, REGIMES)}")
        PairRule(match_on=self.match_on or (), differ_on=self.differ_on)
        return PairOptions(
            regime=self.regime,
            n_perturbed=self.n_perturbed,
            match_on=self.match_on,
            differ_on=self.differ_on,
            max_cells=max_cells,
        )

    def given(self) -> list[str]:
        """Names of the options that were given."""
        names = ("regime", "n_perturbed", "match_on", "differ_on")
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name)]


@final
@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class OutputOptions:
    """Where results go, and what is shown meanwhile."""

    out: Annotated[
        Path | None, Parameter(group=OUTPUT, metavar="DIR", help="folder of results (default runs/VERB)")
    ] = None
    json: Annotated[
        Path | None, Parameter(group=OUTPUT, metavar="FILE", help="write everything that was measured to this file too")
    ] = None
    quiet: Annotated[bool, FLAG, Parameter(group=OUTPUT, help="no progress; the result alone")] = False

    def folder(self, verb: str) -> Path:
        """The folder of results, ``runs/VERB`` by default, checked together with the JSON file.

        Raises
        ------
        InputError
            Nothing can be written there.
        """
        folder = Path("runs") / verb if self.out is None else self.out
        check_folder(folder)
        check_file(self.json, "--json")
        return folder

    @contextmanager
    def taken(self, verb: str) -> Generator[Path]:
        """The folder of results, kept to this process: two that do the same work do it twice.

        Raises
        ------
        InputError
            As :meth:`folder`, or another process has it.
        """
        from diagnostics.runs.lock import alone

        folder = self.folder(verb)
        with alone(folder / ".gpcp.lock", what=f"--out: {folder}"):
            yield folder

    def keep(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write results as JSON to a file in the folder of results, and to ``--json`` where it was given."""
        for file in (path, self.json):
            if file is not None:
                write_json(file, content)


MaxCells: TypeAlias = Annotated[int, POSITIVE, Parameter(group=DATA, help=f"cells to read (default {MAX_CELLS:,})")]
Seed: TypeAlias = Annotated[int, WHOLE, Parameter(group=RUNS, help="decides every draw")]
Seeds: TypeAlias = Annotated[
    tuple[int, ...], SEEDS, Parameter(group=RUNS, help="N for the seeds 0 to N-1, A-B, or the seeds themselves")
]
Workers: TypeAlias = Annotated[
    int | None, POSITIVE, Parameter(group=RUNS, help="processes that share the work (default: one for each core)")
]
Scheduler: TypeAlias = Annotated[
    str | None,
    Parameter(group=RUNS, metavar="ADDRESS", help="of a Dask cluster that does the work instead (gpcp[cluster])"),
]
Fresh: TypeAlias = Annotated[
    bool,
    Parameter(
        group=RUNS, negative="--resume", show_default=False, help="do all anew (default: --resume what is finished)"
    ),
]
Preset: TypeAlias = Annotated[str, Parameter(group=MODEL, metavar="NAME", help="default, mixing, seed, ...")]
Steps: TypeAlias = Annotated[int | None, POSITIVE, Parameter(group=MODEL, help="training steps")]
BatchSize: TypeAlias = Annotated[int | None, POSITIVE, Parameter(group=MODEL, help="pairs a step")]
LearningRate: TypeAlias = Annotated[float | None, Parameter(group=MODEL, metavar="RATE", help="learning rate")]
Settings: TypeAlias = Annotated[
    tuple[str, ...],
    MANY,
    Parameter(
        name="--set",
        group=MODEL,
        metavar="NAME=VALUE",
        help="a field of ModelConfig or FitConfig, such as skip=false or dropout=0.1",
    ),
]


def pairs_asked(source: SourceOptions, pairs: PairChoice, *, max_cells: int | None, seed: int) -> OpenedPairs:
    """The pairs of ``--source``: of a world by its regime, or of cells matched two by two.

    Parameters
    ----------
    source : SourceOptions
    pairs : PairChoice
    max_cells : int or None
        Cells to read once and keep; None keeps none, so that every pass reads the source itself.
    seed : int
        Which cells are read, where there are more.

    Raises
    ------
    InputError
        No source is named; as the source itself; or an option is given that has no meaning for it.
    """
    return open_pairs(
        named(source), pairs.options(max_cells=max_cells), genes=source.genes, seed=seed, **source.given()
    )


def named(source: SourceOptions) -> str:
    """The text of ``--source``.

    Raises
    ------
    InputError
        It was not given.
    """
    if source.source is None:
        raise InputError("--source is missing: name where the data come from, such as --source synthetic:scale_free/20")
    return source.source


def n_workers(asked: int | None) -> int:
    """The number of ``--workers``: one for each core where it was not given."""
    return asked or os.cpu_count() or 1

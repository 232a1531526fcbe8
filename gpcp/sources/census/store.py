"""Opens a Census, a release on S3 or a copy on a disk, and finds where its values lie.

Nothing here waits for minutes: whether the releases can be reached is asked first, with a limit, since
cellxgene-census itself has none. An error is one line that names where else cells may come from.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from gpcp.core.errors import InputError, nearest
from gpcp.imports import need

CENSUS_VERSION = "2025-11-08"
"""The release that was looked at when this was written; ``"stable"`` and ``"latest"`` move."""

RELEASES_URL = "https://census.cellxgene.cziscience.com/cellxgene-census/v1/release.json"
"""Where cellxgene-census looks up which releases there are."""

CONNECT_S = 10.0
"""Seconds to wait for an answer before saying that there is no network."""

MEASUREMENT = "RNA"

TILEDB_CONFIG: Mapping[str, str | float] = {
    "vfs.s3.connect_timeout_ms": str(int(1000 * CONNECT_S)),
    "vfs.s3.connect_max_tries": "2",
    # TileDB 2.28 to 2.30 (tiledbsoma 1.17 to 2.3) frees memory too early where it merges the tiles of a sparse array
    # beforehand, and any read of a Census may then abort (TileDB-Inc/TileDB#5723). To be dropped when the oldest
    # tiledbsoma of the extra ``census`` brings a TileDB with that mended.
    "sm.query.sparse_global_order.preprocess_tile_merge": "0",
}
"""TileDB's settings wherever a Census is read or written."""


class UnreachableError(InputError):
    """A Census that is not to be had now, though what was asked for may well exist: there is no network."""


def soma_context() -> Any:
    """The context with which every store is opened: cellxgene-census's own, and :data:`TILEDB_CONFIG`."""
    import cellxgene_census

    return cellxgene_census.get_default_soma_context(tiledb_config=dict(TILEDB_CONFIG))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ValuesPlace:
    """Where the values of an organism lie: enough to open them again, in another process too.

    Parameters
    ----------
    uri : str
        Of the organism's experiment.
    layer : str
        Of ``X``.
    timestamp_ms : int
        The state of the store that is read, whatever is written to it later.
    config : mapping of str to str or float
        TileDB's own.
    """

    uri: str
    layer: str
    timestamp_ms: int
    config: Mapping[str, str | float]

    @classmethod
    def of(cls, experiment: Any, layer: str) -> "ValuesPlace":
        """That of an open experiment."""
        config = dict(cast("Mapping[str, str | float]", experiment.context.tiledb_config))
        return cls(uri=experiment.uri, layer=layer, timestamp_ms=experiment.tiledb_timestamp_ms, config=config)

    @property
    def state(self) -> str:
        """What changes whenever the values of a store on a disk are written; empty for one elsewhere.

        TileDB never rewrites a file: every writing adds or removes fragments, whose names hold a time and a random
        number. Names and sizes say it all, and a copy of the store has the same ones. Releases on S3 are never written
        again.
        """
        folder = Path(self.uri.removeprefix("file://"), "ms", MEASUREMENT, "X", self.layer)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        about = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files]
        return blake2b(repr(about).encode(), digest_size=8).hexdigest() if about else ""


@contextmanager
def opened_census(census_version: str | None, uri: str | Path | None) -> Generator[Any, None, None]:
    """Open a Census for the length of a ``with`` block.

    Parameters
    ----------
    census_version : str, optional
        A release on S3, by date or as ``"stable"`` or ``"latest"``.
    uri : str or Path, optional
        Instead of it: a folder, or an address such as ``s3://...``.

    Raises
    ------
    InputError
        The extra ``census`` is not installed, not exactly one of the two is given, the release or the folder does not
        exist (the message names the nearest), or what lies there is no Census.
    UnreachableError
        The network does not answer; it is an InputError, too.
    """
    need("tiledbsoma", "cellxgene_census", "tiledbsoma_ml", extra="census", use="a Census")
    if (census_version is None) == (uri is None):
        raise InputError(
            f"give either census_version=, such as {CENSUS_VERSION!r}, or uri= of a local copy, and not both"
        )
    if census_version is not None:
        _check_release(census_version)
    elif "://" not in str(uri):
        _check_folder(str(uri))
    census = _opened(census_version, None if uri is None else str(uri))
    with readable(str(uri or census_version)), census:
        for part in ("census_info", "census_data"):
            if part not in census:
                raise InputError(f"{str(uri or census_version)!r} is no Census: it has no {part!r}")
        yield census


@contextmanager
def readable(name: str) -> Generator[None, None, None]:
    """Say in one line that a Census could not be read: it is damaged, or the network went.

    Raises
    ------
    InputError
        TileDB failed within the block.
    """
    import tiledbsoma

    try:
        yield
    except tiledbsoma.SOMAError as error:
        raise InputError(f"Census {name} cannot be read: {_one_line(error)}") from error


def _opened(census_version: str | None, uri: str | None) -> Any:
    """The collection, open, with errors in one line."""
    import cellxgene_census
    import tiledbsoma

    # What open_soma returns is a collection of anything, and a part of its type is unknown to pyright.
    open_soma = cast("Any", cellxgene_census.open_soma)  # pyright: ignore[reportUnknownMemberType]
    try:
        return open_soma(census_version=census_version, uri=uri, context=soma_context())
    except (tiledbsoma.DoesNotExistError, TypeError) as error:
        raise InputError(f"{(uri or census_version)!r} is no Census: {_one_line(error)}") from None
    except (tiledbsoma.SOMAError, OSError, ValueError) as error:
        raise _unreachable(f"Census {uri or census_version}", error) from None


def _check_folder(uri: str) -> None:
    """Refuse a folder that does not exist, naming the nearest."""
    folder = Path(uri)
    if folder.is_dir():
        return
    if folder.exists():
        raise InputError(f"Census {uri!r} is a file: a Census is a folder")
    known = folder.parent
    while not known.is_dir():
        known = known.parent
    missing = folder.relative_to(known).parts[0]
    below = sorted(entry.name for entry in known.iterdir() if entry.is_dir())
    raise InputError(f"there is no Census {uri!r}: {str(known)!r} has no folder {missing!r}; {nearest(missing, below)}")


def _check_release(census_version: str) -> None:
    """Refuse a release that does not exist, or any where the list of releases cannot be had."""
    from urllib.request import build_opener

    try:
        # An opener of its own, since urlopen keeps the proxies of its first call.
        with build_opener().open(RELEASES_URL, timeout=CONNECT_S) as answer:
            releases = cast("dict[str, object]", json.load(answer))
    except (OSError, ValueError) as error:
        raise _unreachable(f"the list of Census releases ({RELEASES_URL})", error) from None
    if census_version not in releases:
        raise InputError(f"there is no Census release {census_version!r}; {nearest(census_version, releases)}")


def _unreachable(what: str, error: Exception) -> UnreachableError:
    """What to do without network, in one line."""
    return UnreachableError(
        f"{what} cannot be reached ({_one_line(error)}): check the network, or read a copy on your disk with uri= "
        "(aws s3 sync --no-sign-request s3://cellxgene-census-public-us-west-2/cell-census/"
        f"{CENSUS_VERSION}/soma/ FOLDER fetches all of it), or a small one of simulated cells "
        "(simulators.census.embedded)"
    )


def _one_line(error: Exception) -> str:
    one_line = " ".join(str(error).split()) or type(error).__name__
    return one_line if len(one_line) <= 160 else f"{one_line[:160]} ..."


def experiment_of(census: Any, organism: str) -> Any:
    """The experiment of an organism, ``"homo_sapiens"`` or ``"Homo sapiens"``.

    Raises
    ------
    InputError
        The Census has no such organism (the message names those it has), or no RNA of it.
    """
    name = organism.strip().lower().replace(" ", "_")
    known = [str(key) for key in census["census_data"]]
    if name not in known:
        raise InputError(f"the Census has no organism {organism!r}; {nearest(name, known)}")
    experiment = census["census_data"][name]
    if MEASUREMENT not in experiment.ms:
        raise InputError(f"the Census has no measurement {MEASUREMENT!r} of {name!r}")
    return experiment


def built_on(census: Any) -> str:
    """The day on which the Census was built, or nothing where it does not say."""
    if "summary" not in census["census_info"]:
        return ""
    table = census["census_info"]["summary"].read(column_names=["label", "value"]).concat().to_pydict()
    value_of = dict(zip(table["label"], table["value"], strict=True))
    return str(value_of.get("census_build_date") or "")


def presence(
    census: Any, experiment: Any, dataset_S: NDArray[np.str_], var_id_G: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which genes each dataset measured, bool (S, G), from the feature-dataset presence matrix.

    Raises
    ------
    InputError
        The Census lacks the matrix, or does not know a dataset of its own cells.
    """
    measurement = experiment.ms[MEASUREMENT]
    if "feature_dataset_presence_matrix" not in measurement:
        raise InputError("the Census has no feature_dataset_presence_matrix: what its datasets measured is not known")
    table = census["census_info"]["datasets"].read(column_names=["soma_joinid", "dataset_id"]).concat().to_pydict()
    row_of = dict(zip(table["dataset_id"], table["soma_joinid"], strict=True))
    lacking = [name for name in dataset_S.tolist() if name not in row_of]
    if lacking:
        raise InputError(f"cells of dataset {lacking[0]!r} have no row in census_info/datasets: the Census is damaged")
    row_S = np.array([row_of[name] for name in dataset_S.tolist()], dtype=np.int64)
    return _present(measurement["feature_dataset_presence_matrix"], row_S, var_id_G)


def _present(matrix: Any, row_S: NDArray[np.int64], var_id_G: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Some rows and columns of the presence matrix, in the order asked for."""
    place_S = np.full(int(row_S.max()) + 1, -1, dtype=np.int64)
    place_S[row_S] = np.arange(len(row_S))
    place_G = np.full(max(int(matrix.shape[1]), int(var_id_G.max()) + 1), -1, dtype=np.int64)
    place_G[var_id_G] = np.arange(len(var_id_G))
    measured_SG = np.zeros((len(row_S), len(var_id_G)), dtype=np.bool_)
    for table in matrix.read((np.sort(row_S), slice(None))).tables():
        dataset = place_S[table["soma_dim_0"].to_numpy()]
        gene = place_G[table["soma_dim_1"].to_numpy()]
        wanted = (gene >= 0) & (table["soma_data"].to_numpy() != 0)
        measured_SG[dataset[wanted], gene[wanted]] = True
    return measured_SG


def genes_of(experiment: Any) -> tuple[NDArray[np.int64], Sequence[str]]:
    """The joinid and the Ensembl id of every gene, in the order of joinids."""
    var = experiment.ms[MEASUREMENT].var
    table = var.read(column_names=["soma_joinid", "feature_id"]).concat().sort_by("soma_joinid")
    return table["soma_joinid"].to_numpy().astype(np.int64), cast("list[str]", table["feature_id"].to_pylist())

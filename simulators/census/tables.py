"""Layout of a Census: the columns of its tables with their encodings, and the tiles of its matrices on disk.

As in schema 2.4.0 of the CELLxGENE Census, whose texts are dictionary-encoded in ``obs`` but for
``observation_joinid``; a term of an ontology that is not known here is "unknown".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = "2.4.0"
UNKNOWN = "unknown"

COLUMN_OF: Mapping[str, str] = {
    "cell_type": "cell_type",
    "dataset": "dataset_id",
    "assay": "assay",
    "donor": "donor_id",
    "tissue": "tissue",
    "disease": "disease",
}
"""The column of obs that holds each covariate."""

DEFAULT_LABEL: Mapping[str, str] = {
    "dataset_id": "dataset_0",
    "assay": "10x 3' v3",
    "cell_type": UNKNOWN,
    "development_stage": UNKNOWN,
    "disease": "normal",
    "donor_id": UNKNOWN,
    "self_reported_ethnicity": UNKNOWN,
    "sex": UNKNOWN,
    "suspension_type": "cell",
    "tissue": UNKNOWN,
    "tissue_type": "tissue",
    "tissue_general": UNKNOWN,
}
"""The texts of obs, each with what cells get that say nothing else."""

TERM_ID: Mapping[str, Mapping[str, str]] = {
    "assay": {
        "10x 3' v2": "EFO:0009899",
        "10x 3' v3": "EFO:0009922",
        "10x 3' v4": "EFO:0022604",
        "10x 5' v1": "EFO:0011025",
        "10x 5' v2": "EFO:0009900",
        "10x 5' v3": "EFO:0022605",
        "Smart-seq": "EFO:0008930",
        "Smart-seq2": "EFO:0008931",
        "Smart-seq3": "EFO:0022488",
        "Smart-seq v4": "EFO:0700016",
    },
    "cell_type": {},
    "development_stage": {},
    "disease": {"normal": "PATO:0000461", "COVID-19": "MONDO:0100096"},
    "self_reported_ethnicity": {},
    "sex": {"female": "PATO:0000383", "male": "PATO:0000384"},
    "tissue": {"blood": "UBERON:0000178", "lung": "UBERON:0002048", "liver": "UBERON:0002107"},
    "tissue_general": {"blood": "UBERON:0000178", "lung": "UBERON:0002048", "liver": "UBERON:0002107"},
}
"""The columns that have an ontology id beside them, with the ids of the commonest labels."""

SPECIES: Mapping[str, str] = {"homo_sapiens": "NCBITaxon:9606", "mus_musculus": "NCBITaxon:10090"}

COUNTED_BY = ("cell_type", "assay", "tissue", "tissue_general", "disease", "self_reported_ethnicity", "sex")
"""Columns of obs by which ``summary_cell_counts`` counts, and ``suspension_type``, which has no ontology."""

_ZSTD = {"_type": "ZstdFilter", "level": 5}
X_ON_DISK: Mapping[str, Any] = {
    "tiledb": {
        "create": {
            "capacity": 65_536,
            "dims": {
                "soma_dim_0": {"tile": 2048, "filters": [_ZSTD]},
                "soma_dim_1": {"tile": 2048, "filters": ["ByteShuffleFilter", _ZSTD]},
            },
            "attrs": {"soma_data": {"filters": ["ByteShuffleFilter", _ZSTD]}},
            "cell_order": "row-major",
            "tile_order": "row-major",
            "allows_duplicates": True,
        }
    }
}
"""Tiles, capacity and filters of a matrix of the Census."""


def arrow() -> Any:
    """The module pyarrow, which comes without types."""
    import pyarrow  # pyright: ignore[reportMissingTypeStubs]

    return pyarrow


def label_columns(name_of: Mapping[str, Sequence[str]], code_of: Mapping[str, NDArray[np.int32]]) -> dict[str, Any]:
    """The texts of obs as dictionary arrays, each followed by its ontology id where there is one.

    Parameters
    ----------
    name_of, code_of : mappings from a column of :data:`DEFAULT_LABEL`
        Its names, and each cell's position among them.
    """
    pa = arrow()

    columns: dict[str, Any] = {}
    for column, names in name_of.items():
        codes = pa.array(code_of[column])
        columns[column] = pa.DictionaryArray.from_arrays(codes, pa.array(list(names), pa.large_string()))
        if column in TERM_ID:
            terms = [TERM_ID[column].get(name, UNKNOWN) for name in names]
            # A term that several names share may stand in the dictionary only once.
            known, place = np.unique(np.array(terms, dtype=np.str_), return_inverse=True)
            codes = pa.array(place.astype(np.int32)[code_of[column]])
            columns[f"{column}_ontology_term_id"] = pa.DictionaryArray.from_arrays(
                codes, pa.array(known.tolist(), pa.large_string())
            )
    return columns


def table(columns: Mapping[str, Any]) -> Any:
    """A pyarrow.Table with ``soma_joinid`` from 0 before its columns; lists of str become large strings."""
    pa = arrow()

    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        is_text = isinstance(values, (list, tuple))
        arrays[name] = pa.array(values, pa.large_string()) if is_text else values
    n_rows = len(next(iter(arrays.values())))
    return pa.table({"soma_joinid": pa.array(np.arange(n_rows, dtype=np.int64)), **arrays})


def info_tables(
    *, organism: str, obs: Any, datasets: Sequence[str], size_S: NDArray[np.int64], source: str, built: str
) -> dict[str, Any]:
    """The tables of ``census_info``.

    Parameters
    ----------
    organism : str
        Such as ``homo_sapiens``.
    obs : pyarrow.Table
    datasets, size_S
        Names and numbers of cells of the datasets, in the order of their joinids.
    source : str
        Where the cells come from, in words; it stands as every dataset's citation.
    built : str
        ISO date.
    """
    label = organism.replace("_", " ").capitalize()
    primary_B: NDArray[np.bool_] = obs["is_primary_data"].to_numpy()
    donors: set[tuple[str, str]] = {*zip(obs["dataset_id"].to_pylist(), obs["donor_id"].to_pylist(), strict=True)}
    n_datasets = len(datasets)
    summary = {
        "census_schema_version": SCHEMA_VERSION,
        "census_build_date": built,
        "dataset_schema_version": "7.0.0",
        "total_cell_count": str(len(primary_B)),
        "unique_cell_count": str(int(primary_B.sum())),
        f"number_donors_{organism}": str(len(donors)),
    }
    return {
        "summary": table({"label": list(summary), "value": list(summary.values())}),
        "datasets": table(
            {
                "citation": [source] * n_datasets,
                "collection_id": ["gpcp"] * n_datasets,
                "collection_name": ["gpcp"] * n_datasets,
                "collection_doi": [""] * n_datasets,
                "collection_doi_label": [""] * n_datasets,
                "dataset_id": list(datasets),
                "dataset_version_id": list(datasets),
                "dataset_title": list(datasets),
                "dataset_h5ad_path": [f"{name}.h5ad" for name in datasets],
                "dataset_total_cell_count": size_S,
            }
        ),
        "summary_cell_counts": _cell_counts(label, obs, primary_B),
        "organisms": table(
            {
                "organism_ontology_term_id": [SPECIES.get(organism, UNKNOWN)],
                "organism_label": [label],
                "organism": [organism],
            }
        ),
    }


def _cell_counts(organism: str, obs: Any, primary_B: NDArray[np.bool_]) -> Any:
    """Cells by each label of each category, all of them first."""
    rows: list[tuple[str, str, str, int, int]] = [("all", "na", "na", len(primary_B), int(primary_B.sum()))]
    for category in (*COUNTED_BY, "suspension_type"):
        names = np.array(obs[category].to_pylist(), dtype=np.str_)
        known, code_B = np.unique(names, return_inverse=True)
        total, unique = np.bincount(code_B), np.bincount(code_B, weights=primary_B)
        for name, n, n_unique in zip(known.tolist(), total.tolist(), unique.tolist(), strict=True):
            term = TERM_ID[category].get(name, UNKNOWN) if category in TERM_ID else "na"
            rows.append((category, name, term, n, int(n_unique)))
    categories, labels, terms, total, unique = zip(*rows, strict=True)
    return table(
        {
            "organism": [organism] * len(rows),
            "category": categories,
            "label": labels,
            "ontology_term_id": terms,
            "total_cell_count": np.array(total, dtype=np.int64),
            "unique_cell_count": np.array(unique, dtype=np.int64),
        }
    )

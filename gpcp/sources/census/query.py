"""Queries to a Census: filters that are checked before they are used, and the table of the cells that meet them.

A Census gives no cell for a category that it does not know, and no error. Here every category is looked up among
those of its column, also within a filter in SOMA's own language, and a query without a cell is an error.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from gpcp.core.errors import InputError, nearest
from gpcp.sources.index import Labels

Wanted: TypeAlias = "str | Sequence[str] | None"
"""One category, several, or all."""

FILTERS: Mapping[str, str] = {
    "tissue": "tissue",
    "tissue_general": "tissue_general",
    "cell_type": "cell_type",
    "disease": "disease",
    "assay": "assay",
    "dataset": "dataset_id",
}
"""Filters by name, with their columns of ``obs``."""

JOINT = " || "
"""Between the categories of a cell that has several, such as two diseases."""


def categories(obs: Any, column: str) -> list[str]:
    """The values of a column of text: its dictionary where it has one, since that costs next to nothing."""
    if _has_dictionary(obs.schema.field(column).type):
        return [str(value) for value in obs.get_enumeration_values([column])[column].to_pylist()]
    found: set[str] = set()
    for table in obs.read(column_names=[column]):
        found.update(str(value) for value in table[column].unique().to_pylist())
    return sorted(found)


def conditions(
    obs: Any, wanted: Mapping[str, Wanted], *, is_primary_data: bool | None, value_filter: str | None
) -> tuple[dict[str, str], list[str]]:
    """Each filter as a condition in SOMA's language, by name, and remarks on what it leaves out.

    Parameters
    ----------
    obs : DataFrame
        Open.
    wanted : mapping
        By the names of :data:`FILTERS`.
    is_primary_data : bool, optional
        None takes primary cells and their repetitions.
    value_filter : str, optional
        In SOMA's language, for whatever else is in ``obs``.

    Raises
    ------
    InputError
        A category, a column or a filter does not exist, or ``value_filter`` is not in that language.
    """
    found: dict[str, str] = {}
    summary: list[str] = []
    for name, choice in wanted.items():
        if choice is None:
            continue
        values = [choice] if isinstance(choice, str) else list(dict.fromkeys(choice))
        if not values:
            raise InputError(f"{name}= names no category: leave it out to take all")
        known = _checked(obs, name, FILTERS[name], values)
        more = [one for one in known if JOINT in one and one not in values and set(one.split(JOINT)) & set(values)]
        if more:
            summary.append(f"{name} is exactly that, which leaves out {', '.join(map(repr, more[:3]))}{_more(more)}")
        found[name] = _is_any(FILTERS[name], values)
    if is_primary_data is not None:
        _check_column(obs, "is_primary_data")
        found["is_primary_data"] = f"is_primary_data == {bool(is_primary_data)}"
    if value_filter is not None:
        _check_value_filter(obs, value_filter)
        found["value_filter"] = value_filter
    return found, summary


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 3} more" if len(names) > 3 else ""


def _is_any(column: str, values: Sequence[str]) -> str:
    # SOMA reads a condition as Python's own parser does, so Python's quotes are right whatever the text.
    return f"{column} == {values[0]!r}" if len(values) == 1 else f"{column} in {list(values)!r}"


def _check_column(obs: Any, column: str) -> None:
    if column not in obs.schema.names:
        raise InputError(f"obs of the Census has no column {column!r}; {nearest(column, obs.schema.names)}")


def _checked(obs: Any, name: str, column: str, values: Sequence[str]) -> list[str]:
    """The categories of a column, after a look that all ``values`` are among them."""
    _check_column(obs, column)
    known = categories(obs, column)
    for value in values:
        if value in known:
            continue
        joint = [one for one in known if value in one.split(JOINT)]
        if joint:
            raise InputError(
                f"{name} {value!r} occurs only together with others: ask for {', '.join(map(repr, joint[:3]))}"
                f"{_more(joint)}"
            )
        if column == "tissue" and "tissue_general" in obs.schema.names and value in categories(obs, "tissue_general"):
            raise InputError(f"tissue {value!r} is not a tissue of the Census but a tissue_general: give it as that")
        raise InputError(f"{name} {value!r} is not in the Census; {nearest(value, known)}")
    return known


def _check_value_filter(obs: Any, value_filter: str) -> None:
    """Refuse what is no condition, names no column, or asks for a category that its column does not have."""
    try:
        tree = ast.parse(value_filter.strip(), mode="eval")
    except SyntaxError as error:
        raise InputError(f"value_filter {value_filter!r} cannot be read: {error.msg}") from None
    if not isinstance(tree.body, (ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp)):
        raise InputError(f"value_filter {value_filter!r} is no condition on cells: compare a column, as in 'nnz > 500'")
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in calls | {"attr", "val"}:
            if node.id not in obs.schema.names:
                raise InputError(
                    f"value_filter {value_filter!r} names {node.id!r}, which is no column of obs "
                    f"({nearest(node.id, obs.schema.names)}); text needs quotes"
                )
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "attr":
            for argument in node.args:
                _check_column(obs, next(_texts(argument), ""))
        elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id in obs.schema.names:
            asked = [text for side in node.comparators for text in _texts(side)]
            # Text without a dictionary, such as a cell's own id, has too many values to look through.
            if asked and _has_dictionary(obs.schema.field(node.left.id).type):
                _checked(obs, node.left.id, node.left.id, asked)


def _has_dictionary(arrow_type: Any) -> bool:
    """Whether a column keeps each of its values once, and codes for the cells."""
    return hasattr(arrow_type, "index_type")


def _texts(side: ast.expr) -> Iterator[str]:
    """The texts of one side of a comparison: one, or those of a list."""
    for node in side.elts if isinstance(side, ast.List) else [side]:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def read_obs(obs: Any, found: Mapping[str, str], columns: Sequence[str]) -> Any:
    """The table of the cells that meet all conditions, in the order of joinids.

    Raises
    ------
    InputError
        No cell does (the message says how many each condition alone leaves), or SOMA refuses a condition.
    """
    import tiledbsoma

    try:
        cells = obs.read(column_names=list(columns), value_filter=all_of(found))
    except (tiledbsoma.SOMAError, KeyError, ValueError) as error:
        text = found.get("value_filter", all_of(found))
        # SOMA adds where in its own code it stumbled.
        why = " ".join(str(error).splitlines()[0].split())
        raise InputError(f"value_filter {text!r} is no condition on cells: {why}") from None
    table = cells.concat()
    if len(table):
        return table.sort_by("soma_joinid")
    alone = [f"{text}: {_count(obs, text):,}" for text in found.values()]
    raise InputError(
        f"no cell of the Census meets all of the filters; each alone leaves {'; '.join(alone)} of {obs.count:,} cells"
    )


def all_of(found: Mapping[str, str]) -> str | None:
    """All conditions as one, or None where there is none."""
    return " and ".join(f"({text})" for text in found.values()) or None


def _count(obs: Any, text: str) -> int:
    """Cells that meet one condition."""
    return sum(len(table) for table in obs.read(column_names=["soma_joinid"], value_filter=text))


def labels_of(column: Any) -> Labels:
    """A column of a table as labels: names sorted, only those that a cell has; no value is the empty text."""
    coded = column if _has_dictionary(column.type) else column.dictionary_encode()
    whole = coded.unify_dictionaries().combine_chunks()
    names = [str(name) for name in whole.dictionary.to_pylist()]
    code_N = whole.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)
    return Labels.coded(np.array([*names, ""], dtype=np.str_), code_N)

"""The field's words: retired words of the project's own are found in names, texts and comments, with what to say."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gpcp", "simulators", "diagnostics")

STREAMS = {
    "stream",
    "generator",
    "rng",
    "trial",
    "seed_of",
    "batches",
    "spawn",
    "invented",
    "case_of",
    "taken",
    "_words",
    "drawn",
}
"""Calls whose strings name a random stream: they decide the bytes, so they keep their words for ever."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retired:
    """A word that is no longer said.

    Parameters
    ----------
    pattern : str
        Regular expression, without case, over texts and over names with ``_`` and capitals split into words.
    instead : str
    names_only : bool
        Whether it is retired as the name of something, and an ordinary verb or noun in a sentence.
    only_in, not_in : tuple of str
        Folders or files in which it is retired, or in which it has its ordinary meaning.
    """

    pattern: str
    instead: str
    names_only: bool = False
    only_in: tuple[str, ...] = ()
    not_in: tuple[str, ...] = ()


LADDER = ("diagnostics/commands/ladder", "diagnostics/__main__.py")
"""Where the verb ``gpcp ladder`` and its rungs are meant."""

WORDS: tuple[Retired, ...] = (
    Retired(pattern=r"\b(un)?told\b|\btells?\b", instead="perturbed genes; given; distinguish"),
    Retired(pattern=r"\bhears?\b|\bheard\b", instead="the model reads, receives; the loss depends on"),
    # Reading files and reading ahead are reading: the noun is retired where graphs are read out of models.
    Retired(
        pattern=r"\breadings?\b(?! ahead| (of )?(a|the) (store|file|census|cells)| from| in)",
        instead="read-out",
        only_in=("diagnostics/graphs", "diagnostics/commands/recover_graph", "diagnostics/cli"),
    ),
    Retired(pattern=r"\bspeaks? for\b", instead="primary read-out"),
    Retired(pattern=r"\bstandings?\b", instead="Levels: reference losses"),
    Retired(pattern=r"\byardsticks?\b", instead="reference losses, baselines"),
    # "A message says that ..." is a sentence; a field, variable or method is a message or a summary.
    Retired(pattern=r"\bsa(ys|id)\b", instead="message, summary, text", names_only=True),
    Retired(pattern=r"\bkn(ows|owing|ew) nothing\b", instead="input-free baseline"),
    Retired(pattern=r"\bstatisticians?\b", instead="classical estimator"),
    Retired(pattern=r"\bby heart\b", instead="memorised, overfit"),
    Retired(pattern=r"\bcarried rank\b|\bhead (can )?carr(y|ies|ied)\b", instead="output rank"),
    Retired(pattern=r"\bsurpris(e|es|ed|ing)\b", instead="negative log-likelihood"),
    Retired(
        pattern=r"\brungs?\b|\bclimb(s|ed|ing)?\b", instead="learning-rate range test, grid, rate, step", not_in=LADDER
    ),
    # A share of something is a fraction; what a rank reads is its shard.
    Retired(pattern=r"\bshares?\b", instead="shard, sharding", names_only=True, only_in=("gpcp/loading",)),
    Retired(pattern=r"\bplaces\b", instead="paths, output locations, positions", names_only=True),
    Retired(pattern=r"\bwhole or not at all\b", instead="atomic"),
    Retired(pattern=r"\bdesk\b|\bwho waits\b", instead="pairing buffer"),
    # Elsewhere a pool is of processes, or an average over cells or genes.
    Retired(pattern=r"\bpools?\b", instead="pairing buffer", only_in=("gpcp/pairing",)),
    Retired(pattern=r"\badvisers?\b|\bwish(es)?\b", instead="recommendations, options"),
    Retired(pattern=r"\boffers?\b", instead="recommendations, options", names_only=True),
    # Signs on a plot and printed marks are marks; as a name it would be a threshold.
    Retired(pattern=r"\bmarks?\b|\baims?\b", instead="thresholds", names_only=True),
    Retired(pattern=r"\ba person sees\b", instead="progress, display"),
    Retired(pattern=r"\bdimension key\b", instead="nothing: letters are in gpcp.core, other axes have words"),
    # The checks' strings name random streams.
    Retired(
        pattern=r"\bladders?\b", instead="learning-rate range test, regimes", not_in=("diagnostics/checks", *LADDER)
    ),
)

NOT_YET: tuple[str, ...] = ()
"""Files whose text is still to be converted: only ever fewer."""


def texts(source: str) -> Iterator[tuple[int, str, bool]]:
    """Line, text and whether it is a name, of every name, text and comment; names of random streams apart."""
    tree = ast.parse(source)
    exempt = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _called(node) in STREAMS
        for argument in (*node.args, *(keyword.value for keyword in node.keywords))
        for part in ast.walk(argument)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        for name in _names(node):
            yield line, _split(name), True
        if id(node) in exempt:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield line, node.value, False
        elif isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield line, text, False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string, False


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _names(node: ast.AST) -> Iterator[str]:
    """Names that the project itself gives: defined or passed, not those of other libraries that are used."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr
    elif isinstance(node, ast.alias) and node.asname:
        yield node.asname


def _split(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name).strip()


def found_in(source: str, path: str) -> list[str]:
    """Every retired word of a Python file, with its line and what to say."""
    return [
        f"{path}:{line}: {match.group()!r} in {_around(text, match)!r}: say {word.instead}"
        for line, text, is_name in texts(source)
        for word in WORDS
        if _applies(word, path, is_name=is_name)
        for match in re.finditer(word.pattern, _one_line(text), re.IGNORECASE)
    ]


def _applies(word: Retired, path: str, *, is_name: bool) -> bool:
    inside = not word.only_in or _lies_in(path, word.only_in)
    return inside and not _lies_in(path, word.not_in) and (is_name or not word.names_only)


def _lies_in(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _around(text: str, match: "re.Match[str]") -> str:
    one = _one_line(text)
    return one[max(match.start() - 30, 0) : match.end() + 30]


def _files() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_no_retired_word_is_left_in_the_packages() -> None:
    found = [
        line for path in _files() if not _lies_in(path, NOT_YET) for line in found_in((ROOT / path).read_text(), path)
    ]
    assert not found, "\n" + "\n".join(found)


def test_no_retired_word_is_left_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text().replace("gpcp ladder", "gpcp")
    found = [
        f"README.md: {match.group()!r} in {_around(text, match)!r}: say {word.instead}"
        for word in WORDS
        if not word.names_only and not word.only_in
        for match in re.finditer(word.pattern, _one_line(text), re.IGNORECASE)
    ]
    assert not found, "\n" + "\n".join(found)


def test_no_retired_word_is_left_in_the_names_and_comments_of_tests() -> None:
    retired = re.compile(r"\bladders?\b|\brungs?\b|\bstatisticians?\b", re.IGNORECASE)
    found = [
        f"{path}:{line}: {text}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path != Path(__file__).resolve()
        for line, text, is_name in texts(path.read_text())
        if (is_name or "\n" in text or text.startswith("#") or text.endswith(".")) and retired.search(text)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "n_found"),
    [
        ('"""Genes told."""', 1),
        ("is_told = 1", 1),
        ("class ToldGenes: ...", 1),
        ("a = f'knowing {1} nothing, told {2}'", 1),
        ("# learnt by\n# heart", 0),
        ("# learnt by heart", 1),
        ('"""Learnt by\n    heart."""', 1),
        ('rng = stream(seed, "told")', 0),
        ('rng = probe.rng("told", 1)', 0),
        ('text = "the file says so"', 0),
        ("said = 1", 1),
        ("import pytest\npytest.mark.slow", 0),
        ("retold = untoldable = 1", 0),
    ],
)
def test_retired_words_are_found(source: str, n_found: int) -> None:
    assert len(found_in(source, "gpcp/core/any.py")) == n_found


def test_a_word_of_one_folder_is_free_elsewhere() -> None:
    assert found_in("pools = 1", "gpcp/pairing/buffer.py")
    assert not found_in("pools = 1", "diagnostics/runs/pool.py")
    assert not found_in("pools = 1", "gpcp/pairing_of.py")

"""Checks of names: labels that are spelt nearly alike, names of genes, and which targets are measured genes."""

import re
from collections import Counter

from diagnostics.audit.screens.check import failed, listed, not_applicable, passed, undecided
from diagnostics.audit.screens.screen import Screen
from diagnostics.audit.screens.spelling import Suspect, suspects
from diagnostics.results.check_result import CheckResult
from gpcp.core.genes import ENSEMBL_GENE, without_version

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"\d{{1,2}}-(?:{_MONTHS})|(?:{_MONTHS})-\d{{1,2}}|\d{{4}}-\d\d-\d\d(?: .*)?|\d{{1,2}}/\d{{1,2}}/\d{{2,4}}",
    re.IGNORECASE,
)
"""What a spreadsheet makes of MARCH1 or SEPT2."""

_MIXED = 0.05


def spelling(screen: Screen) -> CheckResult:
    """No two labels, and no label and gene, are one name in two spellings."""
    n_of: Counter[str] = Counter()
    for label, n in screen.n_of.items():
        for target in screen.targets_of[label]:
            n_of[target] += n
    found = suspects(n_of, screen.columns.controls, frozenset(screen.gene_G))
    if not found:
        message = f"none of {len(n_of):,} targets is spelt nearly as another, as a control or as a gene"
        return passed(message, statistic=0, tolerance=0, n=len(n_of))
    return failed(
        f"{len(found):,} names are spelt nearly as others: {listed([_shown(one) for one in found], 6)}",
        "rename the rarer of each pair, or leave it if they are two genes: a misspelt label is a perturbation of its "
        "own to every tool",
        statistic=len(found),
        tolerance=0,
        n=len(n_of),
    )


def _shown(one: Suspect) -> str:
    n = f"{one.n_cells:,} cells" if one.n_cells != 1 else "1 cell"
    return f"{one.name!r} ({n}) beside {one.what} {one.beside!r} ({one.why})"


def gene_names(screen: Screen) -> CheckResult:
    """Genes have names, each once, of one form, and none that a spreadsheet has changed."""
    names = [str(name) for name in screen.var.index]
    wrong: list[str] = []
    twice = [name for name, n in Counter(names).items() if n > 1]
    dates = [name for name in names if _DATE.fullmatch(name)]
    empty = sum(name.strip() == "" or name.lower() == "nan" for name in names)
    share = sum(bool(ENSEMBL_GENE.match(without_version(name))) for name in names) / max(1, len(names))
    wrong += [f"{len(twice):,} names occur twice ({listed(twice, 3)})"] if twice else []
    wrong += [f"{len(dates):,} are dates that a spreadsheet has made of genes ({listed(dates, 3)})"] if dates else []
    wrong += [f"{empty:,} are empty"] if empty else []
    wrong += [f"{share:.0%} are Ensembl ids, the others are not"] if _MIXED < share < 1 - _MIXED else []
    form = "Ensembl ids" if share > 0.5 else "symbols or other names"
    if not wrong:
        return passed(f"{len(names):,} genes, each named once, by {form}", statistic=0, tolerance=0, n=len(names))
    return failed(
        f"of {len(names):,} genes, " + "; ".join(wrong),
        "write var's index anew from the table of genes: a target is looked up by these names",
        statistic=len(twice) + len(dates) + empty + len(wrong),
        tolerance=0,
        n=len(names),
    )


def targets_measured(screen: Screen) -> CheckResult:
    """How many targets are measured genes, so that their own change can be seen."""
    every = {target for label in screen.n_of for target in screen.targets_of[label]}
    if not every:
        return not_applicable("there are no perturbations")
    if set(screen.kind_N[screen.perturbed_N].tolist()) == {"compound"}:
        return not_applicable("perturbations are compounds: no gene is their target by name")
    measured = sorted(every & set(screen.measured))
    if not measured:
        form = f"genes are named as {screen.gene_G[0]!r}, targets as {min(every)!r}"
        return undecided(f"none of {len(every):,} targets is a measured gene by name ({form})", n=len(every))
    message = f"{len(measured):,} of {len(every):,} targets are measured genes ({listed(measured)})"
    return passed(message, statistic=len(measured), tolerance=1, n=len(every))

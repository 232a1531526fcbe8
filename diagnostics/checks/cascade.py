"""The checks in their order, and one report of what they find.

A statistical check's ``p`` is always evidence *of a fault*: the probability of a statistic as bad as this one in a
healthy subject. Its failure counts only where Holm's correction over all statistical checks leaves it below
:data:`ALPHA`, so that a healthy subject alarms in at most that fraction of runs, however many checks there are.
"""

import inspect
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points

from diagnostics.checks.cures.tried import cures_tried
from diagnostics.checks.engine.cell_ids import too_few_cells
from diagnostics.checks.engine.check import ALPHA, CHECKS, FAMILIES, Check
from diagnostics.checks.engine.intent import NotExpressibleError
from diagnostics.checks.engine.probe import Probe
from diagnostics.checks.engine.subject import Subject
from diagnostics.checks.optimiser.phases import only_at_first
from diagnostics.checks.users_code import place_of
from diagnostics.results.check_result import CheckResult
from diagnostics.results.cure_result import CureResult, apart
from diagnostics.results.rendering import not_applying
from diagnostics.results.report import Report
from gpcp.core.errors import InputError, nearest

_FILES = {
    "data": (
        *("collation", "step_inputs", "passes", "contents", "pairs.missing", "pairs.beside", "pairs.cells"),
        *("gene_shares", "pairs.given", "pairs.labels", "held_out.held_out", "signal", "relations"),
    ),
    "loss": ("torch_functions", "loss", "hidden", "directions", "in_the_step", "set_floor"),
    "architecture": (
        *("inputs", "perturbation_inputs", "influence", "invariances", "paths", "frozen", "in_place", "outputs"),
        *("distinguishes_genes", "sets"),
    ),
    "optimiser": ("start", "wiring", "step_sizes", "made_anew", "after_epoch", "noise_scale", "width"),
    "learning": (
        *("learning_rate", "one_batch", "step_and_predict.at_prediction", "step_and_predict.as_asked", "learning"),
        *("own_run", "step_and_predict.best_weights"),
    ),
}
"""Files of each family, in the order in which their checks run."""

PLUGINS = "gpcp.checks"
"""Group of entry points whose modules register further checks when they are imported."""

OnCheck = Callable[[CheckResult], None]
Ignore = Mapping[str, str] | Sequence[str]


def all_checks() -> tuple[Check, ...]:
    """Every check in the order of the cascade: by family, then as they are written."""
    for family in FAMILIES:
        for name in _FILES[family]:
            import_module(f"diagnostics.checks.{family}.{name}")
    for plugin in entry_points(group=PLUGINS):
        plugin.load()
    files = [f"diagnostics.checks.{family}.{name}" for family in FAMILIES for name in _FILES[family]]

    def place(one: Check) -> tuple[int, int]:
        # By file, not by when it happened to be imported; a check from elsewhere comes last in its family.
        module = one.ask.__module__
        return FAMILIES.index(one.family), files.index(module) if module in files else len(files)

    return tuple(sorted(CHECKS, key=place))


def chosen(only: Sequence[str]) -> tuple[Check, ...]:
    """Some checks, by code, name, family or kind (``exact``, ``statistical``); all where nothing is named.

    Optional ones only by their code or name.

    Raises
    ------
    InputError
        A word names no check; the message gives the nearest.
    """
    known = all_checks()
    if not only:
        return tuple(check for check in known if not check.optional)
    for word in only:
        words = {name for check in known for name in _words(check)}
        if word not in words:
            raise InputError(f"no check, code, family or kind is named {word!r}; {nearest(word, sorted(words))}")
    return tuple(
        check
        for check in known
        if {check.code, check.name} & set(only) or (not check.optional and _words(check) & set(only))
    )


def _words(check: Check) -> set[str]:
    return {check.code, check.name, check.family, check.kind}


def ignored(asked: Ignore) -> Mapping[Check, str]:
    """The checks that are not to be asked, each with its reason.

    Parameters
    ----------
    asked : mapping or sequence of str
        Codes or names; a mapping gives the reason of each, ``"no reason given"`` otherwise. On the command line and in
        sequences a reason may follow an equals sign: ``"GP203=NaN cannot occur here"``.

    Raises
    ------
    InputError
        A word names no check, or a whole family or kind.
    """
    parts = asked.items() if isinstance(asked, Mapping) else [one.partition("=")[::2] for one in asked]
    found: dict[Check, str] = {}
    known = {name: check for check in all_checks() for name in (check.code, check.name)}
    for word, reason in parts:
        if word not in known:
            raise InputError(f"no check to ignore is named {word!r}; {nearest(word, sorted(known))}")
        found[known[word]] = reason or "no reason given"
    return found


def run_checks(
    probe: Probe, checks: Sequence[Check], *, ignore: Ignore = (), stop_early: bool = False,
    cures: bool = False, on_check: OnCheck | None = None,
) -> Report:  # fmt: skip
    """Run some checks on a subject in their order, correct for their number, and mark consequences.

    Parameters
    ----------
    probe : Probe
        Of the subject.
    checks : sequence of Check
        As :func:`chosen` gives them.
    ignore, stop_early, cures, on_check
        As in :func:`diagnostics.inputs.diagnose.diagnose`.
    """
    reasons = ignored(ignore)
    statistical = frozenset(check.name for check in checks if check.kind == "statistical")
    results: list[CheckResult] = []
    not_asked: set[str] = set()
    interrupted = False
    for one in checks:
        cause = next((found.name for found in results if _stands(found, statistical)), "") if stop_early else ""
        try:
            if one in reasons:
                not_asked.add(one.name)
                results.append(_not_asked(one, f"ignored: {reasons[one]}"))
            elif cause and one.family == "learning":
                not_asked.add(one.name)
                results.append(_not_asked(one, f"not asked, since {cause} fails already"))
            else:
                results.append(carried_out(one, probe))
            if on_check is not None:
                on_check(results[-1])
        except KeyboardInterrupt:
            interrupted = True
            break
    ordered = with_consequences(holm(results, statistical, n_more=len(not_asked & statistical)))
    tried: tuple[CureResult, ...] = ()
    try:
        tried = cures_tried(probe, ordered) if cures and not interrupted else ()
    except KeyboardInterrupt:
        interrupted = True
    taken_as = dict(probe.subject.taken_as)
    if taken_as.keys() - {"cells"} and (absent := not_applying(ordered)):
        taken_as["does not apply"] = absent
    return Report(
        results=in_measured_order(ordered, tried), world=probe.subject.name, seed=(probe.seed,),
        interrupted=interrupted, cures=tried, taken_as=taken_as,
    )  # fmt: skip


def _stands(found: CheckResult, statistical: frozenset[str]) -> bool:
    """Whether a failure stands whatever the other statistical checks say (Bonferroni)."""
    if found.outcome != "fail":
        return False
    return found.p is None or found.name not in statistical or found.p <= ALPHA / len(statistical)


def _not_asked(one: Check, why: str) -> CheckResult:
    skipped = CheckResult(outcome="not_applicable", message=why)
    return skipped.of(one.name, code=one.code, cause=one.cause, seconds=0.0)


def carried_out(one: Check, probe: Probe) -> CheckResult:
    """One check's result: not applicable where a part is missing, an error where it raised."""
    start_s = time.perf_counter()
    lacking = missing(one, probe.subject)
    if lacking:
        found = CheckResult(outcome="not_applicable", message=f"needs {' and '.join(lacking)}: not given")
        return found.of(one.name, code=one.code, cause=one.cause, seconds=time.perf_counter() - start_s)
    try:
        found = only_at_first(one, probe, one.ask(probe))
        if found.outcome == "fail" and one.cause == "data" and one.kind == "statistical":
            found = too_few_cells(probe) or found
    except NotExpressibleError as error:
        found = CheckResult(outcome="not_applicable", message=f"cannot be asked of this model: {error}")
    except Exception as error:
        if (place := place_of(error, but=inspect.getsourcefile(one.ask))) and _takes_its_own(probe):
            # It was called once before, and took what the loader gives: this question's altered values it does not.
            found = CheckResult(
                outcome="not_applicable",
                message=f"the code under {place} does not take what this question asks: {type(error).__name__}: "
                f"{' '.join(str(error).split())[:200]}",
            )
            return found.of(one.name, code=one.code, cause=one.cause, seconds=time.perf_counter() - start_s)
        # Whatever the subject's own code raises is shown, and the other checks go on.
        return CheckResult(
            name=one.name,
            code=one.code,
            outcome="error",
            message=f"the check could not be carried out: {type(error).__name__}: {' '.join(str(error).split())}",
            next_step="the traceback is in the JSON report; if the error is in your own code, it is the first thing "
            "to mend",
            cause="bug",
            seconds=time.perf_counter() - start_s,
            traceback=traceback.format_exc(),
        )
    return found.of(one.name, code=one.code, cause=one.cause, seconds=time.perf_counter() - start_s)


def _takes_its_own(probe: Probe) -> bool:
    """Whether the model and its step take pairs as the source gives them: what they refuse then was altered."""

    def taken(probe: Probe) -> bool:
        subject = probe.subject
        if subject.model is None or subject.pairs is None:
            return False
        try:
            probe.answer(probe.exact(probe.few)[0])
            if subject.training_step is not None:
                with probe.trial("takes its own") as (model, optimizer):
                    subject.step(model, optimizer, probe.few)
        except Exception:
            return False
        return True

    return probe.once("takes its own", taken)


def missing(one: Check, subject: Subject) -> tuple[str, ...]:
    """Parts that a check needs and a subject does not have."""
    return tuple(part for part in one.needs if not _has(subject, part))


def _has(subject: Subject, part: str) -> bool:
    if part == "pairs":
        return subject.pairs is not None
    if part == "model":
        return subject.model is not None
    if part == "loss":
        return subject.loss is not None
    # A training step of one's own needs no optimiser beside it: it holds its own.
    return subject.make_optimizer is not None or subject.training_step is not None


def holm(results: Sequence[CheckResult], statistical: frozenset[str], *, n_more: int = 0) -> list[CheckResult]:
    """Failures of statistical checks that Holm's step-down correction does not leave significant become inconclusive.

    The i-th smallest of m p-values (i from 0) stands where it and all smaller ones are at most ``ALPHA / (m - i)``
    (Holm 1979). ``n_more`` tests that were not made count as if they had found nothing.
    """
    tested = sorted(
        (place for place, one in enumerate(results) if one.name in statistical and one.p is not None),
        key=lambda place: results[place].p or 0.0,
    )
    significant: set[int] = set()
    for rank, place in enumerate(tested):
        if (results[place].p or 0.0) > ALPHA / (len(tested) + n_more - rank):
            break
        significant.add(place)
    return [
        replace(
            one,
            outcome="inconclusive",
            cause=None,
            message=f"{one.message} (p = {one.p:.2g} does not stand among {len(tested) + n_more} tests)",
        )
        if one.outcome == "fail" and place in tested and place not in significant
        else one
        for place, one in enumerate(results)
    ]


def with_consequences(results: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """Every failure but one is marked as a possible consequence of that one.

    It is the first in the order of the cascade that no other failure is known to explain.
    """
    failed = [one.name for one in results if one.outcome == "fail"]
    explained_by = {check.name: check.explained_by for check in CHECKS}
    first = next((name for name in failed if not set(explained_by.get(name, ())) & set(failed)), None)
    return tuple(
        replace(one, consequence_of=first) if first is not None and one.outcome == "fail" and one.name != first else one
        for one in results
    )


def in_measured_order(
    results: tuple[CheckResult, ...], cures: tuple[CureResult, ...]
) -> tuple[CheckResult, ...]:  # fmt: skip
    """The diagnosis is the failure whose cure gains most, where the intervals of the gains are apart.

    Not where the diagnosis is known to explain that failure, and not where no cure of the diagnosis was tried.
    """
    name = apart(results, cures)
    first = next((one.name for one in results if one.outcome == "fail" and not one.consequence_of), "")
    if name is None or any(check.name == name and first in check.explained_by for check in CHECKS):
        return results
    return tuple(
        replace(one, consequence_of="" if one.name == name else name) if one.outcome == "fail" else one
        for one in results
    )

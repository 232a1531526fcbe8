"""The verdict on outsiders' trainings: one report a case, and a line of each for whoever counts alarms.

``python -m tests.outside.judge healthy`` (``bugs``, ``data_faults``) judges every case; more words choose by name.
"""

import importlib
import json
import pkgutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from diagnostics import Intent, Report, diagnose
from tests.outside import case as cases
from tests.outside.case import Case, Parts


def judged(parts: Parts, *, stop_early: bool = True) -> Report:
    """What an outsider gets who hands in what he has, and says what he would say if asked."""
    intent = Intent(
        given=parts.told,
        set_size=parts.set_size,
        frozen=tuple(parts.intent.get("frozen", ())),
        unused=tuple(parts.intent.get("unused", ())),
        random=bool(parts.intent.get("random", False)),
    )
    return diagnose(
        parts.model,
        parts.loader,
        fields=parts.fields,
        predict=parts.predict,
        loss=parts.loss,
        optimizer=parts.optimizer,
        training_step=parts.training_step,
        on_epoch=parts.on_epoch,
        n_epochs=parts.n_epochs,
        targets=parts.intent.get("targets"),
        held_out=parts.held_out,
        intent=intent,
        stop_early=stop_early,
    )


def cases_of(kind: str) -> list[Case]:
    """Every case of a folder, in the order of the files."""
    folder = Path(__file__).parent / kind
    for module in sorted(one.name for one in pkgutil.iter_modules([str(folder)])):
        importlib.import_module(f"tests.outside.{kind}.{module}")
    return list(getattr(cases, kind.upper()))


def lines(chosen: list[Case]) -> Iterator[dict[str, object]]:
    """What the verdict is on each case."""
    for case in chosen:
        start_s = time.perf_counter()
        line: dict[str, object] = {"name": case.name, "bug": case.bug, "cause": case.cause, "line": case.line}
        try:
            report = judged(case.make())
        except Exception as error:
            yield line | {"crash": f"{type(error).__name__}: {error}"[:1500]}
            continue
        first = report.diagnosis
        yield line | {
            "alarm": first is not None,
            "diagnosis": None if first is None else f"{first.code} {first.name}",
            "found": None if first is None else first.cause,
            "message": "" if first is None else f"{first.message} -> {first.next_step}",
            "outcomes": {one.code: one.outcome for one in report.results},
            "also": [f"{one.code} {one.name}" for one in report.consequences],
            "errors": [f"{one.code} {one.name}: {one.message}" for one in report.results if one.outcome == "error"],
            "seconds": round(time.perf_counter() - start_s, 1),
        }


if __name__ == "__main__":
    words = sys.argv[2:]
    for found in lines([one for one in cases_of(sys.argv[1]) if not words or any(word in one.name for word in words)]):
        print(json.dumps(found), flush=True)

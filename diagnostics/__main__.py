"""``gpcp VERB``, or ``python -m diagnostics VERB``: one command with a verb for each question."""

import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from diagnostics.cli.signals import as_process

if TYPE_CHECKING:
    from cyclopts import App

_KEPT = "what was finished is kept, and the same command goes on"
_NOTHING = "nothing has been written"

_ASK = "Ask why a model does not learn"
_CHOOSE = "Choose settings, parts, amounts of data"
_DATA = "Look at data"
_USE = "Train a model, and use it"
_SELF = "Measure the tool itself"

VERBS: dict[str, tuple[str, str, str]] = {
    "diagnose": (_ASK, "why does a model not learn: data, optimiser, architecture or a bug?", _NOTHING),
    "recover-graph": (_ASK, "train on a known world, read its graph back, score both", _KEPT),
    "ladder": (_ASK, "is my data too poor, or is something wrong with my model? rung by rung", _KEPT),
    "sweep": (_CHOOSE, "short trainings over hyperparameters, and which are best", _KEPT),
    "compare": (_CHOOSE, "which heads, embeddings, query forms or mixings lose information", _KEPT),
    "learning-curve": (_CHOOSE, "would more data, a bigger model or longer training help?", _KEPT),
    "throughput": (_CHOOSE, "does input limit the training?", _NOTHING),
    "power": (_DATA, "the smallest effect that such cells can show, and how many cells it would take", _KEPT),
    "audit": (_DATA, "what differences between paired cells are made of", _NOTHING),
    "select-genes": (_DATA, "choose a panel of genes in one pass over a source", _NOTHING),
    "check-screen": (_DATA, "is the file of a perturbation screen sound, and what would a tool do with it?", _NOTHING),
    "make-screen": (_DATA, "simulate a Perturb-seq experiment on a known world, as an AnnData file", _NOTHING),
    "spike-screen": (_DATA, "plant a known graph into real cells, as the AnnData file of a screen", _NOTHING),
    "train": (_USE, "train a model on any source, by one process or several", _KEPT),
    "predict-screen": (_USE, "predict every perturbation in many cells, as an AnnData file", _KEPT),
    "evaluate": (_USE, "score predictions of a screen beside baselines, the replicate and the exact answer", _NOTHING),
    "audit-metrics": (_SELF, "what scores give to the truth, to copied noise and to no information", _KEPT),
    "selftest": (_SELF, "how often the checks are wrong, on planted faults and healthy models", _KEPT),
    "benchmark": (_SELF, "speed of simulators and input, and graph recovery by other methods", _NOTHING),
}
"""By name: the group and the line of ``gpcp --help``, and what Ctrl-C leaves behind."""

_WITHIN = dict.fromkeys(
    ("check-screen", "make-screen", "spike-screen", "predict-screen", "evaluate", "audit-metrics"), "screens"
)
"""The folder of ``diagnostics/commands`` in which a verb's own folder lies, where it lies in one."""


def app() -> "App":
    """The command with all verbs; the module of a verb is imported when it is asked for."""
    from cyclopts import App, Group

    import gpcp

    groups = {title: Group(title, sort_key=place) for place, title in enumerate((_ASK, _CHOOSE, _DATA, _USE, _SELF), 1)}
    made = App(
        name="gpcp",
        help="Why a model of perturbed cells does not learn: data, optimiser, architecture, or a bug.",
        help_format="plaintext",
        help_epilogue="gpcp VERB --help shows the options of a verb; without a verb it is diagnose.",
        version=f"gpcp {gpcp.__version__}",
    )
    for place, (name, (group, line, _)) in enumerate(VERBS.items()):
        folder = f"{_WITHIN[name]}.{name}" if name in _WITHIN else name
        path = f"diagnostics.commands.{folder.replace('-', '_')}.command:app"
        made.command(path, name=name, group=groups[group], help=line, sort_key=place)
    made.register_install_completion_command()  # pyright: ignore[reportUnknownMemberType]
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb that the arguments name, ``diagnose`` where they name none.

    Parameters
    ----------
    argv : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The verb's exit code; 2 for bad use or where results could not be written, 130 where it was interrupted.
    """
    from diagnostics.cli.app import BAD_USE, run
    from gpcp.core.errors import nearest

    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0].startswith("-") and given[0] not in ("-h", "--help", "--version", "--install-completion"):
        given.insert(0, "diagnose")
    if given and not given[0].startswith("-") and given[0] not in VERBS:
        print(f"gpcp: error: {given[0]!r} is no verb; {nearest(given[0], VERBS)}", file=sys.stderr)
        return BAD_USE
    return run(app(), given, interrupted=_left_behind(given))


def command(*before: str) -> NoReturn:
    """Be the process of :func:`main`: signals are answered before anything is imported that takes long.

    Parameters
    ----------
    *before : str
        What stands before the arguments of the process.
    """
    given = [*before, *sys.argv[1:]]
    verb = given[0] if given and given[0] in VERBS else ""

    def work() -> int:
        from diagnostics.cli.app import in_one_line

        warnings.formatwarning = in_one_line
        return main(given)

    as_process(work, farewell=f"{' '.join(['gpcp', verb]).strip()}: interrupted; {_left_behind(given)}")


def _left_behind(given: Sequence[str]) -> str:
    return VERBS[given[0]][2] if given and given[0] in VERBS else _NOTHING


if __name__ == "__main__":
    command()

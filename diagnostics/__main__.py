"""``gpcp VERB``, or ``python -m diagnostics VERB``: one command with a verb for each question."""

import sys
from collections.abc import Sequence

from cyclopts import App, Group

import gpcp
from diagnostics.cli.app import BAD_USE, run
from gpcp.core.errors import nearest

_KEPT = "what was finished is kept, and the same command goes on"
_NOTHING = "nothing has been written"

_ASK = Group("Ask why a model does not learn", sort_key=1)
_CHOOSE = Group("Choose settings, parts, amounts of data", sort_key=2)
_DATA = Group("Look at data", sort_key=3)
_SELF = Group("Measure the tool itself", sort_key=4)

VERBS: dict[str, tuple[Group, str, str]] = {
    "diagnose": (_ASK, "why does a model not learn: data, optimiser, architecture or a bug?", _NOTHING),
    "recover-graph": (_ASK, "train on a known world, read its graph back, score both", _KEPT),
    "sweep": (_CHOOSE, "short trainings over hyperparameters, and which are best", _KEPT),
    "compare": (_CHOOSE, "which heads, value embeddings or query forms lose information", _KEPT),
    "learning-curve": (_CHOOSE, "would more data, a bigger model or longer training help?", _KEPT),
    "throughput": (_CHOOSE, "does input limit the training?", _NOTHING),
    "audit": (_DATA, "what differences between paired cells are made of", _NOTHING),
    "select-genes": (_DATA, "choose a panel of genes in one pass over a source", _NOTHING),
    "selftest": (_SELF, "how often the checks are wrong, on planted faults and healthy models", _KEPT),
    "benchmark": (_SELF, "speed of the simulators and of input", _NOTHING),
}
"""By name: the group and the line of ``gpcp --help``, and what Ctrl-C leaves behind."""


def app() -> App:
    """The command with all verbs; the module of a verb is imported when it is asked for."""
    made = App(
        name="gpcp",
        help="Why a model of perturbed cells does not learn: data, optimiser, architecture, or a bug.",
        help_format="plaintext",
        help_epilogue="gpcp VERB --help shows the options of a verb; without a verb it is diagnose.",
        version=f"gpcp {gpcp.__version__}",
    )
    for place, (name, (group, line, _)) in enumerate(VERBS.items()):
        path = f"diagnostics.commands.{name.replace('-', '_')}.command:app"
        made.command(path, name=name, group=group, help=line, sort_key=place)
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
        The verb's exit code; 2 for bad use, 130 where it was interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0].startswith("-") and given[0] not in ("-h", "--help", "--version", "--install-completion"):
        given.insert(0, "diagnose")
    if given and not given[0].startswith("-") and given[0] not in VERBS:
        print(f"gpcp: error: {given[0]!r} is no verb; {nearest(given[0], VERBS)}", file=sys.stderr)
        return BAD_USE
    about = VERBS.get(given[0]) if given else None
    return run(app(), given, interrupted=_NOTHING if about is None else about[2])


if __name__ == "__main__":
    sys.exit(main())

"""``python -m diagnostics VERB``: one command, many questions; without a verb it is ``diagnose``."""

import sys
from collections.abc import Sequence
from importlib import import_module

VERBS = (
    "diagnose",
    "recover-graph",
    "audit",
    "compare",
    "learning-curve",
    "throughput",
    "sweep",
    "select-genes",
    "selftest",
    "benchmark",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb that the first argument names."""
    given = list(sys.argv[1:] if argv is None else argv)
    verb = given.pop(0) if given and given[0] in VERBS else "diagnose"
    return int(import_module(f"diagnostics.commands.{verb.replace('-', '_')}.command").main(given))


if __name__ == "__main__":
    sys.exit(main())

"""``python -m diagnostics.recover_graph``: train on a known world, read the graph out, say how much was learnt."""

import sys

from diagnostics.commands.recover_graph.command import main

if __name__ == "__main__":
    sys.exit(main())

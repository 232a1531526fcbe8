"""``python -m diagnostics.recover_graph``: train on a known world, read the graph out, say how much was learnt."""

import sys

from diagnostics.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["recover-graph", *sys.argv[1:]]))

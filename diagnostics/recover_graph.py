"""``python -m diagnostics.recover_graph``: train on a known world, read the graph out, say how much was learnt."""

from diagnostics.__main__ import command

if __name__ == "__main__":
    command("recover-graph")

"""Every verb with arguments that make it small, and processes of them as a person starts them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.source_tree import REPO

WORLD = ["--source", "synthetic:chain/4"]
CELLS = ["--source", "synthetic:scale_free/5", "--library-size", "500", "--n-cells", "300"]


def tiny(out: Path) -> dict[str, list[str]]:
    """The arguments of every verb that writes, by what it is called here; all it writes lies below ``out``."""
    train = [*WORLD, "--steps", "4", "--seeds", "2", "--workers", "1", "--out", str(out)]
    narrow = ["--set", "n_heads=2", "width=8"]
    counts = ["--trials", "2", "--seeds", "1", "--epochs", "1", "--epoch-pairs", "128", "--held-out", "50"]
    sweep = [*WORLD, "--over", "learning_rate", *narrow, *counts, "--no-range-test", "--out", str(out)]
    selftest = ["--only", "loss.finite", "--faults", "zero_genes", "--healthy", "2", "--seeds", "1", "--out", str(out)]
    benchmark = ["--n-genes", "10", "--n-cells", "100", "--repeats", "1", "--json", str(out / "benchmark.json")]
    store = ["--n-genes", "40", "--n-cells", "1500", "--repeats", "1", "--io-batch-size", "1024", "--store", str(out)]
    pages = ["--json", str(out / "report.json"), "--html", str(out / "report.html")]
    panel = ["--out", str(out / "panel.json"), "--plot", str(out / "panel.png")]
    return {
        "diagnose": ["diagnose", *WORLD, "--model", "default", "--only", "architecture.finite", *pages],
        "recover-graph": ["recover-graph", "--regime", "matched", *train],
        "sweep": ["sweep", *sweep],
        "compare": ["compare", "--heads", "linear", "mlp", *train],
        "learning-curve": ["learning-curve", "--pairs", "20", "40", "--capacity", "width=8", *train],
        "train": ["train", *WORLD, "--steps", "4", "--batch-size", "8", "--held-out", "50", *narrow, "--out", str(out)],
        "throughput": ["throughput", *WORLD, "--batches", "3", "--rounds", "2", "--out", str(out)],
        "audit": ["audit", *CELLS, "--max-pairs", "200", "--out", str(out)],
        "select-genes": ["select-genes", *CELLS, "--n-genes", "3", *panel, "--statistics", str(out / "counts.npz")],
        "selftest": ["selftest", *selftest],
        "benchmark simulators": ["benchmark", "simulators", *benchmark],
        "benchmark input": ["benchmark", "input", *store],
    }


def lasting(out: Path) -> dict[str, list[str]]:
    """The verbs with arguments that make them last for half a minute and more, in several processes where they can."""
    of = ["--source", "synthetic:scale_free/10"]
    cells = ["--source", "synthetic:scale_free/20", "--library-size", "500", "--n-cells", "3000000"]
    trains = [*of, "--steps", "20000", "--workers", "2", "--out", str(out)]
    counts = ["--trials", "8", "--epochs", "50", "--workers", "2", "--out", str(out)]
    return {
        "diagnose": ["diagnose", *of, "--model", "default"],
        "recover-graph": ["recover-graph", *trains],
        "sweep": ["sweep", *of, *counts],
        "compare": ["compare", *trains],
        "learning-curve": ["learning-curve", *trains],
        "train": ["train", *of, "--steps", "20000", "--out", str(out)],
        "throughput": ["throughput", *of, "--rounds", "500", "--out", str(out)],
        "audit": ["audit", *cells, "--max-cells", "2000000", "--out", str(out)],
        "select-genes": ["select-genes", *cells, "--n-genes", "3", "--out", str(out / "panel.json")],
        "selftest": ["selftest", "--workers", "2", "--out", str(out)],
        "benchmark simulators": ["benchmark", "simulators", "--repeats", "1000"],
        "benchmark input": ["benchmark", "input"],
    }


def started(arguments: list[str]) -> "subprocess.Popen[str]":
    """A process of the command, in a session of its own, which is interrupted as a whole."""
    return subprocess.Popen(
        [sys.executable, "-m", "diagnostics", *arguments],
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What runs in the background of a shell ignores Ctrl-C, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def measured(folder: Path) -> dict[str, Any]:
    """The JSON files of a folder by name, without times and without what was typed."""
    return {
        path.name: _without_times(json.loads(path.read_text()))
        for path in sorted(folder.glob("*.json"))
        if path.name != "settings.json"
    }


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(one) for name, one in value.items() if not _is_of_time(name)}
    return [_without_times(one) for one in value] if isinstance(value, list) else value


def _is_of_time(name: str) -> bool:
    return "seconds" in name or name in ("command", "ended_at")

"""From the arguments of ``train`` to its pairs and configurations, and the folder that belongs to them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, final

import torch

from diagnostics.cli.options import named, pairs_asked
from diagnostics.commands.train.command import Request
from diagnostics.runs.experiment import steps_for
from gpcp.core.errors import InputError
from gpcp.core.files import write_json
from gpcp.core.pairs import PairBatch, PairSource, concatenate
from gpcp.core.perturbations import perturbations_of
from gpcp.core.random import seed_of
from gpcp.loading.prefetch import Prefetched
from gpcp.model.config import ModelConfig, preset
from gpcp.opening.pairs import OpenedPairs, SplitPairs, split_pairs
from gpcp.opening.stamps import stamp_of
from gpcp.panels.panel_file import read_genes
from gpcp.training.config import FitConfig
from gpcp.training.fields import parse_fields, replace_fields

CHECKPOINT, HISTORY, SETTINGS = "checkpoint.pt", "history.json", "settings.json"

_SETTABLE = {one.name for config in (ModelConfig, FitConfig) for one in fields(config)} - {"n_genes", "n_steps", "seed"}
_N_STEPS = 800
_N_EVALUATIONS = 20
_N_SAMPLE, _BLOCK_PAIRS = 8_192, 512


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """Everything that was asked, checked.

    Parameters
    ----------
    opened : OpenedPairs
    split : SplitPairs
    model : ModelConfig
    fit : FitConfig
    seed : int
    """

    opened: OpenedPairs
    split: SplitPairs
    model: ModelConfig
    fit: FitConfig
    seed: int

    @property
    def training(self) -> PairSource:
        """The training pairs, read ahead where the model computes elsewhere."""
        return Prefetched(self.split.training) if torch.cuda.is_available() else self.split.training

    def sample(self) -> PairBatch:
        """Training pairs that the reference losses are fitted on."""
        one_pass = self.split.training.pairs(batch_size=_BLOCK_PAIRS, seed=seed_of(self.seed, "sample"))
        return concatenate(islice(one_pass, _N_SAMPLE // _BLOCK_PAIRS))


def plan_of(request: Request) -> Plan:
    """The training that the arguments ask for.

    Raises
    ------
    InputError
        The source, an option of it, a name or a number is no good; the message names it.
    """
    changed = parse_fields(request.set, ModelConfig, FitConfig, names=_SETTABLE)
    opened = pairs_asked(request.source, request.pairs, max_cells=request.max_cells, seed=request.seed)
    split = split_pairs(opened, n_held_out=request.held_out, seed=request.seed)
    n_genes = len(split.training.vocab)
    usual = FitConfig()
    n_steps = request.steps or steps_for(n_genes, _N_STEPS)
    fit = FitConfig(
        batch_size=request.batch_size or usual.batch_size,
        learning_rate=usual.learning_rate if request.learning_rate is None else request.learning_rate,
        seed=seed_of(request.seed, "training"),
        evaluate_every=max(1, n_steps // _N_EVALUATIONS),
        checkpoint_every=max(1, min(usual.checkpoint_every, n_steps // 4)),
    ).lasting(n_steps)
    model = replace_fields(preset(request.preset, n_genes, perturbations_of(split.training)), changed)
    return Plan(opened=opened, split=split, model=model, fit=replace_fields(fit, changed), seed=request.seed)


def begin(out: Path, request: Request, plan: Plan) -> None:
    """Make the folder ready: what lies there is of the same training, or is begun anew.

    Raises
    ------
    InputError
        It holds another training.
    """
    settings, file = _settings(request, plan), out / SETTINGS
    if request.fresh:
        for name in (SETTINGS, CHECKPOINT, HISTORY):
            (out / name).unlink(missing_ok=True)
    if (out / CHECKPOINT).exists():
        kept = _kept(file)
        differing = [name for name, value in settings.items() if kept.get(name) != value]
        if differing:
            raise InputError(
                f"--out: {str(out)!r} holds a training with another {', '.join(differing)}: name another folder, or "
                "--fresh to begin anew"
            )
    write_json(file, settings)


def _settings(request: Request, plan: Plan) -> dict[str, Any]:
    """All that decides the training."""
    options, text = request.source.given(), named(request.source)
    asked = {
        "source": text,
        "files": stamp_of(text, **options),
        "options": {name: options[name] for name in sorted(options)},
        "genes": None if request.source.genes is None else list(read_genes(request.source.genes)),
        "pairs": {name: getattr(request.pairs, name) for name in ("regime", "n_perturbed", "match_on", "differ_on")},
        "max_cells": request.max_cells,
        "held_out": request.held_out,
        "seed": request.seed,
        "model": plan.model.to_json(),
        "training": plan.fit.to_json(),
    }
    # As the file keeps it, where a tuple is a list.
    return json.loads(json.dumps(asked))


def _kept(file: Path) -> Mapping[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}

"""One run on real cells: matched pairs, the loss between baselines and the best linear predictor, the data's own graph.

Dimension key: ``B`` cells or pairs, ``G`` genes of the panel, ``T`` cell types.

No graph is known here. What is recovered is the graph that the cells' own partial correlations give, from training
cells alone; it is **not causal**. Losses are measured on cells that no training pair has seen.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

# Registers the kind `synthetic`, whose sequenced cells are real cells to this file.
import diagnostics.inputs.synthetic  # noqa: F401  # pyright: ignore[reportUnusedImport]
from diagnostics.architecture.static_limits import limits
from diagnostics.commands.recover_graph.real_cells import Panel, all_cells, choose_panel, labelled_losses
from diagnostics.commands.recover_graph.training import N_CURVE, Trained, configs_of, train
from diagnostics.graphs.evaluate import (
    ReadOut,
    asking_of,
    effects,
    method_scores,
    primary,
    scores_from_inside,
    supported,
    threshold_of,
)
from diagnostics.graphs.partial_correlations import PartialGraph, partial_graph
from diagnostics.graphs.scores import GraphScore, score_matrix
from diagnostics.results.run_record import RunRecord
from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import Experiment, one_thread
from diagnostics.runs.folder import ARRAYS, HISTORY
from diagnostics.scoring.errors import losses_of
from diagnostics.scoring.matched_linear import PairLinearPredictor, TypeLinearPredictor, TypeMeanPredictor
from diagnostics.scoring.model_losses import model_losses
from gpcp.core.cells import CellBatch, CellSource
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource, concatenate
from gpcp.core.predictors import Predictor
from gpcp.core.random import seed_of, stream
from gpcp.opening.cells import open_cells
from gpcp.opening.pairs import MAX_CELLS
from gpcp.pairing.paired import Paired
from gpcp.panels.panel_file import read_genes
from gpcp.sources.in_memory import InMemoryCells, sample_cells
from gpcp.sources.sparse import indexed
from gpcp.sources.subsets import OnlyCells, split_cells

HELD_OUT_SHARE = 0.2

N_GENES = 20
"""Of a panel for which no number is given."""

N_SAMPLE = 8000
TARGET = "partial-correlation graph of the data"
READ_OUTS = ("implied_partial", "all_but_one_partial", "single_gene")


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellsData:
    """What a run on real cells learns from and is measured on.

    Parameters
    ----------
    training : PairSource
        The training cells, paired anew in every pass.
    training_cells, held_out_cells : CellBatch
        Of the panel, sorted by name.
    sample, held_out : PairBatch
        Pairs of training cells for the baselines, pairs of held-out cells for every loss.
    graph : PartialGraph
        Of the training cells.
    summary : tuple of str
        What was decided on the way from the file to the pairs.
    """

    training: PairSource
    training_cells: CellBatch
    held_out_cells: CellBatch
    sample: PairBatch
    held_out: PairBatch
    graph: PartialGraph
    summary: tuple[str, ...]


def check_cells(run: Experiment) -> None:
    """Read everything and refuse what cannot be trained on, before anything is trained or written.

    Raises
    ------
    InputError
        The source, an option of it, the preset or a number is no good; the message names it and the remedy.
    """
    configs_of(run, len(cells_data_of(run).graph.vocab))


def cells_data_of(run: Experiment) -> CellsData:
    """Open the source, split it by cell, choose the genes, pair the cells."""
    opened = open_cells(run.source, **dict(run.options))
    # A source without cheap rows would be read again in every pass.
    source = opened if indexed(opened) is not None else _sample(opened, run.seed)
    split = split_cells(source, HELD_OUT_SHARE, run.seed)
    panel = _panel(split.training, run)
    chosen = _with_genes(source, panel.genes, run)
    training = OnlyCells(chosen, split.training.cell_id_N)
    held_out = OnlyCells(chosen, split.held_out.cell_id_N)
    training_cells = all_cells(training)
    graph = partial_graph(training_cells, rng=stream(run.seed, "partial graph"))
    if not graph.edges_GG().any():
        raise InputError(
            f"no partial correlation of the {len(panel.genes)} genes is stable over halves of the "
            f"{len(training_cells)} training cells: there is no graph to recover; give more cells or another --n-genes"
        )
    return CellsData(
        training=Paired(training, n_perturbed=run.n_perturbed),
        training_cells=training_cells,
        held_out_cells=all_cells(held_out),
        sample=_pairs(training, run, "sample", N_SAMPLE),
        held_out=_pairs(held_out, run, "held out", run.n_held_out),
        graph=graph,
        summary=(getattr(opened, "provenance", run.source), split.summary, panel.summary, graph.summary),
    )


def recover_cells(run: Experiment, folder: Path, on_step: OnStep) -> RunRecord:
    """Do one run in its folder; see :func:`diagnostics.commands.recover_graph.recover.recover`."""
    start_s = time.perf_counter()
    with one_thread():
        data = cells_data_of(run)
        trained = train(run, data.training, data.held_out, folder=folder, on_step=on_step)
        return _record(run, data, trained, folder, start_s)


def _sample(opened: CellSource, seed: int) -> InMemoryCells:
    return sample_cells(opened, opened.vocab.feature_id, max_cells=MAX_CELLS, seed=seed)


def _panel(training: CellSource, run: Experiment) -> Panel:
    """The genes of the file that was named, or those of largest variance over the training cells."""
    if run.genes is None:
        return choose_panel(training, N_GENES if run.n_genes is None else run.n_genes)
    genes = tuple(read_genes(run.genes))
    return Panel(genes=genes, summary=f"the {len(genes)} genes of {Path(run.genes).name}")


def _with_genes(source: CellSource, genes: tuple[str, ...], run: Experiment) -> CellSource:
    """The cells with the genes of the panel alone, so that a pass is cheap."""
    if isinstance(source, InMemoryCells):
        return source.genes(genes)
    return open_cells(run.source, genes=genes, **dict(run.options))


def _pairs(cells: OnlyCells, run: Experiment, purpose: str, n_pairs: int) -> PairBatch:
    """Pairs of as many passes as it takes; passes meet the same cells in other pairs, with other perturbed genes."""
    paired = Paired(cells, n_perturbed=run.n_perturbed)
    parts: list[PairBatch] = []
    n_found = 0
    while n_found < n_pairs:
        one_pass = list(paired.pairs(batch_size=n_pairs, seed=seed_of(run.seed, purpose, n_found)))
        if not one_pass:
            raise InputError(f"the {cells.n_cells} {purpose} cells make no pair: no type has two of them")
        parts += one_pass
        n_found += sum(len(part) for part in one_pass)
    return concatenate(parts).rows(slice(0, n_pairs))


def _read_outs(data: CellsData, model: Predictor, run: Experiment) -> tuple[list[ReadOut], list[str]]:
    """The read-outs of the model and of the linear predictor, scored against the data's own graph."""
    n_genes = len(data.graph.vocab)
    asking = asking_of(_commonest(data.training_cells), "matched", dose_sd=1.0, rng=stream(run.seed, "readings"))
    found, notes = effects(model, asking, READ_OUTS)
    linear, _ = effects(PairLinearPredictor.fit(data.training_cells), asking, READ_OUTS)
    return [
        ReadOut(
            name=name,
            supported=supported(name, _range(run, n_genes), n_genes),
            effect_GG=found[name],
            exact_GG=linear[name],
            score=_score(found[name], data.graph, name, run.seed),
            ceiling=_score(linear[name], data.graph, name, run.seed),
        )
        for name in READ_OUTS
    ], notes


def _range(run: Experiment, n_genes: int) -> tuple[int, int]:
    """Fewest and most perturbed genes of a pair."""
    return run.n_perturbed or (1, n_genes - 1)


def _commonest(cells: CellBatch) -> NDArray[np.float32]:
    """Expression of the cells of the commonest type, (B, G): a question gives a cell another's values."""
    type_B = cells.covariates["cell_type"]
    names_T, n_T = np.unique(type_B, return_counts=True)
    return cells.expression_BG[type_B == names_T[n_T.argmax()]]


def _score(effect_GG: NDArray[np.float64], graph: PartialGraph, name: str, seed: int) -> GraphScore:
    return score_matrix(
        effect_GG,
        graph.edges_GG(),
        target=TARGET,
        symmetric=True,
        threshold=threshold_of(name),
        rng=stream(seed, "scores", name),
        signed_GG=effect_GG,
        true_sign_GG=graph.partial_GG,
    )


def _record(run: Experiment, data: CellsData, trained: Trained, folder: Path, start_s: float) -> RunRecord:
    read_outs, notes = _read_outs(data, trained.predictor, run)
    main = primary(read_outs)
    true_GG = data.graph.edges_GG()
    losses = model_losses(trained.predictor, sample=data.sample, held_out=data.held_out)
    main.save(folder / ARRAYS, true_GG, losses.levels.first(N_CURVE))
    type_mean, type_linear = (
        labelled_losses(predictor, data.held_out, data.held_out_cells).loss
        for predictor in (TypeMeanPredictor.fit(data.training_cells), TypeLinearPredictor.fit(data.training_cells))
    )
    pair_linear = losses_of(PairLinearPredictor.fit(data.training_cells), data.held_out).loss
    fields = losses.fields() | main.fields()
    fields["baseline_loss"] = min(losses.levels.baseline, type_mean)
    # How many edges the data's graph has is a matter of the stability asked for: no threshold on effects meets it.
    fields["shd"] = None
    fields["best_linear_loss"] = min(loss for loss in (losses.levels.reference, pair_linear) if loss is not None)
    return RunRecord(
        world=Path(run.place).name,
        regime=run.regime,
        seed=run.seed,
        preset=run.preset,
        n_genes=len(data.graph.vocab),
        n_edges=main.score.n_true,
        n_perturbed=_range(run, len(data.graph.vocab)),
        n_steps=trained.n_steps,
        n_pairs=trained.n_pairs,
        n_held_out=len(data.held_out),
        late_gain=trained.late_gain(baseline=fields["baseline_loss"], best=fields["best_linear_loss"]),
        response_ratio=None,
        read_out=main.name,
        read_outs=(
            *(read_out.in_short() for read_out in read_outs),
            *scores_from_inside(trained.predictor.model, data.held_out, true_GG, TARGET),
        ),
        methods=method_scores("matched", data.sample, true_GG, TARGET, rng=stream(run.seed, "methods")),
        var_sortability=None,
        r2_sortability=None,
        n_parameters=trained.n_parameters,
        history=f"{run.name}/{HISTORY}",
        limits=limits(trained.config),
        notes=(
            *data.summary,
            f"losses of predictors given the cell type: mean of the type {type_mean:.4f}, linear {type_linear:.4f}",
            *notes,
        ),
        train_seconds=trained.seconds,
        seconds=time.perf_counter() - start_s,
        **fields,
    )

"""One run on real cells: matched pairs, the loss between baselines and the best linear predictor, the data's own graph.

No graph is known here. What is recovered is the graph that the cells' own partial correlations give, from training
cells alone; it is **not causal**. Losses are measured on cells that no training pair has seen.
"""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diagnostics.architecture.static_limits import limits
from diagnostics.commands.recover_graph.training import N_CURVE, Trained, configs_of, train
from diagnostics.graphs.asking import asking_of, effects
from diagnostics.graphs.evaluate import (
    ReadOut,
    affordable,
    method_scores,
    primary,
    score_fields,
    scores_from_inside,
    supported,
    threshold_of,
)
from diagnostics.graphs.partial_correlations import PartialGraph, partial_graph
from diagnostics.graphs.scores import GraphScore, auprc_of, score_matrix
from diagnostics.inputs.data import CellsData, cells_data_of
from diagnostics.results.run_record import RunRecord
from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import Experiment, one_thread
from diagnostics.runs.folder import ARRAYS, HISTORY
from diagnostics.scoring.errors import Errors
from diagnostics.scoring.levels import Levels
from diagnostics.scoring.matched_linear import PairLinearPredictor, TypeLinearPredictor
from diagnostics.scoring.model_losses import model_losses
from diagnostics.scoring.real_cells import labelled_losses
from gpcp.core.cells import CellBatch
from gpcp.core.errors import InputError
from gpcp.core.predictors import Predictor
from gpcp.core.random import stream

TARGET = "partial-correlation graph of the data"
READ_OUTS = ("implied_partial", "all_but_one_partial", "single_gene")


def check_cells(run: Experiment) -> None:
    """Read everything and refuse what cannot be trained on, before anything is trained or written.

    Raises
    ------
    InputError
        The source, an option of it, the preset or a number is no good; the message names it and the remedy.
    """
    data = cells_data_of(run)
    configs_of(run, len(data.vocab))
    graph_of(data, run.seed)


def graph_of(data: CellsData, seed: int) -> PartialGraph:
    """The partial correlations of the training cells.

    Raises
    ------
    InputError
        None of them is stable.
    """
    cells = data.training_cells.cells
    graph = partial_graph(cells, rng=stream(seed, "partial graph"))
    if not graph.edges_GG().any():
        raise InputError(
            f"no partial correlation of the {len(data.vocab)} genes is stable over halves of the "
            f"{len(cells)} training cells: there is no graph to recover; give more cells or another --n-genes"
        )
    return graph


def recover_cells(run: Experiment, folder: Path, on_step: OnStep) -> RunRecord:
    """Do one run in its folder; see :func:`diagnostics.commands.recover_graph.recover.recover`."""
    start_s = time.perf_counter()
    with one_thread():
        data = cells_data_of(run)
        trained = train(run, data.training_cells.paired, data.held_out, folder=folder, on_step=on_step)
        return _record(run, data, trained, folder, start_s)


def _read_outs(
    data: CellsData, graph: PartialGraph, model: Predictor, run: Experiment
) -> tuple[list[ReadOut], list[str]]:
    """The read-outs of the model and of the linear predictor, scored against the data's own graph."""
    n_genes, cells = len(data.vocab), data.training_cells.cells
    names, left_out = affordable(READ_OUTS, n_genes, run.thorough)
    true_GG = graph.edges_GG()
    asking = asking_of(_commonest(cells), "matched", dose_sd=1.0, rng=stream(run.seed, "readings"))
    found, notes = effects(model, asking, names)
    linear, _ = effects(PairLinearPredictor.fit(cells), asking, names)
    return [
        ReadOut(
            name=name,
            target=TARGET,
            supported=supported(name, _range(run, n_genes), n_genes),
            effect_GG=found[name],
            exact_GG=linear[name],
            auprc=auprc_of(found[name], true_GG),
            ceiling_auprc=auprc_of(linear[name], true_GG),
        )
        for name in names
    ], [*notes, *left_out]


def _range(run: Experiment, n_genes: int) -> tuple[int, int]:
    """Fewest and most perturbed genes of a pair."""
    return run.n_perturbed or (1, n_genes - 1)


def _commonest(cells: CellBatch) -> NDArray[np.float32]:
    """Expression of the cells of the commonest type, (B, G): a question gives a cell another's values."""
    type_B = cells.covariates["cell_type"]
    names, n_cells = np.unique(type_B, return_counts=True)
    return cells.expression_BG[type_B == names[n_cells.argmax()]]


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
    graph = graph_of(data, run.seed)
    read_outs, notes = _read_outs(data, graph, trained.predictor, run)
    main = primary(read_outs)
    true_GG = graph.edges_GG()
    losses = model_losses(trained.predictor, data.held_out, data.held_out_levels())
    levels = losses.levels
    main.save(folder / ARRAYS, true_GG, levels.first(N_CURVE))
    fields = losses.fields() | score_fields(_score(main.effect_GG, graph, main.name, run.seed))
    # How many edges the data's graph has is a matter of the stability asked for: no threshold on effects meets it.
    fields["shd"] = None
    return RunRecord(
        world=run.title,
        regime=run.regime,
        seed=run.seed,
        preset=run.preset,
        n_genes=len(data.vocab),
        n_edges=fields["n_true"],
        n_perturbed=_range(run, len(data.vocab)),
        n_steps=trained.n_steps,
        n_pairs=trained.n_pairs,
        n_held_out=len(data.held_out),
        late_gain=trained.late_gain(baseline=levels.baseline, best=levels.best),
        response_ratio=None,
        read_out=main.name,
        ceiling_auprc=main.ceiling_auprc,
        read_outs=(
            *(read_out.in_short() for read_out in read_outs),
            *scores_from_inside(trained.predictor.model, data.held_out, true_GG, TARGET, thorough=run.thorough),
        ),
        methods=method_scores(
            "matched", data.sample, true_GG, TARGET, rng=stream(run.seed, "methods"), thorough=run.thorough
        ),
        var_sortability=None,
        r2_sortability=None,
        n_parameters=trained.n_parameters,
        history=f"{folder.name}/{HISTORY}",
        limits=limits(trained.config),
        notes=(*data.summary, graph.summary, _typed(data, levels), *notes),
        train_seconds=trained.seconds,
        seconds=time.perf_counter() - start_s,
        **fields,
    )


def _typed(data: CellsData, levels: Levels) -> str:
    """What is gained by the cell type."""
    by_type = labelled_losses(
        TypeLinearPredictor.fit(data.training_cells.cells), data.held_out, data.held_out_cells.cells
    )
    return (
        f"losses of predictors given the cell type: mean of the type {_loss(levels.type_mean)}, linear {_loss(by_type)}"
    )


def _loss(errors: Errors | None) -> str:
    return "-" if errors is None else f"{errors.loss:.4f}"

"""One run on a known world: data, training, losses on held-out pairs, read-outs, scores, ceilings, one record.

The world, its graph and its law come from the run's seed; training pairs, held-out pairs, the values that read-outs
give and the resamplings of scores come from streams of their own.
"""

import time
from pathlib import Path

from diagnostics.architecture.static_limits import limits
from diagnostics.commands.recover_graph.training import N_CURVE, Trained, configs_of, train
from diagnostics.graphs.evaluate import (
    TARGET_OF,
    ReadOut,
    method_scores,
    primary,
    read_outs_of,
    response_ratio,
    score_fields,
    score_of,
    scores_from_inside,
)
from diagnostics.graphs.scores import target_graph
from diagnostics.inputs.data import WorldData, world_data_of
from diagnostics.results.run_record import RunRecord
from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import Experiment, one_thread
from diagnostics.runs.folder import ARRAYS, HISTORY
from diagnostics.scoring.model_losses import model_losses
from gpcp.core.random import stream


def check(run: Experiment) -> None:
    """Refuse a run that could not be done, before anything is trained or written.

    Raises
    ------
    InputError
        The world, regime, preset, network or a number is no good; the message names it and the nearest valid choice.
    """
    made = run.world()
    configs_of(run, made.graph.n_genes)
    run.pairs(made, 1)
    target_graph(made.graph, TARGET_OF[run.regime])


def recover(run: Experiment, folder: Path, on_step: OnStep) -> RunRecord:
    """Do one run in its folder.

    Parameters
    ----------
    run : Experiment
        As :func:`check` accepts it.
    folder : Path
        Takes checkpoint, history and arrays; training goes on from a checkpoint that lies there.
    on_step : callable
        Called after every training step.

    Returns
    -------
    RunRecord
    """
    start_s = time.perf_counter()
    with one_thread():
        data = world_data_of(run)
        training = data.training(run.n_steps * run.batch_size)
        trained = train(run, training, data.held_out, folder=folder, on_step=on_step)
        read_outs, notes = read_outs_of(
            trained.predictor,
            data.world,
            data.regime,
            n_perturbed=training.perturbed_range,
            dose_sd=run.dose_sd,
            held_out=data.held_out,
            rng=stream(run.seed, "readings"),
            thorough=run.thorough,
        )
        return _record(run, data, trained, read_outs, notes, folder, start_s)


def _record(
    run: Experiment,
    data: WorldData,
    trained: Trained,
    read_outs: list[ReadOut],
    notes: list[str],
    folder: Path,
    start_s: float,
) -> RunRecord:
    main = primary(read_outs)
    true_GG = target_graph(data.world.graph, main.target)
    score = score_of(main, data.world.graph, rng=stream(run.seed, "scores", main.name))
    exact = data.exact()
    losses = model_losses(trained.predictor, data.held_out, data.levels(exact), exact=exact)
    main.save(folder / ARRAYS, true_GG, losses.levels.first(N_CURVE))
    inside = scores_from_inside(trained.predictor.model, data.held_out, true_GG, main.target, thorough=run.thorough)
    sortability = data.world.sortability()
    return RunRecord(
        world=data.world.name,
        regime=run.regime,
        seed=run.seed,
        preset=run.preset,
        n_genes=data.world.graph.n_genes,
        n_edges=data.world.graph.n_edges,
        n_perturbed=data.training(1).perturbed_range,
        n_steps=trained.n_steps,
        n_pairs=trained.n_pairs,
        n_held_out=len(data.held_out),
        late_gain=trained.late_gain(baseline=losses.levels.baseline, best=losses.levels.best),
        response_ratio=response_ratio(read_outs),
        read_out=main.name,
        read_outs=(*(read_out.in_short() for read_out in read_outs), *inside),
        methods=method_scores(
            data.regime,
            data.sample,
            true_GG,
            main.target,
            rng=stream(run.seed, "methods"),
            thorough=run.thorough,
        ),
        var_sortability=_known(sortability.var),
        r2_sortability=_known(sortability.r2),
        n_parameters=trained.n_parameters,
        history=f"{folder.name}/{HISTORY}",
        limits=limits(trained.config),
        notes=(*notes, *_remarks(run, data, trained, main)),
        train_seconds=trained.seconds,
        seconds=time.perf_counter() - start_s,
        **losses.fields(),
        **score_fields(score),
        ceiling_auprc=main.ceiling_auprc,
    )


def _remarks(run: Experiment, data: WorldData, trained: Trained, main: ReadOut) -> list[str]:
    remarks: list[str] = []
    if "network" in dict(run.options):
        remarks.append("a module sampled from a network leaves out the edges that would close a cycle")
    if not main.supported:
        least, most = data.training(1).perturbed_range
        remarks.append(f"training has {least} to {most} perturbed genes a pair; {main.name} asks beyond that")
    if trained.stopped == "diverged":
        remarks.append(f"training stopped after {trained.n_steps} steps: the loss was no longer finite")
    return remarks


def _known(value: float) -> float | None:
    """None for NaN, which JSON does not have."""
    return value if value == value else None

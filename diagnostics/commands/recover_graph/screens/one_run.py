"""One training on a screen, and the responses that are read out of it: scored where the file holds its graph."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from diagnostics.architecture.static_limits import limits
from diagnostics.commands.recover_graph.training import N_CURVE, Trained, configs_of, train
from diagnostics.graphs.named import (
    DOWNSTREAM,
    Downstream,
    auprc_of_responses,
    downstream_of,
    response_scores,
    responses,
    single_perturbations,
)
from diagnostics.inputs.data import ScreenRunData, screen_data_of
from diagnostics.runs.execute import OnStep
from diagnostics.runs.experiment import Experiment, one_thread
from diagnostics.runs.folder import ARRAYS, begin_folder
from diagnostics.runs.store import Record
from diagnostics.scoring.errors import predictions
from diagnostics.scoring.model_losses import model_losses
from gpcp.core.files import write_with
from gpcp.core.pairs import PairBatch, concatenate
from gpcp.core.random import stream

NOT_KNOWN = "no graph is known of this screen: what is read out is shown and written, and none of it is scored"

_NO_SCORES: dict[str, Any] = dict.fromkeys(("n_true", "auprc", "base_rate", "null_95", "ci_low", "ci_high"))


def check_screen_run(run: Experiment) -> ScreenRunData:
    """Read everything and refuse what cannot be trained on, before anything is trained or written.

    Raises
    ------
    InputError
        As :func:`diagnostics.inputs.data.screen_data_of`, or the preset or a number is no good.
    """
    data = screen_data_of(run)
    configs_of(run, len(data.vocab), data.perturbations)
    return data


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReadResponses:
    """Responses (P, G) of each gene to each perturbation that cells got alone.

    Parameters
    ----------
    token_P : int64, (P,)
    model_PG, measured_PG : float64, (P, G)
        Of the model; and of the training cells, 0 where none has the perturbation.
    exact_PG : float64, (P, G), or None
        Of the world that the file holds.
    known : Downstream or None
    """

    token_P: NDArray[np.int64]
    model_PG: NDArray[np.float64]
    measured_PG: NDArray[np.float64]
    exact_PG: NDArray[np.float64] | None
    known: Downstream | None


def carry_out(run: Experiment, on_step: OnStep, *, out: Path) -> Record:
    """Do one run in its folder below ``out``; go on from a checkpoint of the same run there."""
    start_s = time.perf_counter()
    folder = begin_folder(out, run)
    with one_thread():
        data = screen_data_of(run)
        trained = train(run, data.training_pairs, data.held_out, folder=folder, on_step=on_step)
        read = _read(data, trained)
        _keep(read, data, folder)
        return {"key": run.key, **_record(run, data, trained, read), "seconds": time.perf_counter() - start_s}


def _read(data: ScreenRunData, trained: Trained) -> ReadResponses:
    """Of the pairs of the training, and of those held out, whose perturbations may be others."""
    asked: PairBatch = concatenate([data.sample, data.held_out])
    token_P = single_perturbations(asked)
    exact = data.exact_of(asked)
    return ReadResponses(
        token_P=token_P,
        model_PG=responses(asked, predictions(trained.predictor, asked), token_P),
        measured_PG=responses(data.sample, data.sample.after_BG, token_P),
        exact_PG=None if exact is None else responses(asked, exact.mean_BG, token_P),
        known=downstream_of(data.graphs, data.perturbations, token_P, data.vocab.feature_id),
    )


def _keep(read: ReadResponses, data: ScreenRunData, folder: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "perturbation_P": np.array(data.perturbations.target)[read.token_P],
        "gene_G": np.array(data.vocab.feature_id),
        "model_PG": read.model_PG,
        "measured_PG": read.measured_PG,
    }
    arrays |= {} if read.exact_PG is None else {"exact_PG": read.exact_PG}
    arrays |= {} if read.known is None else {"true_PG": read.known.true_PG, "scored_PG": read.known.scored_PG}
    write_with(folder / ARRAYS, lambda passing: np.savez(passing, allow_pickle=False, **arrays))


def _record(run: Experiment, data: ScreenRunData, trained: Trained, read: ReadResponses) -> dict[str, Any]:
    exact = data.exact()
    losses = model_losses(trained.predictor, data.held_out, data.held_out_levels(), exact=exact)
    known = read.known
    scores = _NO_SCORES if known is None else response_scores(read.model_PG, known, rng=stream(run.seed, "responses"))
    levels = losses.levels
    fields = losses.fields()
    return {
        "world": run.title,
        "regime": "screen",
        "seed": run.seed,
        "preset": run.preset,
        "n_genes": len(data.vocab),
        "n_perturbations": len(read.token_P),
        "n_steps": trained.n_steps,
        "n_pairs": trained.n_pairs,
        "n_held_out": len(data.held_out),
        "n_parameters": trained.n_parameters,
        **fields,
        "share_of_linear": levels.share_of_linear(losses.model.loss),
        "late_gain": trained.late_gain(baseline=levels.baseline, best=levels.best),
        "curve_baseline": levels.first(N_CURVE).baseline,
        "curve_best": levels.first(N_CURVE).best,
        "target": None if known is None else DOWNSTREAM,
        **scores,
        "ceiling_auprc": _auprc(read.exact_PG, known),
        "measured_auprc": _auprc(read.measured_PG, known),
        "limits": list(limits(trained.config)),
        "notes": [*data.summary, *([] if known is not None else [NOT_KNOWN])],
        "train_seconds": trained.seconds,
    }


def _auprc(response_PG: NDArray[np.float64] | None, known: Downstream | None) -> float | None:
    return None if response_PG is None or known is None else auprc_of_responses(response_PG, known)

"""``sweep``: short trainings over learning rate, dropout and the rest, on any source; an Optuna study that resumes.

First come points that are given (such as the rate of a range test), then points that fill the space evenly, then
Optuna's TPE. Every configuration has the same seeds, and so the same pairs, see :mod:`gpcp.search.trial`; every trial
is run once, whichever worker is killed, see :mod:`gpcp.search.storage`. The same call in another process, or on another
machine, with the same storage shares the work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, final

import optuna

import gpcp
from gpcp.core.errors import InputError
from gpcp.core.pairs import PairBatch, PairSource, concatenate
from gpcp.core.random import stream
from gpcp.loading.sharding import epoch_seed
from gpcp.model.batch import model_batch
from gpcp.model.transformer import GenePerturbationTransformer
from gpcp.search.result import SweepResult, result_of
from gpcp.search.space import Space, Value
from gpcp.search.storage import SweepStore, check_settings
from gpcp.search.trial import Task, pruner, run_trial
from gpcp.training.fit import mean_loss

N_SAMPLE = 8_000
"""Training pairs that baselines are fitted on, and units learnt from."""

_BLOCK_PAIRS = 512


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SweepConfig:
    """How much a sweep does.

    Parameters
    ----------
    n_trials : int
        Configurations; more can be asked for later.
    n_seeds : int
        Trainings of each. Three or more let a worse one be given up early.
    n_epochs, epoch_pairs : int
        Passes of a training, and pairs of a pass.
    n_spread : int or None
        Trials that fill the space evenly before TPE begins; None: half of ``n_trials``.
    seed : int

    Raises
    ------
    InputError
        A number is out of range.
    """

    n_trials: int = 24
    n_seeds: int = 4
    n_epochs: int = 3
    epoch_pairs: int = 8_192
    n_spread: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_trials", "n_seeds", "n_epochs", "epoch_pairs"):
            if getattr(self, name) < 1:
                raise InputError(f"SweepConfig.{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("n_spread", "seed"):
            if (getattr(self, name) or 0) < 0:
                raise InputError(f"SweepConfig.{name} is {getattr(self, name)}: it must be 0 or more")

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of every configuration."""
        return tuple(int(stream(self.seed, "sweep", place).integers(2**31)) for place in range(self.n_seeds))


def sweep(
    pairs: PairSource,
    held_out: PairBatch,
    space: Space,
    config: SweepConfig | None = None,
    *,
    storage: str,
    name: str = "sweep",
    first: Sequence[Mapping[str, Value]] = (),
    levels: Mapping[str, float] | None = None,
    about: Mapping[str, Any] | None = None,
    on_seed: Callable[[], None] | None = None,
) -> SweepResult:
    """Do, or go on with, a sweep in this process.

    Parameters
    ----------
    pairs : PairSource
        To train on.
    held_out : PairBatch
        To be judged by; no cell of theirs in the training.
    space : Space
    config : SweepConfig, optional
    storage : str
        The path of a journal file, or the address of a database or of Optuna's proxy:
        :func:`gpcp.search.storage.open_storage`.
    name : str
        Of the sweep in its storage.
    first : sequence of mappings
        Fields of the trials that come first; what they leave out is as in the base configuration.
    levels : mapping of str to float, optional
        Losses on the held-out pairs to be shown beside, such as ``"baseline"`` and ``"Bayes risk"``.
    about : mapping, optional
        What else decides the trials, as JSON's types: a sweep goes on only where it is the same.
    on_seed : callable, optional
        Called after every training.

    Returns
    -------
    SweepResult
        All trials so far; those that other workers are running are unfinished.

    Raises
    ------
    InputError
        The storage holds a sweep of this name that was made otherwise, or has more trials; or it cannot be opened.
    """
    config = config or SweepConfig()
    store = SweepStore(storage, name)
    task = planned(store, pairs, held_out, space, config, first=first, levels=levels or {}, about=about or {})
    work(store, task, config.seed, on_seed=on_seed)
    return result_of(store, space)


def planned(
    store: SweepStore,
    pairs: PairSource,
    held_out: PairBatch,
    space: Space,
    config: SweepConfig,
    *,
    first: Sequence[Mapping[str, Value]],
    levels: Mapping[str, float],
    about: Mapping[str, Any],
) -> Task:
    """Plan what is not planned yet, and say what each trial does; see :func:`sweep`."""
    if space.model.n_genes != len(pairs.vocab) or held_out.vocab != pairs.vocab:
        raise InputError(
            f"the space is for {space.model.n_genes} genes, the pairs have {len(pairs.vocab)}, those held out "
            f"{len(held_out.vocab)}: they must agree"
        )
    kept = store.settings()
    if kept is not None:
        check_settings(kept, store)
    start_loss = untrained_loss(space, pairs, held_out, config) if kept is None else float(kept["_start_loss"])
    points = points_of(space, config, first)
    settings: dict[str, Any] = {
        "gpcp": gpcp.__version__,
        "seeds": list(config.seeds),
        "epochs": config.n_epochs,
        "pairs of an epoch": config.epoch_pairs,
        "genes": list(pairs.vocab.feature_id),
        "space": [one.to_json() for one in space.searched],
        "model": space.model.to_json(),
        "training": space.fit.to_json(),
        **about,
        "_start_loss": start_loss,
        "_levels": dict(levels),
    }
    kept = store.plan(settings, points, config.n_trials)
    return Task(
        space=space,
        pairs=pairs,
        held_out=held_out,
        seeds=config.seeds,
        n_epochs=config.n_epochs,
        epoch_pairs=config.epoch_pairs,
        start_loss=float(kept["_start_loss"]),
    )


def work(store: SweepStore, task: Task, seed: int, on_seed: Callable[[], None] | None = None) -> None:
    """Claim and run trials until every trial is done or run by another worker."""
    while work_on_one(store, task, seed, on_seed):
        pass


def work_on_one(store: SweepStore, task: Task, seed: int, on_seed: Callable[[], None] | None = None) -> bool:
    """Claim and run one trial; False where every trial is done or run by another worker."""

    def sampler(slot: int) -> optuna.samplers.BaseSampler:
        # A seed for each slot: what a resumed sweep tries does not depend on where it was interrupted.
        return optuna.samplers.TPESampler(
            seed=int(stream(seed, "sweep sampler", slot).integers(2**31)), multivariate=True, n_startup_trials=0
        )

    trial = store.claim(sampler, pruner())
    if trial is not None:
        run_trial(trial, task, store, on_seed)
    return trial is not None


def points_of(space: Space, config: SweepConfig, first: Sequence[Mapping[str, Value]]) -> list[dict[str, Value]]:
    """Values of the first trials: what is given, then an even spread; TPE chooses the others."""
    base: dict[str, Value] = {**space.model.to_json(), **space.fit.to_json()}
    given = [space.searched_of({**base, **point}) for point in first][: config.n_trials]
    n_spread = config.n_trials // 2 if config.n_spread is None else config.n_spread
    return [*given, *space.spread(max(0, n_spread - len(given)), stream(config.seed, "sweep spread"))]


def sample_of(pairs: PairSource, config: SweepConfig) -> PairBatch:
    """Some training pairs."""
    one_pass = pairs.pairs(batch_size=_BLOCK_PAIRS, seed=epoch_seed(config.seeds[0], 0))
    return concatenate(islice(one_pass, -(-min(N_SAMPLE, config.epoch_pairs) // _BLOCK_PAIRS)))


def untrained_loss(space: Space, pairs: PairSource, held_out: PairBatch, config: SweepConfig) -> float:
    """Held-out loss of a model of the space's first configuration before any step, with its units learnt."""
    model_config, _ = space.configs({one.name: one.at(0.0) for one in space.searched})
    model = GenePerturbationTransformer(model_config, seed=config.seeds[0])
    model.learn_units(model_batch(sample_of(pairs, config))[0])
    return mean_loss(model, held_out)

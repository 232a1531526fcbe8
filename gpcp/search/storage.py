"""The storage of a sweep: trials are planned, claimed by one worker each, and kept, so that a killed sweep resumes.

Trials are planned before any is run: each has a *slot*, and waits in the storage. A worker claims the first that
waits, which the storage grants to one worker only. A worker that is killed leaves a running trial behind: it is claimed
again when the process is gone, or, on another machine, when it has been silent for :data:`SILENT_S`. Its configuration
and the seeds that were done stay, so that nothing is run twice and no trial is added. Optuna's storages keep it all.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast, final

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from gpcp.core.errors import InputError
from gpcp.core.files import errors_named

SILENT_S = 180.0
"""Seconds without a sign of life after which a worker on another machine is taken for dead."""

ALIVE_EVERY_S = 20.0
_SETTINGS, _POINTS, _SLOT, _OWNER = "settings", "_points", "slot", "owner"
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def open_storage(place: str) -> BaseStorage:
    """The storage that a text names.

    Parameters
    ----------
    place : str
        The path of a journal file, which is made where there is none; ``grpc://HOST:PORT`` of Optuna's proxy; or the
        address of a database, such as ``postgresql://...`` or ``sqlite:///FILE``.

    Raises
    ------
    InputError
        It cannot be opened.
    """
    scheme, separator, rest = place.partition("://")
    try:
        with _quiet():
            if not separator:
                return JournalStorage(_journal(Path(place)))
            if scheme == "grpc":
                host, _, port = rest.partition(":")
                return GrpcStorageProxy(host=host, port=int(port or 13000))
            return RDBStorage(place)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"the storage {place!r} cannot be opened: {error}") from error
    except Exception as error:  # SQLAlchemy has a tree of its own, which is imported with a database alone
        if type(error).__module__.split(".")[0] not in ("sqlalchemy", "grpc"):
            raise
        raise InputError(f"the storage {place!r} cannot be opened: {str(error).splitlines()[0]}") from error


def _journal(path: Path) -> JournalFileBackend:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise InputError(f"the journal {str(path)!r} is a folder: name a file in it")
    backend = _Journal(path)
    # A process that was killed while it wrote leaves a line without an end, which would spoil the next one.
    backend.cut()
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            json.loads(line)
        except ValueError:
            raise InputError(
                f"the journal {str(path)!r} is damaged: line {number} is no record; remove the line, begin the sweep "
                "anew, or name another journal"
            ) from None
    return backend


@final
class _Journal(JournalFileBackend):
    """A journal of whole lines, though a disk is full."""

    def __init__(self, path: Path) -> None:
        self._path, self._of_lines = path, JournalFileSymlinkLock(str(path))
        super().__init__(str(path), lock_obj=self._of_lines)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        try:
            with errors_named(self._path):
                super().append_logs(logs)
        except OSError:
            self.cut()
            raise

    def cut(self) -> None:
        """Cut off what follows the last line end."""
        self._of_lines.acquire()
        try:
            content = self._path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(self._path, whole)
        finally:
            self._of_lines.release()


@contextmanager
def _quiet() -> Generator[None]:
    """Optuna calls much of what it offers experimental; it is pinned by what the tests passed with."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        yield


@final
class SweepStore:
    """One sweep in a storage.

    Parameters
    ----------
    place : str
        See :func:`open_storage`.
    name : str
        Of the study in it; several sweeps can share a storage.
    """

    def __init__(self, place: str, name: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.place, self.name = place, name
        self._storage = open_storage(place)
        # Journals are of one machine, or of a shared disk: a lock makes planning and claiming one step there. Other
        # storages grant a trial to one worker; two that plan at once may plan a slot twice, of which one is run.
        self._lock = nullcontext() if "://" in place else FileLock(f"{place}.plan.lock")
        self._me = {"host": platform.node(), "pid": os.getpid()}
        self.study: optuna.Study | None = None

    def plan(self, settings: Mapping[str, Any], points: Sequence[Mapping[str, Any]], n_trials: int) -> dict[str, Any]:
        """Make the study where there is none, and trials that wait, until there are ``n_trials``.

        Parameters
        ----------
        settings : mapping
            What decides the trials, as JSON's types. A study that is there must have the same, but for keys that begin
            with an underscore, which are those of who made it.
        points : sequence of mappings
            Values of the first trials, by slot; a point may leave some, or all, to the sampler.
        n_trials : int

        Returns
        -------
        dict
            The settings as they are kept.

        Raises
        ------
        InputError
            The study was made with other settings, or has more trials.
        """
        with self._lock, _quiet():
            study = optuna.create_study(storage=self._storage, study_name=self.name, load_if_exists=True)
            self.study = study
            kept: dict[str, Any] = study.user_attrs.get(_SETTINGS, {})
            if not kept:
                kept = {**settings, _POINTS: [dict(point) for point in points]}
                study.set_user_attr(_SETTINGS, kept)
            _compare(kept, settings, f"the sweep {self.name!r} in {self.place}")
            there = self._by_slot()
            if len(there) > n_trials:
                raise InputError(
                    f"the sweep {self.name!r} in {self.place} has {len(there)} trials, more than the {n_trials} asked "
                    f"for: ask for {len(there)} or more, or give it another name or place"
                )
            planned: Sequence[Mapping[str, Any]] = kept[_POINTS]
            for slot in range(n_trials):
                if slot not in there:
                    point = dict(planned[slot]) if slot < len(planned) else dict[str, Any]()
                    study.enqueue_trial(point, user_attrs={_SLOT: slot})
            return kept

    def settings(self) -> dict[str, Any] | None:
        """What the study was made with; None where there is none yet."""
        if self.name not in optuna.get_all_study_names(self._storage):
            return None
        self.study = optuna.load_study(storage=self._storage, study_name=self.name)
        return self.study.user_attrs.get(_SETTINGS)

    def trials(self) -> list[FrozenTrial]:
        """Every slot's trial, by slot."""
        by_slot = self._by_slot()
        return [by_slot[slot] for slot in sorted(by_slot)]

    def n_left(self) -> int:
        """Trials that are not finished."""
        return sum(trial.state not in _FINISHED for trial in self.trials())

    def claim(
        self, sampler: Callable[[int], optuna.samplers.BaseSampler], pruner: optuna.pruners.BasePruner
    ) -> optuna.Trial | None:
        """The first trial that no worker runs, claimed for this one; None where there is none.

        Parameters
        ----------
        sampler : callable
            From a slot to the sampler that chooses what its point leaves open.
        pruner : optuna.pruners.BasePruner
        """
        assert self.study is not None, "plan comes first"
        with self._lock:
            for trial in self.trials():
                if trial.state in _FINISHED or (trial.state == TrialState.RUNNING and self._is_alive(trial)):
                    continue
                trial_id = self._id(trial)
                if trial.state == TrialState.RUNNING:
                    self._storage.set_trial_state_values(trial_id, TrialState.WAITING)
                self._own(trial_id)
                if self._won(trial_id):
                    self._own(trial_id)
                    study = optuna.load_study(
                        storage=self._storage,
                        study_name=self.name,
                        sampler=sampler(trial.user_attrs[_SLOT]),
                        pruner=pruner,
                    )
                    # A database is read through the study's own cache, which knows no trial that it has not listed.
                    study.get_trials(deepcopy=False)
                    return optuna.Trial(study, trial_id)
        return None

    def keep_alive(self, trial: optuna.Trial) -> None:
        """Say that the trial is still run."""
        self._own(self._id(trial))

    def release(self, trial: optuna.Trial) -> None:
        """Give back a trial that is not finished: the next worker takes it up where it was left."""
        self._storage.set_trial_state_values(self._id(trial), TrialState.WAITING)

    def _by_slot(self) -> dict[int, FrozenTrial]:
        """The lowest number of each slot: a slot that was planned twice is run once."""
        assert self.study is not None, "plan comes first"
        found: dict[int, FrozenTrial] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if _SLOT in trial.user_attrs:
                found.setdefault(trial.user_attrs[_SLOT], trial)
        return found

    def _id(self, trial: FrozenTrial | optuna.Trial) -> int:
        study_id = self._storage.get_study_id_from_name(self.name)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)

    def _own(self, trial_id: int) -> None:
        self._storage.set_trial_user_attr(trial_id, _OWNER, {**self._me, "at": time.time()})

    def _won(self, trial_id: int) -> bool:
        try:
            return self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _is_alive(self, trial: FrozenTrial) -> bool:
        owner: Mapping[str, Any] = trial.user_attrs.get(_OWNER, {})
        if owner.get("host") == self._me["host"] and not _process_is_there(owner["pid"]):
            return False
        return time.time() - owner.get("at", 0.0) < SILENT_S


def _process_is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def check_settings(kept: Mapping[str, Any], store: SweepStore) -> None:
    """Refuse what a sweep of another version, or a careless hand, left in the place of a sweep's settings.

    Raises
    ------
    InputError
        The message names the field.
    """
    levels: Any = kept.get("_levels")
    right = {
        "seeds": _all(kept.get("seeds"), int) and len(kept["seeds"]) > 0,
        _POINTS: _all(kept.get(_POINTS), dict),
        "_levels": isinstance(levels, dict) and all(map(_is_number, cast("dict[str, object]", levels).values())),
        "_start_loss": _is_number(kept.get("_start_loss")),
    }
    for name, good in right.items():
        if not good:
            raise InputError(
                f"the sweep {store.name!r} in {store.place} is damaged or of another version (its {name.strip('_')} "
                f"is {_short(kept.get(name))}): give another name or place"
            )


def _all(values: object, kind: type) -> bool:
    return isinstance(values, list) and all(type(one) is kind for one in cast("list[object]", values))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _compare(kept: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    """Refuse to mix trials of different settings; the first that differs is named."""
    for key in {**kept, **wanted}:
        if not key.startswith("_") and kept.get(key) != wanted.get(key):
            raise InputError(
                f"{what} was made with another {key} ({_short(kept.get(key))}, now {_short(wanted.get(key))}): "
                "give the same, or another name or place"
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:120]}..."

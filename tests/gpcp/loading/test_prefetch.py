"""Reading ahead gives what the source gives, raises what it raises, and leaves no thread, however a pass is left."""

import gc
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpcp.core.errors import InputError
from gpcp.core.pairs import LatePairSource, PairBatch, PairSource, PairsToCome
from gpcp.loading.prefetch import Prefetched, PrefetchStats
from tests.gpcp.held_pairs import KINDS, HeldPairs, LateHeldPairs, SparseHeldPairs, content, reading_threads

PATIENCE_S = 60.0
"""After which a test that waits for another thread gives up; nothing here takes a hundredth of it."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert reading_threads() == []


def until(what: Callable[[], bool]) -> None:
    began = time.perf_counter()
    while not what():
        assert time.perf_counter() - began < PATIENCE_S
        time.sleep(0.001)


class Watched(HeldPairs):
    """Tells which thread ran a pass and which one ended it, counts what was given, and fails when told to."""

    def __init__(self, n: int, *, fails_at: int | None = None, fails_at_end: bool = False) -> None:
        super().__init__(n)
        self.fails_at, self.fails_at_end = fails_at, fails_at_end
        self.n_given = 0
        self.ran_in: list[int] = []
        self.closed_in: list[int] = []

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        self.ran_in.append(threading.get_ident())
        try:
            for number, batch in enumerate(super().pairs(batch_size=batch_size, seed=seed)):
                if number == self.fails_at:
                    raise OSError(f"the disk failed at batch {number}")
                self.n_given += 1
                yield batch
        finally:
            self.closed_in.append(threading.get_ident())
            if self.fails_at_end:
                raise OSError("the file cannot be closed")


class WatchedLate(Watched):
    """The same whose iterator can be closed: one that is cut by ``islice`` cannot, and is dropped instead."""

    def late_pairs(self, *, batch_size: int, seed: int, start: int = 0, step: int = 1) -> Iterator[PairsToCome]:
        assert (start, step) == (0, 1)
        return self.pairs(batch_size=batch_size, seed=seed)


def sources() -> st.SearchStrategy[HeldPairs]:
    return st.builds(
        lambda kind, n, known: kind(n, known=known), st.sampled_from(KINDS), st.integers(0, 12), st.booleans()
    )


@given(
    sources(), st.integers(1, 5), st.integers(1, 4), st.sampled_from([1, 200, 2**28]), st.booleans(), st.booleans(),
    st.integers(0, 4), st.integers(1, 3),
)  # fmt: skip
def test_the_same_pairs_in_the_same_order(
    source: HeldPairs, batch_size: int, depth: int, max_bytes: int, ahead: bool, nested: bool, start: int, step: int
):
    wanted = content(source.pairs(batch_size=batch_size, seed=3))
    prefetched = Prefetched(source, depth=depth, max_bytes=max_bytes, dense_ahead=ahead)
    if nested:
        prefetched = Prefetched(prefetched, depth=2)
    assert isinstance(prefetched, PairSource)
    assert isinstance(prefetched, LatePairSource)
    assert (prefetched.vocab, prefetched.n_pairs) == (source.vocab, source.n_pairs)
    assert content(prefetched.pairs(batch_size=batch_size, seed=3)) == wanted
    assert prefetched.stats.n_batches == len(wanted)
    late = list(prefetched.late_pairs(batch_size=batch_size, seed=3, start=start, step=step))
    batches = [pairs.dense() for pairs in late]
    assert content(batches) == wanted[start::step]
    assert [len(pairs) for pairs in late] == [len(batch) for batch in batches]
    assert reading_threads() == []


@given(st.integers(0, 5), st.integers(1, 4), st.booleans(), st.booleans())
def test_what_the_source_raises_comes_where_the_batch_would_have_come(
    fails_at: int, depth: int, ahead: bool, nested: bool
):
    source = Watched(12, fails_at=fails_at)
    prefetched = Prefetched(source, depth=depth, dense_ahead=ahead)
    prefetched = Prefetched(prefetched) if nested else prefetched
    wanted = content(HeldPairs(12).pairs(batch_size=2, seed=0))
    got: list[PairBatch] = []
    with pytest.raises(OSError, match=f"failed at batch {fails_at}") as caught:
        got.extend(prefetched.pairs(batch_size=2, seed=0))
    assert content(got) == wanted[:fails_at]
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (Path(last.filename).name, last.name) == ("test_prefetch.py", "pairs")
    assert reading_threads() == []


class TooLarge:
    """A batch that cannot be made dense."""

    def __len__(self) -> int:
        return 1

    def dense(self) -> PairBatch:
        raise MemoryError("too many genes")


class Undense(HeldPairs):
    """All its batches are too large."""

    def late_pairs(self, *, batch_size: int, seed: int, start: int = 0, step: int = 1) -> Iterator[TooLarge]:
        yield TooLarge()


@pytest.mark.parametrize("ahead", [False, True])
def test_what_making_dense_raises(ahead: bool):
    with pytest.raises(MemoryError, match="too many genes"):
        next(Prefetched(Undense(3), dense_ahead=ahead).pairs(batch_size=1, seed=0))
    # The traceback is held by nothing now; while it was, the generator that it holds had ended.
    assert reading_threads() == []


@given(st.sampled_from([Watched, WatchedLate]), st.integers(0, 6), st.integers(1, 4), st.booleans())
def test_a_pass_left_early_is_closed_by_the_thread_that_ran_it(
    kind: type[Watched], taken: int, depth: int, raises: bool
):
    source = kind(12)
    n = 0
    try:
        for n, _ in enumerate(Prefetched(source, depth=depth).pairs(batch_size=2, seed=0), 1):
            assert n <= source.n_given <= n + depth + 1
            if n == taken and raises:
                raise KeyError
            if n == taken:
                break
    except KeyError:
        pass
    assert n == (taken or 6)
    assert reading_threads() == []
    assert source.closed_in == source.ran_in
    assert source.ran_in != [threading.get_ident()]


@pytest.mark.parametrize("depth", [1, 3])
def test_a_full_queue_does_not_keep_the_thread(depth: int):
    source = Watched(100)
    prefetched = Prefetched(source, depth=depth)
    batches = prefetched.pairs(batch_size=1, seed=0)
    next(batches)
    until(lambda: (source.n_given, prefetched.stats.most_queued) == (1 + depth, depth))
    batches.close()
    assert source.closed_in == source.ran_in
    assert list(batches) == []


def test_garbage_collection_ends_a_pass():
    source = Watched(100)
    held: list[object] = [islice(Prefetched(source, depth=1).pairs(batch_size=1, seed=0), 1, None)]
    next(held[0])  # type: ignore[call-overload]
    assert len(reading_threads()) == 1
    held.append(held)
    del held
    gc.collect()
    assert reading_threads() == []
    assert source.closed_in == source.ran_in


class Collects(HeldPairs):
    """Collects garbage in the thread that reads, once it is let."""

    def __init__(self) -> None:
        super().__init__(5)
        self.gate = threading.Event()

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        for number, batch in enumerate(super().pairs(batch_size=batch_size, seed=seed)):
            if number == 1:
                assert self.gate.wait(PATIENCE_S)
                gc.collect()
            yield batch


def test_garbage_that_the_reading_thread_collects_is_its_own_consumer():
    source = Collects()
    gc.disable()
    try:
        held: list[object] = [Prefetched(source).pairs(batch_size=1, seed=0)]
        next(held[0])  # type: ignore[call-overload]
        held.append(held)
        del held
        source.gate.set()
        until(lambda: reading_threads() == [])
    finally:
        gc.enable()


def test_an_error_of_closing_is_not_lost():
    batches = Prefetched(WatchedLate(8, fails_at_end=True), depth=1).pairs(batch_size=2, seed=0)
    next(batches)
    with pytest.raises(OSError, match="the file cannot be closed"):
        batches.close()


def test_passes_at_once_have_a_thread_each():
    source = Watched(9)
    prefetched = Prefetched(source, depth=1)
    wanted = [content(HeldPairs(9).pairs(batch_size=2, seed=seed)) for seed in (1, 2)]
    got = zip(*(prefetched.pairs(batch_size=2, seed=seed) for seed in (1, 2)), strict=True)
    assert [content(batches) for batches in zip(*got, strict=True)] == wanted
    assert len(set(source.ran_in)) == 2


def test_nothing_runs_before_the_first_batch_is_asked_for_and_wrong_use_is_refused_at_once():
    source = Watched(4)
    batches = Prefetched(source).pairs(batch_size=2, seed=0)
    assert (source.ran_in, reading_threads()) == ([], [])
    del batches
    for wrong in ({"depth": 0}, {"max_bytes": 0}, {"stall_s": -1.0}, {"stall_s": float("nan")}):
        with pytest.raises(InputError, match=rf"Prefetched\.{next(iter(wrong))} is"):
            Prefetched(source, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_it_pickles_with_its_settings_and_without_its_passes(kind: type[HeldPairs]):
    prefetched = Prefetched(kind(7), depth=2, stall_s=0.0)
    batches = prefetched.pairs(batch_size=2, seed=0)
    next(batches)
    again = pickle.loads(pickle.dumps(prefetched))
    assert again.stats == PrefetchStats()
    assert content(again.pairs(batch_size=2, seed=0)) == content(kind(7).pairs(batch_size=2, seed=0))
    assert again.stats.n_stalls == 4  # with no patience at all every wait but the first is one, that for the end too
    batches.close()


@pytest.mark.parametrize("ahead", [False, True])
def test_where_batches_are_made_dense(ahead: bool):
    source = LateHeldPairs(8)
    list(Prefetched(source, dense_ahead=ahead).pairs(batch_size=2, seed=0))
    assert [number for number, _ in source.made_dense] == [0, 1, 2, 3]
    assert {thread == threading.get_ident() for _, thread in source.made_dense} == {not ahead}
    source.made_dense.clear()
    late = Prefetched(source).late_pairs(batch_size=2, seed=0, start=1, step=2)
    assert [len(next(late).dense()), len(next(late))] == [2, 2]
    assert [number for number, _ in source.made_dense] == [1]
    late.close()


class Gated(HeldPairs):
    """Gives each batch after the first when it is let."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.gate = threading.Semaphore(1)

    def pairs(self, *, batch_size: int, seed: int) -> Iterator[PairBatch]:
        for batch in super().pairs(batch_size=batch_size, seed=seed):
            assert self.gate.acquire(timeout=PATIENCE_S)
            yield batch


def test_what_is_counted_when_the_source_is_slow():
    source = Gated(4)
    prefetched = Prefetched(source)
    assert prefetched.stats == PrefetchStats()
    batches = prefetched.pairs(batch_size=1, seed=0)
    next(batches)
    before = prefetched.stats
    assert (before.n_batches, before.n_stalls, before.waited_s) == (1, 0, 0.0)
    for _ in range(3):
        # Let from another thread, when the consumer waits already, or as good as.
        threading.Timer(0.01, source.gate.release).start()
        next(batches)
    assert next(batches, None) is None
    after = prefetched.stats
    assert (after.n_batches, after.most_queued, after.first_batch_s) == (4, 1, before.first_batch_s)
    assert after.waited_s >= after.longest_wait_s > 0
    assert after.read_s >= after.longest_read_s > 0
    assert after.no_room_s == 0
    assert (before.n_batches, before.waited_s) == (1, 0.0)


def test_what_is_counted_when_the_consumer_is_slow():
    source = Watched(40)
    prefetched = Prefetched(source, depth=4, stall_s=1e9)
    for n, _ in enumerate(prefetched.pairs(batch_size=1, seed=0), 1):
        until(lambda n=n: source.n_given == min(n + 4, 40))
    stats = prefetched.stats
    assert (stats.n_stalls, stats.most_queued) == (0, 4)
    assert 0 < stats.mean_queued <= 4
    assert stats.no_room_s > 0
    assert 0 < stats.longest_read_s <= stats.read_s


@given(st.integers(1, 2000), st.booleans())
def test_bytes_are_bounded_to_one_batch_more(max_bytes: int, sparse: bool):
    prefetched = Prefetched((SparseHeldPairs if sparse else HeldPairs)(20), max_bytes=max_bytes)
    # 2 pairs of 3 genes: 2 x (2 x 12 + 2 x 3 + 16) bytes dense; at most 2 x 2 x 3 x (4 + 8) + 2 x 3 x 8 + 2 sparse.
    one_batch = 194 if sparse else 92
    list(prefetched.pairs(batch_size=2, seed=0))
    assert 0 < prefetched.stats.most_bytes < max_bytes + one_batch


LEFT_OPEN = """
import threading, sys
from tests.gpcp.loading.test_prefetch import Watched, Prefetched, until
source = Watched(1000)
prefetched = Prefetched(source, depth=2)
batches = prefetched.pairs(batch_size=1, seed=0)
next(batches)
until(lambda: prefetched.stats.most_queued == 2)
import atexit
"""
SUMMARY = "atexit.register(lambda: print(source.closed_in == source.ran_in != [threading.get_ident()]))\n"
INTERRUPTED = """
import signal, threading
from tests.gpcp.loading.test_prefetch import Watched, Prefetched, reading_threads
# A shell that starts the tests in the background has them ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupts(Watched):
    def pairs(self, *, batch_size, seed):
        for number, batch in enumerate(super().pairs(batch_size=batch_size, seed=seed)):
            if number == 3:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                threading.Event().wait(.2)
            yield batch
source = Interrupts(1000)
try:
    for batch in Prefetched(source).pairs(batch_size=1, seed=0):
        pass
except KeyboardInterrupt:
    print(reading_threads() == [] and source.closed_in == source.ran_in)
"""


def test_the_interpreter_exits_with_a_pass_open(repo: Path):
    # Exit handlers run last registered first, so what says how it ended must be registered before gpcp's own.
    script = LEFT_OPEN.replace("import threading, sys\n", "import atexit, threading\n" + SUMMARY, 1)
    assert said(script, repo) == "True\n"


def test_ctrl_c_ends_a_pass(repo: Path):
    assert said(INTERRUPTED, repo) == "True\n"


def said(script: str, repo: Path) -> str:
    """What a script prints, which ends by itself and has nothing to complain of."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=repo,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout

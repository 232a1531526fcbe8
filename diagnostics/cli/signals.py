"""Ctrl-C and SIGTERM: a process that is asked to end does so within seconds, whatever it is doing, and says so once.

Python answers a signal between two instructions of the main thread: not while a call into C lasts, and in vain where an
import or a callback swallows what is raised. So the first signal raises KeyboardInterrupt, by which workers are ended
and trials given back, and a thread that wakes with it ends the process when :data:`GRACE_S` are over, or with the
second signal. Files are written whole and records in one line: an end at any moment costs what was being done alone.

This file imports nothing that takes long: signals are answered from here on.
"""

import atexit
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn, final

GRACE_S = 2.5
"""Seconds between a signal and the end of the process, at the most."""

BUG = 70
"""Exit code of a command that failed for a reason that nobody thought of: 1 is an answer."""

_SHOW_CURSOR = "\x1b[?25h"


@final
class Signals:
    """The signals of this process.

    Parameters
    ----------
    farewell : str
        What is said if the process has to be ended from outside of what it is doing.
    """

    def __init__(self, farewell: str) -> None:
        self.farewell = farewell
        self.received: int | None = None
        self.over = False
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # A process that was started to ignore Ctrl-C, as shells start those in the background, goes on ignoring it.
        self._answered = {
            number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN
        }
        for number in self._answered:
            signal.signal(number, self._interrupt)
        threading.Thread(target=self._watch, daemon=True).start()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        first, self.received = self.received is None, self.received or number
        if first and not self.over:
            if _imports_torch():
                # What is raised there meets C++, which aborts; nothing has been begun that would have to be ended.
                self._end(number)
            raise KeyboardInterrupt

    def _watch(self) -> None:
        """Wait for the first signal, then for the second or for the time to be over."""
        number = 0
        while number not in self._answered:
            number = self._reader.recv(1)[0]
        select.select([self._reader], [], [], GRACE_S)
        self._end(number)

    def _end(self, number: int) -> NoReturn:
        """End the process, with the farewell."""
        # What is printed already goes out, unless the main thread holds the buffer.
        flushing = threading.Thread(target=_flush, daemon=True)
        flushing.start()
        flushing.join(0.1)
        if not self.over:
            with suppress(OSError):
                os.write(2, f"{_SHOW_CURSOR if os.isatty(2) else ''}\n{self.farewell}\n".encode())
        os._exit(128 + number)


def _imports_torch() -> bool:
    """Whether torch is being imported for the first time."""
    spec = getattr(sys.modules.get("torch"), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


_signals: Signals | None = None


def was_asked_to_end() -> bool:
    """Whether a signal has asked this process to end: what fails from then on fails because of it."""
    return _signals is not None and _signals.received is not None


def as_process(work: Callable[[], int], *, farewell: str) -> NoReturn:
    """Do some work as all that this process does, and end the process with its exit code.

    Parameters
    ----------
    work : callable
        Gives the exit code.
    farewell : str
        What is said where a signal ends the process and the work itself does not say so.
    """
    global _signals
    _signals = signals = Signals(farewell)
    try:
        code = work()
        signals.over = True
    except BaseException as error:
        signals.over = True
        code = _code_of(error)
        if signals.received is not None:
            _say(f"\n{farewell}")
    if signals.received is not None:
        code = 128 + signals.received
    with suppress(BaseException):
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    _flush()
    # The interpreter's own end waits for threads, and turns a KeyboardInterrupt that was answered into a death by it.
    os._exit(code)


def _code_of(error: BaseException) -> int:
    """The exit code of what the work let through, which is shown unless a signal was its reason."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0
    if not was_asked_to_end():
        with suppress(OSError):
            traceback.print_exception(error)
    return BUG


def _say(text: str) -> None:
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()

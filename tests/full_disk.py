"""A disk that is full, as far as this process can see: files may not grow beyond a size."""

import resource
import signal
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def files_of_at_most(n_bytes: int) -> Generator[None]:
    """Let no file grow beyond so many bytes: a write takes what fits, and the next one fails."""
    action = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        signal.signal(signal.SIGXFSZ, action)

"""The file in which the results of runs are kept: one line of JSON for each finished run.

One process writes. A line that a kill cut short has no line end: it is dropped, and its run is done again.
"""

import json
import os
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from filelock import FileLock, Timeout

from gpcp.core.errors import InputError
from gpcp.core.files import write_text

Record = dict[str, Any]
"""What a run came to, as JSON's types; ``"key"`` is the run's key."""


@final
@dataclass(frozen=True, slots=True)
class ResultStore:
    """Results by the key of their run, in a file that is made with the first of them.

    Parameters
    ----------
    path : Path
    """

    path: Path

    def read(self) -> dict[str, Record]:
        """The results by key; what follows the last line end is cut off the file."""
        if not self.path.exists():
            return {}
        content = self.path.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        if len(complete) < len(content):
            os.truncate(self.path, len(complete))
        records: list[Record] = [json.loads(line) for line in complete.splitlines()]
        return {record["key"]: record for record in records}

    def add(self, record: Record) -> Record:
        """Append a result in one write that is on the disk when this returns; the record as it will be read back."""
        line = json.dumps(record)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, f"{line}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        found: Record = json.loads(line)
        return found

    def drop(self, keys: Collection[str]) -> None:
        """Remove the results of some runs, so that they are done again."""
        records = self.read()
        kept = [json.dumps(record) for key, record in records.items() if key not in keys]
        if len(kept) < len(records):
            write_text(self.path, "".join(f"{line}\n" for line in kept))

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes out while runs are done.

        Raises
        ------
        InputError
            Another process is doing runs for this file.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        path = self.path.with_name(f".{self.path.name}.lock")
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"another process is adding results to {self.path}: wait until it has ended, or write to another folder"
            ) from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            lock.release()

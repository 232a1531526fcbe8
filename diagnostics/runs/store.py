"""The file in which the results of runs are kept: one line of JSON for each finished run.

One process writes. A line that a kill cut short has no line end: it is dropped, and its run is done again.
"""

import json
import os
import warnings
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

from diagnostics.runs.lock import alone
from gpcp.core.errors import InputWarning
from gpcp.core.files import errors_named, write_text, write_with

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
        """The results by key; what is no record is cut out of the file, so that its run is done again.

        Warns
        -----
        InputWarning
            A whole line is no record. What follows the last line end is none either: a kill cut it short.
        """
        if not self.path.exists():
            return {}
        content = self.path.read_bytes()
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        records = [_record_of(line) for line in lines]
        whole = b"".join(line for line, record in zip(lines, records, strict=True) if record is not None)
        bad = [number for number, record in enumerate(records, 1) if record is None]
        if bad:
            write_with(self.path, lambda passing: passing.write_bytes(whole))
            numbers = ", ".join(map(str, bad))
            message = f"{self.path}: no record in line {numbers}: cut out; its run is done again"
            warnings.warn(message, InputWarning, stacklevel=2)
        elif len(whole) < len(content):
            os.truncate(self.path, len(whole))
        return {record["key"]: record for record in records if record is not None}

    def add(self, record: Record) -> Record:
        """Append a result in one write that is on the disk when this returns; the record as it will be read back.

        Raises
        ------
        OSError
            It cannot be written, as on a full disk; the file is as it was.
        """
        line = json.dumps(record)
        with errors_named(self.path):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                _append(descriptor, f"{line}\n".encode())
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
        with alone(self.path.with_name(f".{self.path.name}.lock"), what=str(self.path)):
            yield


def _append(descriptor: int, content: bytes) -> None:
    """Write all of it or nothing: half a line would spoil the next one."""
    size = os.fstat(descriptor).st_size
    try:
        while content:
            # A disk that fills up takes a part first, and gives the reason with the next write.
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _record_of(line: bytes) -> Record | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return cast("Record", found) if isinstance(found, dict) and "key" in found else None

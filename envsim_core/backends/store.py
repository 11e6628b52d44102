"""Store: the append-only file of answers, keyed by model, sampling and prompt, that makes a run resumable."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from envsim_core.backends.limits import largest, total
from envsim_core.errors import BadFile, EnvSimError
from envsim_core.records import Completion, Usage, dump_row


class CompletionStore:
    """Answers by key. Only keys and file positions are held in memory; one process at a time may have it open.

    `paid` sums the tokens of every answer in the file, replaced ones included; `largest` has the most of each count.

    A line is written in one piece as soon as its answer is there. A last line that was torn by a kill is dropped when
    the store is opened. Raises BadFile when the file holds anything else that is not an answer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._positions: dict[str, int] = {}
        self.paid = self.largest = Usage()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise BadFile(path, None, None, f"cannot be opened: {error.strerror}") from error
        try:
            self._lock()
            self._index()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def __contains__(self, key: str) -> bool:
        return key in self._positions

    def __getitem__(self, key: str) -> Completion:
        with open(self.path, "rb") as lines:
            lines.seek(self._positions[key])
            return Completion.model_validate(json.loads(lines.readline()))

    def add(self, answer: Completion) -> None:
        """Append an answer; it survives a kill from here on."""
        line = dump_row(answer).encode("ascii") + b"\n"
        position = os.lseek(self._file, 0, os.SEEK_END)
        written = os.write(self._file, line)
        while written < len(line):
            written += os.write(self._file, line[written:])
        self._positions[answer.key] = position

    def forget(self, keys: Iterable[str]) -> None:
        """Ask again for these keys: their old answers stay in the file, and the next one counts."""
        for key in keys:
            self._positions.pop(key, None)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if isinstance(error, BlockingIOError):
                raise EnvSimError(f"{self.path}: another run is asking the same model; wait for it to end") from None
            # Some network file systems have no locks; a store without one still works for a single run.

    def _index(self) -> None:
        position = 0
        with open(self.path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, position)
                    break
                try:
                    answer = Completion.model_validate(json.loads(line))
                    self._positions[answer.key] = position
                    self.paid, self.largest = total(self.paid, answer.usage), largest(self.largest, answer.usage)
                except (ValueError, ValidationError, RecursionError) as error:
                    why = "is not a stored answer; remove the line, or the file to ask everything again"
                    raise BadFile(self.path, number, None, f"{why} ({type(error).__name__})") from None
                position += len(line)

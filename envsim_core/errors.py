"""Errors: one small tree. A bad file names file, line and field; a bad answer is a verdict, never an exception."""

from __future__ import annotations

TYPE_CHECKING = False  # true to type checkers; `import envsim_core` has to be cheap, and typing and pathlib are not
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class EnvSimError(Exception):
    """Every error that this package raises on purpose."""


class BadFile(EnvSimError):
    """A file that cannot be used: `path`, `line` (1-based, None for the whole file), `field`, and why."""

    def __init__(self, path: Path | str, line: int | None, field: str | None, why: str) -> None:
        self.path, self.line, self.field, self.why = str(path), line, field, why
        where = str(path) + (f":{line}" if line is not None else "") + (f": {field}" if field else "")
        super().__init__(f"{where}: {why}")


class BadConfig(EnvSimError):
    """A wrong key or value in a configuration file."""


class UnknownName(EnvSimError):
    """A name that stands nowhere; the message offers the nearest one that does."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        from difflib import get_close_matches

        self.kind, self.name, self.known = kind, name, sorted(known)
        near = get_close_matches(name, self.known, n=1, cutoff=0.5)
        some = ", ".join(self.known[:20]) + (f", … ({len(self.known)} in all)" if len(self.known) > 20 else "")
        hint = f'did you mean "{near[0]}"?' if near else f"known: {some or 'none'}"
        super().__init__(f'no {kind} "{name}"; {hint}')


class InvalidState(EnvSimError, ValueError):
    """A state that is not a JSON object (or nested or numbered beyond the named limits)."""


class InvalidSample(EnvSimError, ValueError):
    """A sample without the fields that scoring needs; `index` is its place in a batch, or None."""

    def __init__(self, index: int | None, why: str) -> None:
        self.index, self.why = index, why
        super().__init__(f"sample {index}: {why}" if index is not None else why)


class InapplicableOperation(EnvSimError, ValueError):
    """An operation that cannot be applied: `index` in the list, from 0, and `reason`."""

    def __init__(self, index: int, reason: str) -> None:
        self.index, self.reason = index, reason
        super().__init__(f"operation {index}: {reason}")


class Unparsed(EnvSimError, ValueError):
    """A completion without a readable prediction; `reason` is one of the texts of `UnparsedReason`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the completion holds no readable prediction: {reason}")

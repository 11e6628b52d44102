"""Types of the Rust core. Sources: the scoring contract (docs/scoring-contract.md), sections named with each entry."""

from collections.abc import Iterable
from typing import Any, Final, TypeVar, final

from envsim_core.enums import ChangeType, Failure, Outcome, Strategy

__all__ = [
    "MAX_COPIED_NODES",
    "MAX_DEPTH",
    "MAX_INTEGER_DIGITS",
    "MAX_PATH_SEGMENTS",
    "MISSING",
    "Change",
    "Mismatch",
    "MissingType",
    "Prediction",
    "Verdict",
    "__version__",
    "apply",
    "diff",
    "extract",
    "fingerprint",
    "score",
    "score_batch",
]

_State = TypeVar("_State", dict[str, Any], str, bytes)

__version__: Final[str]
MAX_DEPTH: Final[int]
"""Nesting of a value, and of a state after an operation."""
MAX_INTEGER_DIGITS: Final[int]
"""Digits of one integer."""
MAX_PATH_SEGMENTS: Final[int]
"""Segments of one path."""
MAX_COPIED_NODES: Final[int]
"""Values that the `copy` and `move` operations of one prediction may touch together."""

@final
class MissingType:
    """The type of `MISSING`, which stands where a state has no value. It is falsy and not None."""

    def __bool__(self) -> bool: ...
    def __reduce__(self) -> str: ...

MISSING: Final[MissingType]

@final
class Change:
    """One change of a state (section 2). `before` is None for an add, `after` is None for a delete."""

    @property
    def type(self) -> ChangeType: ...
    @property
    def path(self) -> list[str]: ...
    @property
    def before(self) -> Any: ...
    @property
    def after(self) -> Any: ...
    def to_dict(self) -> dict[str, Any]:
        """`type`, `path`, `before` and `after` as plain data; `apply` takes it back."""

    def __eq__(self, other: object, /) -> bool: ...

@final
class Prediction:
    """What a completion predicts (section 6)."""

    @property
    def feedback(self) -> Any:
        """The predicted observation; None where there is none. A Python set stays a set."""

    @property
    def config_changes(self) -> list[Any]:
        """The predicted operations as they were written; empty where there are none."""

    @property
    def strategy(self) -> Strategy:
        """The way in which the prediction was found."""

@final
class Mismatch:
    """The first thing that is wrong with a predicted state: a path with two values, or an operation with a reason."""

    @property
    def path(self) -> list[str] | None: ...
    @property
    def expected(self) -> Any:
        """The true value; `MISSING` where there is none."""

    @property
    def got(self) -> Any:
        """The predicted value; `MISSING` where there is none."""

    @property
    def operation(self) -> int | None:
        """The place of the inapplicable operation in the list, from 0."""

    @property
    def reason(self) -> str | None:
        """Why the operation could not be applied."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data; a value that is missing has no key."""

@final
class Verdict:
    """What a completion is worth (section 4). Every metric is None where the outcome is `failed`."""

    @property
    def sample_id(self) -> str | None: ...
    @property
    def strategy(self) -> Strategy | None: ...
    @property
    def outcome(self) -> Outcome: ...
    @property
    def failure(self) -> Failure: ...
    @property
    def config_match(self) -> bool | None: ...
    @property
    def feedback_match(self) -> bool | None: ...
    @property
    def feedback_verbatim(self) -> bool | None: ...
    @property
    def changed_precision(self) -> float | None: ...
    @property
    def changed_recall(self) -> float | None: ...
    @property
    def changed_f1(self) -> float | None: ...
    @property
    def collateral(self) -> int | None: ...
    @property
    def config_match_masked(self) -> bool | None: ...
    @property
    def silent_corruption(self) -> bool | None: ...
    @property
    def ambiguous_path(self) -> bool: ...
    @property
    def first_mismatch(self) -> Mismatch | None: ...
    def to_dict(self) -> dict[str, Any]:
        """Every field as plain data that `json.dumps` writes."""

def diff(before: dict[str, Any] | str | bytes, after: dict[str, Any] | str | bytes) -> list[Change]:
    """The changes from one state to another, ordered by path (section 2).

    States are dicts, or JSON as str or bytes. Law: `apply(before, diff(before, after)) == after`.
    Raises InvalidState where one is no JSON object, TypeError where a dict holds what JSON cannot.
    """

def apply(state: _State, operations: list[Change] | list[dict[str, Any]] | list[Any] | str | bytes) -> _State:
    """The state after a list of operations, applied in order (section 3), in the form in which it came in.

    Operations are dicts or changes, or the JSON of a list. The state itself is not touched.
    Raises InapplicableOperation with `index` and `reason`; InvalidState, TypeError as `diff`.
    """

def extract(text: str) -> Prediction:
    """The prediction in a completion (section 6). Time and memory are linear in the text.

    Raises Unparsed with `reason`, one of `UnparsedReason`.
    """

def score(sample: dict[str, Any] | str | bytes, completion: str | None) -> Verdict:
    """The verdict on one completion (sections 4 and 5); None means that infrastructure failed.

    A sample is a dict or one JSON line with `state_before`, `state_after`, `observation` (text), and optionally
    `sample_id`, `volatile` (paths as lists). Raises InvalidSample where a field is missing or wrong.
    """

def score_batch(
    samples: Iterable[dict[str, Any] | str | bytes], completions: Iterable[str | None], threads: int | None = None
) -> list[Verdict]:
    """As `score`, for pairs, on `threads` threads (None: one per core), in the order of the input.

    The interpreter is released while scoring. Raises ValueError where the lengths differ, InvalidSample with `index`.
    """

def fingerprint(state: dict[str, Any] | str | bytes) -> str:
    """SHA-256 of the canonical state, 64 hex digits: equal states, equal digests, on every machine.

    Raises InvalidState, TypeError as `diff`.
    """

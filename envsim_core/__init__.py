"""envsim_core: does a predicted transition reproduce the true next state? Exact, fast, and safe on hostile answers."""

from envsim_core._core import (
    MAX_COPIED_NODES,
    MAX_DEPTH,
    MAX_INTEGER_DIGITS,
    MAX_LINE_BYTES,
    MAX_MISMATCH_BYTES,
    MAX_PATH_SEGMENTS,
    MISSING,
    Benchmark,
    Change,
    Mismatch,
    Prediction,
    Summary,
    Verdict,
    VerdictTable,
    __version__,
    apply,
    diff,
    extract,
    fingerprint,
    score,
    score_batch,
    score_file,
)
from envsim_core.enums import ChangeType, Failure, Outcome, Strategy, UnparsedReason
from envsim_core.errors import (
    BadConfig,
    BadFile,
    EnvSimError,
    InapplicableOperation,
    InvalidSample,
    InvalidState,
    UnknownName,
    Unparsed,
)

__all__ = [
    "MAX_COPIED_NODES",
    "MAX_DEPTH",
    "MAX_INTEGER_DIGITS",
    "MAX_LINE_BYTES",
    "MAX_MISMATCH_BYTES",
    "MAX_PATH_SEGMENTS",
    "MISSING",
    "BadConfig",
    "BadFile",
    "Benchmark",
    "Change",
    "ChangeType",
    "EnvSimError",
    "Failure",
    "InapplicableOperation",
    "InvalidSample",
    "InvalidState",
    "Mismatch",
    "Outcome",
    "Prediction",
    "Strategy",
    "Summary",
    "UnknownName",
    "Unparsed",
    "UnparsedReason",
    "Verdict",
    "VerdictTable",
    "__version__",
    "apply",
    "diff",
    "extract",
    "fingerprint",
    "make_reward",
    "reward",
    "score",
    "score_batch",
    "score_file",
]

TYPE_CHECKING = False  # as in `errors`
if TYPE_CHECKING:
    from envsim_core.rewards import make_reward, reward


def __getattr__(name: str) -> object:
    if name in ("make_reward", "reward"):  # looked up when asked for, so that importing the core stays cheap
        import envsim_core.rewards

        return getattr(envsim_core.rewards, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Experience: what records looked like when a tool worked on them, so that the next call is not about a closed ticket.

Nothing is known of an environment's rules beforehand. For every parameter that names a record, the fields of the
chosen record are counted by how the call ended; records whose fields went with success are drawn more often.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from envsim_core.records import JsonObject

Feature = tuple[str, str]
STRONGEST = 3.0  # of one field's say, as a logarithm of odds
LONGEST_WORD = 24  # of a text that may be one of a few: a status, a kind


class Experience:
    """Counts of one environment."""

    def __init__(self) -> None:
        self._ended: dict[tuple[str, str, Feature], list[int]] = defaultdict(lambda: [0, 0])
        self._calls: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def weight(self, tool: str, parameter: str, record: JsonObject) -> float:
        """How promising a record is as `parameter` of `tool`; 1 when nothing is known."""
        failed, worked = self._calls.get((tool, parameter), (0, 0))
        base = (worked + 1) / (failed + 1)
        says = []
        for feature in features(record):
            bad, good = self._ended.get((tool, parameter, feature), (0, 0))
            if bad + good > 1:
                says.append(math.log((good + base / (1 + base)) / (bad + 1 / (1 + base)) / base))
        if not says:
            return 1.0
        # the two strongest opinions: fields repeat each other, and one bad field is enough to fail
        low, high = min(says), max(says)
        return math.exp(max(-STRONGEST, min(STRONGEST, low)) + max(0.0, min(STRONGEST, high)) / 2)

    def note(self, tool: str, chosen: list[tuple[str, list[Feature]]], worked: bool) -> None:
        """Remember how a call about these records ended."""
        for parameter, found in chosen:
            self._calls[tool, parameter][worked] += 1
            for feature in found:
                self._ended[tool, parameter, feature][worked] += 1


def features(record: JsonObject) -> Iterator[Feature]:
    """What is said of a record: its short texts and flags, and of the rest whether there is any."""
    for name, value in record.items():
        yield name, _kind(value)


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return f"={value}" if 0 < len(value) <= LONGEST_WORD else "text" if value else "empty"
    if isinstance(value, list | dict):
        return "some" if value else "none"
    return "positive" if value > 0 else "zero" if value == 0 else "negative"

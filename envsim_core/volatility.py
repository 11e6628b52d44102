"""Volatility: where two outcomes of one call differ, and what such a difference means.

| kind | the value depends on |
|---|---|
| `time` | the clock |
| `id` | the seed, and it is a text or key that holds an identifier |
| `random` | the seed otherwise |
| `order` | hash order |
| `hidden` | what earlier calls left behind outside the state, or what the record does not tell |
| `combined` | several of these at once: none of them alone moves it |
"""

from __future__ import annotations

import re
from typing import Any

from envsim_core._core import MISSING
from envsim_core.records import JsonObject, canonical_json

TIME, ID, RANDOM, ORDER, HIDDEN, COMBINED = "time", "id", "random", "order", "hidden", "combined"
KINDS = (TIME, ID, RANDOM, ORDER, HIDDEN, COMBINED)
# Six characters are the shortest identifier in use (secrets.token_hex(3)), and one without a digit is a word.
WORD = re.compile(r"[0-9A-Za-z]{6,}")
FLOAT = re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d+)?|[+-]?\d+[eE][+-]?\d+")
Path = list[str | int]


def differences(one: JsonObject, other: JsonObject) -> list[tuple[Path, Any, Any]]:
    """Where two states differ, as (path, value in one, value in other); MISSING stands for a key that is not there.

    Arrays of equal length are compared element by element, unless they hold the same elements in another order.
    """
    found: list[tuple[Path, Any, Any]] = []
    stack: list[tuple[Path, Any, Any]] = [([], one, other)]
    while stack:
        path, left, right = stack.pop()
        if isinstance(left, dict) and isinstance(right, dict):
            for key in left.keys() | right.keys():
                if key in left and key in right:
                    stack.append(([*path, key], left[key], right[key]))
                else:
                    found.append(([*path, key], left.get(key, MISSING), right.get(key, MISSING)))
        elif isinstance(left, list) and isinstance(right, list) and _alignable(left, right):
            stack += [([*path, place], *pair) for place, pair in enumerate(zip(left, right, strict=True))]
        elif not _equal(left, right):
            found.append((path, left, right))
    return sorted(found, key=lambda item: canonical_json(item[0]))


def seed_kind(path: Path, one: Any, other: Any) -> str:
    """Whether a value that moved with the seed is an identifier or a random value."""
    if one is MISSING or other is MISSING:
        return ID if _identifiers(str(path[-1])) else RANDOM
    if isinstance(one, str) and isinstance(other, str) and _identifiers(one) != _identifiers(other):
        return ID
    return RANDOM


def told_by(found: list[tuple[Path, Any, Any]]) -> list[tuple[Path, Any, Any]]:
    """The differences without new keys that stand where keys of `one` have gone: a key that moves is one place."""
    gone = {canonical_json(path[:-1]) for path, _, other in found if other is MISSING}
    return [item for item in found if item[1] is not MISSING or canonical_json(item[0][:-1]) not in gone]


def is_float_text(text: Any, number: Any) -> bool:
    """Whether `text` is how a float was written as text."""
    return isinstance(text, str) and isinstance(number, float) and bool(FLOAT.fullmatch(text)) and float(text) == number


def float_texts(value: Any) -> int:
    """How many texts in a JSON value look like a float."""
    count, stack = 0, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, list):
            stack += item
        elif isinstance(item, str) and FLOAT.fullmatch(item):
            count += 1
    return count


def _identifiers(text: str) -> list[str]:
    return [word for word in WORD.findall(FLOAT.sub(" ", text)) if any(letter.isdigit() for letter in word)]


def _alignable(left: list[Any], right: list[Any]) -> bool:
    if len(left) != len(right):
        return False
    pairs = [(canonical_json(one), canonical_json(other)) for one, other in zip(left, right, strict=True)]
    if all(one == other for one, other in pairs):
        return True
    return sorted(one for one, _ in pairs) != sorted(other for _, other in pairs)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float) and isinstance(right, float) and left != left and right != right:
        return True  # NaN
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and _alignable(left, right) and not differences({"": left}, {"": right})
    numbers = type(left) in (int, float) and type(right) in (int, float)
    return (numbers or type(left) is type(right)) and bool(left == right)

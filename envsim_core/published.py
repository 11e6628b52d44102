"""Published semantics: what the published EnvSimBench harness returns for an answer, as a column for comparison.

The harness scores otherwise than its paper defines the two metrics, and old numbers can only be compared with new ones
if both are computed the old way. `score_published` gives its verdict, in its two variants: `hosted` (the script for
hosted models) and `own` (the script for the authors' own model). `DEPARTURES` names where it leaves its own definition.
Nothing in the scoring core depends on this file, and deleting it, its test and the requirement `json-repair` removes
the column.

It is written from observed behaviour (inputs and the verdicts they gave). Where that leaves a step open, this file does
what plain Python code does without special care:

- An absent `feedback` is the empty text, an absent `config_changes` the empty list. A null `config_changes`, a number,
  or a readable answer that is no object raises; an empty object or text there is an iteration over nothing.
- A change's kind is its `type`, compared exactly. A change without a `path`, or with one that is neither text nor a
  list, raises; so does an empty list. The empty text is the key `""`.
- A change is applied in one walk whatever its kind, so a removal, too, makes missing parents. Removing what is not
  there does nothing. A scalar or null on the way raises. A list takes whatever `int()` takes, negative numbers
  included; a list index is set, never inserted.
- When a fenced block is unreadable, the reader goes on to the whole text. The own variant looks for a balanced object
  from the first `{` only, takes from json_repair only an object, and hands json_repair the text, not the block.
- A feedback that cannot be read stays as it is, white space included. Quotes are outer quotes when both ends agree, and
  what is inside is read once more in the same two ways.
- Python's own limits (recursion, digits of an integer) make a reading fail, and an applied change raise.

Time and memory are bounded, which the harness's are not: `LITERAL_CHARACTERS`, `REPAIR_CHARACTERS`, `REPAIR_STEPS` and
`PADDING_ELEMENTS` say where. Below them the verdict is the harness's; above, a text counts as unreadable in that step,
and padding is only counted, which gives the same verdict unless the true state was made by such padding.
"""

from __future__ import annotations

import ast
import json
import math
import re
import sys
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal, NamedTuple

from json_repair import repair_json

Variant = Literal["hosted", "own"]
Reader = Callable[[str], Any]

LITERAL_CHARACTERS = 1 << 18
"""Longest text that is tried as a Python literal: colliding integer keys make a longer one quadratic."""
REPAIR_CHARACTERS = 1 << 17
"""Longest text that is handed to json_repair, some of whose steps copy the rest of the text."""
REPAIR_STEPS = 1_500_000
"""Lines of code after which json_repair is stopped. A broken answer takes it 15 to 75 per character; unclosed brackets
and quotes take it quadratic time (32 000 of `{`: seconds, to no result)."""
REPAIR_UNCOUNTED = 512
"""Longest text on which json_repair runs without its steps being counted, as counting makes it several times slower."""
PADDING_ELEMENTS = 100_000
"""List elements that one answer can have allocated as padding; past that they are counted (`a.30000000`: 228 MiB)."""

CUT_MARKS = ("\tNdrFc", "{EIF{", "EIF{")
"""Where the own variant cuts an answer off: the traces of a broken end of text."""
REMOVALS = ("delete", "removed")
"""The kinds that remove; every other kind sets."""


class Departure(NamedTuple):
    """One point in which the published harness departs from the published definition of its metrics."""

    name: str
    explanation: str


DEPARTURES: tuple[Departure, ...] = (
    Departure("only_changed_paths", "only truly changed paths are compared: where nothing changed, any readable answer "
              "passes, even one that deletes the whole state"),
    Departure("extra_changes_free", "changes beside the true ones cost nothing"),
    Departure("correct_deletion_fails", "a removed path is expected to hold null, so removing it fails while writing "
              "null to it passes"),
    Departure("unknown_kind_sets", "every kind but `delete` and `removed` sets, without a value null: the unknown kind "
              "`remove` passes where `delete` fails"),
    Departure("add_overwrites", "an `add` at a list index overwrites the element instead of inserting one"),
    Departure("dotted_keys_split", "a path is split at each dot, in the answer and in the truth, so a key with a dot "
              "is never found, or another one is"),
    Departure("one_path_spelling", "a pointer, `$.`, `self.` or `[k]` is a literal key: a right change so spelled "
              "scores 0"),
    Departure("parents_and_padding_made_up", "missing parents become objects, and lists are padded to any index"),
    Departure("python_equality", "`True` equals `1` and `1.0`, in the state and in the feedback"),
    Departure("first_object_of_feedback", "of a feedback with an object in it only the first object is compared; the "
              "text around it is ignored"),
    Departure("text_read_as_value", "a feedback text is read as JSON or as a Python literal, so `1`, `1.0` and `True` "
              "are one feedback"),
    Departure("two_readers", "the variants read answers differently: an object with nested objects inside prose is "
              "unreadable in `hosted` and readable in `own`"),
    Departure("first_answer_wins", "the first block or object of an answer counts, not its last"),
    Departure("repaired_answers", "`own` repairs broken and truncated JSON, `hosted` does not"),
    Departure("malformed_answers_dropped", "changes that cannot be applied raise, and the sample leaves numerator and "
              "denominator"),
    Departure("failed_calls_are_wrong", "a request that failed counts as a wrong answer"),
)  # fmt: skip
"""Where the harness departs from the published definition, one by one."""


@dataclass(frozen=True, slots=True)
class PublishedVerdict:
    """What the published harness says of one answer.

    `config_match` and `feedback_match` are None exactly when `dropped`: the harness raised, and counted the sample
    nowhere. `why` says in a few words how the verdict came about.
    """

    config_match: bool | None
    feedback_match: bool | None
    dropped: bool
    why: str


class Unreadable(ValueError):
    """The harness finds no answer in a text."""


def score_published(
    state_before: dict[str, Any],
    state_after: dict[str, Any],
    observation: Any,
    completion: str | None,
    variant: Variant,
) -> PublishedVerdict:
    """The published harness's verdict on one completion; the states are not modified.

    `observation` is a text, or an object or list. A completion of None (the request failed) and an unreadable one are
    wrong in both metrics. No completion makes it raise; an unknown `variant` is a ValueError.
    """
    if variant not in READERS:
        raise ValueError(f"unknown variant {variant!r}: one of {', '.join(READERS)}")
    reader = READERS[variant]
    if completion is None:
        return PublishedVerdict(False, False, False, "the request failed")
    try:
        answer = reader(completion)
    except Unreadable:
        return PublishedVerdict(False, False, False, "no answer could be read")
    try:
        state = _copy(state_before)
        true_changes = list(_true_changes(state, _copy(state_after), ""))
        _apply(state, answer.get("config_changes", []))
        mismatch = _first_mismatch(true_changes, state)
        feedback_match = bool(_as_value(answer.get("feedback", ""), reader) == _as_value(observation, reader))
    except Exception as error:  # whatever it is, raising takes the sample out of the harness's counts
        return PublishedVerdict(None, None, True, f"raised {type(error).__name__}: {str(error)[:200]!a}")
    why = "every changed path holds its new value" if mismatch is None else f"differs at {mismatch[:200]!a}"
    return PublishedVerdict(mismatch is None, feedback_match, False, why)


# --- reading ----------------------------------------------------------------------------------------------------------


def _read_hosted(text: str) -> Any:
    """An answer as the script for hosted models reads it; raises Unreadable."""
    block = _first_fenced_block(text)
    attempts: list[tuple[Reader, str]] = [] if block is None else [(_json, block), (_literal, block)]
    attempts.append((_json, text))
    start = text.find("{")
    end = text.find("}", start + 1)
    if start >= 0 and end >= 0:
        attempts += [(_json, text[start : end + 1]), (_literal, text[start : end + 1])]
    return _first_success(attempts)


def _read_own(text: str) -> Any:
    """An answer as the script for the authors' own model reads it; raises Unreadable."""
    text = _without_reasoning(text)
    for mark in CUT_MARKS:
        text = text.partition(mark)[0]
    text = text.strip()
    attempts: list[tuple[Reader, str]] = []
    for source in (_first_fenced_block(text), text):
        balanced = None if source is None else _first_balanced_object(source)
        if balanced is not None:
            attempts += [(_json, balanced), (_json_without_trailing_commas, balanced)]
    attempts += [(_repaired, text), (_json, text), (_literal, text)]
    return _first_success(attempts)


READERS: dict[str, Reader] = {"hosted": _read_hosted, "own": _read_own}


def _first_success(attempts: list[tuple[Reader, str]]) -> Any:
    for read, text in attempts:
        try:
            return read(text)
        except Unreadable:
            continue
    raise Unreadable


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable from error


def _json_without_trailing_commas(text: str) -> Any:
    return _json(re.sub(r",\s*([}\]])", r"\1", text))


def _literal(text: str) -> Any:
    if len(text) > LITERAL_CHARACTERS:
        raise Unreadable
    try:
        with warnings.catch_warnings():
            # A stray backslash in an answer is no business of the program that scores it.
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise Unreadable from error


def _repaired(text: str) -> Any:
    """The object that json_repair makes of a text, if it makes one within REPAIR_STEPS."""
    if len(text) > REPAIR_CHARACTERS:
        raise Unreadable
    try:
        value = repair_json(text, return_objects=True) if len(text) <= REPAIR_UNCOUNTED else _counted_repair(text)
    except (Exception, _RepairStopped) as error:
        raise Unreadable from error
    if not isinstance(value, dict):
        raise Unreadable
    return value


class _RepairStopped(BaseException):
    """Stops json_repair from within; no Exception, so that it cannot be taken for a parse error there."""


def _counted_repair(text: str) -> Any:
    """json_repair's reading of a text; raises _RepairStopped after REPAIR_STEPS lines of its code.

    Counting lines gives the same verdict on every machine, which a clock would not.
    """
    steps = 0

    def count(_frame: FrameType, _event: str, _argument: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > REPAIR_STEPS:
            raise _RepairStopped
        return count

    tracer = sys.gettrace()
    sys.settrace(count)
    try:
        return repair_json(text, return_objects=True)
    finally:
        sys.settrace(tracer)


def _first_fenced_block(text: str) -> str | None:
    """What stands between the first three backticks, `json` after them skipped, and the next three; None without."""
    start = text.find("```")
    if start < 0:
        return None
    start += 3
    if text.startswith("json", start):
        start += 4
    end = text.find("```", start)
    return None if end < 0 else text[start:end].strip()


def _first_balanced_object(text: str) -> str | None:
    """The text from the first `{` to the `}` that closes it, braces in double quotes not counted; None without."""
    start = text.find("{")
    if start < 0:
        return None
    depth, quoted = 0, False
    for token in re.compile(r'\\.|["{}]', re.DOTALL).finditer(text, start):
        position = token.start()
        character = text[position]
        if character == "\\" and not quoted:
            # Outside quotes a backslash escapes nothing, so the character it was matched with counts by itself.
            character = text[position + 1]
            position += 1
        if character == '"':
            quoted = not quoted
        elif quoted or character not in "{}":
            continue
        else:
            depth += 1 if character == "{" else -1
            if depth == 0:
                return text[start : position + 1]
    return None


def _without_reasoning(text: str) -> str:
    """The text without its `<think>…</think>` spans, and then without the rest from an unclosed `<think>` on."""
    kept: list[str] = []
    position = 0
    while (start := text.find("<think>", position)) >= 0:
        end = text.find("</think>", start + len("<think>"))
        if end < 0:
            break
        kept.append(text[position:start])
        position = end + len("</think>")
    return ("".join(kept) + text[position:]).partition("<think>")[0]


def _as_value(feedback: Any, reader: Reader) -> Any:
    """A feedback as it is compared: a text as the value that can be read in it, anything else as it is."""
    if not isinstance(feedback, str):
        return feedback
    attempts: list[tuple[Reader, str]] = [(reader, feedback), (_literal, feedback)]
    stripped = feedback.strip()
    if len(stripped) >= 2 and stripped[0] == stripped[-1] and stripped[0] in "\"'":
        attempts += [(reader, stripped[1:-1]), (_literal, stripped[1:-1])]
    try:
        return _first_success(attempts)
    except Unreadable:
        return feedback


# --- applying ---------------------------------------------------------------------------------------------------------


def _apply(state: dict[str, Any], changes: Any) -> None:
    """Apply the changes to `state` in place; raises whatever malformed changes make plain Python code raise."""
    lists = _Lists()
    for change in changes:
        kind, path = change.get("type"), change["path"]
        segments = path.split(".") if isinstance(path, str) else path
        if not isinstance(segments, list):
            raise TypeError(f"a path is text or a list, not {type(segments).__name__}")
        container: Any = state
        for segment in segments[:-1]:
            if isinstance(container, list):
                container = lists.parent(container, int(segment))
            else:
                container = container.setdefault(segment, {})
        last = segments[-1]
        if kind in REMOVALS:
            if isinstance(container, list):
                lists.remove(container, int(last))
            else:
                container.pop(last, None)
        else:
            value = change["value"] if "value" in change else change.get("after")
            if isinstance(container, list):
                lists.set(container, int(last), value)
            else:
                container[last] = value


class _Tail:
    """Stands as the last element of a list for all that lies past the padding which is really allocated.

    It equals nothing, so that such a list equals no true one. `runs` are the ends of the padded stretches, `fills`
    whether each is of objects (else of null), `known` the elements that were set or walked through.
    """

    def __init__(self) -> None:
        self.length = 0
        self.runs: list[int] = []
        self.fills: list[bool] = []
        self.known: dict[int, Any] = {}

    def grow(self, length: int, objects: bool) -> None:
        if length > self.length:
            self.length = length
            self.runs.append(length)
            self.fills.append(objects)

    def get(self, index: int) -> Any:
        if index not in self.known:
            self.known[index] = {} if self.fills[bisect_right(self.runs, index)] else None
        return self.known[index]

    def remove(self, index: int) -> None:
        # What moves up by one is only exact as long as the tail is one stretch without known elements; nothing but a
        # raise further down such a list could tell the difference.
        self.length -= 1
        self.known.clear()
        self.runs, self.fills = [self.length], [self.fills[bisect_right(self.runs, index)]]


class _Lists:
    """List access with the harness's padding, of which at most PADDING_ELEMENTS are allocated for one answer."""

    def __init__(self) -> None:
        self.left = PADDING_ELEMENTS

    def parent(self, items: list[Any], index: int) -> Any:
        """The element to walk through; missing ones become objects."""
        self._grow(items, index + 1, objects=True)
        tail, index = self._locate(items, index)
        return items[index] if tail is None else tail.get(index)

    def set(self, items: list[Any], index: int, value: Any) -> None:
        """Set an element; missing ones before it become null."""
        self._grow(items, index + 1, objects=False)
        tail, index = self._locate(items, index)
        if tail is None:
            items[index] = value
        else:
            tail.known[index] = value

    def remove(self, items: list[Any], index: int) -> None:
        """Remove an element if it is there; raises IndexError for a negative index before the first."""
        if index >= self._length(items):
            return
        tail, index = self._locate(items, index)
        if tail is None:
            items.pop(index)
            return
        tail.remove(index)
        if tail.length == 0:
            items.pop()

    def _grow(self, items: list[Any], length: int, objects: bool) -> None:
        missing = length - self._length(items)
        if missing <= 0:
            return
        tail = self._tail(items)
        if tail is None and missing <= self.left:
            self.left -= missing
            items.extend({} if objects else None for _ in range(missing))
            return
        if tail is None:
            tail = _Tail()
            items.append(tail)
        tail.grow(tail.length + missing, objects)

    def _locate(self, items: list[Any], index: int) -> tuple[_Tail | None, int]:
        """Where an existing element is: in the list itself, or in its tail."""
        if index < 0:
            index += self._length(items)
        if index < 0:
            raise IndexError("list index out of range")
        tail = self._tail(items)
        return (None, index) if tail is None or index < len(items) - 1 else (tail, index - len(items) + 1)

    def _length(self, items: list[Any]) -> int:
        tail = self._tail(items)
        return len(items) if tail is None else len(items) - 1 + tail.length

    @staticmethod
    def _tail(items: list[Any]) -> _Tail | None:
        return items[-1] if items and isinstance(items[-1], _Tail) else None


# --- comparing --------------------------------------------------------------------------------------------------------

_NAN = json.loads("NaN")


def _copy(value: Any) -> Any:
    """A copy of a JSON value whose NaNs are the one object that `json.loads` gives.

    Python's `==` on containers takes the same object for equal, so that NaN inside a list equals itself in the
    harness, which reads everything with `json`.
    """
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return _NAN if isinstance(value, float) and math.isnan(value) else value


def _first_mismatch(true_changes: list[tuple[str, Any]], predicted: dict[str, Any]) -> str | None:
    """The dotted path of the first true change that `predicted` does not hold, or None."""
    for path, expected in true_changes:
        value: Any = predicted
        for segment in path.split("."):
            if not isinstance(value, dict) or segment not in value:
                return path
            value = value[segment]
        if value != expected:
            return path
    return None


def _true_changes(before: dict[str, Any], after: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """The changed paths as dotted text with the value each must hold: the new one, None where it was removed."""
    for key in sorted(before.keys() | after.keys()):
        path = f"{prefix}.{key}" if prefix else key
        if key not in after:
            yield path, None
        elif key not in before:
            yield path, after[key]
        elif isinstance(before[key], dict) and isinstance(after[key], dict):
            yield from _true_changes(before[key], after[key], path)
        elif before[key] != after[key]:
            yield path, after[key]

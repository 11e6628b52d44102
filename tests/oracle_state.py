"""Oracle, state half: equality, Δ, paths and operations (contract, 1 to 3), slow and obvious."""

from __future__ import annotations

import copy
import itertools
import math
import re
from dataclasses import dataclass
from typing import Any

from oracle_text import Set

JsonObject = dict[str, Any]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


class Inapplicable(Exception):
    """The operation at `index` (from 0) cannot be applied, for `reason`."""

    def __init__(self, index: int, reason: str) -> None:
        self.index, self.reason = index, reason
        super().__init__(f"operation {index}: {reason}")


class Refuse(Exception):
    """Why the operation at hand cannot be applied."""


# ---------------------------------------------------------------------------------------------- values (contract, 1)


def equal(left: Any, right: Any) -> bool:
    """The one equality: numbers by value, booleans apart from numbers, NaN equal to itself, sets as in section 5."""
    if isinstance(left, Set) or isinstance(right, Set):
        # reading: a list matches a set whichever side it is on, and its own order and repetition are ignored then.
        if not all(isinstance(side, (Set, list)) for side in (left, right)):
            return False
        xs, ys = (side.elements if isinstance(side, Set) else side for side in (left, right))
        return all(any(equal(x, y) for y in ys) for x in xs) and all(any(equal(x, y) for x in xs) for y in ys)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return left == right or (is_nan(left) and is_nan(right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equal(x, y) for x, y in zip(left, right, strict=True))
    return type(left) is type(right) and bool(left == right)


def is_nan(number: float) -> bool:
    return isinstance(number, float) and math.isnan(number)


# --------------------------------------------------------------------------------------------------- Δ (contract, 2)


def diff(before: JsonObject, after: JsonObject) -> list[JsonObject]:
    """The changes from `before` to `after`: type, path, before, after (None where absent), ordered by path."""
    changes: list[JsonObject] = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key, MISSING), after.get(key, MISSING)
        if old is MISSING:
            changes.append({"type": "add", "path": [key], "before": None, "after": new})
        elif new is MISSING:
            changes.append({"type": "delete", "path": [key], "before": old, "after": None})
        elif isinstance(old, dict) and isinstance(new, dict):
            changes += [{**change, "path": [key, *change["path"]]} for change in diff(old, new)]
        elif not equal(old, new):
            changes.append({"type": "modify", "path": [key], "before": old, "after": new})
    return changes


# ------------------------------------------------------------------------------------------------ paths (contract, 3)


@dataclass(frozen=True)
class Segment:
    """One step of a path; `number` is set for an `[n]` and for an integer in a list path.

    `plain` marks a segment of dotted text that no key settled, `rivalled` one for which a shorter key was there too.
    """

    text: str
    number: bool = False
    plain: bool = False
    rivalled: bool = False


def index_of(segment: Segment, length: int) -> int:
    """The existing index that a segment names in an array of `length` elements."""
    if not re.fullmatch("0|[1-9][0-9]*", segment.text):
        raise Refuse(f"{segment.text!r} is no index")
    if len(segment.text) > 20 or int(segment.text) >= length:
        raise Refuse(f"index {segment.text} is past the end")
    return int(segment.text)


def child(container: Any, segment: Segment) -> Any:
    """What a segment leads to, or MISSING."""
    if isinstance(container, dict):
        return container.get(segment.text, MISSING)
    if isinstance(container, list):
        try:
            return container[index_of(segment, len(container))]
        except Refuse:
            return MISSING
    return MISSING


def lookup(state: Any, segments: list[Segment]) -> Any:
    """The value at a path, which must exist."""
    for segment in segments:
        state = child(state, segment)
        if state is MISSING:
            raise Refuse(f"nothing at {segment.text!r}")
    return state


def read_path(path: Any, state: JsonObject, *, rfc: bool) -> list[Segment]:
    """The segments of a list or text path, read against the state as it stands."""
    if isinstance(path, list):
        # reading: a segment is a text or an integer; a boolean, float, null or container makes a bad path.
        if any(isinstance(item, bool) or not isinstance(item, (str, int)) for item in path):
            raise Refuse("a segment is a text or an integer")
        return [Segment(str(item), number=isinstance(item, int)) for item in path]
    # reading: a missing or null path is a bad path, not the whole state.
    if not isinstance(path, str):
        raise Refuse("a path is a list or a text")
    if path == "":
        return []
    return read_pointer(path, state, rfc=rfc) if path.startswith("/") else read_dotted(path, state)


def read_pointer(path: str, state: JsonObject, *, rfc: bool) -> list[Segment]:
    """RFC 6901, except that outside the RFC words a whole text that is a top-level key may be that key."""
    parts = path[1:].split("/")
    # reading: ~ before anything but 0 or 1 is a bad path, as RFC 6901 says.
    texts = [None if re.search("~(?![01])", part) else part.replace("~1", "/").replace("~0", "~") for part in parts]
    if not rfc and texts[0] not in state and path in state:
        return [Segment(path)]
    if None in texts:
        raise Refuse("a bad escape in a pointer")
    return [Segment(text) for text in texts if text is not None]


def runs(container: Any, text: str, at: int) -> list[str]:
    """The keys of an object that stand at a place in the text and end at its end, at a dot or at a bracket."""
    if not isinstance(container, dict):
        return []
    return [key for key in container if text.startswith(key, at) and text[at + len(key) :][:1] in ("", ".", "[")]


def read_dotted(path: str, state: JsonObject) -> list[Segment]:
    if not [key for key in runs(state, path, 0) if key]:
        # reading: one prefix is dropped, once; "$." and "self." alone leave the empty text, the whole state.
        # "self[" and a bare "self" are no prefixes.
        for prefix, dropped in (("$.", 2), ("$[", 1), ("self.", 5)):
            if path.startswith(prefix):
                path = path[dropped:]
                break
        else:
            path = "" if path == "$" else path
    if path == "":
        return []
    segments: list[Segment] = []
    here: Any = state
    at, after_dot = 0, False
    while True:
        segment, at = next_segment(path, at, here, after_dot=after_dot)
        segments.append(segment)
        here = child(here, segment)
        if at == len(path):
            return segments
        if path[at] not in ".[":
            raise Refuse("text behind a bracket")
        after_dot = path[at] == "."
        at += after_dot


def next_segment(path: str, at: int, here: Any, *, after_dot: bool) -> tuple[Segment, int]:
    # reading: a "[" at the start, or right behind a segment, opens a bracket, unless an existing non-empty key begins
    # with it; a "[" right behind a dot has an empty segment in front of it.
    bracket = path[at : at + 1] == "[" and not after_dot
    keys = [key for key in runs(here, path, at) if key or not bracket]
    if keys:
        key = max(keys, key=len)
        return Segment(key, rivalled=len(keys) > 1), at + len(key)
    if bracket:
        # reading: a quoted bracket holds no quote of its own kind; a backslash in it is a plain character;
        # [''] names the key "" also where it does not exist yet.
        match = re.compile(r"""\[(?:([0-9]+)|'([^']*)'|"([^"]*)")\]""").match(path, at)
        if match is None:
            raise Refuse("neither digits nor a quoted text in brackets")
        if match[1] is not None:
            return Segment(match[1], number=True), match.end()
        return Segment(match[2] if match[2] is not None else match[3]), match.end()
    plain = re.split(r"[.\[]", path[at:], maxsplit=1)[0]
    if plain == "":
        raise Refuse('no key ""')
    return Segment(plain, plain=True), at + len(plain)


# ------------------------------------------------------------------------------------------- operations (contract, 3)

ADD = {"add", "added", "insert", "create"}
MODIFY = {"modify", "modified", "update", "updated", "set", "replace", "change", "changed"}
DELETE = {"delete", "deleted", "remove", "removed"}
RFC_WORDS = {"add", "remove", "replace", "move", "copy", "test"}


def read_kind(operation: JsonObject) -> tuple[str, bool]:
    """The kind (add, modify, delete, or an RFC 6902 word) and whether it has RFC 6902 semantics."""
    word = operation.get("type")
    under_op = word is None
    if under_op:
        word = operation.get("op")
    if word is None:
        return "modify", False
    if not isinstance(word, str):
        raise Refuse("a kind is a text")
    word = word.strip().lower()
    if under_op and word in RFC_WORDS:
        return word, True
    for kind, words in (("add", ADD), ("modify", MODIFY), ("delete", DELETE)):
        if word in words:
            return kind, False
    raise Refuse(f"no kind {word!r}")


def read_value(operation: JsonObject) -> Any:
    for key in ("value", "after", "new_value", "new"):
        if key in operation:
            # reading: a Python set is no JSON value, so an operation that needs it as its value is inapplicable.
            if holds_set(operation[key]):
                raise Refuse("a set is no value of a state")
            return copy.deepcopy(operation[key])
    raise Refuse("no value")


def holds_set(value: Any) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return isinstance(value, Set) or any(holds_set(item) for item in children)


def put(state: JsonObject, segments: list[Segment], value: Any, kind: str, *, make_parents: bool) -> JsonObject:
    """Set (`add`, `modify`) or overwrite (`replace`) the place that the segments name."""
    if not segments:
        if not isinstance(value, dict):
            raise Refuse("only an object can be the state")
        return value
    parent: Any = state
    for segment, following in itertools.pairwise(segments):
        if isinstance(parent, dict) and segment.text not in parent and make_parents:
            if following.number:
                raise Refuse("no array to index")
            parent[segment.text] = {}
        parent = lookup(parent, [segment])
    last = segments[-1]
    if isinstance(parent, dict):
        if kind == "replace" and last.text not in parent:
            raise Refuse(f"nothing at {last.text!r}")
        parent[last.text] = value
    elif isinstance(parent, list) and kind == "add":
        parent.insert(len(parent) if last.text == "-" else index_of(last, len(parent) + 1), value)
    elif isinstance(parent, list):
        parent[index_of(last, len(parent))] = value
    else:
        raise Refuse("a path through a scalar")
    return state


def remove(state: JsonObject, segments: list[Segment]) -> None:
    if not segments:
        raise Refuse("the whole state cannot be deleted")
    lookup(state, segments)
    parent = lookup(state, segments[:-1])
    if isinstance(parent, dict):
        del parent[segments[-1].text]
    else:
        del parent[index_of(segments[-1], len(parent))]


def apply_one(state: JsonObject, operation: Any) -> tuple[JsonObject, bool]:
    """The state after one operation, and whether its path was ambiguous. May spoil the given state."""
    if not isinstance(operation, dict):
        raise Refuse("an operation is an object")
    kind, rfc = read_kind(operation)
    path = operation.get("path")
    segments = read_path(path, state, rfc=rfc)
    if kind in ("delete", "remove"):
        remove(state, segments)
        return state, False
    if kind == "test":
        if not equal(lookup(state, segments), read_value(operation)):
            raise Refuse("the test fails")
        return state, False
    if kind in ("move", "copy"):
        # reading: both texts are read against the state before the operation; the root is no target, but may be copied.
        source = read_path(operation.get("from"), state, rfc=rfc)
        if not segments:
            raise Refuse("the state cannot be the target")
        value = copy.deepcopy(lookup(state, source))
        ambiguous = is_ambiguous(path, segments, state)
        if kind == "move":
            texts = [[segment.text for segment in side] for side in (source, segments)]
            if len(source) < len(segments) and texts[1][: len(source)] == texts[0]:
                raise Refuse("a move into its own child")
            remove(state, source)
        return put(state, segments, value, "add", make_parents=False), ambiguous
    ambiguous = is_ambiguous(path, segments, state)
    return put(state, segments, read_value(operation), kind, make_parents=not rfc), ambiguous


def is_ambiguous(path: Any, segments: list[Segment], state: JsonObject) -> bool:
    """True where a text path adds a key and could have been split otherwise."""
    # reading: ambiguous when an operation adds a key, and either its dotted text goes on behind a new segment that no
    # bracket spelled out, or a shorter key than the one taken was there too; a pointer is never ambiguous, nor is
    # `u.name` where the object `u` is there. It stays ambiguous when a later operation is inapplicable.
    if not isinstance(path, str) or path.startswith("/"):
        return False
    here: Any = state
    for number, segment in enumerate(segments):
        parent, here = here, child(here, segment)
        if here is MISSING:
            unsettled = any(new.plain for new in segments[number:-1])
            return isinstance(parent, dict) and (unsettled or any(passed.rivalled for passed in segments))
    return False


def run_operations(state: JsonObject, operations: list[Any]) -> tuple[JsonObject, bool, Inapplicable | None]:
    """The state after the operations up to the first inapplicable one, whether a path was ambiguous, and that one."""
    ambiguous = False
    for index, operation in enumerate(operations):
        try:
            state, unclear = apply_one(copy.deepcopy(state), operation)
        except Refuse as error:
            return state, ambiguous, Inapplicable(index, str(error))
        ambiguous = ambiguous or unclear
    return state, ambiguous, None


def apply(state: JsonObject, operations: list[Any]) -> JsonObject:
    """The state after all operations; raises Inapplicable."""
    state, _, error = run_operations(state, operations)
    if error:
        raise error
    return state

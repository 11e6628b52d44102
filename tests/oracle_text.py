"""Oracle, text half: JSON and Python literals, and how a prediction is found in a completion (contract, 5 and 6)."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, ClassVar

sys.set_int_max_str_digits(0)  # integers of any size are exact

KEYS = ("feedback", "config_changes")
OPEN_THINK, CLOSE_THINK = "<think>", "</think>"


class Unreadable(Exception):
    """The text at this place is not a value of the wanted notation."""


class Unparsed(Exception):
    """An answer without a readable prediction; `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Set:
    """A Python set as read from a literal; it stands for itself in no JSON state."""

    def __init__(self, elements: list[Any]) -> None:
        self.elements = elements


def ordered_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict in which a repeated key keeps its last value, standing where that value stands in the text."""
    result: dict[str, Any] = {}
    for key, value in pairs:
        result.pop(key, None)
        result[key] = value
    return result


def read_json(text: str, start: int, *, raw_newlines: bool) -> tuple[Any, int]:
    """One JSON value at `start`, and where it ends."""
    # reading: raw "newlines and tabs inside strings are accepted" as by strict=False: all control characters are.
    decoder = json.JSONDecoder(strict=not raw_newlines, object_pairs_hook=ordered_object)
    try:
        return decoder.raw_decode(text, start)
    except ValueError as error:
        raise Unreadable from error


class Literal:
    """A reader of what `repr()` writes for dicts, lists, tuples, sets and scalars."""

    # reading: only numbers as repr() writes them: no sign +, no underscore, no `1.` or `.5`, no leading zero.
    NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
    WORDS: ClassVar[dict[str, Any]] = {
        "None": None,
        "True": True,
        "False": False,
        "nan": float("nan"),
        "inf": float("inf"),
        "-inf": -float("inf"),
    }
    # reading: the escapes are those of repr(), and \" beside \'; \a, \0, \N{...} and a backslash at a line end are not.
    ESCAPES: ClassVar[dict[str, str]] = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
    HEX_ESCAPES: ClassVar[dict[str, int]] = {"x": 2, "u": 4, "U": 8}
    SPACE = " \t\n\r\f"

    def __init__(self, text: str, start: int, *, raw_newlines: bool) -> None:
        self.text, self.at, self.raw_newlines = text, start, raw_newlines

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, expected: str) -> bool:
        if self.text.startswith(expected, self.at):
            self.at += len(expected)
            return True
        return False

    def skip_space(self) -> None:
        while self.peek() and self.peek() in self.SPACE:
            self.at += 1

    def value(self) -> Any:
        """The value here, tuples as tuples, followed by skipped white space."""
        self.skip_space()
        value = self._value()
        self.skip_space()
        return value

    def _value(self) -> Any:
        if self.take("{"):
            return self.dict_or_set()
        if self.take("["):
            return self.items("]")[0]
        if self.take("("):
            items, comma = self.items(")")
            if len(items) == 1 and not comma:
                raise Unreadable  # (1) is 1 in brackets, which repr() never writes
            return tuple(items)
        if self.peek() in ("'", '"'):
            return self.string()
        if self.take("set"):
            self.skip_space()
            if self.take("("):
                self.skip_space()
                if self.take(")"):
                    return Set([])
            raise Unreadable
        for word, value in self.WORDS.items():
            if self.take(word):
                return value
        number = self.NUMBER.match(self.text, self.at)
        if number is None:
            raise Unreadable
        self.at = number.end()
        return float(number[0]) if number[1] or number[2] else int(number[0])

    def items(self, closer: str) -> tuple[list[Any], bool]:
        """The items up to `closer`, and whether a comma stood behind the last one."""
        items: list[Any] = []
        comma = True
        while True:
            self.skip_space()
            if self.take(closer):
                return items, comma
            if not comma:
                raise Unreadable
            items.append(self.value())
            comma = self.take(",")

    def dict_or_set(self) -> Any:
        self.skip_space()
        if self.take("}"):
            return {}
        here = self.at
        self.value()
        is_dict = self.peek() == ":"
        self.at = here
        if not is_dict:
            elements, _ = self.items("}")
            if not all(is_hashable(element) for element in elements):
                raise Unreadable
            return Set(elements)
        pairs: list[tuple[str, Any]] = []
        comma = True
        while True:
            self.skip_space()
            if self.take("}"):
                return ordered_object(pairs)
            if not comma:
                raise Unreadable
            key = self.value()
            if not is_hashable(key) or not self.take(":"):
                raise Unreadable
            # reading: "the text that json.dumps gives them" also for a tuple: (1, 2) becomes the key "[1, 2]".
            pairs.append((key if isinstance(key, str) else json.dumps(key), self.value()))
            comma = self.take(",")

    def string(self) -> str:
        quote = self.peek()
        self.at += 1
        result: list[str] = []
        while True:
            char = self.peek()
            self.at += 1
            if char == "" or (char in "\n\r" and not self.raw_newlines):
                raise Unreadable
            if char == quote:
                return "".join(result)
            result.append(self.escape() if char == "\\" else char)

    def escape(self) -> str:
        char = self.peek()
        self.at += 1
        if char in self.ESCAPES:
            return self.ESCAPES[char]
        length = self.HEX_ESCAPES.get(char, 0)
        digits = self.text[self.at : self.at + length]
        if not re.fullmatch("[0-9a-fA-F]+", digits) or len(digits) < length:
            raise Unreadable
        self.at += len(digits)
        if int(digits, 16) > 0x10FFFF:
            raise Unreadable
        return chr(int(digits, 16))


def is_hashable(value: Any) -> bool:
    """True when Python could hold the value in a set or as a key."""
    # reading: a set or a key that Python could not build is no literal, because repr() never writes it.
    return not isinstance(value, (list, dict, Set)) and (not isinstance(value, tuple) or all(map(is_hashable, value)))


def tuples_as_lists(value: Any) -> Any:
    """The value with every tuple turned into a list."""
    if isinstance(value, (list, tuple)):
        return [tuples_as_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: tuples_as_lists(item) for key, item in value.items()}
    if isinstance(value, Set):
        return Set([tuples_as_lists(item) for item in value.elements])
    return value


def read_literal(text: str, start: int, *, raw_newlines: bool) -> tuple[Any, int]:
    """One Python literal at `start`, and where it ends (white space behind it included)."""
    reader = Literal(text, start, raw_newlines=raw_newlines)
    value = reader.value()
    return tuples_as_lists(value), reader.at


def read_whole(text: str) -> Any:
    """The one JSON value, else the one Python literal, that the whole stripped text is; raises Unreadable."""
    # reading: raw newlines are accepted when a completion is read (section 6), not inside an observation's strings.
    # reading: "stripped" is str.strip(), so all Unicode white space goes.
    stripped = text.strip()
    for read in (read_json, read_literal):
        try:
            value, end = read(stripped, 0, raw_newlines=False)
        except Unreadable:
            continue
        if end == len(stripped):
            return value
    raise Unreadable


def without_trailing_commas(text: str, start: int, quotes: str) -> tuple[str, list[int]]:
    """The text from `start` on without commas before a closer, and the place that each kept character comes from."""
    # reading: one comma in front of } or ] (white space between); a comma in front of ) makes a tuple and stays.
    places: list[int] = []
    quote = ""
    at = start
    while at < len(text):
        char = text[at]
        if quote and char == "\\":
            places.append(at)
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in quotes:
            quote = char
        elif char == "," and re.match(r",[ \t\n\r\f]*[}\]]", text[at:]):
            at += 1
            continue
        if at < len(text):
            places.append(at)
        at += 1
    return "".join(text[place] for place in places), places


def read_object(text: str, start: int) -> tuple[dict[str, Any], int, str] | None:
    """The object at `start`, where it ends and how it was read; None when there is no readable object."""
    for suffix in ("", "_commas"):
        for how, read, quotes in (("json", read_json, '"'), ("literal", read_literal, "'\"")):
            try:
                if suffix:
                    cleaned, places = without_trailing_commas(text, start, quotes)
                    value, end = read(cleaned, 0, raw_newlines=True)
                    end = places[end - 1] + 1
                else:
                    value, end = read(text, start, raw_newlines=True)
            except Unreadable:
                continue
            if isinstance(value, dict):
                end = text.rindex("}", start, end) + 1
                return value, end, how + suffix
    return None


def drop_reasoning(text: str) -> str:
    """The text without its <think> blocks; tags inside the strings of a readable object are text."""
    kept = ""
    at = 0
    while at < len(text):
        found = read_object(text, at) if text[at] == "{" else None
        if found:
            kept += text[at : found[1]]
            at = found[1]
        elif text.startswith(CLOSE_THINK, at):
            kept = ""
            at += len(CLOSE_THINK)
        elif text.startswith(OPEN_THINK, at):
            # reading: blocks do not nest: the first <think> is closed by the first </think> behind it.
            at += len(OPEN_THINK)
            close = find_close(text, at)
            at = at if close is None else close + len(CLOSE_THINK)
        else:
            kept += text[at]
            at += 1
    return kept


def find_close(text: str, at: int) -> int | None:
    """Where the next closing tag stands that is not inside a readable object."""
    while at < len(text):
        found = read_object(text, at) if text[at] == "{" else None
        if found:
            at = found[1]
        elif text.startswith(CLOSE_THINK, at):
            return at
        else:
            at += 1
    return None


def is_candidate(value: Any) -> bool:
    """True for an object with at least one of the two keys."""
    return isinstance(value, dict) and any(key in value for key in KEYS)


def outermost_candidates(value: Any) -> list[dict[str, Any]]:
    """The candidates in a value that are not inside another candidate, in the order of the text."""
    if is_candidate(value):
        return [value]
    children = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [candidate for child in children for candidate in outermost_candidates(child)]


def is_cut_off(text: str, start: int) -> bool:
    """True when the object at `start` begins with one of the two keys and is never closed."""
    key = re.match(r"""\{[ \t\n\r\f]*(["'])(feedback|config_changes)\1""", text[start:])
    if not key:
        return False
    # reading: {} and [] count, round brackets do not; each opener is +1 and each closer -1, whatever its kind.
    # reading: an object whose first key stands in " is JSON, where ' is no quote; in one that starts with ' both are.
    # A backslash escapes inside quotes, and a quote may span lines.
    quotes = '"' if key[1] == '"' else "'\""
    depth, quote, at = 0, "", start
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in quotes:
            quote = char
        elif char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth == 0:
                return False
        at += 1
    return True


def prediction(candidate: dict[str, Any]) -> dict[str, Any]:
    """The candidate with its list of changes; a missing or null list means no change."""
    changes = candidate.get("config_changes")
    if changes is not None and not isinstance(changes, list):
        raise Unparsed("config_changes is not a list")
    return {"feedback": candidate.get("feedback"), "config_changes": changes or []}


def extract(text: str) -> tuple[dict[str, Any], str]:
    """The prediction in a completion and the strategy that found it; raises Unparsed."""
    text = text.removeprefix("\ufeff")
    try:
        whole = json.loads(text, strict=False, object_pairs_hook=ordered_object)
    except ValueError:
        whole = None
    if is_candidate(whole):
        return prediction(whole), "whole_json"
    text = drop_reasoning(text)
    last: tuple[dict[str, Any], str] | None = None
    fenced = False
    at = 0
    while at < len(text):
        # reading: blank is space or tab; the rest of an opening line is in the block, that of a closing line is not.
        line_start = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
        if text.startswith("```", at) and text[line_start:at].strip(" \t") == "":
            fenced = not fenced
            at += 3
            continue
        if text[at] == "{":
            found = read_object(text, at)
            if found:
                value, at, how = found
                for candidate in outermost_candidates(value):
                    last = candidate, f"{'fenced' if fenced else 'bare'}_{how}"
                continue
            if is_cut_off(text, at):
                if last is None:
                    raise Unparsed("truncated")
                break
        at += 1
    if last is None:
        raise Unparsed("no prediction")
    # reading: the last candidate is the answer even when its list is malformed; no earlier one is tried.
    return prediction(last[0]), last[1]

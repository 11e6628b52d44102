"""Arguments: values for a tool's parameters, found in the state by the parameters' names and types."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from envsim_core.records import JsonObject

KNOWN_SHARE = {"string": 0.95, "integer": 0.4, "number": 0.4}  # how often a value of the state is used
SAME_RECORD_SHARE = 0.6  # how often the further arguments come from the record that the first one names
OPTIONAL_SHARE = 0.6
NULL_SHARE = 0.25
OPEN_SHARE = 0.15  # of the records are drawn without regard to what went well before
MAX_COMPARED = 40  # records are weighed; of more, as many are drawn first
TEXTS = ("blue folder", "urgent", "v2", "north wing", "check again", "draft", "follow up", "spare part", "a.b", "")
WRONG_TEXTS = ("NOPE-999", "unknown", "no_such_item", "")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
ISO_MINUTES = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")
CLOCK = re.compile(r"\d{2}:\d{2}")
QUOTED = re.compile(r"[\"'`]([\w./ -]{1,30})[\"'`]")


class Arguments:
    """Draws the arguments of one call in one state."""

    def __init__(
        self, rng: Random, state: JsonObject, promise: Callable[[str, JsonObject], float] | None = None
    ) -> None:
        self._rng = rng
        self._promise = promise  # how promising a record is as the value of a parameter
        self.chosen: list[tuple[str, JsonObject]] = []  # the records that were drawn, by parameter
        self._values: dict[str, list[Any]] = defaultdict(list)  # field name to the values it has somewhere
        self._keys: dict[str, list[str]] = defaultdict(list)  # collection name to its keys
        self._records: dict[Any, list[JsonObject]] = defaultdict(list)  # key or id to the records of that name
        self._record: JsonObject = {}  # the one that this call is about
        self._index(state, "")

    def draw(self, parameters: JsonObject, wrong: bool) -> JsonObject:
        """Arguments for a JSON Schema of parameters; `wrong` makes one of them one that cannot be right."""
        required = set(parameters.get("required", ()))
        arguments: JsonObject = {}
        for name, schema in parameters.get("properties", {}).items():
            if name in required or self._rng.random() < OPTIONAL_SHARE:
                arguments[name] = self._value(name, schema)
                self._focus(arguments[name])
        if wrong and arguments:
            name = self._rng.choice(list(arguments))
            arguments[name] = self._wrong(parameters["properties"][name])
        return arguments

    def _index(self, value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                self._keys[name].append(key)
                if isinstance(item, dict):
                    self._records[key].append(item)
                self._index(item, key)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    for key, field in item.items():
                        if isinstance(field, str) and (key == "id" or key.endswith("_id")):
                            self._records[field].append(item)
                            self._keys[name].append(field)
                # a record's field names are no keys of the collection
                self._index(item, "" if isinstance(item, dict) else name)
        else:
            self._values[name].append(value)

    def _focus(self, value: Any) -> None:
        if not self._record and isinstance(value, str) and value in self._records:
            self._record = self._rng.choice(self._records[value])

    def _value(self, name: str, schema: JsonObject) -> Any:
        rng = self._rng
        if "anyOf" in schema:
            options = [option for option in schema["anyOf"] if option.get("type") != "null"]
            nullable = len(options) < len(schema["anyOf"])
            if not options or (nullable and rng.random() < NULL_SHARE):
                return None
            return self._value(name, {"description": schema.get("description", "")} | rng.choice(options))
        if "enum" in schema:
            return rng.choice(schema["enum"])
        match schema.get("type"):
            case "boolean":
                return rng.random() < 0.5
            case "array":
                items = [self._value(singular(name), schema.get("items", {})) for _ in range(rng.randint(1, 4))]
                return [item for position, item in enumerate(items) if item not in items[:position]]
            case "object":
                return self._object(name, schema)
            case "integer" | "number" as kind:
                return self._number(name, kind, schema)
            case "null":
                return None
            case "string":
                return self._text(name, schema)
        return rng.choice([self._text(name, schema), self._number(name, "integer", schema)])

    def _object(self, name: str, schema: JsonObject) -> JsonObject:
        if "properties" in schema:
            return {key: self._value(key, inner) for key, inner in schema["properties"].items()}
        inner = schema.get("additionalProperties")
        inner = inner if isinstance(inner, dict) else {}
        keys = self._found(singular(name), str) or ["first", "second", "third"]
        chosen = self._rng.sample(sorted(set(keys)), min(len(set(keys)), self._rng.randint(1, 3)))
        return {key: self._value(singular(name), inner) for key in chosen}

    def _number(self, name: str, kind: str, schema: JsonObject) -> int | float:
        rng = self._rng
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and high is not None:
            drawn: float = rng.randint(int(low), int(high)) if kind == "integer" else round(rng.uniform(low, high), 2)
            return drawn
        known = [value for value in self._found(name, int, float) if kind == "number" or isinstance(value, int)]
        if known and rng.random() < KNOWN_SHARE[kind]:
            value = rng.choice(known)
            scaled = rng.choice([value, value, value / 2, value * 0.9, value + 1])
            return int(scaled) if kind == "integer" else round(float(scaled), 2)
        if kind == "integer":
            return rng.choice([1, 1, 2, 2, 3, 4, 5, rng.randint(1, 12), rng.randint(1, 60)])
        return rng.choice([round(rng.uniform(1, 40), 2), float(rng.randint(1, 20)), round(rng.uniform(1, 400), 1)])

    def _text(self, name: str, schema: JsonObject) -> str:
        rng = self._rng
        if name in self._record and isinstance(self._record[name], str) and rng.random() < SAME_RECORD_SHARE:
            return str(self._record[name])
        known = self._found(name, str)
        # a name of a record that is no record can only fail, and wrong arguments are made elsewhere
        share = 1.0 if known and all(value in self._records for value in known) else KNOWN_SHARE["string"]
        if known and rng.random() < share:
            return self._moved(self._promising(name, known))
        quoted = QUOTED.findall(schema.get("description", ""))
        return rng.choice(quoted) if quoted and rng.random() < 0.8 else rng.choice(TEXTS)

    def _promising(self, name: str, known: list[str]) -> str:
        if self._promise is None:
            return self._rng.choice(known)
        if len(known) > MAX_COMPARED:
            known = self._rng.sample(known, MAX_COMPARED)
        records = [self._records[value][0] if value in self._records else {} for value in known]
        if self._rng.random() < OPEN_SHARE:
            place = self._rng.randrange(len(known))
        else:
            weights = [self._promise(name, record) for record in records]
            place = self._rng.choices(range(len(known)), weights)[0]
        if records[place]:
            self.chosen.append((name, records[place]))
        return known[place]

    def _moved(self, text: str) -> str:
        """A date or time is now and then moved by a little: the one in the state is often taken already."""
        rng = self._rng
        try:
            if ISO_MINUTES.fullmatch(text) and rng.random() < 0.5:
                at = datetime.fromisoformat(text) + timedelta(minutes=15 * rng.randint(-16, 32))
                return at.isoformat(sep=text[10], timespec="minutes")
            if ISO_DATE.fullmatch(text) and rng.random() < 0.5:
                return (date.fromisoformat(text) + timedelta(days=rng.randint(-3, 10))).isoformat()
        except (ValueError, OverflowError):
            return text  # looked like a date and is none
        if CLOCK.fullmatch(text) and rng.random() < 0.5:
            return f"{rng.randint(7, 20):02d}:{rng.choice((0, 15, 30, 45)):02d}"
        return text

    def _found(self, name: str, *kinds: type) -> list[Any]:
        """Values of the state that the name stands for; the longest part of the name that finds any decides."""
        for part in endings(name):
            found = list(self._values.get(part, ()))
            if str in kinds:
                stem = part.removesuffix("_id").removesuffix("_name").removesuffix("_key")
                found += [key for word in (stem, *plurals(stem)) for key in self._keys.get(word, ())]
            found = [value for value in found if type(value) in kinds]
            if found:
                return found
        return self._dates(name) if str in kinds else []

    def _dates(self, name: str) -> list[str]:
        words = set(name.split("_"))
        if not words & {"date", "day", "start", "end", "due", "deadline", "time", "at", "until", "since", "begin"}:
            return []
        texts = [value for values in self._values.values() for value in values if isinstance(value, str)]
        return [text for text in texts if any(p.fullmatch(text) for p in (ISO_DATE, ISO_MINUTES, CLOCK))]

    def _wrong(self, schema: JsonObject) -> Any:
        rng = self._rng
        options = schema.get("anyOf", [schema])
        match options[0].get("type"):
            case "integer":
                return rng.choice([0, -1, -5, 10**6, 10**9])
            case "number":
                return rng.choice([0.0, -1.0, -20.5, 1e9])
            case "boolean":
                return rng.random() < 0.5
            case "array":
                inner = options[0].get("items", {})
                return rng.choice([[], [self._wrong(inner)]])
            case "object":
                return {}
        return rng.choice(WRONG_TEXTS)


def endings(name: str) -> Iterator[str]:
    """`target_account_id`, `account_id`, `id`, then the same without `_id`: what a parameter is called in a state."""
    words = name.split("_")
    for first in range(len(words)):
        yield "_".join(words[first:])
    if words[-1] == "id" and len(words) > 1:
        yield from endings("_".join(words[:-1]))


def singular(word: str) -> str:
    """`item_ids` -> `item_id`, `categories` -> `category`, `people` -> `person`."""
    if word.endswith("people"):
        return word.removesuffix("people") + "person"
    if word.endswith("ies"):
        return word.removesuffix("ies") + "y"
    return word.removesuffix("s")


def plurals(word: str) -> tuple[str, ...]:
    """What a collection of `word` may be called."""
    irregular = ("people",) if word == "person" else ()
    return (word + "s", word + "es", word.removesuffix("y") + "ies", *irregular)

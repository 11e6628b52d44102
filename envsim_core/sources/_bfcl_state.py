"""The state of an object as JSON and back, exactly. Its text stands in front of each class of source `bfcl`.

What JSON lacks is an object with one key that says what it is: "$set", "$tuple", "$int_keys", "$items" (other keys),
"$datetime", "$random" (a generator: its seed, and how many 32-bit words were drawn), "$class" (with its attributes)
and "$ref" (the thing that stands at that path). Attributes that no line of the class reads are left out.
"""

import datetime as _datetime
import json as _json
import random as _random
from typing import Any


class Generator(_random.Random):
    """Draws what random.Random draws, and counts the words."""

    def __init__(self, seed: Any = None) -> None:
        self.origin, self.words = seed, 0
        super().__init__(seed)

    def skip(self, words: int) -> None:
        for _ in range(words):
            self.getrandbits(32)

    def random(self) -> float:
        self.words += 2
        return super().random()

    def getrandbits(self, k: int) -> int:
        self.words += (k + 31) // 32
        return super().getrandbits(k)


class JsonState:
    """Writes objects of the classes in `known` and everything in them, without the attributes in `unread`."""

    def __init__(self, known: dict[str, Any], unread: list[str]) -> None:
        self.known, self.unread = known, unread

    def write(self, thing: Any) -> dict[str, Any]:
        seen: dict[int, list[str | int]] = {}
        order = sorted(vars(thing), key=lambda name: (name.startswith("_"), name))
        return {name: self._write(vars(thing)[name], [name], seen) for name in order if name not in self.unread}

    def _write(self, value: Any, path: list[str | int], seen: dict[int, list[str | int]]) -> Any:
        kind = type(value)
        if value is None or kind in (str, int, float, bool):
            return value
        if kind is _datetime.datetime:
            return {"$datetime": value.isoformat()}
        if kind is tuple:
            return {"$tuple": [self._write(item, [*path, "$tuple", i], seen) for i, item in enumerate(value)]}
        if id(value) in seen:
            return {"$ref": seen[id(value)]}
        seen[id(value)] = path
        if kind is list:
            return [self._write(item, [*path, i], seen) for i, item in enumerate(value)]
        if kind is set:
            return {"$set": [self._write(item, path, seen) for item in sorted(value, key=lambda x: (str(type(x)), x))]}
        if kind is Generator:
            return {"$random": {"seed": value.origin, "words": value.words}}
        if kind is dict:
            kinds = {type(key) for key in value}
            if kinds <= {str} and not any(key.startswith("$") for key in value):
                return {key: self._write(item, [*path, key], seen) for key, item in value.items()}
            if kinds == {int}:
                inner = [*path, "$int_keys"]
                return {"$int_keys": {str(k): self._write(item, [*inner, str(k)], seen) for k, item in value.items()}}
            pairs = enumerate(value.items())
            return {
                "$items": [
                    [self._write(k, [*path, "$items", i, 0], seen), self._write(item, [*path, "$items", i, 1], seen)]
                    for i, (k, item) in pairs
                ]
            }
        if self.known.get(kind.__name__) is not kind:
            raise TypeError(f"{path}: a {kind.__name__} cannot be told as JSON")
        fields = {name: item for name, item in vars(value).items() if name not in self.unread}
        return {"$class": kind.__name__} | {n: self._write(item, [*path, n], seen) for n, item in fields.items()}

    def read(self, thing: Any, state: dict[str, Any]) -> None:
        found: dict[tuple[str | int, ...], Any] = {}
        later: list[tuple[Any, Any, list[str | int]]] = []
        vars(thing).update({name: self._read(value, [name], found, later) for name, value in state.items()})
        for holder, key, place in [*later, *((vars(thing), name, v["$ref"]) for name, v in state.items() if _ref(v))]:
            holder[key] = found[tuple(place)]

    def _read(self, value: Any, path: list[str | int], found: dict[Any, Any], later: list[Any]) -> Any:
        def fill(holder: Any, key: Any, item: Any, step: list[str | int]) -> None:
            holder[key] = None
            if _ref(item):
                later.append((holder, key, item["$ref"]))
            else:
                holder[key] = self._read(item, [*path, *step], found, later)

        if isinstance(value, list):
            result: Any = [None] * len(value)
            found[tuple(path)] = result
            for i, item in enumerate(value):
                fill(result, i, item, [i])
        elif not isinstance(value, dict) or _ref(value):
            return value
        elif "$datetime" in value:
            return _datetime.datetime.fromisoformat(value["$datetime"])
        elif "$tuple" in value:
            return tuple(self._read(item, [*path, "$tuple", i], found, later) for i, item in enumerate(value["$tuple"]))
        elif "$set" in value:
            result = {self._read(item, path, found, later) for item in value["$set"]}
        elif "$random" in value:
            result = Generator(value["$random"]["seed"])
            result.skip(value["$random"]["words"])
        elif "$class" in value:
            result = object.__new__(self.known[value["$class"]])
            found[tuple(path)] = result
            for name, item in value.items():
                if name != "$class":
                    fill(vars(result), name, item, [name])
        else:
            result = {}
            found[tuple(path)] = result
            if "$int_keys" in value:
                for name, item in value["$int_keys"].items():
                    fill(result, int(name), item, ["$int_keys", name])
            elif "$items" in value:
                for i, (key, item) in enumerate(value["$items"]):
                    fill(result, self._read(key, [], {}, later), item, ["$items", i, 1])
            else:
                for name, item in value.items():
                    fill(result, name, item, [name])
        found[tuple(path)] = result
        return result


def _ref(value: Any) -> bool:
    return isinstance(value, dict) and "$ref" in value


def json_state(known: dict[str, Any], unread: list[str]) -> Any:
    """A class decorator: between two calls the attributes are JSON; a tool returns the text that BFCL makes of it."""
    codec = JsonState(known, unread)

    def decorate(cls: Any) -> Any:
        def tool(name: str, method: Any) -> Any:
            def call(self: Any, *args: Any, **kwargs: Any) -> str:
                thing = object.__new__(cls)
                codec.read(thing, vars(self))
                try:
                    result = method(thing, *args, **kwargs)
                    text = result if isinstance(result, str) else _text(result)
                except Exception as error:
                    text = f"Error during execution: {error}"
                vars(self).clear()
                vars(self).update(codec.write(thing))
                return text

            call.__name__ = name
            return call

        methods = {name: value for name, value in vars(cls).items() if callable(value) and not name.startswith("_")}
        body = {name: tool(name, method) for name, method in methods.items()}
        return type(cls.__name__, (), body | {"__doc__": cls.__doc__, "_plain": cls, "_codec": codec})

    return decorate


def _text(result: Any) -> str:
    if isinstance(result, dict):
        try:
            return _json.dumps(result)
        except (TypeError, ValueError):
            pass
    return str(result)

"""Probe: stands below an environment's code in the worker, calls a tool twice, and tells what a state does not show."""

import copy as envsim_copy
import json as envsim_json
import random as envsim_random
import types as envsim_types
from typing import Any as EnvsimAny

ENVSIM_SCALARS = (str, int, float, bool, bytes, complex, type(None))
ENVSIM_DEPTH = 40


class EnvsimProbe:
    """Runs a call on two instances of the environment's class, one after the other, in this process."""

    def probe(self, class_name: str, state: EnvsimAny, name: str, arguments: EnvsimAny) -> str:
        cls = globals()[class_name]
        told: dict[str, list[EnvsimAny]] = {"states": [], "observations": [], "changed": []}
        for number in range(2):
            try:
                instance = cls()
            except TypeError:
                instance = cls({})
            own = set(vars(instance)) - set(state)
            vars(instance).update(envsim_copy.deepcopy(state))
            before = envsim_places(instance, own) if number == 0 else {}
            returned = getattr(instance, name)(**envsim_copy.deepcopy(arguments))
            if number == 0:
                after = envsim_places(instance, own)
                told["changed"] = [key for key in after if before.get(key) != after[key]]
            told["observations"].append(str(returned))
            told["states"].append(envsim_exported(instance))
        return envsim_json.dumps(told)


def envsim_exported(instance: EnvsimAny) -> EnvsimAny:
    exported = {}
    for key, value in vars(instance).items():
        try:
            exported[key] = envsim_json.loads(envsim_json.dumps(value))
        except (TypeError, ValueError, RecursionError):
            pass
    return exported


def envsim_places(instance: EnvsimAny, own: set[str]) -> dict[str, EnvsimAny]:
    """Everything that outlives a call and is no state: module variables, class attributes, what a constructor makes."""
    seen: dict[int, EnvsimAny] = {}
    places: dict[str, EnvsimAny] = {}
    for name, value in list(globals().items()):
        if name.startswith("__") or name.lower().startswith("envsim"):
            continue
        if isinstance(value, type):
            if value.__module__ == "environment":
                for key, item in list(vars(value).items()):
                    if not key.startswith("__") or isinstance(item, envsim_types.FunctionType):
                        places[f"class attribute {value.__name__}.{key}"] = envsim_trace(item, seen, 0)
        elif not isinstance(value, envsim_types.ModuleType):
            places[f"module variable {name}"] = envsim_trace(value, seen, 0)
    for key in own:
        places[f"attribute {key}"] = envsim_trace(vars(instance).get(key), seen, 0)
    for cls in type(instance).__mro__:
        slots = vars(cls).get("__slots__", ())
        for key in (slots,) if isinstance(slots, str) else slots:
            if key not in ("__dict__", "__weakref__"):
                places[f"slot {key}"] = envsim_trace(getattr(instance, key, None), seen, 0)
    return places


def envsim_trace(value: EnvsimAny, seen: dict[int, EnvsimAny], depth: int) -> EnvsimAny:
    """A value's content as nested tuples that can be compared."""
    kind = type(value)
    if isinstance(value, ENVSIM_SCALARS):
        return kind.__name__, value
    if id(value) in seen:
        return "seen", seen[id(value)][0]
    seen[id(value)] = len(seen), value  # kept, or its number would be given to another
    if depth > ENVSIM_DEPTH or isinstance(value, (type, envsim_types.ModuleType)):
        return kind.__name__
    inner = depth + 1
    if isinstance(value, dict):
        items = [(envsim_trace(key, seen, inner), envsim_trace(item, seen, inner)) for key, item in value.items()]
        return kind.__name__, tuple(items)
    if isinstance(value, (list, tuple, set, frozenset)):
        return kind.__name__, tuple([envsim_trace(item, seen, inner) for item in value])
    if isinstance(value, envsim_random.Random):
        return kind.__name__, value.getstate()
    if isinstance(value, envsim_types.GeneratorType):
        frame = value.gi_frame
        return ("ended",) if frame is None else (frame.f_lasti, envsim_trace(frame.f_locals, seen, inner))
    if isinstance(value, (staticmethod, classmethod)):
        return kind.__name__, envsim_trace(value.__func__, seen, inner)
    if isinstance(value, envsim_types.FunctionType):
        cells = [envsim_cell(cell) for cell in value.__closure__ or ()]
        kept = (cells, value.__defaults__, value.__kwdefaults__, vars(value))
        return kind.__name__, envsim_trace(kept, seen, inner)
    try:
        reduced = value.__reduce_ex__(2)
    except Exception:
        reduced = repr(value) if kind.__module__ in ("itertools", "collections") else getattr(value, "__dict__", "")
    if isinstance(reduced, tuple):
        reduced = [list(part) if hasattr(part, "__next__") else part for part in reduced[1:]]
    return kind.__name__, envsim_trace(reduced, seen, inner)


def envsim_cell(cell: EnvsimAny) -> EnvsimAny:
    try:
        return cell.cell_contents
    except ValueError:
        return None

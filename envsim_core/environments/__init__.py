"""Environments: the built-in ones, one module each, loaded only when asked for."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from envsim_core.errors import UnknownName


def names() -> list[str]:
    """The names of all built-in environments, sorted. Every module in this package is one."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> ModuleType:
    """Import the environment called `name`: a module with DOMAIN, one class and `scenario(rng, size)`.

    Raises UnknownName when there is none of that name.
    """
    known = names()
    if name not in known:
        raise UnknownName("environment", name, known)
    return importlib.import_module(f"{__name__}.{name}")

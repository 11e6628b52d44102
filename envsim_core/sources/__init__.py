"""Sources: where environments come from. One module each, imported when the configuration names it."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Protocol, cast

from envsim_core.config import Collect
from envsim_core.errors import BadConfig, UnknownName
from envsim_core.records import Environment


class Source(Protocol):
    """What a module of this package offers to be explored."""

    def load_environments(self, settings: Collect, seed: int) -> list[Environment]:
        """The environments with their scenarios; the same arguments give the same rows.

        Raises BadFile naming the file that cannot be used, UnknownName for an environment that is not there.
        """

    def source_files(self, settings: Collect) -> list[Path]:
        """The files that `load_environments` reads: when one changes, the environments are collected again."""


def load_source(name: str) -> Source:
    """Import the source called `name`.

    Raises UnknownName when there is none, BadConfig when it holds no environments to explore.
    """
    known = [module.name for module in pkgutil.iter_modules(__path__)]
    if name not in known:
        raise UnknownName("source", name, known)
    module = importlib.import_module(f"{__name__}.{name}")
    if not hasattr(module, "load_environments"):
        raise BadConfig(f'collect.source: "{name}" holds recorded samples, not environments that can be explored')
    return cast(Source, module)

"""Sources: where environments come from. One module each, imported when the configuration names it.

A module whose name begins with an underscore is a part of the source that is named after it.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from pathlib import Path
from typing import Protocol, cast

from envsim_core.config import Collect
from envsim_core.errors import BadConfig, BadFile, EnvSimError, UnknownName
from envsim_core.records import Environment

HUB = "hf://datasets/"


class Source(Protocol):
    """What a module of this package offers."""

    def load_environments(self, settings: Collect, seed: int) -> list[Environment]:
        """The environments with their scenarios; the same arguments give the same rows.

        Raises BadFile naming the file that cannot be used, UnknownName for an environment that is not there.
        """

    def source_files(self, settings: Collect) -> list[Path]:
        """The files that `load_environments` reads: when one changes, the environments are collected again."""


class MissingPackage(EnvSimError):
    """A source or a file that needs a package which is not installed; the message says how to install it."""


def load_source(name: str) -> Source:
    """Import the source called `name`. Raises UnknownName when there is none."""
    known = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    if name not in known:
        raise UnknownName("source", name, known)
    return cast(Source, importlib.import_module(f"{__name__}.{name}"))


def local_files(settings: Collect) -> list[Path]:
    """The files of `collect.files`, fetched from the hub where they lie there (kept in its cache).

    Raises BadConfig when none is named, BadFile when one is not there.
    """
    if not settings.files:
        raise BadConfig(f'collect.files: source "{settings.source}" reads files, and none is named')
    return [_fetched(name) if name.startswith(HUB) else _existing(name) for name in settings.files]


def chosen(settings: Collect, environments: list[Environment]) -> list[Environment]:
    """Those that `collect.environments` names, or all, each with its first `scenarios_per_environment` scenarios.

    Raises UnknownName for a name that is not among them.
    """
    found = {environment.env_id: environment for environment in environments}
    names = list(found) if settings.environments == "all" else settings.environments
    for name in names:
        if name not in found:
            raise UnknownName("environment", name, found)
    limit = settings.scenarios_per_environment
    return [found[name].model_copy(update={"scenarios": found[name].scenarios[:limit]}) for name in sorted(set(names))]


def _existing(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise BadFile(path, None, None, "is not there; collect.files names files, or hf://datasets/OWNER/NAME/PATH")
    return path


def _fetched(name: str) -> Path:
    owner, _, rest = name.removeprefix(HUB).partition("/")
    repository, _, inside = rest.partition("/")
    repository, _, revision = repository.partition("@")
    if not (owner and repository and inside):
        raise BadConfig(f'collect.files: "{name}" is not hf://datasets/OWNER/NAME[@REVISION]/PATH')
    try:
        import huggingface_hub
    except ImportError:
        raise MissingPackage(
            f"{name}: fetching from the hub needs huggingface_hub: pip install huggingface_hub,"
            " or download the file and name its path"
        ) from None
    try:
        found = huggingface_hub.hf_hub_download(
            f"{owner}/{repository}", inside, repo_type="dataset", revision=revision or None
        )
    except (OSError, ValueError) as error:  # no such file, no access, no network: all of its errors are one of these
        first = str(error).strip().partition("\n")[0]
        raise BadFile(name, None, None, f"cannot be fetched ({type(error).__name__}): {first}") from None
    return Path(os.fspath(found))

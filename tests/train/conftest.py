"""Fixtures that the tests of several frameworks share: small rows, and a model with random weights made from them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from small_rows import write_rows

from envsim_core.stages.train import make_base_model
from envsim_core.training.stacks import ROOT

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell without job control starts what it leaves in the background so, and what these tests interrupt inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of training rows; its name has a space, because a user's may."""
    return write_rows(tmp_path_factory.mktemp("small") / "the rows")


@pytest.fixture(scope="session")
def base(rows: Path) -> Path:
    """A model of tiny.yaml's size."""
    folder = rows.with_name("base")
    make_base_model(rows, ROOT / "configs/train/tiny.yaml", folder, seed=1)
    return folder

"""Prompts room: a benchmark and its environments in, one chat request per sample out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from envsim_core.errors import BadFile
from envsim_core.prompts import PROMPT_VERSION, render_request
from envsim_core.records import Environment, Request, Sample, read_rows, write_rows

VERSION = PROMPT_VERSION


def render_prompts(environments: Path, benchmark: Path, requests: Path) -> int:
    """Render `benchmark` (Sample rows) with the code in `environments` into `requests`, in the same order.

    Returns the number of requests. Raises BadFile when a sample's code is not among the environments.
    """
    by_code = {row.code_hash: row for row in read_rows(environments, Environment)}

    def rows() -> Iterator[Request]:
        for number, sample in enumerate(read_rows(benchmark, Sample), 1):
            if sample.code_hash not in by_code:
                why = f'sample "{sample.sample_id}" refers to code {sample.code_hash[:12]}, which {environments} lacks'
                raise BadFile(benchmark, number, "code_hash", why)
            yield render_request(by_code[sample.code_hash], sample)

    return write_rows(requests, rows())

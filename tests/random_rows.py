"""Random samples with answers of every kind, and files of them: input for the tests of files and benchmarks."""

from __future__ import annotations

import copy
import gzip
import json
import random
from pathlib import Path
from typing import Any

import polars as pl

GOLDEN = Path(__file__).parent / "golden" / "contract.jsonl"
FIELDS = ("state_before", "state_after", "observation", "volatile")

Row = dict[str, Any]


def golden_rows() -> tuple[list[Row], list[Row]]:
    """The samples and the completions of the golden rows."""
    rows = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    ids = [f"golden/{at}/{row['name']}" for at, row in enumerate(rows)]
    samples = [
        {"sample_id": key} | {field: row[field] for field in FIELDS if field in row}
        for key, row in zip(ids, rows, strict=True)
    ]
    return samples, [{"sample_id": key, "completion": row["completion"]} for key, row in zip(ids, rows, strict=True)]


def values(at: int) -> list[Any]:
    """One value of every kind."""
    return [at, str(at), None, True, 0.5, [at], {"x": at, "a.b": "é"}]


def random_rows(count: int, seed: int = 0, padding: int = 0) -> tuple[list[Row], list[Row]]:
    """Samples with `padding` bytes of state that nothing touches, and answers that are right, wrong, odd or missing."""
    rng = random.Random(seed)
    samples, completions = [], []
    for at in range(count):
        before: Row = {f"k{i}": rng.choice(values(i)) for i in range(6)}
        before |= {"pad": {"text": "p" * padding}} if padding else {}
        after = copy.deepcopy(before)
        operations: list[Row] = []
        for key in rng.sample([f"k{i}" for i in range(8)], rng.randrange(4)):
            if key in after and rng.random() < 0.4:
                del after[key]
                operations.append({"type": "delete", "path": [key]})
            else:
                value = rng.choice([rng.random(), "new", 2**70, {"deep": [1, {"y": None}]}, False])
                operations.append({"type": "modify" if key in after else "add", "path": [key], "value": value})
                after[key] = value
        observation = json.dumps({"success": True, "n": at})
        key = f"sample-{seed}-{at:06d}"
        samples.append({"sample_id": key, "state_before": before, "state_after": after, "observation": observation})
        kind = rng.randrange(8)
        if kind == 0 and operations:
            operations.pop()
        elif kind == 1:
            operations.append({"type": "add", "path": ["spam"], "value": "s" * rng.randrange(3000)})
        elif kind == 2:
            operations.append({"type": "delete", "path": ["nothing", "there"]})
        text = json.dumps({"feedback": observation if kind != 3 else "no", "config_changes": operations})
        odd = [None, " ", "I do not know.", text[:-3], f"<think>hm</think>\n```json\n{text}\n```"]
        completions.append({"sample_id": key, "completion": rng.choice(odd) if kind == 4 else text, "model": "m"})
    return samples, completions


def write_lines(path: Path, rows: list[Row]) -> Path:
    """Rows as JSONL; a name in .gz is compressed."""
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    return path


def write_table(path: Path, rows: list[Row]) -> Path:
    """Rows as Parquet: states and volatile paths as JSON text."""

    def cell(value: Any) -> Any:
        return value if value is None or isinstance(value, str) else json.dumps(value)

    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [cell(row.get(name)) for row in rows] for name in names}
    pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String)).write_parquet(path, row_group_size=100)
    return path


def key_of(verdict: Any) -> Row:
    """What the table says about a verdict, from the object."""
    row: Row = verdict.to_dict()
    mismatch = row.pop("first_mismatch") or {}
    text = {name: json.dumps(mismatch[name]) if name in mismatch else None for name in ("path", "expected", "got")}
    cut = {name: value if value is None or len(value) <= 1000 else value[:997] + "…" for name, value in text.items()}
    return (
        row
        | {f"mismatch_{name}": value for name, value in cut.items()}
        | {"mismatch_operation": mismatch.get("operation"), "mismatch_reason": mismatch.get("reason")}
    )

"""Bench: the core beside what else could do its work, on the same states in one run. `make bench` prints the tables.

States come from the built-in environments at three sizes, changes from calls of their own tools. Every contestant
does the same work on the same rows: read what it is given, apply the predicted changes, compare with the truth.
"""

from __future__ import annotations

import argparse
import copy
import inspect
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deepdiff
import jsonpatch
import orjson
import simdjson
from rich.console import Console
from rich.table import Table

import envsim_core as ec
from envsim_core import environments

SIZES = {"small": 1, "medium": 10, "large": 150}
ROWS = {"small": 2000, "medium": 400, "large": 40}
JsonObject = dict[str, Any]
CONSOLE = Console(width=120)

PLAIN = "plain Python: json.loads, deepcopy, apply, =="
SIMDJSON = "simdjson: parse the sample, nothing else"
LINES = "envsim_core.score_batch, JSON lines, 1 thread"
FILE = "envsim_core.score_file, 1 thread"
FILE_RUNS = "the same, calls on one state in a row"
FILE_2 = "envsim_core.score_file, 2 threads"
ORJSON = "orjson(before), apply in place, =="
JSONPATCH = "orjson(before), jsonpatch, =="
DEEPDIFF = "orjson(before), apply in place, deepdiff"
WARM = "envsim_core.Benchmark.score, 1 thread"
WARM_2 = "envsim_core.Benchmark.score, 2 threads"


@dataclass(frozen=True)
class Case:
    """One sample with a right answer, in every form that a contestant reads."""

    line: bytes
    completion: str
    before: bytes
    after: JsonObject
    patch: list[JsonObject]


def transitions(size: int, seed: int) -> Iterator[tuple[JsonObject, JsonObject, str]]:
    """State, next state and observation of calls that change something, without arguments or with drawn ones."""
    rng = random.Random(seed)
    for name in environments.names():
        module = environments.load(name)
        state = module.scenario(rng, size)
        cls = next(
            item for item in vars(module).values() if inspect.isclass(item) and item.__module__ == module.__name__
        )
        for method in sorted(name for name, item in vars(cls).items() if not name.startswith("_") and callable(item)):
            parameters = list(inspect.signature(getattr(cls, method)).parameters.values())[1:]
            required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
            instance = cls()
            vars(instance).update(copy.deepcopy(state))
            try:
                observation = getattr(instance, method)(**{name: draw(state, name, rng) for name in required})
            except (TypeError, ValueError, KeyError, AttributeError):
                continue  # drawn blindly, so some calls do not fit their tool
            if vars(instance) != state:
                yield state, vars(instance), str(observation)


def draw(state: JsonObject, name: str, rng: random.Random) -> Any:
    """A value for a parameter: a key of the collection that it is called after, else a small number."""
    stem = name.removesuffix("_id").removeprefix("source_").removeprefix("target_")
    for collection, value in state.items():
        if stem in collection and isinstance(value, dict) and value:
            return rng.choice(sorted(value))
    return rng.randint(1, 3)


def cases(size: str) -> list[Case]:
    made: list[Case] = []
    for seed in range(50):
        for before, after, observation in transitions(SIZES[size], seed):
            changes = [change.to_dict() for change in ec.diff(before, after)]
            if len(changes) > 12:
                continue
            operations = [{"type": c["type"], "path": c["path"], "value": c["after"]} for c in changes]
            row = {
                "sample_id": f"{len(made)}",
                "observation": observation,
                "state_before": before,
                "state_after": after,
            }
            answer = {"feedback": observation, "config_changes": operations}
            made.append(
                Case(json.dumps(row).encode(), json.dumps(answer), json.dumps(before).encode(), after, patch(changes))
            )
        if len(made) >= ROWS[size]:
            return made[: ROWS[size]]
    return made


def patch(changes: list[JsonObject]) -> list[JsonObject]:
    """The same changes as an RFC 6902 patch."""
    words = {"add": "add", "modify": "replace", "delete": "remove"}
    made = []
    for change in changes:
        pointer = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in change["path"])
        made.append({"op": words[change["type"]], "path": pointer, "value": change["after"]})
    return made


def apply_in_place(state: JsonObject, operations: list[JsonObject]) -> None:
    for operation in operations:
        parent = state
        for key in operation["path"][:-1]:
            parent = parent[key]
        if operation["type"] == "delete":
            del parent[operation["path"][-1]]
        else:
            parent[operation["path"][-1]] = operation["value"]


def plain(case: Case) -> bool:
    """What a Python programmer would write."""
    row, answer = json.loads(case.line), json.loads(case.completion)
    state = copy.deepcopy(row["state_before"])
    apply_in_place(state, answer["config_changes"])
    return bool(state == row["state_after"] and answer["feedback"] == row["observation"])


def best_python(case: Case) -> bool:
    """The best that Python can do when the truth is parsed already."""
    state, answer = orjson.loads(case.before), orjson.loads(case.completion)
    apply_in_place(state, answer["config_changes"])
    return bool(state == case.after)


def json_patch(case: Case) -> bool:
    state = orjson.loads(case.before)
    return bool(jsonpatch.apply_patch(state, case.patch, in_place=True) == case.after)


def deep_diff(case: Case) -> bool:
    state, answer = orjson.loads(case.before), orjson.loads(case.completion)
    apply_in_place(state, answer["config_changes"])
    return not deepdiff.DeepDiff(state, case.after)


PARSER = simdjson.Parser()


def parse_only(case: Case) -> bool:
    return PARSER.parse(case.line) is not None


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The median time of one call, after a warm-up; short calls are repeated until they took half a second."""
    work()
    times: list[float] = []
    while len(times) < repeats or (sum(times) < 0.5 and len(times) < 200):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def each(judge: Callable[[Case], bool], rows: list[Case]) -> Callable[[], None]:
    def work() -> None:
        for case in rows:
            if not judge(case):
                raise AssertionError(f"{judge.__name__} does not accept a right answer")

    return work


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    shown = Table(title=title, title_justify="left", title_style="bold")
    for place, column in enumerate(columns):
        shown.add_column(column, justify="left" if place == 0 else "right")
    for row in rows:
        shown.add_row(*row)
    CONSOLE.print(shown)


def in_rate(time_s: float, rows: list[Case]) -> tuple[str, str]:
    size = sum(len(case.line) for case in rows)
    return f"{time_s / len(rows) * 1e6:,.1f}", f"{size / time_s / 1e6:,.0f}"


def write_files(rows: list[Case], samples: Path, answers: Path) -> None:
    samples.write_bytes(b"".join(case.line + b"\n" for case in rows))
    ids = [orjson.loads(case.line)["sample_id"] for case in rows]
    texts = [{"sample_id": i, "completion": case.completion} for i, case in zip(ids, rows, strict=True)]
    answers.write_text("".join(json.dumps(text) + "\n" for text in texts))


def bench_size(size: str, folder: Path) -> dict[str, float]:
    """Print the table of one size and return seconds per contestant."""
    rows = cases(size)
    lines, texts = [case.line for case in rows], [case.completion for case in rows]
    samples, answers = folder / f"{size}.jsonl", folder / f"{size}.answers.jsonl"
    write_files(rows, samples, answers)
    # The core does not read a state again that the row before had, so both orders are shown.
    shuffled = random.Random(0).sample(rows, len(rows))
    mixed, mixed_answers = folder / f"{size}.mixed.jsonl", folder / f"{size}.mixed.answers.jsonl"
    write_files(shuffled, mixed, mixed_answers)
    out = folder / f"{size}.parquet"

    def file(threads: int, samples: Path = mixed, answers: Path = mixed_answers) -> Callable[[], None]:
        def work() -> None:
            out.unlink(missing_ok=True)
            ec.score_file(samples, answers, out, threads=threads)

        return work

    benchmark = ec.Benchmark.load(samples)
    wrong = [v for v in benchmark.score(texts) if not (v.config_match and v.feedback_match)]
    assert not wrong, wrong[:3]
    deep = rows[: max(4, len(rows) // 20)]
    times = {
        PLAIN: seconds(each(plain, rows)),
        SIMDJSON: seconds(each(parse_only, rows)),
        LINES: seconds(lambda: ec.score_batch(lines, texts, threads=1)),
        FILE: seconds(file(1)),
        FILE_RUNS: seconds(file(1, samples, answers)),
        FILE_2: seconds(file(2)),
        ORJSON: seconds(each(best_python, rows)),
        JSONPATCH: seconds(each(json_patch, rows)),
        DEEPDIFF: seconds(each(deep_diff, deep)) * len(rows) / len(deep),
        WARM: seconds(lambda: benchmark.score(texts, threads=1)),
        WARM_2: seconds(lambda: benchmark.score(texts, threads=2)),
    }
    shown = [
        [name, *in_rate(t, rows), f"{times[PLAIN] / t:,.1f}×", f"{times[ORJSON] / t:,.1f}×"]
        for name, t in times.items()
    ]
    mean = sum(map(len, lines)) / len(lines) / 2000
    table(
        f"{size}: {len(rows)} samples, states of about {mean:,.0f} KB",
        ["", "µs per sample", "MB/s of samples", "vs plain Python", "vs orjson"],
        shown,
    )
    return {name: t / len(rows) for name, t in times.items()}


def memory_of_score_file(folder: Path, rows: int) -> int:
    """Peak resident kilobytes of a process that scores a file of so many medium samples."""
    line = json.loads((folder / "medium.jsonl").read_bytes().splitlines()[0])
    answer = json.loads((folder / "medium.answers.jsonl").read_text().splitlines()[0])
    samples, answers = folder / "long.jsonl", folder / "long.answers.jsonl"
    with open(samples, "w") as one, open(answers, "w") as two:
        for number in range(rows):
            one.write(json.dumps({**line, "sample_id": str(number)}) + "\n")
            two.write(json.dumps({**answer, "sample_id": str(number)}) + "\n")
    (folder / "long.parquet").unlink(missing_ok=True)
    # Not ru_maxrss: a child inherits its parent's peak there.
    code = (
        "import sys, envsim_core as ec; ec.score_file(*sys.argv[1:4], threads=1); "
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    command = [sys.executable, "-c", code, str(samples), str(answers), str(folder / "long.parquet")]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def import_time() -> float:
    """Milliseconds that `import envsim_core` adds to a bare interpreter."""

    def run(code: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True), repeats=15)

    return (run("import envsim_core") - run("pass")) * 1000


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    versions = f"envsim_core {ec.__version__}, Python {sys.version.split()[0]}"
    CONSOLE.print(f"{versions}, {os.cpu_count()} cores; medians of 5 runs or more")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = {size: bench_size(size, folder) for size in SIZES}
        few, many = memory_of_score_file(folder, 1500), memory_of_score_file(folder, 15_000)
    medium = times["medium"]
    table(
        "What is asked of the core, as ratios within this run",
        ["", "measured", "must", "aim"],
        [
            ["cold, medium: score_file vs plain Python", f"{medium[PLAIN] / medium[FILE]:.1f}×", "25×", "100×"],
            ["cold, medium: score_file vs simdjson parsing", f"{medium[SIMDJSON] / medium[FILE]:.2f}×", "0.5×", "1×"],
            ["warm, medium: Benchmark.score vs orjson", f"{medium[ORJSON] / medium[WARM]:.1f}×", "20×", "100×"],
            ["warm: large vs small", f"{times['large'][WARM] / times['small'][WARM]:.2f}×", "≤ 3×", "≤ 1.2×"],
            ["two threads vs one, cold", f"{medium[FILE] / medium[FILE_2]:.2f}×", "1.7×", "1.95×"],
            ["two threads vs one, warm", f"{medium[WARM] / medium[WARM_2]:.2f}×", "1.7×", "1.95×"],
            ["score_file, 10 × the rows: peak memory", f"{many / few - 1:+.1%}", "+10 %", "flat"],
            ["import envsim_core", f"{import_time():.0f} ms", "80 ms", "30 ms"],
        ],
    )


if __name__ == "__main__":
    main()

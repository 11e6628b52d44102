"""Sft: transitions that no benchmark knows in, rows to train on out, with what was left out and why."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from random import Random

from envsim_core.config import Config, Recipe
from envsim_core.errors import BadFile, EnvSimError
from envsim_core.exports import write_published
from envsim_core.pool import Candidate, Pool, read_environments, read_pool, restrict
from envsim_core.records import (
    Environment,
    JsonObject,
    Request,
    Sample,
    TrainingRow,
    Transition,
    content_hash,
    read_rows,
    write_json,
    write_rows,
    write_text,
)
from envsim_core.splits import TEST
from envsim_core.strata import STRATA
from envsim_core.training_data.data_set import write_data_set
from envsim_core.training_data.decontamination import REASONS, Contact, Reference, reference, task_names
from envsim_core.training_data.formats import check_datasets, sample_of, training_row, write_datasets
from envsim_core.training_data.leaks import find_leaks
from envsim_core.training_data.lengths import token_counter
from envsim_core.training_data.mixtures import Portion, portions, spread, with_rl
from envsim_core.training_data.pages import described, markdown
from envsim_core.training_data.selection import Drawing, TransitionFile
from envsim_core.training_data.traces import traces

VERSION = "2"
TRAINED, HELD_OUT = "train", "held_out"
RESERVE = 0.1  # more rows than asked for, in the place of those that turn out to be too long
MAX_LISTED = 50  # rows that are named per reason; all are counted


class NothingToTrainOn(EnvSimError):
    """No task, or no row, is left; the message says what to raise."""


class OverLong(EnvSimError):
    """A row is longer than `max_tokens`, and `over_long` says that this is an error."""


def select_training_tasks(
    environments: Path,
    benchmark: Path,
    benchmark_environments: Path,
    split: Path,
    mixture: str,
    selected: Path,
    tasks: Path,
    config: Config,
) -> JsonObject:
    """Divide the tasks in `environments` into those to train on and those held out, before anything is executed.

    Writes `selected`, the environments with only those tasks, and `tasks`, the side of each. A task of the benchmark
    (by name, or by its first state) is on neither side. Raises NothingToTrainOn when a side is empty.
    """
    recipe = config.sft.recipe(mixture)
    known = _reference(benchmark, benchmark_environments, recipe)
    theirs = read_environments(benchmark_environments)
    starts = {
        content_hash(scenario.init_config): scenario.task_id
        for row in theirs.values()
        for scenario in row.scenarios
        if known.task(row.env_id, scenario.task_id, row.code_hash, row) is not None
    }
    rows = list(read_rows(environments, Environment))
    held = _held_out_environments(rows, split, theirs, recipe, config) if recipe.held_out == "environment" else set()
    sides: dict[str, dict[str, str]] = {}
    dropped: Counter[str] = Counter()
    for row in rows:
        kept = []
        for scenario in row.scenarios:
            if known.task(row.env_id, scenario.task_id, row.code_hash, row) is not None:
                dropped["task"] += 1
            elif content_hash(scenario.init_config) in starts:
                dropped["first_state"] += 1
            else:
                kept.append(scenario.task_id)
        if recipe.held_out == "environment":
            kept = kept[: _enough(recipe, len(held))] if row.env_id in held else kept
            away = set(kept) if row.env_id in held else set()
        else:
            away = set(_some(kept, recipe.held_out_share, f"{config.seed}/sft/{row.env_id}"))
        sides[row.env_id] = {name: HELD_OUT if name in away else TRAINED for name in kept}
    for side in (TRAINED, HELD_OUT):
        if not any(side in set(found.values()) for found in sides.values()):
            told = f"{dropped.total()} of {sum(len(row.scenarios) for row in rows)} tasks are the benchmark's"
            raise NothingToTrainOn(
                f"{environments}: no task is left for the side {side} ({told}); raise "
                "sft.scenarios_per_environment, or name more environments"
            )
    write_rows(
        selected,
        (
            row.model_copy(update={"scenarios": [item for item in row.scenarios if item.task_id in sides[row.env_id]]})
            for row in rows
            if sides[row.env_id]
        ),
    )
    counts = Counter(side for found in sides.values() for side in found.values())
    found: JsonObject = {
        "version": VERSION,
        "held_out": recipe.held_out,
        "held_out_environments": sorted(held),
        "counts": dict(sorted(counts.items())),
        "dropped": dict(sorted(dropped.items())),
        "tasks": sides,
    }
    write_json(tasks, found)
    return found


def draw_training_samples(
    environments: Path,
    transitions: Path,
    tasks: Path,
    benchmark: Path,
    benchmark_environments: Path,
    mixture: str,
    samples: Path,
    held_out: Path,
    drawn: Path,
    config: Config,
    threads: int = 1,
) -> JsonObject:
    """Draw the held-out rows and a mixture's rows from `transitions`, none of which the benchmark knows.

    `samples` has up to a tenth more than the mixture asks for, in the order in which they are to be taken; `drawn`
    says how many that is, what was left out, and why. The result does not depend on `threads`.
    """
    recipe, codes = config.sft.recipe(mixture), read_environments(environments)
    sides = json.loads(tasks.read_text(encoding="utf-8"))
    held_environments = sides["held_out_environments"] if recipe.held_out == "environment" else []
    known = _reference(benchmark, benchmark_environments, recipe)
    closed = Reference(recipe.near_duplicates)  # against training rows alone
    for environment in [*read_environments(benchmark_environments).values(), *codes.values()]:
        if environment.env_id in held_environments:
            closed.hold_out(environment.env_id, environment)
    file = TransitionFile(transitions)
    why: dict[int, tuple[str, Contact | None]] = {}
    side_of: dict[int, str] = {}
    for place, row in file.rows():
        if row.state_after is None or row.observation is None:
            continue
        code = codes.get(row.code_hash)
        side = _side(sides["tasks"], row)
        contact = known.contact(row, code)
        if contact is None and side == TRAINED:
            contact = closed.contact(row, code)
        if contact is not None:
            why[place] = contact.reason, contact
        elif side is None:
            why[place] = "unknown_task", None
        side_of[place] = side or TRAINED
    pool = read_pool(transitions, codes, recipe.near_duplicates, hidden=False)
    pools = {side: _of_side(pool, side, side_of, why) for side in (HELD_OUT, TRAINED)}
    drawing = Drawing(file, codes, config.collect.limits, threads)
    available = {name: len(pools[HELD_OUT].strata[name]) for name in STRATA}
    quotas = spread(min(recipe.held_out_rows, sum(available.values())), available)
    wanted = [Portion(name, (name,), count) for name, count in quotas.items() if count]
    taken = drawing.take(pools[HELD_OUT].strata, wanted, f"{config.seed}/held_out", lambda row: None)
    away = [sample for items in taken.values() for sample in items]
    if not away:
        raise NothingToTrainOn(f"{transitions}: no row is left to hold out; raise sft.scenarios_per_environment")
    near = reference(away, codes, recipe.near_duplicates)
    asked = with_rl(
        portions(config.sft.named(mixture), {name: len(pools[TRAINED].strata[name]) for name in STRATA}),
        recipe.rl_rows,
    )
    more = [Portion(item.name, item.strata, item.rows + item.rl + int(item.rows * RESERVE)) for item in asked]
    found = drawing.take(
        pools[TRAINED].strata,
        more,
        f"{config.seed}/{mixture}",
        lambda row: near.contact(row, codes.get(row.code_hash)),
    )
    if not any(found.values()):
        raise NothingToTrainOn(
            f"{transitions}: no row is left to train on; raise sft.scenarios_per_environment or sft.steps"
        )
    write_rows(held_out, away)
    write_rows(samples, (sample for item in asked for sample in found[item.name]))
    listed: dict[str, list[list[object]]] = defaultdict(list)
    for place, (reason, contact) in sorted(why.items()):
        if len(listed[reason]) < MAX_LISTED and contact is not None:
            listed[reason].append([file.names[place], contact.what, round(contact.similarity, 4)])
    reasons = Counter(reason for reason, _ in why.values())
    result: JsonObject = {
        "version": VERSION,
        "mixture": mixture,
        "transitions": len(file.names),
        "not_executed": dict(sorted(pool.not_executed.items())),
        "alike_among_themselves": {name: count for name, count in sorted(pool.left_out.items()) if count},
        "contaminated": {name: reasons[name] for name in (*REASONS, "unknown_task")},
        "contaminated_listed": {name: listed[name] for name in REASONS if listed[name]},
        "near_held_out": dict(sorted(drawing.refused.items())),
        "unpredictable": drawing.unpredictable,
        "available": {side: {name: len(pools[side].strata[name]) for name in STRATA} for side in pools},
        "held_out_rows": len(away),
        "portions": [
            {
                "name": item.name,
                "strata": list(item.strata),
                "asked": item.rows,
                "for_rl": item.rl,
                "found": len(found[item.name]),
            }
            for item in asked
        ],
    }
    write_json(drawn, result)
    return result


def write_training_files(
    environments: Path,
    samples: Path,
    requests: list[Path],
    held_out: Path,
    held_out_requests: Path,
    tasks: Path,
    drawn: Path,
    benchmark: Path,
    benchmark_environments: Path,
    mixture: str,
    data: Path,
    config: Config,
    threads: int = 1,
) -> JsonObject:
    """Put samples and the requests rendered for them together as files to train on, in the folder `data`.

    `requests` are in the order of preference: a row that is too long is tried with the next ones. Returns the report,
    which is written as report.json and report.md. Raises OverLong where an over-long row is an error, and
    ContaminatedRow when a finished row is one that the benchmark or the held-out rows know.
    """
    recipe, codes = config.sft.recipe(mixture), read_environments(environments)
    count, how = token_counter(recipe)
    told = json.loads(drawn.read_text(encoding="utf-8"))
    found: dict[str, list[TrainingRow]] = {item["name"]: [] for item in told["portions"]}
    kept: list[Sample] = []
    owner = {stratum: item["name"] for item in told["portions"] for stratum in item["strata"]}
    asked = {item["name"]: item["asked"] for item in told["portions"]}
    wanted = {item["name"]: item["asked"] + item["for_rl"] for item in told["portions"]}
    lengths: list[int] = []
    over_long: list[list[object]] = []
    sliced = 0
    streams = [read_rows(path, Request) for path in requests]
    candidates = list(read_rows(samples, Sample))
    reasoning = [""] * len(candidates)
    if recipe.reasoning == "trace":
        reasoning = traces(candidates, codes, config.collect.limits, threads)
    for sample, trace in zip(candidates, reasoning, strict=True):
        tried = [next(stream) for stream in streams]
        if any(request.sample_id != sample.sample_id for request in tried):
            raise BadFile(
                requests[0], None, "sample_id", f'"{sample.sample_id}" is out of place; render the prompts again'
            )
        name = owner[sample.stratum]
        if len(found[name]) == wanted[name]:
            continue
        rows = [training_row(sample, request, count, trace) for request in tried]
        fits = [row for row in rows if row.prompt_tokens + row.answer_tokens <= recipe.max_tokens]
        lengths.append(rows[0].prompt_tokens + rows[0].answer_tokens)
        if rows[0] not in fits:
            over_long.append([sample.sample_id, lengths[-1]])
            sliced += bool(fits)
        if fits:
            found[name].append(fits[0])
            kept.append(sample)
    if over_long and recipe.over_long == "error":
        worst = max(over_long, key=lambda item: str(item[1]).zfill(12))
        raise OverLong(
            f"{len(over_long)} of {len(lengths)} rows are longer than sft.max_tokens = {recipe.max_tokens} ({how}), "
            f'the longest "{worst[0]}" with {worst[1]} tokens; raise max_tokens, show less code (sft.code: slice), or '
            "let sft.over_long be drop or slice"
        )
    rows = [row for name, items in found.items() for row in items[: asked[name]]]
    if not rows:
        raise NothingToTrainOn(
            f"{samples}: each of {len(lengths)} rows is longer than sft.max_tokens = {recipe.max_tokens} ({how}); show "
            "less code (sft.code: slice, tool or none), smaller states, or raise max_tokens"
        )
    Random(f"{config.seed}/{mixture}/order").shuffle(rows)
    rl_rows = [row for name, items in found.items() for row in items[asked[name] :]]
    Random(f"{config.seed}/{mixture}/rl").shuffle(rl_rows)
    away = list(read_rows(held_out, Sample))
    asked_away = read_rows(held_out_requests, Request)
    away_rows = [training_row(sample, request, count) for sample, request in zip(away, asked_away, strict=True)]
    sides = json.loads(tasks.read_text(encoding="utf-8"))
    leaks = find_leaks(
        kept,
        {"benchmark": list(read_rows(benchmark, Sample)), "held_out": away},
        read_environments(benchmark_environments) | codes,
        sides["held_out_environments"] if recipe.held_out == "environment" else [],
        recipe.near_duplicates,
    )
    over_long.sort(key=str)
    report = described(
        mixture, recipe, told, sides, rows, len(rl_rows), away_rows, leaks, how, lengths, over_long, sliced
    )
    report["version"] = VERSION
    write_datasets(data, rows)
    write_rows(data / "rows.jsonl", rows)
    write_rows(data / "rl.jsonl", rl_rows or rows)
    write_rows(data / "held_out_rl.jsonl", away_rows)
    write_published(data / "held_out.json", away, codes)
    write_data_set(data / "dataset_card", config.sft.title, config.collect.source, rows, away_rows, codes, report)
    write_json(data / "report.json", report)
    write_text(data / "report.md", markdown(report))
    for line in report["short"]:
        print(f"warning: {line}", file=sys.stderr)
    return report


def check_training_data(data: Path, environments: Path, benchmark: Path, benchmark_environments: Path) -> JsonObject:
    """Hold the finished files in `data` against a benchmark, as they are now; returns what was compared.

    Raises ContaminatedRow naming a row that the benchmark, the held-out rows or a held-out environment knows, and
    BadFile where alpaca.json or sharegpt.json has other rows than rows.jsonl.
    """
    rows = list(read_rows(data / "rows.jsonl", TrainingRow))
    check_datasets(data, rows)
    known = {row.model_dump_json() for row in rows}
    rl_rows = [row for row in read_rows(data / "rl.jsonl", TrainingRow) if row.model_dump_json() not in known]
    told = json.loads((data / "report.json").read_text(encoding="utf-8"))["leaks"]
    away = [sample_of(row) for row in read_rows(data / "held_out_rl.jsonl", TrainingRow)]
    return find_leaks(
        [sample_of(row) for row in (*rows, *rl_rows)],
        {"benchmark": list(read_rows(benchmark, Sample)), "held_out": away},
        read_environments(benchmark_environments) | read_environments(environments),
        told["held_out_environments"],
        told["similarity"],
    )


def _reference(benchmark: Path, environments: Path, recipe: Recipe) -> Reference:
    return reference(read_rows(benchmark, Sample), read_environments(environments), recipe.near_duplicates)


def _held_out_environments(
    rows: list[Environment],
    split: Path,
    theirs: Mapping[str, Environment],
    recipe: Recipe,
    config: Config,
) -> set[str]:
    """The names of the environments that are held out, those of the benchmark's test side first of all."""

    sides = json.loads(split.read_text(encoding="utf-8"))["environments"]
    test = {name for name, side in sides.items() if side == TEST}
    closed = Reference(recipe.near_duplicates)
    for row in theirs.values():
        if row.env_id in test:
            closed.hold_out(row.env_id, row)
    for name in test:
        closed.hold_out(name, None)
    held = {row.env_id for row in rows if closed.holds_out(row) is not None}
    if not held:
        held = set(_some([row.env_id for row in rows], recipe.held_out_share, f"{config.seed}/sft"))
    return held | test


def _enough(recipe: Recipe, environments: int) -> int:
    """How many tasks of each held-out environment give `held_out_rows`, if a tenth of the calls is of use."""
    calls = 10 * recipe.held_out_rows
    return max(2, -(-calls // (recipe.trajectories * recipe.steps * environments)))


def _some(names: list[str], share: float, seed: str) -> list[str]:
    """A share of the names, at least one; none where that would be all."""
    if len(names) < 2:
        return []
    return Random(seed).sample(sorted(names), min(len(names) - 1, max(1, round(share * len(names)))))


def _of_side(pool: Pool, side: str, side_of: Mapping[int, str], why: Mapping[int, tuple[str, Contact | None]]) -> Pool:
    def reason(item: Candidate) -> str:
        return why[item.place][0] if item.place in why else side_of[item.place].replace(side, "")

    return restrict(pool, reason)


def _side(tasks: Mapping[str, Mapping[str, str]], row: Transition) -> str | None:
    found = tasks.get(row.env_id, {})
    return next((found[name] for name in task_names(row.task_id) if name in found), None)

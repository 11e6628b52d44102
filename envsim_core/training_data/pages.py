"""Pages: the report on a set of training rows, as numbers and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from envsim_core.config import Recipe
from envsim_core.records import JsonObject, TrainingRow
from envsim_core.strata import STRATA, group_of
from envsim_core.training_data.decontamination import REASONS
from envsim_core.training_data.lengths import summary

MAX_LISTED = 20
MEANINGS = {
    "task": "of a task of the benchmark",
    "environment": "of a held-out environment",
    "class_code": "of a class with a held-out one's code",
    "tool_code": "of a tool with the code of a held-out environment's",
    "row": "equal to a row of the benchmark",
    "near_duplicate": "nearly equal to a call of the benchmark",
    "state": "in a state nearly equal to one of the benchmark",
    "unknown_task": "of a task that was not selected",
}


def described(
    mixture: str,
    recipe: Recipe,
    drawn: JsonObject,
    tasks: JsonObject,
    rows: Sequence[TrainingRow],
    rl_rows: int,
    held_out: Sequence[TrainingRow],
    leaks: JsonObject,
    counted_how: str,
    lengths: Sequence[int],
    over_long: list[list[object]],
    sliced: int,
) -> JsonObject:
    """The report as numbers. `lengths` are of the rows as they were first rendered, the over-long ones included.

    `rl_rows` are those that only reinforcement learning sees; the other figures are of the rows to train on.
    """
    got = Counter(row.stratum for row in rows)
    composition = []
    short = []
    for item in drawn["portions"]:
        count = sum(got[name] for name in item["strata"])
        composition.append({"name": item["name"], "asked": item["asked"], "rows": count})
        if count < item["asked"]:
            why = "too long ones left out" if item["found"] >= item["asked"] else "no more were collected"
            short.append(f"mixture {mixture}: {count} of {item['asked']} rows of {item['name']} ({why})")
    if rl_rows < recipe.rl_rows:
        short.append(f"mixture {mixture}: {rl_rows} of {recipe.rl_rows} rows for reinforcement learning alone")
    return {
        "mixture": mixture,
        "rows": len(rows),
        "rl_rows": rl_rows,
        "held_out_rows": len(held_out),
        "recipe": recipe.model_dump(),
        "composition": composition,
        "short": short,
        "strata": {name: got[name] for name in STRATA},
        "held_out_strata": {name: sum(row.stratum == name for row in held_out) for name in STRATA},
        "environments": dict(sorted(Counter(row.env_id for row in rows).items())),
        "tools": len({(row.env_id, row.tool) for row in rows}),
        "with_trace": sum(row.answer.startswith("<think>") for row in rows),
        "code_forms": dict(sorted(Counter(row.code_form for row in rows).items())),
        "lengths": {
            "counted": counted_how,
            "max_tokens": recipe.max_tokens,
            "as_rendered": summary(lengths),
            "prompt": summary(row.prompt_tokens for row in rows),
            "answer": summary(row.answer_tokens for row in rows),
            "row": summary(row.prompt_tokens + row.answer_tokens for row in rows),
            "by_stratum": {
                name: summary(row.prompt_tokens + row.answer_tokens for row in rows if row.stratum == name)
                for name in STRATA
                if got[name]
            },
            "over_long": {
                "rows": len(over_long),
                "sliced": sliced,
                "left_out": len(over_long) - sliced,
                "listed": over_long[:MAX_LISTED],
            },
        },
        "tasks": {key: tasks[key] for key in ("held_out", "held_out_environments", "counts", "dropped")},
        "left_out": {
            key: drawn[key]
            for key in (
                "transitions", "not_executed", "alike_among_themselves", "contaminated", "contaminated_listed",
                "near_held_out", "unpredictable",
            )
        },
        "leaks": leaks,
    }  # fmt: skip


def markdown(report: JsonObject) -> str:
    """The report as a page."""
    lengths, left_out, tasks, leaks = (report[key] for key in ("lengths", "left_out", "tasks", "leaks"))
    over = lengths["over_long"]
    lines = [
        f"# Training data: {report['mixture']}",
        "",
        f"{report['rows']} rows of {len(report['environments'])} environments and {report['tools']} tools to train on,"
        f" {report['held_out_rows']} held out (`held_out: {tasks['held_out']}`)."
        + (f" {report['rl_rows']} further rows are for reinforcement learning alone." if report["rl_rows"] else ""),
        "",
        "## Composition",
        "",
        "| rows of | asked for | are there |",
        "|---|---:|---:|",
        *(f"| {item['name']} | {item['asked']} | {item['rows']} |" for item in report["composition"]),
        "",
        *([*(f"**Short:** {line}." for line in report["short"]), ""] if report["short"] else []),
        "| group | stratum | to train on | held out |",
        "|---|---|---:|---:|",
        *(
            f"| {group_of(name)} | {name} | {report['strata'][name]} | {report['held_out_strata'][name]} |"
            for name in STRATA
        ),
        "",
        "## Lengths",
        "",
        f"Tokens, {lengths['counted']}. A row may have {lengths['max_tokens']}; {over['rows']} of"
        f" {lengths['as_rendered']['rows']} had more: {over['sliced']} show a slice of the code instead,"
        f" {over['left_out']} are left out. Nothing is cut off.",
        "",
        "| | shortest | median | 90 % | 99 % | longest | sum |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(_lengths(name, lengths[name]) for name in ("prompt", "answer", "row")),
        *(_lengths(name, found) for name, found in lengths["by_stratum"].items()),
        "",
        "Code shown: " + ", ".join(f"{count} {form}" for form, count in report["code_forms"].items()) + "."
        f" Answers after a trace of the executed call: {report['with_trace']}.",
        "",
        "## Left out",
        "",
        f"Tasks of the benchmark, which were not explored: {sum(tasks['dropped'].values())}. Of"
        f" {left_out['transitions']} transitions were left out:",
        "",
        "| because it is | transitions |",
        "|---|---:|",
        *(f"| {MEANINGS[name]} (`{name}`) | {count} |" for name, count in left_out["contaminated"].items()),
        *(f"| {name.replace('_', ' ')} | {count} |" for name, count in left_out["alike_among_themselves"].items()),
        *(f"| not executed: {name} | {count} |" for name, count in left_out["not_executed"].items()),
        *(f"| like a held-out row: {name} | {count} |" for name, count in left_out["near_held_out"].items()),
        f"| not predictable: it moves with clock, seed or hash order | {left_out['unpredictable']} |",
        "",
        "## Leaks",
        "",
        f"Every finished row was held against the benchmark and the held-out rows once more (similarity from"
        f" {leaks['similarity']} counts):",
        "",
        "| training rows that share with them | rows |",
        "|---|---:|",
        *(f"| {name} | {leaks['contaminated'][name]} |" for name in REASONS),
        "",
        "| | rows | of environments that are trained on | rows of those |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {found['rows']} | {found['shared_environments']} | {found['rows_in_shared_environments']} |"
            for name, found in leaks["against"].items()
        ),
        "",
        "Held-out environments: " + (", ".join(leaks["held_out_environments"]) or "none (tasks are held out)") + ".",
        "",
    ]
    return "\n".join(lines)


def _lengths(name: str, found: JsonObject) -> str:
    cells = [str(found.get(key, "")) for key in ("shortest", "median", "p90", "p99", "longest", "sum")]
    return f"| {name} | " + " | ".join(cells) + " |"

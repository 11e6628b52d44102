"""Small rows: a counter's calls as training rows, in the shapes that the project writes; no source, no benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SYSTEM = "You simulate counters: predict what the call returns and what it changes."
COLUMNS = {"prompt": "instruction", "query": "input", "system": "system"}


def rows(count: int) -> list[dict[str, Any]]:
    """Calls that add to one of two counters, with their true outcome."""
    made = []
    for number in range(count):
        before = {"counters": {"a": number % 7, "b": number % 5}}
        name, amount = "ab"[number % 2], 1 + number % 3
        value = before["counters"][name] + amount
        after = {"counters": before["counters"] | {name: value}}
        change = {"type": "modify", "path": ["counters", name], "value": value}
        answer = json.dumps({"feedback": {"value": value}, "config_changes": [change]})
        question = f"State:\n{json.dumps(before)}\n\nCall:\nadd {json.dumps({'name': name, 'amount': amount})}"
        made.append(
            {
                "sample_id": f"row-{number}",
                "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
                "answer": answer,
                "change_count": 1,
                "state_before": json.dumps(before),
                "state_after": json.dumps(after),
                "observation": json.dumps({"value": value}),
                "volatile": "[]",
            }
        )
    return made


def write_rows(folder: Path, count: int = 64) -> Path:
    """A folder as `snakemake sft_data` leaves it: alpaca.json, sharegpt.json, dataset_info.json, rl.jsonl."""
    folder.mkdir(parents=True)
    made = rows(count)
    alpaca = [
        {"instruction": row["prompt"][1]["content"], "input": "", "output": row["answer"], "system": SYSTEM}
        for row in made
    ]
    sharegpt = [
        {
            "system": SYSTEM,
            "conversations": [
                {"from": "human", "value": row["prompt"][1]["content"]},
                {"from": "gpt", "value": row["answer"]},
            ],
        }
        for row in made
    ]
    info = {
        "alpaca": {"file_name": "alpaca.json", "columns": COLUMNS | {"response": "output"}},
        "sharegpt": {
            "file_name": "sharegpt.json",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "system": "system"},
        },
    }
    for name, value in (("alpaca", alpaca), ("sharegpt", sharegpt), ("dataset_info", info)):
        (folder / f"{name}.json").write_text(json.dumps(value))
    for name in ("rl", "held_out_rl"):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    return folder

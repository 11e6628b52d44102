"""Read recipes: every recipe of configs/train through its own framework's parser; run by a stack's Python.

python read_recipes.py sft|grpo RECIPE...      prints {recipe: [what is wrong]} as its last line
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

from envsim_core.training.inside.check_deepspeed import wrong_in


def read(kind: str, path: Path, port: int) -> list[str]:
    """What is wrong with one recipe."""
    options = yaml.safe_load(path.read_text(encoding="utf-8"))
    options.pop("envsim", None)
    if kind == "grpo":
        from envsim_core.training.inside.check_grpo import main as check_grpo

        return check_grpo({"options": options, "parse_only": True, "port": port})
    from envsim_core.training.inside.check_sft import main as check_sft

    options |= {"output_dir": "unused", "dataset": "alpaca", "dataset_dir": "unused"}
    options.setdefault("model_name_or_path", "made here")
    return check_sft({"options": options, "parse_only": True, "port": port})


if __name__ == "__main__":
    which, *paths = sys.argv[1:]
    found = {
        path: wrong_in(path) if path.endswith(".json") else read(which, Path(path), 29500 + number)
        for number, path in enumerate(paths)
    }
    print(json.dumps(found))

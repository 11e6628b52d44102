"""Check: LLaMA-Factory's own reading of its options, its template, and the length of every row, before it trains.

python -m envsim_core.training.inside.check_sft SETTINGS.json      (stack `train`); the last line is JSON
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

from envsim_core.training.inside.check_deepspeed import stand_alone, wrong_in

MAX_NAMED = 5


def main(settings: dict[str, Any]) -> list[str]:
    """What is wrong, one line each."""
    options = dict(settings["options"])
    if "deepspeed" in options:
        stand_alone(settings["port"])
        if wrong := wrong_in(options["deepspeed"]):
            return wrong
    from llamafactory.data.template import TEMPLATES
    from llamafactory.hparams import get_train_args

    if options.get("template") not in TEMPLATES:
        return [f"template: LLaMA-Factory has none called {options.get('template')!r}{near(options, TEMPLATES)}"]
    if options.get("flash_attn") in ("fa2", "fa3") and importlib.util.find_spec("flash_attn") is None:
        return [f"flash_attn: {options['flash_attn']}: the stack does not have it; say auto, and PyTorch's own is used"]
    try:
        # read beside the GPUs, not on them
        model_args, data_args, *_ = get_train_args(options | {"use_cpu": True})
    except (ValueError, TypeError, OSError, ImportError) as error:
        return [unknown_keys(str(error)) or str(error).strip().split("\n")[0]]
    return [] if settings.get("parse_only", False) else over_long(model_args, data_args, Path(settings["rows"]))


def unknown_keys(said: str) -> str:
    """LLaMA-Factory's words on keys that it does not know, with the nearest one that it does; else nothing."""
    from llamafactory.hparams.parser import _TRAIN_ARGS

    match = re.search(r"Some keys are not used by the HfArgumentParser: \[(.*)\]", said)
    if match is None:
        return ""
    known = {name for kind in _TRAIN_ARGS for name in kind.__dataclass_fields__}
    key = re.findall(r"'([^']*)'", match[1])[0]
    found = difflib.get_close_matches(key, known, n=1)
    return f"{key}: is no option of LLaMA-Factory" + (f'; did you mean "{found[0]}"?' if found else "")


def near(options: dict[str, Any], known: Any) -> str:
    """A hint at the nearest known template."""
    found = difflib.get_close_matches(str(options.get("template")), list(known), n=1)
    return f'; did you mean "{found[0]}"?' if found else ""


def over_long(model_args: Any, data_args: Any, rows: Path) -> list[str]:
    """Rows that LLaMA-Factory would cut off without a word."""
    from llamafactory.data import get_template_and_fix_tokenizer
    from llamafactory.model import load_tokenizer

    try:
        tokenizer = load_tokenizer(model_args)["tokenizer"]
    except (OSError, ValueError) as error:
        return [f"model_name_or_path: {model_args.model_name_or_path}: {str(error.__cause__ or error).splitlines()[0]}"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    lengths = []
    for number, row in enumerate(json.loads(rows.read_text(encoding="utf-8"))):
        for question, answer in exchanges(row):
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            prompt, response = template.encode_oneturn(tokenizer, messages, row.get("system") or None, None)
            lengths.append((len(prompt) + len(response), number))
    longer = sorted((item for item in lengths if item[0] > data_args.cutoff_len), reverse=True)
    longest = max(lengths, default=(0, 0))[0]
    print(f"{len(lengths)} rows, the longest of {longest} tokens, cutoff_len {data_args.cutoff_len}", flush=True)
    if not longer:
        return []
    named = ", ".join(f"row {number}: {length}" for length, number in longer[:MAX_NAMED])
    return [
        f"{len(longer)} of {len(lengths)} rows are longer than cutoff_len = {data_args.cutoff_len} tokens and would be "
        f"cut off ({named}); raise cutoff_len to {longest}, or lower sft.max_tokens so that they are left out"
    ]


def exchanges(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Question and answer of a row of any of the shapes that this project writes; a preference has two answers."""
    if "conversations" in row:
        question, answer = (turn["value"] for turn in row["conversations"])
        return [(question, answer)]
    answers = [row["output"]] if "output" in row else [row["chosen"], row["rejected"]]
    return [(row["instruction"], answer) for answer in answers]


if __name__ == "__main__":
    found = main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(json.dumps({"wrong": found}), flush=True)

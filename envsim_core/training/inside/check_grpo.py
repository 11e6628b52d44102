"""Check: TRL's own reading of its options, and the length of every prompt, before it trains.

python -m envsim_core.training.inside.check_grpo SETTINGS.json      (stack `rl`); the last line is JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from envsim_core.training.inside.check_deepspeed import stand_alone, wrong_in


def main(settings: dict[str, Any]) -> list[str]:
    """What is wrong, one line each."""
    from trl import GRPOConfig

    options = dict(settings["options"])
    if "deepspeed" in options:
        stand_alone(settings["port"])
        if wrong := wrong_in(options["deepspeed"]):
            return wrong
    known = set(GRPOConfig.__dataclass_fields__)
    for key in options:
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, n=1)
            return [f"{key}: is no option of TRL's GRPOConfig" + (f'; did you mean "{near[0]}"?' if near else "")]
    try:  # read beside the GPUs, not on them
        arguments = GRPOConfig(**options | {"use_cpu": True}, output_dir="unused", report_to="none")
    except (ValueError, TypeError, ImportError) as error:
        return [str(error).strip().split("\n")[0]]
    if arguments.max_steps < 1:
        return ["max_steps: has to be given: the curriculum is laid out over it"]
    return [] if settings.get("parse_only") else too_long(settings, arguments)


def too_long(settings: dict[str, Any], arguments: Any) -> list[str]:
    """Prompts that leave no room for an answer within what the model can hold."""
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    limit = AutoConfig.from_pretrained(settings["model"]).max_position_embeddings
    lengths = []
    for name in ("rows", "held_out"):
        for line in Path(settings[name]).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            text = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
            lengths.append((len(tokenizer(text, add_special_tokens=False)["input_ids"]), row["sample_id"]))
    room = limit - int(arguments.max_completion_length)
    longer = sorted((item for item in lengths if item[0] > room), reverse=True)
    print(f"{len(lengths)} prompts, the longest of {max(lengths)[0]} tokens, the model holds {limit}", flush=True)
    if not longer:
        return []
    return [
        f'{len(longer)} of {len(lengths)} prompts leave no room to answer ("{longer[0][1]}": {longer[0][0]} tokens, '
        f"the model holds {limit}); lower sft.max_tokens or max_completion_length"
    ]


if __name__ == "__main__":
    found = main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(json.dumps({"wrong": found}), flush=True)

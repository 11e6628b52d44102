"""Card: the README.md of a benchmark as a Hugging Face data set, with the figures of its audit and its split."""

from __future__ import annotations

from collections import Counter

import yaml

from envsim_core.records import JsonObject, Sample
from envsim_core.report.audit import by_size, overview
from envsim_core.strata import STRATA, group_of

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
KINDS = {
    "environment": "environments",
    "class_code": "classes of equal code",
    "tool_code": "tools of equal code",
    "states": "nearly equal states",
}


def render_card(
    title: str, source: str, samples: list[Sample], composition: JsonObject, figures: JsonObject, leaks: JsonObject
) -> str:
    """The card: YAML that tells `datasets.load_dataset` where the files are, and the page for people."""
    size = next((name for limit, name in SIZES if len(samples) < limit), "n>1M")
    front = {
        "pretty_name": title,
        "license": "apache-2.0" if source == "builtin" else "unknown",
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": ["environment simulation", "agents", "tool use", "world models"],
        "size_categories": [size],
        "configs": [
            _config("benchmark", {"test": "data/benchmark.parquet"}) | {"default": True},
            _config("held_out", {"train": "data/train.parquet", "test": "data/test.parquet"}),
            _config("environments", {"train": "data/environments.parquet"}),
        ],
    }
    environments = {sample.env_id for sample in samples}
    held_out = leaks["held_out"]
    lines = [
        "---",
        yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        f"# {title}",
        "",
        f"{len(samples)} questions about {len(environments)} environments: given a state, a tool call and the tool's"
        " code, what does the tool return, and how does the state change?",
        "",
        "| configuration | splits | what |",
        "|---|---|---|",
        f"| `benchmark` | test ({len(samples)}) | all questions |",
        f"| `held_out` | train ({held_out['train']}), test ({held_out['test']}) | the same, divided by environment |",
        "| `environments` | train | source code and tools, by `code_hash` |",
        "",
        "`arguments`, `state_before`, `state_after`, `changes`, `volatile`, `world` and `tools` are JSON texts. The"
        " truth is `observation` and `state_after`; `changes` is the difference of the two states as operations."
        " `volatile` names paths that `config_match_masked` leaves out, `world` the clock and seed of the call."
        " `published.json` holds the same questions in the shape of the published benchmark file, code included.",
        "",
        "## Composition",
        "",
        "| group | stratum | samples | environments | tools |",
        "|---|---|---:|---:|---:|",
        *_composition(samples),
        "",
        *_left_out(composition),
        "## Audit",
        "",
        "Each question was replayed under other clocks, seeds and hash orders, and twice in one process from its JSON"
        " state alone. A ceiling is the share that a perfect simulator can get right.",
        "",
        *overview(figures),
        "",
        *by_size(figures),
        "",
        "## Split",
        "",
        "`held_out` divides environments, never questions of one. On the same side by construction: environments that"
        f" share {', '.join(KINDS[kind] for kind in leaks['kept_together'])}. States count as nearly equal from a"
        f" Jaccard index of {leaks['similarity']} of their leaves (path = value).",
        "",
        "| shared by both sides | held out: pairs | test samples affected | by task: pairs | test samples affected |",
        "|---|---:|---:|---:|---:|",
    ]
    for kind, name in KINDS.items():
        cells = [str(leaks[way][kind][count]) for way in ("held_out", "by_task") for count in ("pairs", "test_samples")]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    lines += [
        "",
        "The columns on the right are what a split of the same size by task would share. `leakage.json` lists pairs.",
        "",
    ]
    return "\n".join(lines)


def _config(name: str, files: dict[str, str]) -> JsonObject:
    return {"config_name": name, "data_files": [{"split": split, "path": path} for split, path in files.items()]}


def _composition(samples: list[Sample]) -> list[str]:
    counts = Counter(sample.stratum for sample in samples)
    lines = []
    for name in (*STRATA, *sorted(set(counts) - set(STRATA))):
        inside = [sample for sample in samples if sample.stratum == name]
        environments = len({sample.env_id for sample in inside})
        tools = len({(sample.env_id, sample.action.name) for sample in inside})
        lines.append(f"| {group_of(name)} | {name} | {len(inside)} | {environments} | {tools} |")
    return lines


def _left_out(composition: JsonObject) -> list[str]:
    """What the draw could not use; an imported file has no draw."""
    found = composition.get("left_out")
    if not isinstance(found, dict):
        return []
    told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in found.items() if count)
    return [f"Seed {composition['seed']}. Transitions that were not drawn from: {told or 'none'}.", ""]

"""Figures of an audit: what the rows of the audit add up to, as numbers and as a Markdown page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from envsim_core.records import Audited, JsonObject
from envsim_core.strata import DIFFICULT

MAX_NAMED = 20  # hidden places and reasons that are named; all are counted
HIDDEN_PATH = "state path "  # begins the name of a place of the state whose use nobody follows: a generator
PUBLISHED = {
    "config_match_published_hosted": "oracle, published CM (hosted)",
    "config_match_published_own": "oracle, published CM (own)",
    "feedback_match_published_hosted": "oracle, published FM (hosted)",
    "feedback_match_published_own": "oracle, published FM (own)",
}


def summarise(rows: Iterable[Audited]) -> JsonObject:
    """The figures of an audit. Shares are of all rows, ceilings of those that could be replayed."""
    rows = list(rows)
    replayed = [row for row in rows if row.status == "replayed"]
    reasons = Counter(f"{row.status}: {row.reason}" for row in rows if row.status != "replayed")
    kinds = Counter(kind for row in rows for kind in {kind for item in row.volatile for kind in item.kinds})
    hidden = Counter(f"{row.env_id}: {place}" for row in rows for place in row.hidden)
    by_size: dict[str, list[Audited]] = {}
    for row in sorted(rows, key=lambda row: row.change_count):
        by_size.setdefault(size_of(row.change_count), []).append(row)
    return {
        "rows": len(rows),
        "replayed": len(replayed),
        "not_replayed": {"rows": len(rows) - len(replayed), "reasons": dict(reasons.most_common(MAX_NAMED))},
        "volatile": {
            "rows": sum(bool(row.volatile) for row in rows),
            "paths": sum(len(row.volatile) for row in rows),
            "kinds": dict(sorted(kinds.items())),
        },
        "volatile_observations": {
            "rows": sum(bool(row.observation) for row in rows),
            "kinds": dict(sorted(Counter(kind for row in rows for kind in row.observation).items())),
        },
        "hidden_state": {"rows": sum(bool(row.hidden) for row in rows), "places": dict(hidden.most_common(MAX_NAMED))},
        "not_as_recorded": {
            "state": sum(row.same_state is False for row in rows),
            "observation": sum(row.same_observation is False for row in rows),
        },
        "removals": _counted(row.removals for row in rows),
        "dotted_keys": _counted(row.dotted for row in rows),
        "float_texts": _counted(row.float_texts for row in rows),
        "changed_float_texts": _counted(row.changed_float_texts for row in rows),
        "all": _ceilings(rows),
        "by_change_count": {size: _ceilings(group) for size, group in by_size.items()},
    }


def size_of(change_count: int) -> str:
    """|Δ| as the tables name it: the difficult ones pooled."""
    if change_count < DIFFICULT.start:
        return str(change_count)
    return f"{DIFFICULT.start}-{DIFFICULT.stop - 1}" if change_count in DIFFICULT else f"{DIFFICULT.stop}+"


def markdown(figures: JsonObject, title: str) -> str:
    """The figures as a page."""
    rows = figures["rows"]
    lines = [f"# Audit: {title}", "", *overview(figures), "", "## By number of changes", "", *by_size(figures), ""]
    for heading, named in (
        ("Hidden state", figures["hidden_state"]["places"]),
        ("Not replayed", figures["not_replayed"]["reasons"]),
    ):
        if named:
            lines += [
                f"## {heading}",
                "",
                *(f"- {_plain(name)}: {count} of {rows}" for name, count in named.items()),
                "",
            ]
    return "\n".join(lines)


def overview(figures: JsonObject) -> list[str]:
    """The lines of the table of counts."""
    rows = figures["rows"]

    def line(what: str, count: int, detail: str = "") -> str:
        share = f"{100 * count / rows:.1f} %" if rows else "–"
        return f"| {what} | {count} | {share} | {detail} |"

    def kinds(found: dict[str, int]) -> str:
        return ", ".join(f"{kind} {count}" for kind, count in found.items())

    volatile, observations = figures["volatile"], figures["volatile_observations"]
    return [
        f"| of {rows} rows | rows | share | |",
        "|---|---:|---:|---|",
        line("replayed", figures["replayed"]),
        line("with volatile paths", volatile["rows"], kinds(volatile["kinds"])),
        line("with a volatile observation", observations["rows"], kinds(observations["kinds"])),
        line("that use hidden state", figures["hidden_state"]["rows"]),
        line("replayed to another state than recorded", figures["not_as_recorded"]["state"]),
        line("replayed to another observation than recorded", figures["not_as_recorded"]["observation"]),
        line("with removals", figures["removals"]["rows"], f"{figures['removals']['count']} removals"),
        line("with dotted keys", figures["dotted_keys"]["rows"], f"{figures['dotted_keys']['count']} changed paths"),
        line("with floats as texts", figures["float_texts"]["rows"], f"{figures['float_texts']['count']} texts"),
        line("with floats as texts among the changes", figures["changed_float_texts"]["rows"]),
    ]


def by_size(figures: JsonObject) -> list[str]:
    """The lines of the table per |Δ|."""
    groups = {**figures["by_change_count"], "all": figures["all"]}
    columns = [
        key for key in PUBLISHED if any(group["oracle_published"].get(key) is not None for group in groups.values())
    ]
    heads = ["|Δ|".replace("|", "\\|"), "n", "replayed", "CM ceiling", "FM ceiling", "CM without float texts"]
    heads += [PUBLISHED[key] for key in columns]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---:|" * len(heads)]
    for size, group in groups.items():
        cells = [size, str(group["n"]), str(group["replayed"])]
        cells += [
            _percent(group[key]) for key in ("config_match_ceiling", "feedback_match_ceiling", "numbers_as_numbers")
        ]
        cells += [_percent(group["oracle_published"].get(key)) for key in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _ceilings(rows: Sequence[Audited]) -> JsonObject:
    replayed = [row for row in rows if row.status == "replayed"]
    published: dict[str, float | None] = {}
    for key in PUBLISHED:
        said = [row.published[key] for row in rows if key in row.published]
        # a sample that the published harness drops is not right
        published[key] = _share([bool(verdict) for verdict in said])
    return {
        "n": len(rows),
        "replayed": len(replayed),
        "config_match_ceiling": _share(
            [_follows(row) and bool(row.same_state) and not row.volatile for row in replayed]
        ),
        "feedback_match_ceiling": _share(
            [_follows(row) and bool(row.same_observation) and not row.observation for row in replayed]
        ),
        "numbers_as_numbers": _share([row.changed_float_texts == 0 for row in rows]),
        "oracle_published": published,
    }


def _follows(row: Audited) -> bool:
    """Whether a simulator could follow the call, which nobody can who would have to draw from a generator."""
    return not any(place.startswith(HIDDEN_PATH) for place in row.hidden)


def _counted(counts: Iterable[int]) -> dict[str, int]:
    found = [count for count in counts if count]
    return {"rows": len(found), "count": sum(found)}


def _share(verdicts: list[bool]) -> float | None:
    return round(sum(verdicts) / len(verdicts), 6) if verdicts else None


def _percent(value: Any) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _plain(text: str) -> str:
    """Text from outside on one line, without what Markdown or HTML would read."""
    return "".join(letter if letter.isalnum() or letter in " .,:;-_/()'=+%" else "·" for letter in text)[:200]

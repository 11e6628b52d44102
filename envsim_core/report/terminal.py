"""Terminal: what a person reads there, with text from outside shown as text."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from envsim_core.report.verdict_changes import VerdictChanges, scorer_of


def printable(text: str, keep: str = "") -> str:
    """Text without control characters, which a terminal would obey; those in `keep` stay."""
    return "".join(letter if letter in keep or letter.isprintable() else "?" for letter in text)


def print_verdict_changes(
    before: Path, after: Path, found: VerdictChanges, limit: int, console: Console | None = None
) -> None:
    """Say which scorers judged, what changed how often, and in which samples (the first `limit` of them)."""
    console = console or Console()

    def say(text: str) -> None:
        console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    for sign, path in (("before", before), ("after", after)):
        say(f"{sign:6} {path} ({scorer_of(path)})")
    changed = found.changed["sample_id"].n_unique()
    say(f"{changed} of {found.samples} samples are judged differently.")
    for rows, where in ((found.only_before, before), (found.only_after, after)):
        if rows:
            say(f'{len(rows)} samples are only in {where}, the first of them "{rows[0]}".')
    if found.not_compared:
        say(f"Only one file has, and so not compared: {', '.join(found.not_compared)}.")
    if not changed:
        return
    counts = Table("Verdict", "Before", "After", box=SIMPLE_HEAD, pad_edge=False)
    counts.add_column("Samples", justify="right")
    for column, old, new, samples in found.counts():
        counts.add_row(*(Text(printable(cell)) for cell in (column, old, new, str(samples))))
    console.print(counts)
    for (sample,), part in list(found.changed.group_by("sample_id", maintain_order=True))[:limit]:
        changes = (f"{row['column']} {row['before']} → {row['after']}" for row in part.iter_rows(named=True))
        say(f"{sample}: {'; '.join(changes)}")
    if changed > limit:
        say(f"… and {changed - limit} more; --limit shows them.")

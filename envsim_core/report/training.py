"""Training: what the page shows of the models trained here: cards, losses, held-out curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from envsim_core.errors import BadFile
from envsim_core.report.figures import marker, spread, tag
from envsim_core.report.section import Section

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 240, 56, 12, 16, 40
NAMES, NAME_STEP = 104, 16  # room for the names of lines at their right ends, and between two of them

Point = tuple[int, float, float | None]
"""A step, a value, and half the width of its interval where one is known."""

Z = 1.96  # half-width of a 95 % interval in standard errors


def read_training(folder: Path) -> dict[str, Any]:
    """A training's run card, with its losses (SFT) and its held-out curve (RL) where it has them."""
    found = {"card": _read(folder / "run_card.json")}
    for name in ("losses", "curve"):
        if (folder / f"{name}.json").exists():
            found[name] = _read(folder / f"{name}.json")
    return found


def training(trainings: Sequence[dict[str, Any]]) -> Section:
    """The section of the page."""
    return Section("training", "Training", "training.html.j2", {"trainings": [_shown(one) for one in trainings]})


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    """What the template shows of one training."""
    card = {"stopped_by_guard": None, "gain": None, **found["card"]}
    losses = found.get("losses", {}).get("points", [])
    looks = found.get("curve", {}).get("points", [])
    figures = []
    if losses:
        points: list[Point] = [(one["step"], one["loss"], None) for one in losses]
        figures.append(_curve("Loss on the training rows", [("", points)]))
    if looks:
        title = "Reward on held-out rows, sampled answers, 95 % interval"
        figures.append(_curve(title, [("", _rewards(looks))]))
        figures.append(_curve("State right on held-out rows, sampled answers, by |Δ|", _by_changes(looks), top=1.0))
    ends = [looks[0], looks[-1]] if looks else []
    return {
        "card": card,
        "figures": figures,
        "looks": [{"step": one["step"], "how": how, **one[how]} for one in ends for how in ("sampled", "greedy")],
    }


def _rewards(points: Sequence[dict[str, Any]]) -> list[Point]:
    found = []
    for point in points:
        told = point["sampled"]
        # answers to one row resemble each other: the row, not the answer, is what counts
        found.append((point["step"], told["reward"], Z * told["reward_sd"] / max(1, point["greedy"]["n"]) ** 0.5))
    return found


def _by_changes(points: Sequence[dict[str, Any]]) -> list[tuple[str, list[Point]]]:
    """The share of answers with the state right, a line per number of changes that has rows."""
    names = [name for name, (_, n) in points[0]["sampled"]["by_changes"].items() if n]
    found: list[tuple[str, list[Point]]] = []
    for name in names:
        counts = [(point["step"], *point["sampled"]["by_changes"][name]) for point in points]
        found.append((f"{name} (n = {counts[0][2]})", [(step, right / n, None) for step, right, n in counts]))
    return found


def _curve(title: str, lines: Sequence[tuple[str, Sequence[Point]]], top: float | None = None) -> Markup:
    """Lines over steps, with interval bars where they are known, and names at their right ends where they have some."""
    everything = [point for _, points in lines for point in points]
    last = max(1, *(step for step, _, _ in everything))
    top = top or max(value + (half or 0.0) for _, value, half in everything) * 1.05 or 1.0
    right = NAMES if any(name for name, _ in lines) else RIGHT
    bottom, height = HEIGHT - BOTTOM, HEIGHT - TOP - BOTTOM

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - right) * step / last

    def y(value: float) -> float:
        return TOP + height * (1 - value / top)

    parts = []
    for tick in range(5):
        value = top * tick / 4
        parts.append(tag("line", x1=LEFT, x2=WIDTH - right, y1=y(value), y2=y(value), class_="grid"))
        parts.append(tag("text", f"{value:.2f}", x=LEFT - 8, y=y(value) + 4, class_="tick y"))
        parts.append(tag("text", f"{last * tick / 4:.0f}", x=x(last * tick / 4), y=bottom + 18, class_="tick x"))
    parts.append(tag("text", "step", x=(LEFT + WIDTH - right) / 2, y=HEIGHT - 4, class_="axis"))
    places = spread([y(points[-1][1]) for _, points in lines], NAME_STEP, TOP, bottom)
    for index, ((name, points), place) in enumerate(zip(lines, places, strict=True)):
        path = "M" + "L".join(f"{x(step):.2f} {y(value):.2f}" for step, value, _ in points)
        drawn = [tag("path", d=path, class_="line")]
        for step, value, half in points:
            if half is not None:
                low, high = y(max(0.0, value - half)), y(value + half)
                drawn.append(tag("path", d=f"M{x(step):.2f} {low:.2f}V{high:.2f}", class_="interval"))
            if half is not None or name:
                drawn.append(marker(index, x(step), y(value), 3.5))
        if name:
            drawn.append(tag("text", name, x=x(last) + 10, y=place + 4, class_="label"))
        parts.append(tag("g", *drawn, class_=f"series model c{index}"))
    told = [
        f"{name}{' ' if name else ''}{points[0][1]:.3f} at step {points[0][0]}, "
        f"{points[-1][1]:.3f} at step {points[-1][0]}"
        for name, points in lines
    ]
    label = f"{title}: {'; '.join(told)}"
    svg = tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="chart", role="img", aria_label=label)
    return tag("figure", svg, tag("figcaption", label))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(path, None, None, f"cannot be read: {error}") from None

"""Cards: what a training was made of and what it took, session by session."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from envsim_core.records import JsonObject, content_hash, write_json
from envsim_core.training.running import Cost

Z = 1.96  # half-width of a 95 % interval in standard errors


class Sessions:
    """The runs of one training: a killed one is followed by one that goes on from its last checkpoint."""

    def __init__(self, training: Path, identity: JsonObject) -> None:
        self._path = training / "sessions.json"
        self._identity = content_hash(identity)
        self._rows = self._read()

    @property
    def earlier(self) -> bool:
        """Whether this very training was begun before."""
        return bool(self._rows)

    def begin(self, from_step: int) -> None:
        """Note a new session; one from step 0 makes what came before void."""
        if not from_step:
            self._rows = []
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._rows.append({"started": started, "from_step": from_step})
        self._write()

    def end(self, cost: Cost) -> None:
        """Note what the session took."""
        self._rows[-1] |= {"seconds": cost.seconds, "gpu_joules": cost.gpu_joules}
        self._write()

    def totals(self, gpus: int) -> JsonObject:
        """For the card: every session, and their sums; a killed session did not live to say what it took."""
        seconds = sum(row.get("seconds", 0.0) for row in self._rows)
        joules = [row["gpu_joules"] for row in self._rows if row.get("gpu_joules") is not None]
        return {
            "sessions": self._rows,
            "seconds": round(seconds, 1),
            "gpus": gpus,
            "gpu_hours": round(seconds * gpus / 3600, 3),
            "gpu_kwh": round(sum(joules) / 3.6e6, 4) if joules else None,
        }

    def _read(self) -> list[JsonObject]:
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return list(told["sessions"]) if told.get("identity") == self._identity else []

    def _write(self) -> None:
        write_json(self._path, {"identity": self._identity, "sessions": self._rows})


def paired_gain(first: Sequence[float], last: Sequence[float]) -> JsonObject:
    """By how much rows fare better at the end than at the start, with a 95 % interval over rows.

    Pairing takes the rows' own difficulty out, which is most of what rewards differ by.
    """
    gains = [late - early for early, late in zip(first, last, strict=True)]
    error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    return {
        "reward": round(fmean(gains), 4),
        "low": round(fmean(gains) - Z * error, 4),
        "high": round(fmean(gains) + Z * error, 4),
        "rows": len(gains),
    }


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def folder_hash(folder: Path | None) -> str | None:
    """SHA-256 over the files of a model's folder; None where it is not a folder."""
    if folder is None or not folder.is_dir():
        return None
    return content_hash({path.name: file_hash(path) for path in sorted(folder.iterdir()) if path.is_file()})

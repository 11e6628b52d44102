"""Feature flags: flags per stage, rollout percentages, segments, dependencies, kill switches and an audit trail."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "release_management"

STAGES = ("dev", "staging", "production")
MAX_STEP = 50  # points by which a rollout in production may grow at once


class FeatureFlags:
    """A service for feature flags. A flag has its own `stages`; `needs` names the flags that must be on before it."""

    def __init__(self) -> None:
        self.version = 0
        self.flags: dict[str, dict[str, Any]] = {}
        self.segments: dict[str, dict[str, Any]] = {}
        self.teams: dict[str, dict[str, Any]] = {}
        self.freezes: dict[str, bool] = dict.fromkeys(STAGES, False)
        self.requests: dict[str, dict[str, Any]] = {}
        self.audit: list[dict[str, Any]] = []
        self.next_request_number = 1

    def _no_flag(self, flag: str, stage: str | None = None) -> str | None:
        if flag not in self.flags:
            return f"FlagNotFound: {flag}"
        if self.flags[flag]["archived"]:
            return f"FlagArchived: {flag}"
        if stage is not None and stage not in STAGES:
            return f"StageNotFound: {stage}"
        if stage is not None and self.freezes[stage]:
            return f"StageFrozen: {stage}"
        return None

    def _record(self, flag: str, event: str) -> None:
        self.version += 1
        self.audit.append({"version": self.version, "flag": flag, "event": event})
        del self.audit[:-20]

    def _needing(self, flag: str, stage: str) -> list[str]:
        """The flags that are on in a stage and need this one, directly or through others."""
        found: list[str] = []
        queue = [flag]
        while queue:
            needed = queue.pop(0)
            for key, row in sorted(self.flags.items()):
                if needed in row["needs"] and row["stages"][stage]["on"] and key not in found:
                    found.append(key)
                    queue.append(key)
        return found

    def _switch_off(self, flag: str, stage: str) -> None:
        row = self.flags[flag]["stages"][stage]
        row["on"], row["rollout"] = False, 0

    def get_freezes(self) -> dict[str, Any]:
        """Show which stages are frozen and the version of the configuration."""
        return {"success": True, "version": self.version, "freezes": dict(self.freezes)}

    def list_stale_flags(self) -> dict[str, Any]:
        """List the flags that are fully rolled out in production, whose code can lose them."""
        done = {"on": True, "rollout": 100}
        stale = [key for key, row in sorted(self.flags.items()) if done.items() <= row["stages"]["production"].items()]
        return {"success": True, "count": len(stale), "flags": stale}

    def show_audit(self) -> dict[str, Any]:
        """Show the last twenty changes, the latest last."""
        return {"success": True, "changes": list(self.audit)}

    def evaluate(
        self, flag: str, stage: Literal["dev", "staging", "production"], bucket: int, segment: str | None = None
    ) -> dict[str, Any]:
        """Say whether a user sees a feature: an included segment always, others by their bucket.

        Args:
            flag: The flag.
            stage: The stage.
            bucket: The user's bucket, 0 to 99.
            segment: The user's segment, if any.
        """
        if flag not in self.flags or stage not in STAGES or not 0 <= bucket <= 99:
            return {"success": False, "error": f"InvalidRequest: no flag {flag}, stage {stage} or bucket {bucket}"}
        row = self.flags[flag]["stages"][stage]
        included = segment in row["segments"]
        return {"success": True, "enabled": row["on"] and (included or bucket < row["rollout"]), "by_segment": included}

    def create_flag(self, new_name: str, team: str, needed_flags: list[str] | None = None) -> dict[str, Any]:
        """Create a flag that is off in all stages.

        Args:
            new_name: A name of 3 to 40 letters, digits, dashes or underscores, not used yet.
            team: The team that owns it.
            needed_flags: The flags that must be on before it; unknown ones are refused.
        """
        plain = new_name.replace("-", "").replace("_", "").replace(" ", "")
        if not 3 <= len(new_name) <= 40 or not plain.isalnum() or new_name in self.flags:
            return {"success": False, "error": f"InvalidName: '{new_name}' is taken or no name"}
        if team not in self.teams or any(self._no_flag(name) for name in needed_flags or []):
            return {"success": False, "error": f"InvalidRequest: no team {team}, or a needed flag is unknown"}
        self.flags[new_name] = {
            "team": team,
            "needs": sorted(set(needed_flags or [])),
            "archived": False,
            "stages": {stage: {"on": False, "rollout": 0, "segments": []} for stage in STAGES},
        }
        self.teams[team]["flags"] += 1
        self._record(new_name, "created")
        return {"success": True, "flag": new_name, "version": self.version}

    def switch_on(self, flag: str, stage: Literal["dev", "staging", "production"], rollout: int = 10) -> dict[str, Any]:
        """Switch a flag on in a stage where all that it needs is on.

        Args:
            flag: The flag.
            stage: The stage.
            rollout: Percentage of users, 1 to 100; in production at most 50 to begin with.
        """
        error = self._no_flag(flag, stage)
        if error is None and not 1 <= rollout <= (MAX_STEP if stage == "production" else 100):
            error = f"InvalidRollout: {rollout}"
        if error is None and self.flags[flag]["stages"][stage]["on"]:
            error = f"NoChange: {flag} is on in {stage}"
        if error:
            return {"success": False, "error": error}
        needs = self.flags[flag]["needs"]
        off = [name for name in needs if not self.flags[name]["stages"][stage]["on"]]
        if off:
            return {"success": False, "error": f"DependencyOff: {', '.join(off)} in {stage}"}
        row = self.flags[flag]["stages"][stage]
        row["on"], row["rollout"] = True, rollout
        self._record(flag, f"on in {stage}")
        return {"success": True, "rollout": rollout, "version": self.version}

    def kill(self, flag: str, stage: Literal["dev", "staging", "production"]) -> dict[str, Any]:
        """Switch a flag off at once, even in a frozen stage, with all flags that need it.

        Args:
            flag: The flag.
            stage: The stage.
        """
        if flag not in self.flags or stage not in STAGES:
            return {"success": False, "error": f"FlagNotFound: {flag} in {stage}"}
        if not self.flags[flag]["stages"][stage]["on"]:
            return {"success": False, "error": f"NoChange: {flag} is off in {stage}"}
        killed = [flag, *self._needing(flag, stage)]
        for name in killed:
            self._switch_off(name, stage)
            self.teams[self.flags[name]["team"]]["incidents"] += 1
        self._record(flag, f"killed in {stage}")
        return {"success": True, "killed": killed}

    def set_rollout(self, flag: str, stage: Literal["dev", "staging", "production"], rollout: int) -> dict[str, Any]:
        """Change the percentage of users of a flag that is on; in production it grows by at most 50 points.

        Args:
            flag: The flag.
            stage: The stage.
            rollout: The new percentage, 1 to 100.
        """
        error = self._no_flag(flag, stage)
        if error is None and not self.flags[flag]["stages"][stage]["on"]:
            error = f"FlagOff: {flag} in {stage}"
        current = 0 if error else self.flags[flag]["stages"][stage]["rollout"]
        if error is None and (not 1 <= rollout <= 100 or rollout == current):
            error = f"InvalidRollout: {rollout}"
        if error is None and stage == "production" and rollout - current > MAX_STEP:
            error = f"InvalidRollout: from {current} to {rollout} is more than {MAX_STEP} points"
        if error:
            return {"success": False, "error": error}
        self.flags[flag]["stages"][stage]["rollout"] = rollout
        self._record(flag, f"{rollout} % in {stage}")
        return {"success": True, "previous": current, "rollout": rollout}

    def promote(self, flag: str, source_stage: Literal["dev", "staging"]) -> dict[str, Any]:
        """Copy a flag's settings to the next stage, in production with a rollout of at most 50.

        Args:
            flag: The flag.
            source_stage: The stage whose settings are copied.
        """
        if source_stage not in STAGES[:2]:
            return {"success": False, "error": f"StageNotFound: {source_stage} has no next stage"}
        target = STAGES[STAGES.index(source_stage) + 1]
        error = self._no_flag(flag, target)
        if error is None and not self.flags[flag]["stages"][source_stage]["on"]:
            error = f"FlagOff: {flag} in {source_stage}"
        if error:
            return {"success": False, "error": error}
        off = [name for name in self.flags[flag]["needs"] if not self.flags[name]["stages"][target]["on"]]
        if off:
            return {"success": False, "error": f"DependencyOff: {', '.join(off)} in {target}"}
        source, row = self.flags[flag]["stages"][source_stage], self.flags[flag]["stages"][target]
        row["on"], row["segments"] = True, list(source["segments"])
        row["rollout"] = min(source["rollout"], MAX_STEP) if target == "production" else source["rollout"]
        self._record(flag, f"promoted to {target}")
        return {"success": True, "stage": target, "rollout": row["rollout"]}

    def include_segment(
        self, flag: str, segment: str, stage: Literal["dev", "staging", "production"] | None = None
    ) -> dict[str, Any]:
        """Show a feature to a segment in one stage, or in all that are not frozen and where the flag is on.

        Args:
            flag: The flag; at most three segments in each stage.
            segment: The segment.
            stage: The stage, or nothing for all.
        """
        error = self._no_flag(flag, stage)
        if error is None and segment not in self.segments:
            error = f"SegmentNotFound: {segment}"
        if error:
            return {"success": False, "error": error}
        changed = []
        for name in [stage] if stage else STAGES:
            row = self.flags[flag]["stages"][name]
            free = row["on"] and not self.freezes[name] and len(row["segments"]) < 3
            if free and segment not in row["segments"]:
                row["segments"] = sorted([*row["segments"], segment])
                changed.append(name)
        if not changed:
            return {"success": False, "error": f"NoChange: {flag} is off, frozen, full or includes {segment}"}
        self.segments[segment]["uses"] += len(changed)
        self._record(flag, f"includes {segment}")
        return {"success": True, "stages": changed}

    def delete_segment(self, segment: str) -> dict[str, Any]:
        """Delete a segment; all flags lose it.

        Args:
            segment: The segment.
        """
        if segment not in self.segments:
            return {"success": False, "error": f"SegmentNotFound: {segment}"}
        touched = []
        for key, row in sorted(self.flags.items()):
            for stage in STAGES:
                if segment in row["stages"][stage]["segments"]:
                    row["stages"][stage]["segments"].remove(segment)
                    touched.append(f"{key}:{stage}")
        del self.segments[segment]
        self.version += 1
        return {"success": True, "touched": touched}

    def resize_segment(self, segment: str, users: int) -> dict[str, Any]:
        """Record how many users a segment has.

        Args:
            segment: The segment.
            users: 0 to 1000000.
        """
        if segment not in self.segments or not 0 <= users <= 1_000_000:
            return {"success": False, "error": f"SegmentNotFound: {segment}, or users is not 0 to 1000000"}
        row = self.segments[segment]
        row["growth"] = round((users - row["users"]) / row["users"], 3) if row["users"] else None
        row["users"] = users
        return {"success": True, "growth": row["growth"]}

    def request_launch(self, team: str, flags: list[str]) -> dict[str, Any]:
        """Ask for flags to be launched in production together.

        Args:
            team: The team that asks.
            flags: Flags that are not archived, at least one.
        """
        wanted = sorted(set(flags))
        if team not in self.teams or not wanted or any(self._no_flag(name) for name in wanted):
            return {"success": False, "error": f"InvalidRequest: no team {team}, or a flag is unknown or archived"}
        key = f"CR{self.next_request_number}"
        self.next_request_number += 1
        self.requests[key] = {"team": team, "flags": wanted, "status": "pending"}
        return {"success": True, "request_id": key}

    def decide_request(self, request_id: str, approve: bool) -> dict[str, Any]:
        """Decide a pending request; approved flags are fully on in production, with all that they need.

        Args:
            request_id: The request.
            approve: Whether it is granted.
        """
        if request_id not in self.requests or self.requests[request_id]["status"] != "pending":
            return {"success": False, "error": f"RequestNotFound: {request_id} is unknown or decided"}
        row = self.requests[request_id]
        queue = list(row["flags"])
        error = next((e for e in (self._no_flag(name, "production") for name in queue) if e), None)
        if approve and error:
            return {"success": False, "error": error}
        row["status"] = "approved" if approve else "declined"
        launched: list[str] = []
        while approve and queue:
            name = queue.pop(0)
            if name not in launched:
                launched.append(name)
                self.flags[name]["stages"]["production"] |= {"on": True, "rollout": 100}
                queue += self.flags[name]["needs"]
        if launched:
            self.teams[row["team"]]["launches"] += 1
            self._record(launched[0], f"launched by {request_id}")
        return {"success": True, "launched": launched}

    def set_freeze(self, stage: Literal["dev", "staging", "production"], frozen: bool) -> dict[str, Any]:
        """Freeze a stage against changes, or release it.

        Args:
            stage: The stage.
            frozen: Whether it shall be frozen.
        """
        if stage not in STAGES:
            return {"success": False, "error": f"StageNotFound: {stage}"}
        changed = self.freezes[stage] != frozen
        self.freezes[stage] = frozen
        return {"success": True, "changed": changed}

    def archive_flag(self, flag: str) -> dict[str, Any]:
        """Archive a flag that is off in production and that no other needs: it is off everywhere, without segments.

        Args:
            flag: The flag.
        """
        error = self._no_flag(flag)
        needing = [key for key, row in sorted(self.flags.items()) if flag in row["needs"]]
        if error is None and (needing or self.flags[flag]["stages"]["production"]["on"]):
            error = f"FlagNeeded: by {', '.join(needing) or 'production'}"
        if error:
            return {"success": False, "error": error}
        row = self.flags[flag]
        for stage in STAGES:
            for segment in row["stages"][stage]["segments"]:
                self.segments[segment]["uses"] -= 1
            self._switch_off(flag, stage)
            row["stages"][stage]["segments"] = []
        row["archived"], row["needs"] = True, []
        self.teams[row["team"]]["flags"] -= 1
        self._record(flag, "archived")
        return {"success": True, "version": self.version}

    def purge_archived(self) -> dict[str, Any]:
        """Delete all archived flags and the decided requests."""
        flags = [key for key, row in sorted(self.flags.items()) if row["archived"]]
        for key in flags:
            del self.flags[key]
        requests = [key for key, row in sorted(self.requests.items()) if row["status"] != "pending"]
        for key in requests:
            del self.requests[key]
        return {"success": True, "flags": flags, "requests": requests}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A service with about five flags, two segments, a team and two requests per unit of size."""
    things = ["search", "cart", "login", "chat", "export", "theme", "mail", "map"]
    kinds = ["redesign", "beta", "v2", "speedup", "cleanup"]
    teams = {f"team{i + 1}": {"flags": 0, "incidents": rng.randrange(4), "launches": 0} for i in range(1 + size)}
    segments: dict[str, dict[str, Any]] = {
        f"{rng.choice(['staff', 'vip', 'trial', 'schools'])}{i + 1}": {
            "users": rng.randrange(50, 9000),
            "uses": 0,
            "growth": None,
        }
        for i in range(1 + 2 * size)
    }
    flags: dict[str, dict[str, Any]] = {}
    for i in range(5 * size):
        needs = rng.sample(list(flags), min(len(flags), rng.choice([0, 0, 1, 1, 2])))
        reached = rng.randrange(4)
        stages = {}
        for j, stage in enumerate(STAGES):
            on = j < reached and all(flags[name]["stages"][stage]["on"] for name in needs)
            chosen = sorted(rng.sample(list(segments), rng.randrange(3))) if on else []
            for segment in chosen:
                segments[segment]["uses"] += 1
            stages[stage] = {"on": on, "rollout": rng.choice([10, 25, 50, 100]) if on else 0, "segments": chosen}
        team = rng.choice(list(teams))
        teams[team]["flags"] += 1
        flags[f"{rng.choice(things)}-{rng.choice(kinds)}-{i + 1}"] = {
            "team": team,
            "needs": sorted(needs),
            "archived": False,
            "stages": stages,
        }
    requests = {
        f"CR{i + 1}": {
            "team": rng.choice(list(teams)),
            "flags": sorted(rng.sample(list(flags), rng.randrange(1, 4))),
            "status": rng.choice(["pending", "pending", "declined"]),
        }
        for i in range(2 * size)
    }
    return {
        "version": rng.randrange(20, 900),
        "flags": flags,
        "segments": segments,
        "teams": teams,
        "freezes": {stage: stage == "staging" and rng.random() < 0.2 for stage in STAGES},
        "requests": requests,
        "audit": [],
        "next_request_number": len(requests) + 1,
    }

"""Laboratory: samples, ordered tests, instruments with queues, reagents, results, storage racks and disposal."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "laboratory"

TESTS: dict[str, dict[str, Any]] = {
    "glucose": {"instrument": "chemistry", "reagents": {"buffer": 1.5, "oxidase": 0.5}, "low": 3.9, "high": 6.1},
    "lactate": {"instrument": "chemistry", "reagents": {"buffer": 2.0}, "low": 0.5, "high": 2.2},
    "haemoglobin": {"instrument": "haematology", "reagents": {"diluent": 3.0, "lyse": 0.8}, "low": 7.4, "high": 11.2},
    "platelets": {"instrument": "haematology", "reagents": {"diluent": 2.5}, "low": 150.0, "high": 400.0},
    "crp": {"instrument": "immunology", "reagents": {"antiserum": 1.0, "buffer": 1.0}, "low": 0.0, "high": 5.0},
}
CALIBRATION_AFTER = 20  # runs
PANELS = {"basic": ["glucose", "haemoglobin"], "sepsis": ["crp", "lactate", "platelets"]}


class Laboratory:
    """A medical laboratory. A sample's `tests` map a test to its result; an instrument's `queue` is in order."""

    def __init__(self) -> None:
        self.clock = 0  # minutes
        self.samples: dict[str, dict[str, Any]] = {}
        self.instruments: dict[str, dict[str, Any]] = {}
        self.reagents: dict[str, dict[str, Any]] = {}
        self.racks: dict[str, dict[str, Any]] = {}
        self.alerts: list[dict[str, Any]] = []
        self.statistics: dict[str, Any] = {"received": 0, "released": 0, "rejected": 0, "repeats": 0}
        self.next_sample_number = 1

    def _no_sample(self, sample_id: str, *statuses: str) -> str | None:
        if sample_id not in self.samples:
            return f"unknown sample {sample_id}"
        if self.samples[sample_id]["status"] not in statuses:
            return f"sample {sample_id} is {self.samples[sample_id]['status']}"
        return None

    def _for_test(self, test: str) -> str | None:
        """The ready instrument with the shortest queue that makes a test."""
        kind = TESTS[test]["instrument"]
        rows = [(len(row["queue"]), k) for k, row in self.instruments.items() if row["kind"] == kind and row["ready"]]
        return min(rows)[1] if rows else None

    def _unqueue(self, sample_id: str) -> None:
        for row in self.instruments.values():
            row["queue"] = [entry for entry in row["queue"] if entry["sample_id"] != sample_id]

    def _leave_rack(self, sample_id: str) -> None:
        rack_id = self.samples[sample_id]["rack_id"]
        if rack_id is not None:
            self.racks[rack_id]["used"] -= 1
        self.samples[sample_id]["rack_id"] = None

    def _order(self, sample_id: str, test: str) -> str | None:
        """Put a test into the queue of an instrument and return that, or None when none is ready."""
        instrument_id = self._for_test(test)
        if instrument_id is not None:
            sample = self.samples[sample_id]
            sample["tests"][test] = {"status": "ordered", "value": None, "flag": None}
            sample["status"] = "in_process"
            entry = {"sample_id": sample_id, "test": test}
            queue = self.instruments[instrument_id]["queue"]
            queue.insert(0 if sample["urgent"] else len(queue), entry)
        return instrument_id

    def get_workload(self) -> dict[str, Any]:
        """Show how many tests wait at each instrument and the laboratory's counters."""
        waiting = {key: len(row["queue"]) for key, row in self.instruments.items()}
        return {"success": True, "clock": self.clock, "waiting": waiting, "statistics": dict(self.statistics)}

    def list_alerts(self) -> dict[str, Any]:
        """List the abnormal results that nobody has acknowledged."""
        return {"success": True, "count": len(self.alerts), "alerts": list(self.alerts)}

    def list_reagents_to_order(self) -> dict[str, Any]:
        """List the reagents whose volume is below their minimum, in millilitres."""
        low = {key: row["volume"] for key, row in self.reagents.items() if row["volume"] < row["minimum"]}
        return {"success": True, "reagents": low}

    def get_sample(self, sample_id: str) -> dict[str, Any]:
        """Show a sample with its tests.

        Args:
            sample_id: The sample.
        """
        if sample_id not in self.samples:
            return {"success": False, "error": f"unknown sample {sample_id}"}
        return {"success": True, "sample": self.samples[sample_id]}

    def receive_sample(
        self, patient: str, material: Literal["blood", "serum", "plasma"], rack_id: str, urgent: bool = False
    ) -> dict[str, Any]:
        """Register a new sample and put it into a rack.

        Args:
            patient: The patient's name.
            material: What was drawn.
            rack_id: A rack with a free place.
            urgent: Whether its tests go before others.
        """
        if not patient.strip() or material not in ("blood", "serum", "plasma"):
            return {"success": False, "error": f"patient is blank or material '{material}' is unknown"}
        if rack_id not in self.racks or self.racks[rack_id]["used"] >= self.racks[rack_id]["places"]:
            return {"success": False, "error": f"rack {rack_id} is unknown or full"}
        key = f"S{self.next_sample_number:04d}"
        self.next_sample_number += 1
        self.samples[key] = {
            "patient": patient.strip(),
            "material": material,
            "urgent": urgent,
            "status": "received",
            "received_at": self.clock,
            "rack_id": rack_id,
            "tests": {},
        }
        self.racks[rack_id]["used"] += 1
        self.statistics["received"] += 1
        return {"success": True, "sample_id": key}

    def order_test(
        self, sample_id: str, test: Literal["glucose", "lactate", "haemoglobin", "platelets", "crp"]
    ) -> dict[str, Any]:
        """Order a test of a sample at the ready instrument with the shortest queue.

        Args:
            sample_id: The sample.
            test: The test.
        """
        error = self._no_sample(sample_id, "received", "in_process")
        if error is None and test not in TESTS:
            error = f"unknown test '{test}'"
        if error is None and test in self.samples[sample_id]["tests"]:
            error = f"{test} of {sample_id} is {self.samples[sample_id]['tests'][test]['status']} already"
        if error:
            return {"success": False, "error": error}
        instrument_id = self._order(sample_id, test)
        if instrument_id is None:
            return {"success": False, "error": f"no {TESTS[test]['instrument']} instrument is ready"}
        return {"success": True, "instrument_id": instrument_id}

    def order_panel(self, sample_id: str, panel: Literal["basic", "sepsis"]) -> dict[str, Any]:
        """Order all tests of a panel that the sample does not have yet, as far as instruments are ready.

        Args:
            sample_id: The sample.
            panel: The panel.
        """
        error = self._no_sample(sample_id, "received", "in_process")
        if error is None and panel not in PANELS:
            error = f"unknown panel '{panel}'"
        missing = [] if error else [test for test in PANELS[panel] if test not in self.samples[sample_id]["tests"]]
        if error is None and not any(self._for_test(test) for test in missing):
            error = f"sample {sample_id} has these tests, or no instrument is ready"
        if error:
            return {"success": False, "error": error}
        return {"success": True, "instruments": {test: self._order(sample_id, test) for test in missing}}

    def run_instrument(self, instrument_id: str, value: float) -> dict[str, Any]:
        """Run the first test in an instrument's queue: it uses reagents, and an abnormal value raises an alert.

        Args:
            instrument_id: The instrument.
            value: The value that was measured, 0 to 1000.
        """
        if instrument_id not in self.instruments:
            return {"success": False, "error": f"unknown instrument {instrument_id}"}
        row = self.instruments[instrument_id]
        if not row["ready"] or not row["queue"]:
            return {"success": False, "error": f"{instrument_id} is out of service or has nothing to do"}
        if not 0 <= value <= 1000:
            return {"success": False, "error": "value must be 0 to 1000"}
        test = row["queue"][0]["test"]
        for reagent, volume in sorted(TESTS[test]["reagents"].items()):
            if self.reagents[reagent]["volume"] < volume:
                return {"success": False, "error": f"{test} needs {volume} ml of {reagent}"}
        for reagent, volume in TESTS[test]["reagents"].items():
            self.reagents[reagent]["volume"] = round(self.reagents[reagent]["volume"] - volume, 2)
        entry = row["queue"].pop(0)
        row["runs"] += 1
        row["ready"] = row["runs"] < CALIBRATION_AFTER
        flag = "low" if value < TESTS[test]["low"] else "high" if value > TESTS[test]["high"] else "normal"
        result = self.samples[entry["sample_id"]]["tests"][test]
        result["status"], result["value"], result["flag"] = "measured", round(value, 2), flag
        if flag != "normal":
            self.alerts.append(entry | {"flag": flag, "at": self.clock})
        self.clock += 5
        return {"success": True, **entry, "flag": flag, "ready": row["ready"]}

    def repeat_tests(self, sample_id: str) -> dict[str, Any]:
        """Discard the abnormal results of a sample and order these tests again.

        Args:
            sample_id: The sample.
        """
        error = self._no_sample(sample_id, "in_process")
        tests = {} if error else self.samples[sample_id]["tests"]
        again = [test for test, row in sorted(tests.items()) if row["flag"] in ("low", "high") and self._for_test(test)]
        if error is None and not again:
            error = f"sample {sample_id} has no abnormal result that can be repeated"
        if error:
            return {"success": False, "error": error}
        for test in again:
            self._order(sample_id, test)
        self.alerts = [a for a in self.alerts if a["sample_id"] != sample_id]
        self.statistics["repeats"] += len(again)
        return {"success": True, "repeated": again}

    def release_sample(self, sample_id: str) -> dict[str, Any]:
        """Release a sample's results once all are measured; its alerts end and it leaves its rack.

        Args:
            sample_id: The sample.
        """
        error = self._no_sample(sample_id, "in_process")
        open_tests = (
            [] if error else [t for t, r in self.samples[sample_id]["tests"].items() if r["status"] == "ordered"]
        )
        if error is None and open_tests:
            error = f"sample {sample_id} waits for {', '.join(sorted(open_tests))}"
        if error:
            return {"success": False, "error": error}
        sample = self.samples[sample_id]
        for row in sample["tests"].values():
            row["status"] = "released"
        self._leave_rack(sample_id)
        sample["status"], sample["turnaround"] = "released", self.clock - sample["received_at"]
        self.alerts = [a for a in self.alerts if a["sample_id"] != sample_id]
        self.statistics["released"] += 1
        return {"success": True, "turnaround": sample["turnaround"]}

    def reject_sample(self, sample_id: str, reason: Literal["clotted", "haemolysed", "unlabelled"]) -> dict[str, Any]:
        """Reject a sample: its tests leave all queues and it leaves its rack.

        Args:
            sample_id: The sample.
            reason: Why it cannot be used.
        """
        error = self._no_sample(sample_id, "received", "in_process")
        if error is None and reason not in ("clotted", "haemolysed", "unlabelled"):
            error = f"unknown reason '{reason}'"
        if error:
            return {"success": False, "error": error}
        self._unqueue(sample_id)
        self._leave_rack(sample_id)
        dropped = sorted(self.samples[sample_id]["tests"])
        self.samples[sample_id] |= {"status": "rejected", "tests": {}, "reason": reason}
        self.statistics["rejected"] += 1
        return {"success": True, "dropped": dropped}

    def discard_finished(self) -> dict[str, Any]:
        """Delete all samples that were released or rejected."""
        finished = [key for key, row in sorted(self.samples.items()) if row["status"] in ("released", "rejected")]
        for key in finished:
            del self.samples[key]
        return {"success": True, "discarded": finished}

    def calibrate(self, instrument_id: str) -> dict[str, Any]:
        """Calibrate an instrument, which takes half an hour and makes it ready.

        Args:
            instrument_id: The instrument.
        """
        if instrument_id not in self.instruments:
            return {"success": False, "error": f"unknown instrument {instrument_id}"}
        row = self.instruments[instrument_id]
        row["ready"], row["runs"], row["calibrated_at"] = True, 0, self.clock + 30
        self.clock += 30
        return {"success": True, "clock": self.clock}

    def take_out_of_service(self, instrument_id: str) -> dict[str, Any]:
        """Stop an instrument: its queue goes to another ready one of its kind, else the tests wait there.

        Args:
            instrument_id: The instrument.
        """
        if instrument_id not in self.instruments or not self.instruments[instrument_id]["ready"]:
            return {"success": False, "error": f"{instrument_id} is unknown or out of service already"}
        row = self.instruments[instrument_id]
        row["ready"] = False
        heir = self._for_test(row["queue"][0]["test"]) if row["queue"] else None
        if heir is not None:
            self.instruments[heir]["queue"] += row["queue"]
            row["queue"] = []
        return {"success": True, "handed_to": heir}

    def refill_reagent(self, reagent: str, volume: float, lot: str | None = None) -> dict[str, Any]:
        """Open a new bottle of a reagent.

        Args:
            reagent: The reagent.
            volume: Millilitres, above 0 and at most 500.
            lot: The bottle's lot, if it is another one.
        """
        if reagent not in self.reagents or not 0 < volume <= 500:
            return {"success": False, "error": f"reagent '{reagent}' is unknown, or volume is not 0 to 500"}
        row = self.reagents[reagent]
        row["volume"] = round(row["volume"] + volume, 2)
        row["bottles"] += 1
        row["lot"] = lot or row["lot"]
        return {"success": True, "volume": row["volume"], "lot": row["lot"]}

    def move_rack(self, source_rack_id: str, target_rack_id: str) -> dict[str, Any]:
        """Move all samples of one rack into another that has room for them.

        Args:
            source_rack_id: The rack that is emptied.
            target_rack_id: The rack that is filled.
        """
        if source_rack_id not in self.racks or target_rack_id not in self.racks or source_rack_id == target_rack_id:
            return {"success": False, "error": f"{source_rack_id} and {target_rack_id} must be two known racks"}
        source, target = self.racks[source_rack_id], self.racks[target_rack_id]
        if not 0 < source["used"] <= target["places"] - target["used"]:
            return {"success": False, "error": f"rack {source_rack_id} is empty or does not fit into {target_rack_id}"}
        moved = [key for key, row in sorted(self.samples.items()) if row["rack_id"] == source_rack_id]
        for key in moved:
            self.samples[key]["rack_id"] = target_rack_id
        target["used"] += source["used"]
        source["used"] = 0
        return {"success": True, "moved": moved}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A laboratory with about four samples, one instrument and one rack per unit of size."""
    names = ["A. Kern", "B. Osei", "C. Lima", "D. Novak", "E. Sato", "F. Quist"]
    laboratory = Laboratory()
    laboratory.clock = rng.randrange(400, 600)
    kinds = ["chemistry", "haematology", "immunology"]
    laboratory.instruments = {
        f"{kinds[i % 3]}{i // 3 + 1}": {
            "kind": kinds[i % 3],
            "ready": i < 3 or rng.random() < 0.8,
            "runs": rng.randrange(8, CALIBRATION_AFTER),
            "calibrated_at": rng.randrange(400),
            "queue": [],
        }
        for i in range(2 + size)
    }
    laboratory.reagents = {
        name: {
            "volume": round(rng.uniform(2, 40), 1),
            "minimum": rng.choice([5.0, 10.0]),
            "bottles": rng.randrange(1, 9),
            "lot": f"L{rng.randrange(100, 999)}",
        }
        for name in ("buffer", "oxidase", "diluent", "lyse", "antiserum")
    }
    laboratory.racks = {f"R{i + 1}": {"places": rng.randrange(6, 11), "used": 0} for i in range(2 + size)}
    for _ in range(4 * size + size // 2):
        rack_id, urgent = rng.choice(list(laboratory.racks)), rng.random() < 0.2
        received = laboratory.receive_sample(rng.choice(names), rng.choice(["blood", "serum"]), rack_id, urgent)
        if not received["success"]:
            continue
        sample_id = received["sample_id"]
        for test in rng.sample(sorted(TESTS), rng.randrange(4)):
            laboratory._order(sample_id, test)
        if rng.random() < 0.5:
            laboratory._unqueue(sample_id)
            for row in laboratory.samples[sample_id]["tests"].values():
                value, flag = round(rng.uniform(1, 12), 1), rng.choice(["low", "normal", "high"])
                row |= {"status": "measured", "value": value, "flag": flag}
    return {
        "clock": laboratory.clock,
        "samples": laboratory.samples,
        "instruments": laboratory.instruments,
        "reagents": laboratory.reagents,
        "racks": laboratory.racks,
        "alerts": [
            {"sample_id": key, "test": test, "flag": row["flag"], "at": laboratory.clock - 5}
            for key, sample in laboratory.samples.items()
            for test, row in sample["tests"].items()
            if row["flag"] in ("low", "high")
        ][: 2 * size],
        "statistics": laboratory.statistics,
        "next_sample_number": laboratory.next_sample_number,
    }

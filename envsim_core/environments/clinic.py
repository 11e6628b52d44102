"""Clinic: doctors' slots, appointments, a waiting list, visits, prescriptions and bills."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any, Literal

DOMAIN = "healthcare"

FEES = {"checkup": 80.0, "consultation": 120.0, "vaccination": 45.0}
LATE_FEE = 25.0
INSURED_SHARE = {"none": 0.0, "basic": 0.6, "full": 0.9}


class Clinic:
    """An outpatient clinic. A doctor's `slots` maps "date time" to an appointment id, or to null when free."""

    def __init__(self) -> None:
        self.today = "2025-01-01"
        self.patients: dict[str, dict[str, Any]] = {}
        self.doctors: dict[str, dict[str, Any]] = {}
        self.appointments: dict[str, dict[str, Any]] = {}
        self.prescriptions: dict[str, dict[str, Any]] = {}
        self.waiting_list: list[dict[str, Any]] = []
        self.statistics: dict[str, Any] = {"visits": 0, "no_shows": 0, "cancelled": 0, "billed": 0.0}
        self.next_numbers: dict[str, int] = {"appointment": 1, "prescription": 1}

    def _not_booked(self, appointment_id: str) -> str | None:
        if appointment_id not in self.appointments:
            return f"Appointment {appointment_id} not found"
        if self.appointments[appointment_id]["status"] != "booked":
            return f"Appointment {appointment_id} is already {self.appointments[appointment_id]['status']}"
        return None

    def _no_slot(self, doctor_id: str, slot: str) -> str | None:
        if doctor_id not in self.doctors:
            return f"Doctor {doctor_id} not found"
        slots = self.doctors[doctor_id]["slots"]
        if slot not in slots:
            return f"Doctor {doctor_id} has no slot at '{slot}'"
        if slots[slot] is not None:
            return f"Slot '{slot}' is taken"
        if slot[:10] < self.today:
            return f"Slot '{slot}' is in the past"
        return None

    def _enter(self, patient_id: str, doctor_id: str, slot: str, kind: str) -> str:
        key = f"A{self.next_numbers['appointment']}"
        self.next_numbers["appointment"] += 1
        self.appointments[key] = {
            "patient_id": patient_id,
            "doctor_id": doctor_id,
            "slot": slot,
            "kind": kind,
            "status": "booked",
            "notes": None,
        }
        self.doctors[doctor_id]["slots"][slot] = key
        self.patients[patient_id]["upcoming"] += 1
        return key

    def _free(self, appointment_id: str, status: str) -> str | None:
        """End a booking; the first patient on the list who waits for that doctor gets the slot."""
        row = self.appointments[appointment_id]
        doctor_id, slot = row["doctor_id"], row["slot"]
        row["status"] = status
        self.patients[row["patient_id"]]["upcoming"] -= 1
        self.doctors[doctor_id]["slots"][slot] = None
        for i, entry in enumerate(self.waiting_list):
            if entry["doctor_id"] == doctor_id and slot[:10] >= self.today:
                del self.waiting_list[i]
                return self._enter(entry["patient_id"], doctor_id, slot, entry["kind"])
        return None

    def _bill(self, patient_id: str, amount: float) -> float:
        patient = self.patients[patient_id]
        own = round(amount * (1 - INSURED_SHARE[patient["insurance"]]), 2)
        patient["balance_due"] = round(patient["balance_due"] + own, 2)
        self.statistics["billed"] = round(self.statistics["billed"] + amount, 2)
        return own

    def get_statistics(self) -> dict[str, Any]:
        """Show today's date and the clinic's counters."""
        return {"success": True, "today": self.today, "statistics": dict(self.statistics)}

    def show_waiting_list(self) -> dict[str, Any]:
        """Show who waits for which doctor, first come first."""
        return {"success": True, "length": len(self.waiting_list), "entries": list(self.waiting_list)}

    def find_free_slots(self, doctor_id: str) -> dict[str, Any]:
        """List the free slots of a doctor from today on.

        Args:
            doctor_id: The doctor.
        """
        if doctor_id not in self.doctors:
            return {"success": False, "error": f"Doctor {doctor_id} not found"}
        slots = self.doctors[doctor_id]["slots"]
        return {"success": True, "slots": [s for s in sorted(slots) if slots[s] is None and s[:10] >= self.today]}

    def get_patient(self, patient_id: str) -> dict[str, Any]:
        """Show a patient's record, appointments and prescriptions.

        Args:
            patient_id: The patient.
        """
        if patient_id not in self.patients:
            return {"success": False, "error": f"Patient {patient_id} not found"}
        visits = [key for key, row in sorted(self.appointments.items()) if row["patient_id"] == patient_id]
        drugs = [key for key, row in sorted(self.prescriptions.items()) if row["patient_id"] == patient_id]
        return {"success": True, "patient": self.patients[patient_id], "appointments": visits, "prescriptions": drugs}

    def book_appointment(
        self, patient_id: str, doctor_id: str, slot: str, kind: Literal["checkup", "consultation", "vaccination"]
    ) -> dict[str, Any]:
        """Book a free slot for a patient who owes less than 200.

        Args:
            patient_id: The patient.
            doctor_id: The doctor.
            slot: The slot, as in "2025-03-03 09:30".
            kind: The kind of visit.
        """
        if patient_id not in self.patients:
            return {"success": False, "error": f"Patient {patient_id} not found"}
        error = self._no_slot(doctor_id, slot)
        if error is None and kind not in FEES:
            error = f"Unknown kind of visit '{kind}'"
        if error is None and self.patients[patient_id]["balance_due"] >= 200:
            error = f"Patient {patient_id} has an open balance of {self.patients[patient_id]['balance_due']:.2f}"
        if error:
            return {"success": False, "error": error}
        return {"success": True, "appointment_id": self._enter(patient_id, doctor_id, slot, kind), "fee": FEES[kind]}

    def join_waiting_list(
        self, patient_id: str, doctor_id: str, kind: Literal["checkup", "consultation", "vaccination"]
    ) -> dict[str, Any]:
        """Put a patient on the waiting list of a doctor.

        Args:
            patient_id: The patient.
            doctor_id: The doctor.
            kind: The kind of visit.
        """
        if patient_id not in self.patients or doctor_id not in self.doctors or kind not in FEES:
            return {"success": False, "error": f"Patient {patient_id}, doctor {doctor_id} or kind '{kind}' not found"}
        if any(e["patient_id"] == patient_id and e["doctor_id"] == doctor_id for e in self.waiting_list):
            return {"success": False, "error": f"Patient {patient_id} already waits for {doctor_id}"}
        self.waiting_list.append({"patient_id": patient_id, "doctor_id": doctor_id, "kind": kind, "since": self.today})
        return {"success": True, "position": len(self.waiting_list)}

    def cancel_appointment(self, appointment_id: str) -> dict[str, Any]:
        """Cancel a booked appointment, on its day against a fee; the waiting list may take the slot.

        Args:
            appointment_id: The appointment.
        """
        error = self._not_booked(appointment_id)
        if error:
            return {"success": False, "error": error}
        row = self.appointments[appointment_id]
        fee = LATE_FEE if row["slot"][:10] <= self.today else 0.0
        if fee:
            patient = self.patients[row["patient_id"]]
            patient["balance_due"] = round(patient["balance_due"] + fee, 2)
        successor = self._free(appointment_id, "cancelled")
        self.statistics["cancelled"] += 1
        return {"success": True, "fee": fee, "given_to": successor}

    def reschedule(self, appointment_id: str, new_slot: str | None = None) -> dict[str, Any]:
        """Move a booked appointment to another free slot of the same doctor.

        Args:
            appointment_id: The appointment.
            new_slot: The new slot; without it the doctor's first free one from today on.
        """
        error = self._not_booked(appointment_id)
        if error:
            return {"success": False, "error": error}
        row = self.appointments[appointment_id]
        slots = self.doctors[row["doctor_id"]]["slots"]
        free = [slot for slot in sorted(slots) if slots[slot] is None and slot[:10] >= self.today]
        slot = new_slot or (free[0] if free else "")
        error = self._no_slot(row["doctor_id"], slot)
        if error:
            return {"success": False, "error": error}
        previous, row["slot"] = row["slot"], slot
        slots[previous], slots[slot] = None, appointment_id
        return {"success": True, "previous": previous, "slot": slot}

    def complete_visit(self, appointment_id: str, notes: str, drug: str | None = None) -> dict[str, Any]:
        """Record a visit: notes, the bill and, if a drug is named, a prescription with two refills.

        Args:
            appointment_id: The appointment, due today or earlier.
            notes: The doctor's notes.
            drug: The drug to prescribe.
        """
        error = self._not_booked(appointment_id)
        if error is None and self.appointments[appointment_id]["slot"][:10] > self.today:
            error = f"Appointment {appointment_id} is on {self.appointments[appointment_id]['slot'][:10]}"
        if error:
            return {"success": False, "error": error}
        row = self.appointments[appointment_id]
        patient = self.patients[row["patient_id"]]
        if drug is not None and drug in patient["allergies"]:
            return {"success": False, "error": f"Patient {row['patient_id']} is allergic to {drug}"}
        row["status"], row["notes"] = "completed", notes
        patient["upcoming"] -= 1
        patient["last_visit"] = row["slot"][:10]
        self.doctors[row["doctor_id"]]["visits"] += 1
        self.statistics["visits"] += 1
        own = self._bill(row["patient_id"], FEES[row["kind"]])
        prescription_id = None
        if drug is not None:
            prescription_id = f"RX{self.next_numbers['prescription']}"
            self.next_numbers["prescription"] += 1
            details = {"patient_id": row["patient_id"], "doctor_id": row["doctor_id"], "drug": drug, "refills": 2}
            self.prescriptions[prescription_id] = details
        return {"success": True, "patient_pays": own, "prescription_id": prescription_id}

    def refill_prescription(self, prescription_id: str) -> dict[str, Any]:
        """Use one refill of a prescription; the last one removes it.

        Args:
            prescription_id: The prescription.
        """
        if prescription_id not in self.prescriptions:
            return {"success": False, "error": f"Prescription {prescription_id} not found"}
        row = self.prescriptions[prescription_id]
        row["refills"] -= 1
        if row["refills"] <= 0:
            del self.prescriptions[prescription_id]
        return {"success": True, "drug": row["drug"], "refills_left": max(row["refills"], 0)}

    def pay_balance(self, patient_id: str, amount: float) -> dict[str, Any]:
        """Record a payment of a patient.

        Args:
            patient_id: The patient.
            amount: Greater than 0 and at most the open balance.
        """
        if patient_id not in self.patients:
            return {"success": False, "error": f"Patient {patient_id} not found"}
        patient = self.patients[patient_id]
        if not 0 < amount <= patient["balance_due"]:
            return {"success": False, "error": f"Amount must be between 0.01 and {patient['balance_due']:.2f}"}
        patient["balance_due"] = round(patient["balance_due"] - amount, 2)
        return {"success": True, "balance_due": patient["balance_due"]}

    def add_allergy(self, patient_id: str, drug: str) -> dict[str, Any]:
        """Record an allergy and withdraw the patient's prescriptions of that drug.

        Args:
            patient_id: The patient.
            drug: The drug that must not be given.
        """
        if patient_id not in self.patients:
            return {"success": False, "error": f"Patient {patient_id} not found"}
        if not drug.strip() or drug in self.patients[patient_id]["allergies"]:
            return {"success": False, "error": f"'{drug}' is empty or already recorded"}
        self.patients[patient_id]["allergies"].append(drug)
        rows = sorted(self.prescriptions.items())
        withdrawn = [key for key, row in rows if row["patient_id"] == patient_id and row["drug"] == drug]
        for key in withdrawn:
            del self.prescriptions[key]
        return {"success": True, "withdrawn": withdrawn}

    def mark_doctor_absent(self, doctor_id: str) -> dict[str, Any]:
        """A doctor is away today: the day's slots go, booked patients are cancelled and join the waiting list.

        Args:
            doctor_id: The doctor.
        """
        if doctor_id not in self.doctors:
            return {"success": False, "error": f"Doctor {doctor_id} not found"}
        slots = self.doctors[doctor_id]["slots"]
        todays = [slot for slot in sorted(slots) if slot.startswith(self.today)]
        if not todays:
            return {"success": False, "error": f"Doctor {doctor_id} has no slots on {self.today}"}
        cancelled = []
        for slot in todays:
            appointment_id = slots.pop(slot)
            if appointment_id is not None and self.appointments[appointment_id]["status"] == "booked":
                row = self.appointments[appointment_id]
                row["status"] = "cancelled"
                self.patients[row["patient_id"]]["upcoming"] -= 1
                entry = {
                    "patient_id": row["patient_id"],
                    "doctor_id": doctor_id,
                    "kind": row["kind"],
                    "since": self.today,
                }
                self.waiting_list.append(entry)
                cancelled.append(appointment_id)
        self.statistics["cancelled"] += len(cancelled)
        return {"success": True, "slots_removed": len(todays), "cancelled": cancelled}

    def close_day(self) -> dict[str, Any]:
        """End the day: appointments that did not take place are no-shows with a fee, then the date moves on."""
        missed = [
            k
            for k, row in sorted(self.appointments.items())
            if row["status"] == "booked" and row["slot"][:10] <= self.today
        ]
        for key in missed:
            patient = self.patients[self.appointments[key]["patient_id"]]
            self.appointments[key]["status"] = "no_show"
            patient["upcoming"] -= 1
            patient["balance_due"] = round(patient["balance_due"] + LATE_FEE, 2)
        self.statistics["no_shows"] += len(missed)
        self.today = (date.fromisoformat(self.today) + timedelta(days=1)).isoformat()
        return {"success": True, "today": self.today, "no_shows": missed}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A clinic with about four patients and four appointments per unit of size, a doctor for every two units."""
    names = ["R. Adeyemi", "S. Blum", "T. Castro", "U. Demir", "V. Eklund", "W. Fong"]
    drugs = ["amoxicillin", "ibuprofen", "cetirizine", "metformin"]
    today = date(2025, 4, rng.randrange(1, 25))
    patients: dict[str, dict[str, Any]] = {
        f"P{301 + i}": {
            "name": rng.choice(names),
            "insurance": rng.choice(["none", "basic", "full"]),
            "balance_due": rng.choice([0.0, 0.0, 32.0, 48.5, 240.0]),
            "allergies": rng.sample(drugs, rng.choice([0, 0, 1])),
            "upcoming": 0,
            "last_visit": None,
        }
        for i in range(4 * size)
    }
    doctors: dict[str, dict[str, Any]] = {}
    appointments: dict[str, dict[str, Any]] = {}
    for i in range((size + 1) // 2):
        slots: dict[str, str | None] = {}
        for day in range(3):
            for hour in sorted(rng.sample(range(8, 17), 4)):
                slots[f"{(today + timedelta(days=day)).isoformat()} {hour:02d}:{rng.choice(['00', '30'])}"] = None
        doctors[f"dr.{rng.choice(['house', 'grey', 'ross', 'quinn'])}.{i + 1}"] = {
            "slots": slots,
            "visits": rng.randrange(50),
        }
    for i in range(4 * size):
        doctor_id, patient_id = rng.choice(list(doctors)), rng.choice(list(patients))
        free = [slot for slot, holder in doctors[doctor_id]["slots"].items() if holder is None]
        status = rng.choice(["booked", "booked", "booked", "cancelled"]) if free else "completed"
        slot = rng.choice(free[:6] or [f"{(today - timedelta(days=2)).isoformat()} 09:00"])
        appointments[f"A{i + 1}"] = {
            "patient_id": patient_id,
            "doctor_id": doctor_id,
            "slot": slot,
            "kind": rng.choice(list(FEES)),
            "status": status,
            "notes": "no findings" if status == "completed" else None,
        }
        if status == "booked":
            doctors[doctor_id]["slots"][slot] = f"A{i + 1}"
            patients[patient_id]["upcoming"] += 1
    prescriptions: dict[str, dict[str, Any]] = {}
    for i in range(3 * size):
        patient_id = rng.choice(list(patients))
        drug = rng.choice([name for name in drugs if name not in patients[patient_id]["allergies"]])
        row = {
            "patient_id": patient_id,
            "doctor_id": rng.choice(list(doctors)),
            "drug": drug,
            "refills": rng.randrange(1, 4),
        }
        prescriptions[f"RX{i + 1}"] = row
    pairs = dict.fromkeys((rng.choice(list(patients)), rng.choice(list(doctors))) for _ in range(1 + size))
    return {
        "today": today.isoformat(),
        "patients": patients,
        "doctors": doctors,
        "appointments": appointments,
        "prescriptions": prescriptions,
        "waiting_list": [
            {"patient_id": patient, "doctor_id": doctor, "kind": rng.choice(list(FEES)), "since": today.isoformat()}
            for patient, doctor in pairs
        ],
        "statistics": {"visits": 211, "no_shows": 9, "cancelled": 17, "billed": round(rng.uniform(9e3, 2e4), 2)},
        "next_numbers": {"appointment": len(appointments) + 1, "prescription": len(prescriptions) + 1},
    }

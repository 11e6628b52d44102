"""Fleet: delivery vans, drivers, trips with stops, fuel, wear and the workshop."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "transport"

SPEED_KMH = 40.0
MAX_DRIVE_MINUTES = 540  # a driver's legal daily limit
SERVICE_EVERY_KM = 15_000.0
FUEL_PRICE = 1.65


class Fleet:
    """A depot's vans. `minute` is the minute of the shift; distances are in km, fuel is in litres."""

    def __init__(self) -> None:
        self.minute = 0
        self.vehicles: dict[str, dict[str, Any]] = {}
        self.drivers: dict[str, dict[str, Any]] = {}
        self.trips: dict[str, dict[str, Any]] = {}
        self.parcels: dict[str, dict[str, Any]] = {}
        self.costs: dict[str, float] = {"fuel": 0.0, "service": 0.0}
        self.totals: dict[str, Any] = {"km": 0.0, "delivered": 0, "failed": 0}
        self.next_trip_number = 1

    def _trip_in(self, trip_id: str, status: str) -> str | None:
        if trip_id not in self.trips:
            return f"trip {trip_id} not found"
        if self.trips[trip_id]["status"] != status:
            return f"trip {trip_id} is {self.trips[trip_id]['status']}, not {status}"
        return None

    def _drive(self, trip_id: str, km: float) -> None:
        trip = self.trips[trip_id]
        vehicle, driver = self.vehicles[trip["vehicle_id"]], self.drivers[trip["driver_id"]]
        vehicle["odometer_km"] = round(vehicle["odometer_km"] + km, 1)
        vehicle["fuel_l"] = round(vehicle["fuel_l"] - km * vehicle["litres_per_100km"] / 100, 2)
        minutes = round(km / SPEED_KMH * 60)
        driver["driven_minutes"] += minutes
        self.minute += minutes
        self.totals["km"] = round(self.totals["km"] + km, 1)

    def _cannot_drive(self, trip_id: str, km: float) -> str | None:
        trip = self.trips[trip_id]
        vehicle, driver = self.vehicles[trip["vehicle_id"]], self.drivers[trip["driver_id"]]
        if km * vehicle["litres_per_100km"] / 100 > vehicle["fuel_l"]:
            return f"vehicle {trip['vehicle_id']} has only {vehicle['fuel_l']} l of fuel for {km} km"
        if driver["driven_minutes"] + round(km / SPEED_KMH * 60) > MAX_DRIVE_MINUTES:
            return f"driver {trip['driver_id']} would exceed {MAX_DRIVE_MINUTES} minutes of driving"
        return None

    def _finish(self, trip_id: str, status: str) -> None:
        trip = self.trips[trip_id]
        trip["status"] = status
        self.vehicles[trip["vehicle_id"]]["status"] = "available"
        self.drivers[trip["driver_id"]]["status"] = "on_duty"

    def get_totals(self) -> dict[str, Any]:
        """Show the shift's totals and costs."""
        return {"success": True, "minute": self.minute, "totals": dict(self.totals), "costs": dict(self.costs)}

    def list_available(self) -> dict[str, Any]:
        """List the vehicles and drivers that can start a trip."""
        vehicles = [key for key, row in sorted(self.vehicles.items()) if row["status"] == "available"]
        drivers = [key for key, row in sorted(self.drivers.items()) if row["status"] == "on_duty"]
        return {"success": True, "vehicle_ids": vehicles, "driver_ids": drivers}

    def get_vehicle(self, vehicle_id: str) -> dict[str, Any]:
        """Show a vehicle with its range on the fuel left and the distance to its next service.

        Args:
            vehicle_id: The vehicle.
        """
        if vehicle_id not in self.vehicles:
            return {"success": False, "error": f"vehicle {vehicle_id} not found"}
        row = self.vehicles[vehicle_id]
        reach = round(row["fuel_l"] / row["litres_per_100km"] * 100, 1)
        left = round(row["serviced_at_km"] + SERVICE_EVERY_KM - row["odometer_km"], 1)
        return {"success": True, "vehicle": row, "range_km": reach, "km_to_service": left}

    def get_trip(self, trip_id: str) -> dict[str, Any]:
        """Show a trip with its stops.

        Args:
            trip_id: The trip.
        """
        if trip_id not in self.trips:
            return {"success": False, "error": f"trip {trip_id} not found"}
        return {"success": True, "trip": self.trips[trip_id], "stops_left": len(self.trips[trip_id]["stops"])}

    def plan_trip(self, vehicle_id: str, driver_id: str, parcel_ids: list[str]) -> dict[str, Any]:
        """Plan a trip that delivers waiting parcels in the order given; van and driver are kept for it.

        Args:
            vehicle_id: An available vehicle.
            driver_id: A driver on duty.
            parcel_ids: 1 to 6 waiting parcels, together within the van's payload.
        """
        if vehicle_id not in self.vehicles or driver_id not in self.drivers:
            return {"success": False, "error": f"vehicle {vehicle_id} or driver {driver_id} not found"}
        vehicle, driver = self.vehicles[vehicle_id], self.drivers[driver_id]
        if vehicle["status"] != "available" or driver["status"] != "on_duty":
            return {"success": False, "error": f"vehicle is {vehicle['status']} and driver is {driver['status']}"}
        if vehicle["class"] not in driver["licences"]:
            return {"success": False, "error": f"driver {driver_id} has no licence for class {vehicle['class']}"}
        wanted = list(dict.fromkeys(parcel_ids))
        if not 1 <= len(wanted) <= 6:
            return {"success": False, "error": "a trip carries 1 to 6 parcels"}
        bad = [key for key in wanted if key not in self.parcels or self.parcels[key]["status"] != "waiting"]
        if bad:
            return {"success": False, "error": f"parcel {bad[0]} is not waiting"}
        weight = round(sum(self.parcels[key]["weight_kg"] for key in wanted), 2)
        if weight > vehicle["payload_kg"]:
            return {"success": False, "error": f"{weight} kg exceed the payload of {vehicle['payload_kg']} kg"}
        key = f"trip-{self.next_trip_number}"
        self.next_trip_number += 1
        stops = [{"parcel_id": parcel, "km": self.parcels[parcel]["distance_km"]} for parcel in wanted]
        self.trips[key] = {
            "vehicle_id": vehicle_id,
            "driver_id": driver_id,
            "status": "planned",
            "stops": stops,
            "log": [],
        }
        vehicle["status"], driver["status"] = "reserved", "assigned"
        for parcel in wanted:
            self.parcels[parcel]["status"] = "loaded"
        return {"success": True, "trip_id": key, "weight_kg": weight}

    def start_trip(self, trip_id: str) -> dict[str, Any]:
        """Start a planned trip, unless the van is due for service.

        Args:
            trip_id: The trip.
        """
        error = self._trip_in(trip_id, "planned")
        if error:
            return {"success": False, "error": error}
        trip = self.trips[trip_id]
        vehicle = self.vehicles[trip["vehicle_id"]]
        if vehicle["odometer_km"] >= vehicle["serviced_at_km"] + SERVICE_EVERY_KM:
            return {"success": False, "error": f"vehicle {trip['vehicle_id']} is due for service"}
        trip["status"], vehicle["status"] = "under_way", "driving"
        self.drivers[trip["driver_id"]]["status"] = "driving"
        trip["log"].append({"minute": self.minute, "event": "start"})
        return {"success": True, "first_stop": trip["stops"][0] if trip["stops"] else None}

    def deliver_next(self, trip_id: str, outcome: Literal["delivered", "nobody_home", "refused"]) -> dict[str, Any]:
        """Drive to the next stop and try to deliver; after the last stop the trip is completed.

        Args:
            trip_id: The trip under way.
            outcome: What happens at the door; a refused parcel is returned, otherwise it waits again.
        """
        error = self._trip_in(trip_id, "under_way")
        if error is None and outcome not in ("delivered", "nobody_home", "refused"):
            error = f"unknown outcome '{outcome}'"
        if error is None and not self.trips[trip_id]["stops"]:
            error = f"trip {trip_id} has no stops left"
        error = error or self._cannot_drive(trip_id, self.trips[trip_id]["stops"][0]["km"])
        if error:
            return {"success": False, "error": error}
        trip = self.trips[trip_id]
        stop = trip["stops"].pop(0)
        self._drive(trip_id, stop["km"])
        parcel = self.parcels[stop["parcel_id"]]
        parcel["status"] = {"delivered": "delivered", "nobody_home": "waiting", "refused": "returned"}[outcome]
        parcel["attempts"] += 1
        self.totals["delivered" if outcome == "delivered" else "failed"] += 1
        trip["log"].append({"minute": self.minute, "event": outcome, "parcel_id": stop["parcel_id"]})
        if not trip["stops"]:
            self._finish(trip_id, "completed")
        return {
            "success": True,
            "parcel_id": stop["parcel_id"],
            "status": parcel["status"],
            "trip_status": trip["status"],
        }

    def abort_trip(self, trip_id: str) -> dict[str, Any]:
        """Give up a trip: van and driver are free again and its parcels wait again.

        Args:
            trip_id: A planned trip or one under way.
        """
        error = self._trip_in(trip_id, "planned")
        if error and self._trip_in(trip_id, "under_way"):
            return {"success": False, "error": error}
        trip = self.trips[trip_id]
        back = [stop["parcel_id"] for stop in trip["stops"]]
        for parcel_id in back:
            self.parcels[parcel_id]["status"] = "waiting"
        trip["stops"] = []
        self._finish(trip_id, "aborted")
        return {"success": True, "waiting_again": back}

    def refuel(self, vehicle_id: str, litres: float) -> dict[str, Any]:
        """Put fuel into a van's tank.

        Args:
            vehicle_id: The vehicle, not in the workshop.
            litres: Litres, greater than 0, at most what fits.
        """
        if vehicle_id not in self.vehicles:
            return {"success": False, "error": f"vehicle {vehicle_id} not found"}
        row = self.vehicles[vehicle_id]
        if row["status"] == "workshop":
            return {"success": False, "error": f"vehicle {vehicle_id} is in the workshop"}
        room = round(row["tank_l"] - row["fuel_l"], 2)
        if not 0 < litres <= room:
            return {"success": False, "error": f"litres must be above 0 and at most {room}"}
        row["fuel_l"] = round(row["fuel_l"] + litres, 2)
        self.costs["fuel"] = round(self.costs["fuel"] + litres * FUEL_PRICE, 2)
        return {"success": True, "fuel_l": row["fuel_l"], "cost": round(litres * FUEL_PRICE, 2)}

    def send_to_workshop(self, vehicle_id: str, faults: list[str]) -> dict[str, Any]:
        """Send an available van to the workshop with a list of faults.

        Args:
            vehicle_id: The vehicle.
            faults: What is wrong; an empty list means a routine service.
        """
        if vehicle_id not in self.vehicles:
            return {"success": False, "error": f"vehicle {vehicle_id} not found"}
        row = self.vehicles[vehicle_id]
        if row["status"] != "available":
            return {"success": False, "error": f"vehicle {vehicle_id} is {row['status']}"}
        row["status"] = "workshop"
        row["faults"] = [*row["faults"], *(fault for fault in faults if fault not in row["faults"])]
        return {"success": True, "faults": list(row["faults"])}

    def finish_service(self, vehicle_id: str) -> dict[str, Any]:
        """Bring a van back from the workshop, serviced, repaired and billed.

        Args:
            vehicle_id: The vehicle.
        """
        if vehicle_id not in self.vehicles:
            return {"success": False, "error": f"vehicle {vehicle_id} not found"}
        row = self.vehicles[vehicle_id]
        if row["status"] != "workshop":
            return {"success": False, "error": f"vehicle {vehicle_id} is not in the workshop"}
        bill = round(180.0 + 95.5 * len(row["faults"]), 2)
        row["status"], row["faults"], row["serviced_at_km"] = "available", [], row["odometer_km"]
        self.costs["service"] = round(self.costs["service"] + bill, 2)
        return {"success": True, "bill": bill, "serviced_at_km": row["serviced_at_km"]}

    def set_driver_duty(self, driver_id: str, on_duty: bool) -> dict[str, Any]:
        """Start or end the duty of a driver who has no trip; a new duty starts with no minutes driven.

        Args:
            driver_id: The driver.
            on_duty: Whether the driver shall be on duty.
        """
        if driver_id not in self.drivers:
            return {"success": False, "error": f"driver {driver_id} not found"}
        row = self.drivers[driver_id]
        if row["status"] not in ("on_duty", "off_duty"):
            return {"success": False, "error": f"driver {driver_id} is {row['status']}"}
        if on_duty and row["status"] == "off_duty":
            row["driven_minutes"] = 0
        row["status"] = "on_duty" if on_duty else "off_duty"
        return {"success": True, "status": row["status"], "driven_minutes": row["driven_minutes"]}

    def purge_parcels(self, status: Literal["delivered", "returned"], limit: int = 5) -> dict[str, Any]:
        """Remove the records of finished parcels, oldest ids first.

        Args:
            status: Which parcels to remove.
            limit: How many at most, 1 to 12.
        """
        if status not in ("delivered", "returned") or not 1 <= limit <= 12:
            return {"success": False, "error": "status must be delivered or returned, limit 1 to 12"}
        doomed = [key for key, row in sorted(self.parcels.items()) if row["status"] == status][:limit]
        for key in doomed:
            del self.parcels[key]
        return {"success": True, "purged": doomed}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A depot with about two vans, two drivers, two trips and six parcels per unit of size."""
    streets = ["Oak St 4", "Mill Ln 12", "Bay Rd 7", "Hill Ave 3", "Park Sq 1"]
    parcels: dict[str, dict[str, Any]] = {
        f"PX{10_000 + i}": {
            "address": rng.choice(streets),
            "distance_km": round(rng.uniform(1, 30), 1),
            "weight_kg": round(rng.uniform(0.5, 80), 2),
            "status": rng.choice(["waiting"] * 5 + ["delivered", "delivered", "returned"]),
            "attempts": rng.randrange(2),
        }
        for i in range(1 + 6 * size)
    }
    vehicles: dict[str, dict[str, Any]] = {}
    for i in range(1 + 2 * size):
        odometer, tank = round(rng.uniform(5_000, 90_000), 1), rng.choice([60.0, 80.0])
        status = rng.choice(["available", "available", "available", "workshop"]) if i else "available"
        vehicles[f"van.{i + 1:02d}"] = {
            "class": rng.choice(["B", "B", "C1"]),
            "status": status,
            "odometer_km": odometer,
            "serviced_at_km": round(odometer - rng.uniform(100, 15_500), 1),
            "fuel_l": round(rng.uniform(2, tank), 2),
            "tank_l": tank,
            "litres_per_100km": rng.choice([8.5, 9.0, 11.5]),
            "payload_kg": rng.choice([90.0, 250.0, 400.0]),
            "faults": ["brake light"] if status == "workshop" and rng.random() < 0.5 else [],
        }
    drivers = {
        f"D{i + 1}": {
            "status": rng.choice(["on_duty", "on_duty", "on_duty", "off_duty"]),
            "driven_minutes": rng.randrange(0, 480),
            "licences": rng.choice([["B"], ["B", "C1"], ["B", "C1"], ["B", "C1"]]),
        }
        for i in range(1 + 2 * size)
    }
    trips: dict[str, dict[str, Any]] = {}
    for i in range(2 * size):
        van_ids = [key for key, row in vehicles.items() if row["status"] == "available"]
        driver_ids = [key for key, row in drivers.items() if row["status"] == "on_duty"]
        waiting = [key for key, row in parcels.items() if row["status"] == "waiting"]
        key, status = f"trip-{i + 1}", rng.choice(["planned", "under_way", "completed", "aborted"])
        if not van_ids or not driver_ids or not waiting or status in ("completed", "aborted"):
            over = {
                "vehicle_id": rng.choice(list(vehicles)),
                "driver_id": rng.choice(list(drivers)),
                "stops": [],
                "log": [],
            }
            trips[key] = {**over, "status": status if status in ("completed", "aborted") else "aborted"}
            continue
        vehicle_id, driver_id = rng.choice(van_ids), rng.choice(driver_ids)
        loaded = rng.sample(waiting, min(len(waiting), rng.randrange(1, 6)))
        for parcel in loaded:
            parcels[parcel]["status"] = "loaded"
        vehicles[vehicle_id]["status"] = "driving" if status == "under_way" else "reserved"
        drivers[driver_id]["status"] = "driving" if status == "under_way" else "assigned"
        trips[key] = {
            "vehicle_id": vehicle_id,
            "driver_id": driver_id,
            "status": status,
            "stops": [{"parcel_id": parcel, "km": parcels[parcel]["distance_km"]} for parcel in loaded],
            "log": [{"minute": 0, "event": "start"}] if status == "under_way" else [],
        }
    return {
        "minute": rng.randrange(30, 200),
        "vehicles": vehicles,
        "drivers": drivers,
        "trips": trips,
        "parcels": parcels,
        "costs": {"fuel": round(rng.uniform(0, 300), 2), "service": 275.5},
        "totals": {"km": round(rng.uniform(50, 900), 1), "delivered": rng.randrange(90), "failed": rng.randrange(9)},
        "next_trip_number": len(trips) + 1,
    }

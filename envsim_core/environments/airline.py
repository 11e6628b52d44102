"""Airline: flights with cabins, bookings, check-in, seats, bags, miles and the departure of a flight."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "air_travel"

FREE_BAGS = {"economy": 1, "business": 2}
BAG_FEE = 35.0
CHANGE_FEE = 60.0
SEATS_PER_ROW = "ACDF"
MILES_PER_UNIT = {"blue": 5, "silver": 7, "gold": 10}
TIER_AT = {"gold": 40_000, "silver": 15_000, "blue": 0}


class Airline:
    """A departure control system. A cabin counts its `sold` places; `seats` maps a taken seat to its booking."""

    def __init__(self) -> None:
        self.flights: dict[str, dict[str, Any]] = {}
        self.bookings: dict[str, dict[str, Any]] = {}
        self.travellers: dict[str, dict[str, Any]] = {}
        self.standby: list[dict[str, Any]] = []
        self.totals: dict[str, Any] = {"fares": 0.0, "fees": 0.0, "refunds": 0.0, "boarded": 0, "bags": 0}
        self.next_booking_number = 1

    def _no_booking(self, booking_id: str, *statuses: str) -> str | None:
        if booking_id not in self.bookings:
            return f"Booking {booking_id} not found"
        if self.bookings[booking_id]["status"] not in statuses:
            return f"Booking {booking_id} is {self.bookings[booking_id]['status']}"
        return None

    def _not_open(self, flight_id: str) -> str | None:
        if flight_id not in self.flights:
            return f"Flight {flight_id} not found"
        if self.flights[flight_id]["status"] != "open":
            return f"Flight {flight_id} is {self.flights[flight_id]['status']}"
        return None

    def _no_place(self, flight_id: str, cabin: str) -> str | None:
        error = self._not_open(flight_id)
        if error is None and cabin not in FREE_BAGS:
            error = f"Unknown cabin '{cabin}'"
        if error:
            return error
        row = self.flights[flight_id]["cabins"][cabin]
        return None if row["sold"] < row["capacity"] else f"Flight {flight_id} has no {cabin} place left"

    def _seats(self, flight_id: str, cabin: str) -> list[str]:
        """All seats of a cabin from front to back; business is in front."""
        cabins = self.flights[flight_id]["cabins"]
        skipped = 0 if cabin == "business" else cabins["business"]["capacity"]
        numbers = range(skipped, skipped + cabins[cabin]["capacity"])
        return [f"{number // 4 + 1}{SEATS_PER_ROW[number % 4]}" for number in numbers]

    def _leave(self, booking_id: str) -> None:
        """Take a booking off its flight: the place, the seat and the bags."""
        booking = self.bookings[booking_id]
        flight = self.flights[booking["flight_id"]]
        flight["cabins"][booking["cabin"]]["sold"] -= 1
        flight["bags"] -= booking["bags"]
        if booking["seat"] is not None:
            del flight["seats"][booking["seat"]]
        booking["seat"], booking["bags"] = None, 0

    def _earn(self, traveller_id: str, paid: float) -> int:
        traveller = self.travellers[traveller_id]
        miles = int(paid * MILES_PER_UNIT[traveller["tier"]])
        traveller["miles"] += miles
        traveller["tier"] = next(tier for tier, least in TIER_AT.items() if traveller["miles"] >= least)
        return miles

    def _add(self, total: str, amount: float) -> None:
        self.totals[total] = round(self.totals[total] + amount, 2)

    def get_totals(self) -> dict[str, Any]:
        """Show the running totals of the airline."""
        return {"success": True, "totals": dict(self.totals)}

    def list_standby(self) -> dict[str, Any]:
        """List who waits for a place, first come first."""
        return {"success": True, "waiting": len(self.standby), "standby": list(self.standby)}

    def get_flight(self, flight_id: str) -> dict[str, Any]:
        """Show a flight and its free places.

        Args:
            flight_id: The flight.
        """
        if flight_id not in self.flights:
            return {"success": False, "error": f"Flight {flight_id} not found"}
        flight = self.flights[flight_id]
        free = {name: cabin["capacity"] - cabin["sold"] for name, cabin in flight["cabins"].items()}
        return {"success": True, "flight": flight, "free": free}

    def search_flights(self, destination: str, cabin: Literal["economy", "business"] = "economy") -> dict[str, Any]:
        """Find open flights to a destination with the fare of each.

        Args:
            destination: Airport code, as in "OSL".
            cabin: The cabin that must have a place.
        """
        if cabin not in FREE_BAGS:
            return {"success": False, "error": f"Unknown cabin '{cabin}'"}
        if len(destination) != 3 or not destination.isalpha():
            return {"success": False, "error": f"'{destination}' is not an airport code"}
        found = {
            key: row["cabins"][cabin]["fare"]
            for key, row in sorted(self.flights.items())
            if row["destination"] == destination.upper() and self._no_place(key, cabin) is None
        }
        return {"success": True, "flights": found}

    def book_flight(
        self, traveller_id: str, flight_id: str, cabin: Literal["economy", "business"] = "economy"
    ) -> dict[str, Any]:
        """Book a place; the fare is paid at once and earns miles.

        Args:
            traveller_id: Who travels.
            flight_id: The flight.
            cabin: The cabin.
        """
        if traveller_id not in self.travellers:
            return {"success": False, "error": f"Traveller {traveller_id} not found"}
        error = self._no_place(flight_id, cabin)
        if error:
            return {"success": False, "error": error}
        rows = self.bookings.values()
        if any(
            (b["traveller_id"], b["flight_id"]) == (traveller_id, flight_id) and b["status"] != "cancelled"
            for b in rows
        ):
            return {"success": False, "error": f"Traveller {traveller_id} is already booked on {flight_id}"}
        key = f"PNR{self.next_booking_number:04d}"
        self.next_booking_number += 1
        cabin_row = self.flights[flight_id]["cabins"][cabin]
        cabin_row["sold"] += 1
        self.bookings[key] = {
            "traveller_id": traveller_id,
            "flight_id": flight_id,
            "cabin": cabin,
            "status": "booked",
            "paid": cabin_row["fare"],
            "seat": None,
            "bags": 0,
        }
        self._add("fares", cabin_row["fare"])
        return {"success": True, "booking_id": key, "miles": self._earn(traveller_id, cabin_row["fare"])}

    def check_in(self, booking_id: str, bags: int = 0) -> dict[str, Any]:
        """Check a booking in: the first free seat of its cabin, and bags, of which the surplus costs a fee.

        Args:
            booking_id: The booking.
            bags: Bags to check, 0 to 4.
        """
        error = self._no_booking(booking_id, "booked")
        if error is None and not 0 <= bags <= 4:
            error = "bags must be 0 to 4"
        error = error or self._not_open(self.bookings[booking_id]["flight_id"])
        if error:
            return {"success": False, "error": error}
        booking = self.bookings[booking_id]
        flight = self.flights[booking["flight_id"]]
        seat = next(s for s in self._seats(booking["flight_id"], booking["cabin"]) if s not in flight["seats"])
        fee = max(0, bags - FREE_BAGS[booking["cabin"]]) * BAG_FEE
        booking["seat"], booking["status"], booking["bags"] = seat, "checked_in", bags
        flight["seats"][seat] = booking_id
        flight["bags"] += bags
        self._add("fees", fee)
        self.totals["bags"] += bags
        return {"success": True, "seat": seat, "gate": flight["gate"], "fee": fee}

    def change_seat(self, booking_id: str, new_seat: str) -> dict[str, Any]:
        """Give a checked-in passenger another seat of the cabin; whoever has it gets the old one.

        Args:
            booking_id: The booking.
            new_seat: The wanted seat, as in "2C".
        """
        error = self._no_booking(booking_id, "checked_in")
        if error:
            return {"success": False, "error": error}
        booking = self.bookings[booking_id]
        if new_seat == booking["seat"] or new_seat not in self._seats(booking["flight_id"], booking["cabin"]):
            return {"success": False, "error": f"'{new_seat}' is no other seat of {booking['cabin']} on this flight"}
        seats, previous = self.flights[booking["flight_id"]]["seats"], booking["seat"]
        neighbour_id = seats.pop(new_seat, None)
        del seats[previous]
        if neighbour_id is not None:
            seats[previous], self.bookings[neighbour_id]["seat"] = neighbour_id, previous
        seats[new_seat], booking["seat"] = booking_id, new_seat
        return {"success": True, "previous": previous, "swapped_with": neighbour_id}

    def rebook(self, booking_id: str, new_flight_id: str) -> dict[str, Any]:
        """Move a booking to another flight for a fee and a higher fare, if any; seat and bags are given up.

        Args:
            booking_id: The booking.
            new_flight_id: The flight it moves to.
        """
        error = self._no_booking(booking_id, "booked", "checked_in")
        error = error or self._no_place(new_flight_id, self.bookings[booking_id]["cabin"])
        if error is None and self.bookings[booking_id]["flight_id"] == new_flight_id:
            error = f"Booking {booking_id} is on flight {new_flight_id} already"
        if error:
            return {"success": False, "error": error}
        booking = self.bookings[booking_id]
        self._leave(booking_id)
        cabin = self.flights[new_flight_id]["cabins"][booking["cabin"]]
        cabin["sold"] += 1
        surcharge = round(max(0.0, cabin["fare"] - booking["paid"]), 2)
        booking["flight_id"], booking["status"] = new_flight_id, "booked"
        booking["paid"] = round(booking["paid"] + surcharge, 2)
        self._add("fees", CHANGE_FEE)
        self._add("fares", surcharge)
        return {"success": True, "surcharge": surcharge, "fee": CHANGE_FEE}

    def cancel_booking(self, booking_id: str) -> dict[str, Any]:
        """Cancel a booking against a refund of four fifths; the first on standby for its cabin gets the place.

        Args:
            booking_id: The booking.
        """
        error = self._no_booking(booking_id, "booked", "checked_in")
        if error:
            return {"success": False, "error": error}
        booking = self.bookings[booking_id]
        refund = round(booking["paid"] * 0.8, 2)
        self._leave(booking_id)
        booking["status"], booking["paid"] = "cancelled", round(booking["paid"] - refund, 2)
        self._add("refunds", refund)
        wanted = (booking["flight_id"], booking["cabin"])
        for entry in self.standby:
            if (entry["flight_id"], entry["cabin"]) == wanted and self._no_place(*wanted) is None:
                self.standby.remove(entry)
                given = self.book_flight(entry["traveller_id"], *wanted)
                return {"success": True, "refund": refund, "given_to": given.get("booking_id")}
        return {"success": True, "refund": refund, "given_to": None}

    def join_standby(
        self, traveller_id: str, flight_id: str, cabin: Literal["economy", "business"] = "economy"
    ) -> dict[str, Any]:
        """Put a traveller on the standby list of a flight.

        Args:
            traveller_id: Who waits.
            flight_id: The flight.
            cabin: The cabin.
        """
        if traveller_id not in self.travellers or flight_id not in self.flights or cabin not in FREE_BAGS:
            return {"success": False, "error": f"Traveller {traveller_id}, flight {flight_id} or '{cabin}' not found"}
        entry = {"traveller_id": traveller_id, "flight_id": flight_id, "cabin": cabin}
        if entry in self.standby or self.flights[flight_id]["status"] != "open":
            return {"success": False, "error": f"{traveller_id} is on standby already, or {flight_id} is not open"}
        self.standby.append(entry)
        return {"success": True, "position": len(self.standby)}

    def upgrade(self, booking_id: str) -> dict[str, Any]:
        """Move a booking from economy to business for 10000 miles of its traveller.

        Args:
            booking_id: The booking.
        """
        error = self._no_booking(booking_id, "booked")
        if error is None and self.bookings[booking_id]["cabin"] == "business":
            error = f"Booking {booking_id} is in business already"
        error = error or self._no_place(self.bookings[booking_id]["flight_id"], "business")
        if error:
            return {"success": False, "error": error}
        booking = self.bookings[booking_id]
        traveller = self.travellers[booking["traveller_id"]]
        if traveller["miles"] < 10_000:
            return {"success": False, "error": f"{booking['traveller_id']} has {traveller['miles']} of 10000 miles"}
        cabins = self.flights[booking["flight_id"]]["cabins"]
        cabins["economy"]["sold"] -= 1
        cabins["business"]["sold"] += 1
        booking["cabin"] = "business"
        traveller["miles"] -= 10_000
        return {"success": True, "miles_left": traveller["miles"]}

    def delay_flight(self, flight_id: str, minutes: int, gate: str | None = None) -> dict[str, Any]:
        """Delay an open flight and, if a gate is named, move it there.

        Args:
            flight_id: The flight.
            minutes: Further delay, 1 to 600.
            gate: The new gate.
        """
        error = self._not_open(flight_id)
        if error is None and not 1 <= minutes <= 600:
            error = "minutes must be 1 to 600"
        if error:
            return {"success": False, "error": error}
        flight = self.flights[flight_id]
        flight["delay_minutes"] += minutes
        flight["gate"] = gate or flight["gate"]
        return {"success": True, "delay_minutes": flight["delay_minutes"], "gate": flight["gate"]}

    def cancel_flight(self, flight_id: str) -> dict[str, Any]:
        """Cancel a flight that is delayed by half an hour: its bookings are refunded, its standby list is emptied.

        Args:
            flight_id: The flight.
        """
        error = self._not_open(flight_id)
        if error is None and self.flights[flight_id]["delay_minutes"] < 30:
            error = f"Flight {flight_id} is delayed by {self.flights[flight_id]['delay_minutes']} of 30 minutes"
        if error:
            return {"success": False, "error": error}
        refunded = {}
        for key, booking in sorted(self.bookings.items()):
            if booking["flight_id"] == flight_id and booking["status"] in ("booked", "checked_in"):
                self._leave(key)
                refunded[key] = booking["paid"]
                booking["status"], booking["paid"] = "cancelled", 0.0
                self._add("refunds", refunded[key])
        self.standby = [entry for entry in self.standby if entry["flight_id"] != flight_id]
        self.flights[flight_id]["status"] = "cancelled"
        return {"success": True, "refunded": refunded}

    def depart(self, flight_id: str) -> dict[str, Any]:
        """Close a flight once most are checked in: they are flown, the others are no-shows and lose their place.

        Args:
            flight_id: The flight.
        """
        error = self._not_open(flight_id)
        if error:
            return {"success": False, "error": error}
        flown: list[str] = []
        missing: list[str] = []
        for key, booking in sorted(self.bookings.items()):
            if booking["flight_id"] != flight_id or booking["status"] not in ("booked", "checked_in"):
                continue
            (flown if booking["status"] == "checked_in" else missing).append(key)
        if len(flown) <= len(missing):
            return {"success": False, "error": f"Flight {flight_id} waits for {len(missing)} passengers"}
        for key in missing:
            self._leave(key)
            self.bookings[key]["status"] = "no_show"
        for key in flown:
            self.bookings[key]["status"] = "flown"
        self.flights[flight_id]["status"] = "departed"
        self.totals["boarded"] += len(flown)
        return {"success": True, "boarded": len(flown), "no_shows": missing}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """An airline with about two flights, three travellers and four bookings per unit of size."""
    names = ["Ada Holm", "Ben Okoro", "Cleo Park", "Dev Rao", "Eva Lind", "Finn Oake", "Gita Das"]
    flights: dict[str, dict[str, Any]] = {
        f"NX{210 + i}": {
            "destination": rng.choice(["OSL", "LIS", "PRG", "VIE"]),
            "gate": f"{rng.choice('ABC')}{rng.randrange(1, 30)}",
            "status": "open" if i < 3 else rng.choice(["open"] * 6 + ["departed", "cancelled"]),
            "delay_minutes": rng.choice([0, 0, 15, 40]),
            "bags": 0,
            "cabins": {
                "business": {"capacity": rng.randrange(1, 4), "sold": 0, "fare": rng.randrange(380, 700) + 0.5},
                "economy": {"capacity": rng.randrange(4, 9), "sold": 0, "fare": rng.randrange(60, 240) + 0.99},
            },
            "seats": {},
        }
        for i in range(1 + 2 * size)
    }
    travellers: dict[str, dict[str, Any]] = {}
    for i in range(3 + 3 * size):
        miles = rng.randrange(50_000)
        tier = next(name for name, least in TIER_AT.items() if miles >= least)
        travellers[f"T{4001 + i}"] = {"name": rng.choice(names), "miles": miles, "tier": tier}
    airline = Airline()
    airline.flights, airline.travellers = flights, travellers
    live = [key for key, row in flights.items() if row["status"] == "open"]
    for _ in range(1 + 5 * size):
        flight_id, traveller_id = rng.choice(live), rng.choice(list(travellers))
        booked = airline.book_flight(traveller_id, flight_id, rng.choice(["economy", "economy", "economy", "business"]))
        if booked["success"] and rng.random() < 0.6:
            airline.check_in(booked["booking_id"], rng.randrange(3))
    for _ in range(size):
        airline.join_standby(rng.choice(list(travellers)), rng.choice(live), rng.choice(["economy", "business"]))
    return {
        "flights": flights,
        "bookings": airline.bookings,
        "travellers": travellers,
        "standby": airline.standby,
        "totals": airline.totals,
        "next_booking_number": airline.next_booking_number,
    }

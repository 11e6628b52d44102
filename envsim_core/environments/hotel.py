"""Hotel: rooms, guests, bookings, extras, loyalty points and the night audit."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any, Literal

DOMAIN = "hospitality"

CITY_TAX = 2.5  # per night
EXTRAS = {"breakfast": 14.0, "parking": 18.5, "spa": 45.0, "minibar": 9.9}
POINTS_PER_UNIT = 10  # a point for every 10 currency units paid


class Hotel:
    """A hotel's front desk. `today` moves by the night audit; a room's `calendar` maps a night to its booking."""

    def __init__(self) -> None:
        self.today = "2025-01-01"
        self.rooms: dict[str, dict[str, Any]] = {}
        self.guests: dict[str, dict[str, Any]] = {}
        self.bookings: dict[str, dict[str, Any]] = {}
        self.totals: dict[str, Any] = {"revenue": 0.0, "tax": 0.0, "cancellations": 0, "no_shows": 0}
        self.next_booking_number = 1

    def _nights(self, check_in: str, nights: int) -> list[str]:
        start = date.fromisoformat(check_in)
        return [(start + timedelta(days=i)).isoformat() for i in range(nights)]

    def _release(self, booking_id: str, start: str) -> int:
        calendar = self.rooms[self.bookings[booking_id]["room_id"]]["calendar"]
        freed = [night for night, holder in sorted(calendar.items()) if holder == booking_id and night >= start]
        for night in freed:
            del calendar[night]
        return len(freed)

    def _in_state(self, booking_id: str, status: str) -> str | None:
        if booking_id not in self.bookings:
            return f"Booking {booking_id} does not exist"
        if self.bookings[booking_id]["status"] != status:
            return f"Booking {booking_id} is {self.bookings[booking_id]['status']}, expected {status}"
        return None

    def get_house_status(self) -> dict[str, Any]:
        """Count the rooms by status and show today's date."""
        counts: dict[str, int] = {}
        for room in self.rooms.values():
            counts[room["status"]] = counts.get(room["status"], 0) + 1
        return {"success": True, "today": self.today, "rooms": counts}

    def list_arrivals(self) -> dict[str, Any]:
        """List the confirmed bookings that should check in today."""
        rows = sorted(self.bookings.items())
        due = [key for key, row in rows if row["status"] == "confirmed" and row["check_in"] == self.today]
        return {"success": True, "date": self.today, "booking_ids": due}

    def get_booking(self, booking_id: str) -> dict[str, Any]:
        """Show one booking with what is still to pay.

        Args:
            booking_id: The booking.
        """
        if booking_id not in self.bookings:
            return {"success": False, "error": f"Booking {booking_id} does not exist"}
        row = self.bookings[booking_id]
        return {"success": True, "booking": row, "due": round(row["total"] - row["paid"], 2)}

    def search_rooms(self, room_type: Literal["single", "double", "suite"], max_rate: float = 500.0) -> dict[str, Any]:
        """Find clean rooms of a type that are free tonight.

        Args:
            room_type: The type of room.
            max_rate: Highest nightly rate.
        """
        if room_type not in ("single", "double", "suite"):
            return {"success": False, "error": f"Unknown room type '{room_type}'"}
        found = {
            key: room["rate"]
            for key, room in sorted(self.rooms.items())
            if room["room_type"] == room_type and room["rate"] <= max_rate and room["status"] == "clean"
            if self.today not in room["calendar"]
        }
        return {"success": True, "rooms": found}

    def book_room(self, guest_id: str, room_id: str, days_ahead: int, nights: int) -> dict[str, Any]:
        """Book a room for a guest.

        Args:
            guest_id: The guest who stays.
            room_id: The room.
            days_ahead: Days from today to check-in, 0 to 60.
            nights: Number of nights, 1 to 7.
        """
        if guest_id not in self.guests:
            return {"success": False, "error": f"Guest {guest_id} does not exist"}
        if room_id not in self.rooms:
            return {"success": False, "error": f"Room {room_id} does not exist"}
        if self.guests[guest_id]["blacklisted"]:
            return {"success": False, "error": "Guest is not allowed to book"}
        if not 0 <= days_ahead <= 60 or not 1 <= nights <= 7:
            return {"success": False, "error": "Stay must start within 60 days and last 1 to 7 nights"}
        room = self.rooms[room_id]
        if room["status"] == "out_of_order":
            return {"success": False, "error": f"Room {room_id} is out of order"}
        check_in = (date.fromisoformat(self.today) + timedelta(days=days_ahead)).isoformat()
        wanted = self._nights(check_in, nights)
        taken = [night for night in wanted if night in room["calendar"]]
        if taken:
            return {"success": False, "error": f"Room {room_id} is not available on {', '.join(taken)}"}
        key = f"B-{self.next_booking_number}"
        self.next_booking_number += 1
        total = round(nights * (room["rate"] + CITY_TAX), 2)
        self.bookings[key] = {
            "guest_id": guest_id,
            "room_id": room_id,
            "check_in": check_in,
            "nights": nights,
            "status": "confirmed",
            "total": total,
            "paid": 0.0,
            "extras": [],
        }
        for night in wanted:
            room["calendar"][night] = key
        return {"success": True, "booking_id": key, "check_in": check_in, "total": total}

    def cancel_booking(self, booking_id: str) -> dict[str, Any]:
        """Cancel a confirmed booking; on the day of arrival the first night is still charged.

        Args:
            booking_id: The booking, not checked in yet.
        """
        error = self._in_state(booking_id, "confirmed")
        if error:
            return {"success": False, "error": error}
        row = self.bookings[booking_id]
        fee = self.rooms[row["room_id"]]["rate"] if row["check_in"] <= self.today else 0.0
        row["status"], row["total"] = "cancelled", fee
        self._release(booking_id, row["check_in"])
        self.totals["cancellations"] += 1
        return {"success": True, "fee": fee}

    def check_in(self, booking_id: str) -> dict[str, Any]:
        """Check a guest in on the day of arrival, into a clean room.

        Args:
            booking_id: The booking, due today.
        """
        error = self._in_state(booking_id, "confirmed")
        if error:
            return {"success": False, "error": error}
        row = self.bookings[booking_id]
        room = self.rooms[row["room_id"]]
        if row["check_in"] != self.today:
            return {"success": False, "error": f"Check-in is on {row['check_in']}, today is {self.today}"}
        if room["status"] != "clean":
            return {"success": False, "error": f"Room {row['room_id']} is {room['status']}"}
        row["status"] = "checked_in"
        room["status"], room["occupant_id"] = "occupied", row["guest_id"]
        self.guests[row["guest_id"]]["stays"] += 1
        return {"success": True, "room_id": row["room_id"], "door_code": f"{row['room_id']}-{booking_id[2:]}"}

    def add_extra(self, booking_id: str, item: Literal["breakfast", "parking", "spa", "minibar"]) -> dict[str, Any]:
        """Charge an extra to a guest in the house.

        Args:
            booking_id: The booking that is charged.
            item: What was ordered.
        """
        error = self._in_state(booking_id, "checked_in")
        if error:
            return {"success": False, "error": error}
        if item not in EXTRAS:
            return {"success": False, "error": f"Unknown extra '{item}'"}
        row = self.bookings[booking_id]
        row["extras"].append({"item": item, "price": EXTRAS[item], "date": self.today})
        row["total"] = round(row["total"] + EXTRAS[item], 2)
        return {"success": True, "price": EXTRAS[item], "total": row["total"]}

    def take_payment(self, booking_id: str, amount: float) -> dict[str, Any]:
        """Take a payment for a booking and credit loyalty points.

        Args:
            booking_id: The booking that is paid.
            amount: Amount, greater than 0 and not above what is due.
        """
        if booking_id not in self.bookings:
            return {"success": False, "error": f"Booking {booking_id} does not exist"}
        row = self.bookings[booking_id]
        due = round(row["total"] - row["paid"], 2)
        if not 0 < amount <= due:
            return {"success": False, "error": f"Amount must be between 0.01 and {due:.2f}"}
        row["paid"] = round(row["paid"] + amount, 2)
        points = int(amount // POINTS_PER_UNIT)
        self.guests[row["guest_id"]]["points"] += points
        self.totals["revenue"] = round(self.totals["revenue"] + amount, 2)
        return {"success": True, "due": round(row["total"] - row["paid"], 2), "points": points}

    def check_out(self, booking_id: str) -> dict[str, Any]:
        """Check a guest out: the open amount is paid by card, the room becomes dirty, later nights are given free.

        Args:
            booking_id: The booking.
        """
        error = self._in_state(booking_id, "checked_in")
        if error:
            return {"success": False, "error": error}
        row = self.bookings[booking_id]
        room, guest = self.rooms[row["room_id"]], self.guests[row["guest_id"]]
        due = round(row["total"] - row["paid"], 2)
        points = int(due // POINTS_PER_UNIT) if due > 0 else 0
        row["status"], row["paid"] = "checked_out", row["total"]
        room["status"], room["occupant_id"] = "dirty", None
        freed = self._release(booking_id, self.today)
        guest["points"] += points
        guest["tier"] = "gold" if guest["points"] >= 500 else "silver" if guest["points"] >= 200 else "basic"
        self.totals["revenue"] = round(self.totals["revenue"] + due, 2)
        self.totals["tax"] = round(self.totals["tax"] + row["nights"] * CITY_TAX, 2)
        return {"success": True, "charged": due, "points": points, "tier": guest["tier"], "nights_released": freed}

    def set_room_status(self, room_id: str, status: Literal["clean", "dirty", "out_of_order"]) -> dict[str, Any]:
        """Record the housekeeping status of a room that nobody occupies.

        Args:
            room_id: The room.
            status: Its new status.
        """
        if room_id not in self.rooms:
            return {"success": False, "error": f"Room {room_id} does not exist"}
        if status not in ("clean", "dirty", "out_of_order"):
            return {"success": False, "error": f"Invalid status '{status}'"}
        room = self.rooms[room_id]
        if room["status"] == "occupied":
            return {"success": False, "error": f"Room {room_id} is occupied"}
        previous, room["status"] = room["status"], status
        return {"success": True, "previous": previous, "status": status}

    def move_booking(self, booking_id: str, new_room_id: str | None = None) -> dict[str, Any]:
        """Give a confirmed booking another room at that room's rate.

        Args:
            booking_id: The booking.
            new_room_id: The room it moves to; without it, the cheapest one that is free for the stay.
        """
        error = self._in_state(booking_id, "confirmed")
        if error:
            return {"success": False, "error": error}
        row = self.bookings[booking_id]
        nights = self._nights(row["check_in"], row["nights"])
        free = [
            (room["rate"], key)
            for key, room in self.rooms.items()
            if key != row["room_id"] and room["status"] != "out_of_order" and not room["calendar"].keys() & set(nights)
        ]
        if not free or (new_room_id is not None and new_room_id not in [key for _, key in free]):
            return {"success": False, "error": f"{new_room_id or 'No other room'} is not available for the stay"}
        new_room_id = new_room_id or min(free)[1]
        room = self.rooms[new_room_id]
        self._release(booking_id, row["check_in"])
        for night in nights:
            room["calendar"][night] = booking_id
        row["room_id"] = new_room_id
        row["total"] = round(row["nights"] * (room["rate"] + CITY_TAX), 2)
        return {"success": True, "room_id": new_room_id, "total": row["total"]}

    def run_night_audit(self) -> dict[str, Any]:
        """Close the day: today's missing arrivals become no-shows that owe one night, then the date moves on."""
        missed = [
            k for k, r in sorted(self.bookings.items()) if r["status"] == "confirmed" and r["check_in"] <= self.today
        ]
        for key in missed:
            row = self.bookings[key]
            row["status"], row["total"] = "no_show", self.rooms[row["room_id"]]["rate"]
            self._release(key, row["check_in"])
        self.totals["no_shows"] += len(missed)
        self.today = (date.fromisoformat(self.today) + timedelta(days=1)).isoformat()
        return {"success": True, "today": self.today, "no_shows": missed}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A hotel with about three rooms, three guests and five bookings per unit of size, several arriving today."""
    names = ["Ida Berg", "Jon Katz", "Kim Seo", "Lea Roth", "Max Ode", "Nia Cole", "Omar Aziz", "Pia Lund"]
    today = date(2025, 6, rng.randrange(1, 25))
    rooms: dict[str, dict[str, Any]] = {}
    for i in range(1 + 3 * size):
        room_type = rng.choice(["single", "double", "double", "suite"])
        rooms[f"{1 + i // 20}{1 + i % 20:02d}"] = {
            "room_type": room_type,
            "rate": {"single": 79.0, "double": 119.5, "suite": 240.0}[room_type] + rng.randrange(4) * 5,
            "status": rng.choice(["clean", "clean", "clean", "clean", "dirty", "out_of_order"]) if i > 1 else "clean",
            "occupant_id": None,
            "calendar": {},
        }
    guests = {
        f"G-{100 + i}": {
            "name": rng.choice(names),
            "points": rng.randrange(0, 520),
            "tier": "basic",
            "stays": rng.randrange(6),
            "blacklisted": i > 1 and rng.random() < 0.08,
        }
        for i in range(3 * size)
    }
    bookings: dict[str, dict[str, Any]] = {}
    for i in range(1 + 5 * size):
        key, nights = f"B-{i + 1}", rng.randrange(1, 6)
        room_id = rng.choice(list(rooms)) if i > 1 else list(rooms)[i]
        room = rooms[room_id]
        status = rng.choice(["confirmed", "confirmed", "confirmed", "checked_in", "cancelled", "checked_out"])
        status = ["checked_in", "confirmed"][i] if i < 2 else status  # somebody is in the house and somebody arrives
        inside = status == "checked_in" and room["status"] == "clean"
        start = (
            today - timedelta(days=rng.randrange(3))
            if inside
            else today + timedelta(days=rng.choice([0, 0, 0, 1, 4]) * (i > 1))
        )
        stay = [(start + timedelta(days=j)).isoformat() for j in range(nights)]
        if any(night in room["calendar"] for night in stay):
            status = "cancelled"
        elif status == "checked_in" and not inside:
            status = "confirmed"
        guest_id = rng.choice(list(guests))
        total = 0.0 if status == "cancelled" else round(nights * (room["rate"] + CITY_TAX), 2)
        bookings[key] = {
            "guest_id": guest_id,
            "room_id": room_id,
            "check_in": stay[0],
            "nights": nights,
            "status": status,
            "total": total,
            "paid": total if status == "checked_out" else rng.choice([0.0, 0.0, min(50.0, total)]),
            "extras": [],
        }
        if status in ("confirmed", "checked_in"):
            room["calendar"].update(dict.fromkeys(stay, key))
        if status == "checked_in":
            room["status"], room["occupant_id"] = "occupied", guest_id
            bookings[key]["extras"].append({"item": "breakfast", "price": 14.0, "date": stay[0]})
            bookings[key]["total"] = round(total + 14.0, 2)
    return {
        "today": today.isoformat(),
        "rooms": rooms,
        "guests": guests,
        "bookings": bookings,
        "totals": {"revenue": round(rng.uniform(500, 9000), 2), "tax": 62.5, "cancellations": 2, "no_shows": 1},
        "next_booking_number": len(bookings) + 1,
    }

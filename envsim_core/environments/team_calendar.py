"""Team calendar: events, invitations, meeting rooms, recurring series and reminders."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal

DOMAIN = "scheduling"


class TeamCalendar:
    """A shared calendar. `now` is a minute in ISO form; a person's `minutes_booked` counts accepted events to come."""

    def __init__(self) -> None:
        self.now = "2025-01-01T08:00"
        self.people: dict[str, dict[str, Any]] = {}
        self.rooms: dict[str, dict[str, Any]] = {}
        self.events: dict[str, dict[str, Any]] = {}
        self.next_event_number = 1

    def _end(self, event: dict[str, Any]) -> str:
        return self._after(event["start"], event["minutes"])

    def _after(self, moment: str, minutes: int) -> str:
        return (datetime.fromisoformat(moment) + timedelta(minutes=minutes)).isoformat(timespec="minutes")

    def _overlap(self, event: dict[str, Any], start: str, minutes: int) -> bool:
        together = event["start"] < self._after(start, minutes) and start < self._end(event)
        return bool(together and event["status"] == "scheduled")

    def _busy(self, person_id: str, start: str, minutes: int, ignored: str | None = None) -> list[str]:
        rows = sorted(self.events.items())
        attended = [key for key, event in rows if event["invitations"].get(person_id) == "accepted" and key != ignored]
        return [key for key in attended if self._overlap(self.events[key], start, minutes)]

    def _room_conflict(
        self, room_id: str | None, start: str, minutes: int, seats: int, ignored: str | None = None
    ) -> str | None:
        if room_id is None:
            return None
        if room_id not in self.rooms:
            return f"404 Not Found: room {room_id}"
        if self.rooms[room_id]["seats"] < seats:
            return f"409 Conflict: room {room_id} has {self.rooms[room_id]['seats']} seats for {seats} people"
        for key, event in sorted(self.events.items()):
            if key != ignored and event["room_id"] == room_id and self._overlap(event, start, minutes):
                return f"409 Conflict: room {room_id} is taken by {key}"
        return None

    def _answer(self, event_id: str, person_id: str, answer: str) -> None:
        event = self.events[event_id]
        before = event["invitations"].get(person_id)
        event["invitations"][person_id] = answer
        change = (answer == "accepted") - (before == "accepted")
        self.people[person_id]["minutes_booked"] += change * event["minutes"]

    def _closed(self, event_id: str) -> str | None:
        if event_id not in self.events:
            return f"404 Not Found: event {event_id}"
        if self.events[event_id]["status"] != "scheduled":
            return f"410 Gone: event {event_id} is {self.events[event_id]['status']}"
        if self.events[event_id]["start"] <= self.now:
            return f"409 Conflict: event {event_id} has already started"
        return None

    def _drop(self, event_id: str) -> None:
        event = self.events[event_id]
        for person_id, answer in sorted(event["invitations"].items()):
            if answer == "accepted":
                self.people[person_id]["minutes_booked"] -= event["minutes"]

    def get_now(self) -> dict[str, Any]:
        """Show the current time of the calendar."""
        return {"success": True, "now": self.now, "events": len(self.events)}

    def list_free_rooms(self) -> dict[str, Any]:
        """List the rooms in which no event takes place right now."""
        used = {event["room_id"] for event in self.events.values() if self._overlap(event, self.now, 1)}
        return {"success": True, "room_ids": [room_id for room_id in sorted(self.rooms) if room_id not in used]}

    def get_event(self, event_id: str) -> dict[str, Any]:
        """Show one event.

        Args:
            event_id: The event.
        """
        if event_id not in self.events:
            return {"success": False, "error": f"404 Not Found: event {event_id}"}
        return {"success": True, "event": self.events[event_id], "end": self._end(self.events[event_id])}

    def get_agenda(self, person_id: str) -> dict[str, Any]:
        """List the coming events of a person by start, with the person's answer.

        Args:
            person_id: The person.
        """
        if person_id not in self.people:
            return {"success": False, "error": f"404 Not Found: person {person_id}"}
        rows = [
            (event["start"], key, event["invitations"][person_id])
            for key, event in sorted(self.events.items())
            if person_id in event["invitations"] and event["status"] == "scheduled" and event["start"] > self.now
        ]
        return {"success": True, "agenda": [{"start": s, "event_id": k, "answer": a} for s, k, a in sorted(rows)]}

    def create_event(
        self, organizer_person_id: str, title: str, start: str, minutes: int, room_id: str | None = None
    ) -> dict[str, Any]:
        """Schedule an event that its organizer attends.

        Args:
            organizer_person_id: The person who invites.
            title: A short title.
            start: Start in ISO form, YYYY-MM-DDTHH:MM, in the future.
            minutes: Length in minutes, 5 to 480.
            room_id: The room, if one is needed.
        """
        if organizer_person_id not in self.people:
            return {"success": False, "error": f"404 Not Found: person {organizer_person_id}"}
        try:
            start = datetime.fromisoformat(start).replace(tzinfo=None).isoformat(timespec="minutes")
        except ValueError:
            return {"success": False, "error": f"400 Bad Request: '{start}' is no ISO time"}
        if not title.strip() or not 5 <= minutes <= 480 or start <= self.now:
            return {"success": False, "error": "400 Bad Request: needs a title, 5 to 480 minutes, a start to come"}
        clash = self._busy(organizer_person_id, start, minutes)
        error = f"409 Conflict: organizer is busy with {clash[0]}" if clash else None
        error = error or self._room_conflict(room_id, start, minutes, 1)
        if error:
            return {"success": False, "error": error}
        key = f"evt{self.next_event_number}"
        self.next_event_number += 1
        self.events[key] = {
            "title": title.strip(),
            "organizer_person_id": organizer_person_id,
            "start": start,
            "minutes": minutes,
            "room_id": room_id,
            "status": "scheduled",
            "series": None,
            "invitations": {organizer_person_id: "accepted"},
            "reminders": [15],
        }
        self.people[organizer_person_id]["minutes_booked"] += minutes
        return {"success": True, "event_id": key, "end": self._after(start, minutes)}

    def invite(self, event_id: str, person_ids: list[str]) -> dict[str, Any]:
        """Invite people; those with auto-accept answer at once, accepting unless they are busy.

        Args:
            event_id: The event.
            person_ids: The people to invite, 1 to 10.
        """
        error = self._closed(event_id)
        if error:
            return {"success": False, "error": error}
        event = self.events[event_id]
        guests = list(dict.fromkeys(key for key in person_ids if key not in event["invitations"]))
        unknown = [key for key in guests if key not in self.people]
        if unknown:
            return {"success": False, "error": f"404 Not Found: person {unknown[0]}"}
        if not 1 <= len(guests) <= 10:
            return {"success": False, "error": "400 Bad Request: 1 to 10 people who are not invited yet"}
        error = self._room_conflict(
            event["room_id"], event["start"], event["minutes"], len(event["invitations"]) + len(guests), event_id
        )
        if error:
            return {"success": False, "error": error}
        for key in guests:
            person = self.people[key]
            person["inbox"] += 1
            answer = "pending"
            if person["auto_accept"]:
                answer = "declined" if self._busy(key, event["start"], event["minutes"], event_id) else "accepted"
            self._answer(event_id, key, answer)
        return {"success": True, "answers": {key: event["invitations"][key] for key in guests}}

    def respond(
        self, event_id: str, person_id: str, answer: Literal["accepted", "declined", "tentative"]
    ) -> dict[str, Any]:
        """Answer an invitation.

        Args:
            event_id: The event.
            person_id: The invited person.
            answer: The answer; accepting needs a free calendar.
        """
        error = self._closed(event_id)
        if error is None and person_id not in self.events[event_id]["invitations"]:
            error = f"403 Forbidden: {person_id} is not invited to {event_id}"
        if error is None and answer not in ("accepted", "declined", "tentative"):
            error = f"400 Bad Request: answer '{answer}'"
        if error:
            return {"success": False, "error": error}
        event = self.events[event_id]
        clash = self._busy(person_id, event["start"], event["minutes"], event_id) if answer == "accepted" else []
        if clash:
            return {"success": False, "error": f"409 Conflict: {person_id} is busy with {clash[0]}"}
        previous = event["invitations"][person_id]
        self._answer(event_id, person_id, answer)
        if previous == "pending":
            self.people[person_id]["inbox"] -= 1
        return {"success": True, "previous": previous, "answer": answer}

    def move_event(self, event_id: str, shift_minutes: int) -> dict[str, Any]:
        """Move an event in time; everybody but the organizer has to answer again.

        Args:
            event_id: The event.
            shift_minutes: Minutes later (or earlier if negative), at most 10080 either way, not 0.
        """
        error = self._closed(event_id)
        if error is None and (shift_minutes == 0 or abs(shift_minutes) > 10_080):
            error = "400 Bad Request: shift_minutes must be within 10080 and not 0"
        if error:
            return {"success": False, "error": error}
        event = self.events[event_id]
        start = self._after(event["start"], shift_minutes)
        if start <= self.now:
            return {"success": False, "error": f"409 Conflict: {start} is in the past"}
        error = self._room_conflict(event["room_id"], start, event["minutes"], len(event["invitations"]), event_id)
        if error:
            return {"success": False, "error": error}
        event["start"] = start
        for person_id, answer in list(event["invitations"].items()):
            if person_id != event["organizer_person_id"]:
                self._answer(event_id, person_id, "pending")
                if answer != "pending":
                    self.people[person_id]["inbox"] += 1
        return {"success": True, "start": start, "end": self._end(event)}

    def change_room(self, event_id: str, room_id: str | None) -> dict[str, Any]:
        """Give an event another room, or none.

        Args:
            event_id: The event.
            room_id: The new room; null for no room.
        """
        error = self._closed(event_id)
        if error:
            return {"success": False, "error": error}
        event = self.events[event_id]
        error = self._room_conflict(room_id, event["start"], event["minutes"], len(event["invitations"]), event_id)
        if error:
            return {"success": False, "error": error}
        previous, event["room_id"] = event["room_id"], room_id
        return {"success": True, "previous_room": previous, "room_id": room_id}

    def set_reminders(self, event_id: str, reminders: list[int]) -> dict[str, Any]:
        """Set when an event's reminders are sent.

        Args:
            event_id: The event.
            reminders: Minutes before the start, up to five numbers of 0 to 1440.
        """
        error = self._closed(event_id)
        if error is None and (len(reminders) > 5 or any(not 0 <= minute <= 1440 for minute in reminders)):
            error = "400 Bad Request: up to five reminders of 0 to 1440 minutes"
        if error:
            return {"success": False, "error": error}
        self.events[event_id]["reminders"] = sorted(set(reminders), reverse=True)
        return {"success": True, "reminders": self.events[event_id]["reminders"]}

    def repeat_weekly(self, event_id: str, times: int) -> dict[str, Any]:
        """Turn an event into a weekly series; weeks in which its room is taken get no room.

        Args:
            event_id: The first event of the series.
            times: How many further events are made, 1 to 4.
        """
        error = self._closed(event_id)
        if error is None and self.events[event_id]["series"] is not None:
            error = f"409 Conflict: {event_id} already belongs to series {self.events[event_id]['series']}"
        if error is None and not 1 <= times <= 4:
            error = "400 Bad Request: times must be 1 to 4"
        if error:
            return {"success": False, "error": error}
        event, created = self.events[event_id], []
        event["series"] = event_id
        for week in range(1, times + 1):
            start = self._after(event["start"], week * 7 * 24 * 60)
            taken = self._room_conflict(event["room_id"], start, event["minutes"], len(event["invitations"]))
            key = f"evt{self.next_event_number}"
            self.next_event_number += 1
            self.events[key] = {
                **event,
                "start": start,
                "room_id": None if taken else event["room_id"],
                "invitations": dict(event["invitations"]),
                "reminders": list(event["reminders"]),
            }
            for person_id, answer in sorted(event["invitations"].items()):
                if answer == "accepted":
                    self.people[person_id]["minutes_booked"] += event["minutes"]
                elif answer == "pending":
                    self.people[person_id]["inbox"] += 1
            created.append(key)
        return {"success": True, "created": created}

    def cancel_event(self, event_id: str, whole_series: bool = False) -> dict[str, Any]:
        """Cancel an event, or all coming events of its series; people are told in their inbox.

        Args:
            event_id: The event.
            whole_series: Whether the coming events of the same series go as well.
        """
        error = self._closed(event_id)
        if error:
            return {"success": False, "error": error}
        series = self.events[event_id]["series"]
        keys = [event_id]
        if whole_series and series is not None:
            keys = [k for k, e in sorted(self.events.items()) if e["series"] == series and self._closed(k) is None]
        for key in keys:
            self._drop(key)
            self.events[key]["status"], self.events[key]["room_id"] = "cancelled", None
        event = self.events[event_id]
        for person_id, answer in sorted(event["invitations"].items()):
            if answer != "declined" and person_id != event["organizer_person_id"]:
                self.people[person_id]["inbox"] += 1
        return {"success": True, "cancelled": keys}

    def delete_event(self, event_id: str) -> dict[str, Any]:
        """Remove a cancelled or past event from the calendar.

        Args:
            event_id: The event.
        """
        if event_id not in self.events:
            return {"success": False, "error": f"404 Not Found: event {event_id}"}
        if self._closed(event_id) is None:
            return {"success": False, "error": f"409 Conflict: event {event_id} is still to come"}
        del self.events[event_id]
        return {"success": True, "deleted": event_id}

    def advance_time(self, hours: int) -> dict[str, Any]:
        """Let time pass; events that end meanwhile become past and no longer count as booked.

        Args:
            hours: 1 to 72.
        """
        if not 1 <= hours <= 72:
            return {"success": False, "error": "400 Bad Request: hours must be 1 to 72"}
        self.now = self._after(self.now, hours * 60)
        ended = [k for k, e in sorted(self.events.items()) if e["status"] == "scheduled" and self._end(e) <= self.now]
        for key in ended:
            self._drop(key)
            self.events[key]["status"] = "past"
        return {"success": True, "now": self.now, "ended": ended}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A team's calendar with about three people, one room and four events per unit of size."""
    names = ["ana", "ben", "cleo", "dev", "eli", "fay", "gil", "hoa", "ivo", "jun"]
    titles = ["Stand-up", "Budget review", "1:1", "Design critique", "Retro", "Interview", "Launch plan"]
    now = datetime(2025, 5, rng.randrange(5, 20), 8, 0)
    people: dict[str, dict[str, Any]] = {
        f"{names[i % 10]}.{i + 1}@example.org": {"minutes_booked": 0, "inbox": 0, "auto_accept": rng.random() < 0.4}
        for i in range(2 + 3 * size)
    }
    rooms = {
        f"room-{i + 1}": {"seats": rng.choice([2, 4, 8, 12]), "screen": rng.random() < 0.6} for i in range(1 + size)
    }
    events: dict[str, dict[str, Any]] = {}
    for i in range(4 * size):
        # one slot per event keeps the accepted answers free of conflicts at the start
        start = now + timedelta(hours=1 + 2 * i) if i else now - timedelta(hours=5)
        guests = rng.sample(list(people), rng.randrange(1, min(7, len(people))))
        minutes = rng.choice([15, 30, 45, 60, 90])
        status = "past" if i == 0 else rng.choice(["scheduled"] * 7 + ["cancelled"])
        invitations = {k: rng.choice(["accepted", "accepted", "pending", "declined", "tentative"]) for k in guests}
        invitations[guests[0]] = "accepted"
        fitting = [key for key, room in rooms.items() if room["seats"] >= len(guests)]
        events[f"evt{i + 1}"] = {
            "title": rng.choice(titles),
            "organizer_person_id": guests[0],
            "start": start.isoformat(timespec="minutes"),
            "minutes": minutes,
            "room_id": rng.choice([None, *fitting]) if status == "scheduled" else None,
            "status": status,
            "series": None,
            "invitations": invitations,
            "reminders": rng.choice([[], [15], [60, 10], [1440, 60, 10]]),
        }
        for key, answer in invitations.items():
            if status == "scheduled":
                people[key]["minutes_booked"] += minutes if answer == "accepted" else 0
                people[key]["inbox"] += answer == "pending"
    return {
        "now": now.isoformat(timespec="minutes"),
        "people": people,
        "rooms": rooms,
        "events": events,
        "next_event_number": len(events) + 1,
    }

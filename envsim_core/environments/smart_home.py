"""Smart home: devices, rooms, scenes, automations, an alarm and an energy meter."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "smart_home"

WATTS = {"light": 9.0, "heater": 1500.0, "plug": 60.0, "blind": 0.0, "sensor": 0.0}


class SmartHome:
    """A home controller. Devices have dotted names such as "light.hall.1"; `minute` is the minute of the day."""

    def __init__(self) -> None:
        self.minute = 0
        self.mode = "home"
        self.devices: dict[str, dict[str, Any]] = {}
        self.rooms: dict[str, dict[str, Any]] = {}
        self.scenes: dict[str, dict[str, Any]] = {}
        self.automations: dict[str, dict[str, Any]] = {}
        self.alarm: dict[str, Any] = {"armed": False, "triggered_by": None, "events": 0}
        self.energy: dict[str, float] = {"today_kwh": 0.0, "price_per_kwh": 0.3}
        self.next_automation_number = 1

    def _load(self) -> float:
        on = [row for _, row in sorted(self.devices.items()) if row["state"].get("on") and row["online"]]
        load: float = round(sum(WATTS[row["kind"]] * row["state"].get("level", 100) / 100 for row in on), 1)
        return load

    def _unreachable(self, device_id: str, *kinds: str) -> str | None:
        if device_id not in self.devices:
            return f"entity_not_found: {device_id}"
        if not self.devices[device_id]["online"]:
            return f"device_offline: {device_id}"
        if kinds and self.devices[device_id]["kind"] not in kinds:
            return f"not_supported: {device_id} is a {self.devices[device_id]['kind']}"
        return None

    def _apply(self, device_id: str, state: dict[str, Any]) -> bool:
        """Set a device's state if it is reachable; count the switch when something changed."""
        row = self.devices[device_id]
        if not row["online"] or all(row["state"].get(key) == value for key, value in sorted(state.items())):
            return False
        row["state"].update(state)
        row["switches"] += 1
        return True

    def _play(self, scene_id: str) -> list[str]:
        return [key for key, state in sorted(self.scenes[scene_id]["targets"].items()) if self._apply(key, state)]

    def get_energy(self) -> dict[str, Any]:
        """Show the present load in watts and today's consumption and cost."""
        cost = round(self.energy["today_kwh"] * self.energy["price_per_kwh"], 2)
        return {"success": True, "load_w": self._load(), "today_kwh": self.energy["today_kwh"], "cost": cost}

    def list_offline_devices(self) -> dict[str, Any]:
        """List the devices that cannot be reached."""
        return {"success": True, "device_ids": [key for key, row in sorted(self.devices.items()) if not row["online"]]}

    def get_device(self, device_id: str) -> dict[str, Any]:
        """Show a device and the scenes it belongs to.

        Args:
            device_id: The device.
        """
        if device_id not in self.devices:
            return {"success": False, "error": f"entity_not_found: {device_id}"}
        scenes = [key for key, scene in sorted(self.scenes.items()) if device_id in scene["targets"]]
        return {"success": True, "device": self.devices[device_id], "scenes": scenes}

    def list_room_devices(
        self, room_id: str, kind: Literal["light", "heater", "plug", "blind", "sensor"]
    ) -> dict[str, Any]:
        """List the devices of one kind in a room with their state.

        Args:
            room_id: The room.
            kind: The kind of device.
        """
        if room_id not in self.rooms:
            return {"success": False, "error": f"area_not_found: {room_id}"}
        if kind not in WATTS:
            return {"success": False, "error": f"invalid_kind: {kind}"}
        rows = sorted(self.devices.items())
        return {
            "success": True,
            "devices": {k: r["state"] for k, r in rows if r["room_id"] == room_id and r["kind"] == kind},
        }

    def switch_device(self, device_id: str, on: bool) -> dict[str, Any]:
        """Switch a light, heater or plug on or off.

        Args:
            device_id: The device.
            on: Whether it shall be on.
        """
        error = self._unreachable(device_id, "light", "heater", "plug")
        if error:
            return {"success": False, "error": error}
        changed = self._apply(device_id, {"on": on})
        return {"success": True, "changed": changed, "load_w": self._load()}

    def set_level(self, device_id: str, level: int) -> dict[str, Any]:
        """Dim a light or move a blind; a light at level 0 is off, above it is on.

        Args:
            device_id: The light or blind.
            level: 0 to 100.
        """
        error = self._unreachable(device_id, "light", "blind")
        if error is None and not 0 <= level <= 100:
            error = "value_out_of_range: level must be 0 to 100"
        if error:
            return {"success": False, "error": error}
        light = self.devices[device_id]["kind"] == "light"
        changed = self._apply(device_id, {"level": level, "on": level > 0} if light else {"level": level})
        return {"success": True, "changed": changed, "state": dict(self.devices[device_id]["state"])}

    def set_target_temperature(self, room_id: str, temperature: float) -> dict[str, Any]:
        """Set a room's target; its heaters go on when the room is colder, else off.

        Args:
            room_id: The room.
            temperature: 5.0 to 30.0 degrees Celsius.
        """
        if room_id not in self.rooms:
            return {"success": False, "error": f"area_not_found: {room_id}"}
        if not 5 <= temperature <= 30:
            return {"success": False, "error": "value_out_of_range: temperature must be 5 to 30"}
        room = self.rooms[room_id]
        room["target"] = round(temperature, 1)
        heaters = [k for k, r in sorted(self.devices.items()) if r["room_id"] == room_id and r["kind"] == "heater"]
        switched = [key for key in heaters if self._apply(key, {"on": room["temperature"] < room["target"]})]
        return {"success": True, "target": room["target"], "switched": switched}

    def activate_scene(self, scene_id: str) -> dict[str, Any]:
        """Set every reachable device of a scene to its state there.

        Args:
            scene_id: The scene.
        """
        if scene_id not in self.scenes:
            return {"success": False, "error": f"scene_not_found: {scene_id}"}
        self.scenes[scene_id]["last_used"] = self.minute
        return {"success": True, "changed": self._play(scene_id), "load_w": self._load()}

    def save_scene(self, scene_id: str, device_ids: list[str]) -> dict[str, Any]:
        """Store the present state of devices as a scene, replacing the targets it had.

        Args:
            scene_id: The scene, existing or new.
            device_ids: 1 to 8 devices that are not sensors.
        """
        keys = list(dict.fromkeys(device_ids))
        unknown = [key for key in keys if key not in self.devices or self.devices[key]["kind"] == "sensor"]
        if unknown or not 1 <= len(keys) <= 8 or not scene_id.strip():
            return {"success": False, "error": f"invalid_scene: needs a name and 1 to 8 devices, not {unknown}"}
        replaced = scene_id in self.scenes
        targets = {key: dict(self.devices[key]["state"]) for key in keys}
        self.scenes[scene_id] = {
            "targets": targets,
            "last_used": self.scenes[scene_id]["last_used"] if replaced else None,
        }
        return {"success": True, "scene_id": scene_id, "replaced": replaced}

    def delete_scene(self, scene_id: str) -> dict[str, Any]:
        """Delete a scene with the automations that play it.

        Args:
            scene_id: The scene.
        """
        if scene_id not in self.scenes:
            return {"success": False, "error": f"scene_not_found: {scene_id}"}
        del self.scenes[scene_id]
        lost = [key for key, row in sorted(self.automations.items()) if row["scene_id"] == scene_id]
        for key in lost:
            del self.automations[key]
        return {"success": True, "deleted_automations": lost}

    def create_automation(
        self, sensor_device_id: str, scene_id: str, only_mode: Literal["home", "away", "night"]
    ) -> dict[str, Any]:
        """Play a scene whenever a sensor reports motion in one mode of the house.

        Args:
            sensor_device_id: The sensor.
            scene_id: The scene.
            only_mode: The mode in which it works.
        """
        error = self._unreachable(sensor_device_id, "sensor")
        if error is None and scene_id not in self.scenes:
            error = f"scene_not_found: {scene_id}"
        if error is None and only_mode not in ("home", "away", "night"):
            error = f"invalid_mode: {only_mode}"
        if error:
            return {"success": False, "error": error}
        key = f"auto_{self.next_automation_number}"
        self.next_automation_number += 1
        row = {
            "sensor_device_id": sensor_device_id,
            "scene_id": scene_id,
            "only_mode": only_mode,
            "enabled": True,
            "runs": 0,
        }
        self.automations[key] = row
        return {"success": True, "automation_id": key}

    def set_automation(self, automation_id: str, enabled: bool) -> dict[str, Any]:
        """Enable or disable an automation.

        Args:
            automation_id: The automation.
            enabled: Whether it shall run.
        """
        if automation_id not in self.automations:
            return {"success": False, "error": f"automation_not_found: {automation_id}"}
        changed = self.automations[automation_id]["enabled"] != enabled
        self.automations[automation_id]["enabled"] = enabled
        return {"success": True, "changed": changed}

    def report_motion(self, device_id: str) -> dict[str, Any]:
        """A sensor sees motion: its automations run, and an armed alarm goes off.

        Args:
            device_id: The sensor.
        """
        error = self._unreachable(device_id, "sensor")
        if error:
            return {"success": False, "error": error}
        self.devices[device_id]["state"]["last_motion"] = self.minute
        if self.alarm["armed"] and self.alarm["triggered_by"] is None:
            self.alarm["triggered_by"] = device_id
            self.alarm["events"] += 1
        changed: list[str] = []
        ran = []
        for key, row in sorted(self.automations.items()):
            if row["sensor_device_id"] == device_id and row["enabled"] and row["only_mode"] == self.mode:
                changed += self._play(row["scene_id"])
                row["runs"] += 1
                ran.append(key)
        return {
            "success": True,
            "automations": ran,
            "changed": changed,
            "alarm": self.alarm["triggered_by"] is not None,
        }

    def set_mode(self, mode: Literal["home", "away", "night"]) -> dict[str, Any]:
        """Change the mode of the house: away and night arm the alarm, home clears it; away drops heating targets.

        Args:
            mode: The new mode.
        """
        if mode not in ("home", "away", "night"):
            return {"success": False, "error": f"invalid_mode: {mode}"}
        if mode == self.mode:
            return {"success": False, "error": f"already_in_mode: {mode}"}
        self.mode = mode
        self.alarm["armed"] = mode != "home"
        if mode == "home":
            self.alarm["triggered_by"] = None
        if mode == "away":
            for room in self.rooms.values():
                room["target"] = None
        return {"success": True, "mode": mode, "alarm": dict(self.alarm)}

    def switch_room_off(self, room_id: str) -> dict[str, Any]:
        """Switch off every light, heater and plug of a room.

        Args:
            room_id: The room.
        """
        if room_id not in self.rooms:
            return {"success": False, "error": f"area_not_found: {room_id}"}
        rows = sorted(self.devices.items())
        switchable = [k for k, r in rows if r["room_id"] == room_id and "on" in r["state"]]
        return {"success": True, "changed": [key for key in switchable if self._apply(key, {"on": False})]}

    def remove_device(self, device_id: str) -> dict[str, Any]:
        """Remove a device from the house, from its scenes and from the automations it triggers.

        Args:
            device_id: The device.
        """
        if device_id not in self.devices:
            return {"success": False, "error": f"entity_not_found: {device_id}"}
        del self.devices[device_id]
        scenes = [
            key for key, scene in sorted(self.scenes.items()) if scene["targets"].pop(device_id, None) is not None
        ]
        lost = [key for key, row in sorted(self.automations.items()) if row["sensor_device_id"] == device_id]
        for key in lost:
            del self.automations[key]
        return {"success": True, "scenes": scenes, "deleted_automations": lost}

    def advance_minutes(self, minutes: int) -> dict[str, Any]:
        """Let time pass and meter the energy used at the present load; at midnight the meter starts again.

        Args:
            minutes: 1 to 720.
        """
        if not 1 <= minutes <= 720:
            return {"success": False, "error": "value_out_of_range: minutes must be 1 to 720"}
        before_midnight = min(minutes, 1440 - self.minute)
        day_over = self.minute + minutes >= 1440
        metered = minutes - before_midnight if day_over else minutes
        used = round(self._load() * metered / 60_000, 3)
        self.energy["today_kwh"] = used if day_over else round(self.energy["today_kwh"] + used, 3)
        self.minute = (self.minute + minutes) % 1440
        return {"success": True, "minute": self.minute, "today_kwh": self.energy["today_kwh"]}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A building: a room with eight devices, a scene or two and two automations per unit of size."""
    names = ["hall", "kitchen", "bath", "study", "attic", "lounge"]
    rooms: dict[str, dict[str, Any]] = {}
    devices: dict[str, dict[str, Any]] = {}
    for i in range(size):
        room_id = f"{names[i % 6]}{i // 6 or ''}"
        target = rng.choice([None, 19.0, 20.5])
        rooms[room_id] = {"temperature": round(rng.uniform(14, 24), 1), "target": target, "floor": i // 4}
        for number, kind in enumerate(
            [
                "light",
                "light",
                "heater",
                "plug",
                "blind",
                "sensor",
                rng.choice(["sensor", "plug"]),
                rng.choice(["blind", "heater"]),
            ]
        ):
            state: dict[str, Any] = {"on": rng.random() < 0.4}
            if kind == "light":
                state["level"] = rng.choice([30, 80, 100])
            if kind == "blind":
                state = {"level": rng.choice([0, 50, 100])}
            if kind == "sensor":
                state = {"last_motion": None, "battery": rng.randrange(5, 101)}
            devices[f"{kind}.{room_id}.{number + 1}"] = {
                "kind": kind,
                "room_id": room_id,
                "online": rng.random() < 0.93 or number == 5,
                "state": state,
                "switches": rng.randrange(50),
            }
    settable = [key for key, row in devices.items() if row["kind"] != "sensor"]
    sensors = [key for key, row in devices.items() if row["kind"] == "sensor"]
    scenes: dict[str, dict[str, Any]] = {}
    for i in range(1 + size + size // 2):
        targets: dict[str, Any] = {}
        for key in rng.sample(settable, rng.randrange(1, min(6, len(settable)) + 1)):
            state = {"on": rng.random() < 0.5} if "on" in devices[key]["state"] else {}
            targets[key] = {
                **state,
                **({"level": rng.choice([20, 60, 100])} if "level" in devices[key]["state"] else {}),
            }
        scenes[f"{rng.choice(['movie', 'morning', 'dinner', 'sleep'])}.{i + 1}"] = {
            "targets": targets,
            "last_used": None,
        }
    automations = {
        f"auto_{i + 1}": {
            "sensor_device_id": rng.choice(sensors),
            "scene_id": rng.choice(list(scenes)),
            "only_mode": rng.choice(["home", "home", "away", "night"]),
            "enabled": rng.random() < 0.85,
            "runs": rng.randrange(9),
        }
        for i in range(1 + 2 * size)
    }
    mode = rng.choice(["home", "home", "away", "night"])
    return {
        "minute": rng.randrange(300, 1400),
        "mode": mode,
        "devices": devices,
        "rooms": rooms,
        "scenes": scenes,
        "automations": automations,
        "alarm": {"armed": mode != "home", "triggered_by": None, "events": rng.randrange(3)},
        "energy": {"today_kwh": round(rng.uniform(0, 20), 3), "price_per_kwh": 0.32},
        "next_automation_number": len(automations) + 1,
    }

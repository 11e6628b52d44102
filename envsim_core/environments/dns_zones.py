"""DNS zones: names with record sets, serials, delegations, aliases, snapshots, transfers and expiring keys."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "networking"

TYPES = ("A", "AAAA", "CNAME", "MX", "TXT")
MAX_VALUES = 6
KEY_LIFETIME = 90  # days


class DnsZones:
    """A name server's editor. A zone's `names` map a full name to its record sets; an edit raises the serial."""

    def __init__(self) -> None:
        self.day = 0
        self.zones: dict[str, dict[str, Any]] = {}
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.secondaries: dict[str, dict[str, Any]] = {}
        self.statistics: dict[str, int] = {"edits": 0, "transfers": 0, "rollovers": 0}
        self.next_snapshot_number = 1

    def _no_zone(self, zone: str) -> str | None:
        if zone not in self.zones:
            return f"NXDOMAIN: no zone {zone}"
        if self.zones[zone]["locked"]:
            return f"REFUSED: zone {zone} is locked"
        return None

    def _zone_of(self, name: str) -> str | None:
        """The most specific zone that a name lies in."""
        found = [zone for zone in self.zones if name == zone or name.endswith("." + zone)]
        return max(found, key=len) if found else None

    def _no_record_set(self, name: str, type_: str) -> str | None:
        zone = self._zone_of(name)
        if zone is None:
            return f"NOTZONE: {name} lies in no zone"
        if type_ not in self.zones[zone]["names"].get(name, {}):
            return f"NXRRSET: {name} has no {type_}"
        return self._no_zone(zone)

    def _edited(self, zone: str) -> int:
        self.zones[zone]["serial"] += 1
        self.statistics["edits"] += 1
        return int(self.zones[zone]["serial"])

    def _bad_name(self, name: str) -> bool:
        labels = name.split(".")
        return len(name) > 80 or not all(label.replace("-", "").isalnum() for label in labels)

    def get_statistics(self) -> dict[str, Any]:
        """Show the day and the counters of the server."""
        return {"success": True, "day": self.day, "statistics": dict(self.statistics)}

    def list_stale_secondaries(self) -> dict[str, Any]:
        """List the secondary servers that hold an older serial of some zone, with these zones."""
        stale = {}
        for key, row in sorted(self.secondaries.items()):
            old = [zone for zone, serial in sorted(row["serials"].items()) if serial != self.zones[zone]["serial"]]
            if old:
                stale[key] = old
        return {"success": True, "stale": stale}

    def get_zone(self, zone: str) -> dict[str, Any]:
        """Show a zone's settings and names, without the record sets.

        Args:
            zone: The zone, as in "example.org".
        """
        if zone not in self.zones:
            return {"success": False, "error": f"NXDOMAIN: no zone {zone}"}
        row = self.zones[zone]
        return {"success": True, "serial": row["serial"], "locked": row["locked"], "names": sorted(row["names"])}

    def resolve(self, name: str, type_: Literal["A", "AAAA", "CNAME", "MX", "TXT"] = "A") -> dict[str, Any]:
        """Answer a query, following up to four aliases.

        Args:
            name: The full name.
            type_: The type of record.
        """
        if type_ not in TYPES:
            return {"success": False, "error": f"NOTIMP: type {type_}"}
        chain = [name]
        for _ in range(5):
            zone = self._zone_of(chain[-1])
            sets = self.zones[zone]["names"].get(chain[-1], {}) if zone else {}
            if type_ in sets or "CNAME" not in sets:
                break
            chain.append(sets["CNAME"]["rdata"][0])
        if type_ not in sets:
            return {"success": False, "error": f"NXRRSET: {chain[-1]} has no {type_}"}
        return {"success": True, "rdata": sets[type_]["rdata"], "ttl": sets[type_]["ttl"], "chain": chain[1:]}

    def add_record(
        self, name: str, type_: Literal["A", "AAAA", "CNAME", "MX", "TXT"], rdata: str, ttl: int = 300
    ) -> dict[str, Any]:
        """Add a value to a record set, which is made where it is missing; an alias stands alone.

        Args:
            name: The full name, inside a zone.
            type_: The type of record.
            rdata: An address, a name or a text.
            ttl: Seconds, 30 to 86400; holds for the whole set.
        """
        zone = self._zone_of(name)
        if zone is None or self._bad_name(name):
            return {"success": False, "error": f"NOTZONE: '{name}' lies in no zone or is no name"}
        error = self._no_zone(zone)
        sets = self.zones[zone]["names"].get(name, {})
        if error is None and (type_ not in TYPES or not 30 <= ttl <= 86_400 or not rdata.strip()):
            error = "FORMERR: a known type, rdata and a ttl of 30 to 86400 are needed"
        if error is None and (("CNAME" in sets) or (type_ == "CNAME" and sets)):
            error = f"CNAME_CONFLICT: {name} has {', '.join(sorted(sets))}"
        if (
            error is None
            and type_ in sets
            and (rdata in sets[type_]["rdata"] or len(sets[type_]["rdata"]) >= MAX_VALUES)
        ):
            error = f"EXISTS: {name} has this value, or {MAX_VALUES} of them"
        if error:
            return {"success": False, "error": error}
        row = self.zones[zone]["names"].setdefault(name, {}).setdefault(type_, {"ttl": ttl, "rdata": []})
        row["rdata"] = sorted([*row["rdata"], rdata])
        row["ttl"] = ttl
        return {"success": True, "rdata": row["rdata"], "serial": self._edited(zone)}

    def delete_record_set(self, name: str, type_: Literal["A", "AAAA", "CNAME", "MX", "TXT"] = "A") -> dict[str, Any]:
        """Delete a record set; a name without any disappears.

        Args:
            name: The full name.
            type_: The type of record.
        """
        error = self._no_record_set(name, type_)
        if error:
            return {"success": False, "error": error}
        zone = str(self._zone_of(name))
        names = self.zones[zone]["names"]
        del names[name][type_]
        if not names[name]:
            del names[name]
        return {"success": True, "name_left": name in names, "serial": self._edited(zone)}

    def rename(self, name: str, new_label: str) -> dict[str, Any]:
        """Change the first label of a name to one that gives an unused name; aliases of it follow.

        Args:
            name: The full name.
            new_label: The new label, letters, digits and dashes.
        """
        zone = self._zone_of(name)
        if zone is None or zone == name or name not in self.zones[zone]["names"]:
            return {"success": False, "error": f"NXDOMAIN: {name}"}
        error = self._no_zone(zone)
        names = self.zones[zone]["names"]
        new_name = f"{new_label}.{name.partition('.')[2]}"
        if error is None and ("." in new_label or self._bad_name(new_name) or new_name in names):
            error = f"EXISTS: {new_name} is taken or no name"
        if error:
            return {"success": False, "error": error}
        names[new_name] = names.pop(name)
        followed = []
        for key, sets in sorted(names.items()):
            if sets.get("CNAME", {}).get("rdata") == [name]:
                sets["CNAME"]["rdata"] = [new_name]
                followed.append(key)
        return {"success": True, "aliases": followed, "serial": self._edited(zone)}

    def set_ttl(self, zone: str, ttl: int, type_: Literal["A", "AAAA", "CNAME", "MX", "TXT"] = "A") -> dict[str, Any]:
        """Set the time to live of all record sets of a type in a zone.

        Args:
            zone: The zone.
            ttl: Seconds, 30 to 86400.
            type_: The type of record.
        """
        error = self._no_zone(zone)
        if error is None and (type_ not in TYPES or not 30 <= ttl <= 86_400):
            error = "FORMERR: a known type and a ttl of 30 to 86400 are needed"
        if error:
            return {"success": False, "error": error}
        changed = []
        for name, sets in sorted(self.zones[zone]["names"].items()):
            if type_ in sets and sets[type_]["ttl"] != ttl:
                sets[type_]["ttl"] = ttl
                changed.append(name)
        if not changed:
            return {"success": False, "error": f"NOCHANGE: no {type_} of {zone} differs from {ttl}"}
        return {"success": True, "changed": changed, "serial": self._edited(zone)}

    def renumber(self, name: str, host: int) -> dict[str, Any]:
        """Give a machine another address in its network, in the A records of all names in unlocked zones.

        Args:
            name: A name with an A record; its first address is replaced.
            host: The last number of the new address, 1 to 254.
        """
        error = self._no_record_set(name, "A")
        if error is None and not 1 <= host <= 254:
            error = f"FORMERR: no host {host}"
        if error:
            return {"success": False, "error": error}
        old = self.zones[str(self._zone_of(name))]["names"][name]["A"]["rdata"][0]
        new = f"{old.rpartition('.')[0]}.{host}"
        changed = []
        for zone in sorted(self.zones):
            rows = sorted(self.zones[zone]["names"].items())
            hits = [key for key, sets in rows if old in sets.get("A", {"rdata": []})["rdata"]]
            if hits and old != new and not self.zones[zone]["locked"]:
                for key in hits:
                    row = self.zones[zone]["names"][key]["A"]
                    row["rdata"] = sorted({new, *row["rdata"]} - {old})
                changed += hits
                self._edited(zone)
        return {"success": True, "address": new, "names": changed}

    def delegate(self, name: str) -> dict[str, Any]:
        """Make a name and all below it a zone of its own; its record sets move there.

        Args:
            name: A name in a zone, with at least one record set at or below it.
        """
        zone = self._zone_of(name)
        if zone is None or zone == name:
            return {"success": False, "error": f"NOTZONE: {name} lies in no zone or is one"}
        names = self.zones[zone]["names"]
        below = [key for key in sorted(names) if key == name or key.endswith("." + name)]
        error = self._no_zone(zone)
        if error is None and not below:
            error = f"NXDOMAIN: nothing stands at or below {name}"
        if error:
            return {"success": False, "error": error}
        new_zone: dict[str, Any] = {"serial": 1, "locked": False, "key": {"tag": 1, "made_on": self.day}, "names": {}}
        new_zone["names"] = {key: names.pop(key) for key in below}
        self.zones[name] = new_zone
        return {"success": True, "moved": below, "serial": self._edited(zone)}

    def take_snapshot(self, zone: str) -> dict[str, Any]:
        """Keep a copy of a zone's names.

        Args:
            zone: The zone.
        """
        if zone not in self.zones:
            return {"success": False, "error": f"NXDOMAIN: no zone {zone}"}
        key = f"snap{self.next_snapshot_number}"
        self.next_snapshot_number += 1
        row = self.zones[zone]
        names = {name: {t: {**s, "rdata": list(s["rdata"])} for t, s in n.items()} for name, n in row["names"].items()}
        self.snapshots[key] = {"zone": zone, "serial": row["serial"], "names": names}
        return {"success": True, "snapshot_id": key, "names": len(names)}

    def restore_snapshot(self, snapshot_id: str) -> dict[str, Any]:
        """Put a zone back to a snapshot, which is used up.

        Args:
            snapshot_id: The snapshot.
        """
        if snapshot_id not in self.snapshots:
            return {"success": False, "error": f"NXDOMAIN: no snapshot {snapshot_id}"}
        error = self._no_zone(self.snapshots[snapshot_id]["zone"])
        if error:
            return {"success": False, "error": error}
        row = self.snapshots.pop(snapshot_id)
        self.zones[row["zone"]]["names"] = row["names"]
        return {"success": True, "zone": row["zone"], "serial": self._edited(row["zone"])}

    def transfer_zones(self, secondary_id: str) -> dict[str, Any]:
        """Bring a secondary server up to the serials of the zones that it serves.

        Args:
            secondary_id: The secondary server.
        """
        if secondary_id not in self.secondaries:
            return {"success": False, "error": f"NXDOMAIN: no secondary {secondary_id}"}
        row = self.secondaries[secondary_id]
        stale = [zone for zone, serial in sorted(row["serials"].items()) if serial != self.zones[zone]["serial"]]
        for zone in stale:
            row["serials"][zone] = self.zones[zone]["serial"]
        row["last_transfer"] = self.day
        self.statistics["transfers"] += len(stale)
        return {"success": True, "transferred": stale}

    def set_lock(self, zone: str, locked: bool) -> dict[str, Any]:
        """Lock a zone against edits, or unlock it.

        Args:
            zone: The zone.
            locked: Whether it shall be locked.
        """
        if zone not in self.zones:
            return {"success": False, "error": f"NXDOMAIN: no zone {zone}"}
        changed = self.zones[zone]["locked"] != locked
        self.zones[zone]["locked"] = locked
        return {"success": True, "changed": changed}

    def delete_zone(self, zone: str) -> dict[str, Any]:
        """Delete an unlocked zone with its snapshots; secondaries stop serving it.

        Args:
            zone: The zone.
        """
        error = self._no_zone(zone)
        if error is None and len(self.zones) == 1:
            error = f"REFUSED: {zone} is the last zone"
        if error:
            return {"success": False, "error": error}
        del self.zones[zone]
        served = [key for key, row in sorted(self.secondaries.items()) if row["serials"].pop(zone, None) is not None]
        dropped = [key for key, row in sorted(self.snapshots.items()) if row["zone"] == zone]
        for key in dropped:
            del self.snapshots[key]
        return {"success": True, "secondaries": served, "snapshots": dropped}

    def next_days(self, days: int = 7) -> dict[str, Any]:
        """Let days pass; signing keys older than 90 days are renewed in unlocked zones.

        Args:
            days: 1 to 60.
        """
        if not 1 <= days <= 60:
            return {"success": False, "error": "FORMERR: days must be 1 to 60"}
        self.day += days
        renewed = []
        for zone, row in sorted(self.zones.items()):
            if self.day - row["key"]["made_on"] > KEY_LIFETIME and not row["locked"]:
                row["key"]["tag"] += 1
                row["key"]["made_on"] = self.day
                self._edited(zone)
                renewed.append(zone)
        self.statistics["rollovers"] += len(renewed)
        return {"success": True, "day": self.day, "renewed": renewed}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A server with about two zones of seven names per unit of size and a secondary for every two."""
    labels = ["www", "mail", "api", "shop", "static", "dev.api", "vpn", "docs", "login", "img.static"]
    bases = ["acorn.example", "lumen.test", "pier7.example", "vela.test", "moss.example"]
    day = rng.randrange(100, 200)
    addresses = [f"192.0.2.{rng.randrange(1, 250)}" for _ in range(3 + size)]
    zones: dict[str, dict[str, Any]] = {}
    for i in range(1 + 7 * size // 4):
        zone = bases[i % 5] if i < 5 else f"z{i}.{bases[i % 5]}"
        names: dict[str, dict[str, Any]] = {}
        for label in rng.sample(labels, rng.randrange(6, 10) if i else 4):
            ttl, address = rng.choice([60, 300, 3600]), rng.choice(addresses)
            sets: dict[str, Any] = {"A": {"ttl": ttl, "rdata": [address]}}
            if label in ("docs", "login", "shop"):
                sets = {"CNAME": {"ttl": ttl, "rdata": [f"www.{zone}"]}}
            elif label == "mail":
                sets["MX"] = {"ttl": 3600, "rdata": [f"10 mail.{zone}"]}
            elif rng.random() < 0.4:
                sets["TXT"] = {"ttl": ttl, "rdata": [f"owner={rng.choice(['ops', 'web', 'data'])}"]}
            names[f"{label}.{zone}"] = sets
        key = {"tag": rng.randrange(1, 9), "made_on": day - rng.randrange(60, 92)}
        locked = i > 1 and rng.random() < 0.2
        zones[zone] = {"serial": rng.randrange(40, 900), "locked": locked, "key": key, "names": names}
    return {
        "day": day,
        "zones": zones,
        "snapshots": {},
        "secondaries": {
            f"ns{i + 1}": {
                "last_transfer": day - rng.randrange(1, 30),
                "serials": {
                    zone: zones[zone]["serial"] - rng.choice([0, 0, 1, 3])
                    for zone in rng.sample(list(zones), min(len(zones), 4))
                },
            }
            for i in range(1 + size // 2)
        },
        "statistics": {"edits": rng.randrange(900), "transfers": rng.randrange(300), "rollovers": rng.randrange(9)},
        "next_snapshot_number": 1,
    }

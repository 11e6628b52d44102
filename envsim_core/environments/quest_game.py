"""Quest game: heroes, inventories, quests with steps, fights, crafting, shops, parties and the passing of days."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "gaming"

XP_PER_LEVEL = 100
MAX_SLOTS = 8  # kinds of item that a hero can carry
SELL_SHARE = 0.6
RECIPES: dict[str, dict[str, int]] = {
    "potion": {"herb": 2, "water": 1},
    "torch": {"wood": 1, "resin": 1},
    "spear": {"wood": 2, "iron": 1},
    "armour": {"iron": 2, "leather": 3},
}
POWER = {"spear": 6, "torch": 1, "armour": 4, "sword": 9}


class QuestGame:
    """A role-playing game's server. Fights have fixed outcomes: strength plus equipment against an enemy's power."""

    def __init__(self) -> None:
        self.day = 1
        self.heroes: dict[str, dict[str, Any]] = {}
        self.quests: dict[str, dict[str, Any]] = {}
        self.enemies: dict[str, dict[str, Any]] = {}
        self.shops: dict[str, dict[str, Any]] = {}
        self.parties: dict[str, dict[str, Any]] = {}
        self.chronicle: list[dict[str, Any]] = []
        self.next_party_number = 1

    def _not_able(self, hero_id: str) -> str | None:
        if hero_id not in self.heroes:
            return f"There is no hero {hero_id}"
        if self.heroes[hero_id]["health"] <= 0:
            return f"{hero_id} is unconscious"
        return None

    def _put(self, hero_id: str, item: str, count: int) -> None:
        items = self.heroes[hero_id]["items"]
        left = items.get(item, 0) + count
        if left:
            items[item] = left
        else:
            del items[item]

    def _full(self, hero_id: str, item: str) -> bool:
        items = self.heroes[hero_id]["items"]
        return item not in items and len(items) >= MAX_SLOTS

    def _gain(self, hero_id: str, xp: int) -> bool:
        """Add experience; every hundred is a level, which heals and strengthens. Whether one was reached."""
        hero = self.heroes[hero_id]
        hero["xp"] += xp
        if hero["xp"] < XP_PER_LEVEL:
            return False
        hero["xp"] -= XP_PER_LEVEL
        hero["level"] += 1
        hero["strength"] += 2
        hero["max_health"] += 5
        hero["health"] = hero["max_health"]
        self.chronicle.append({"day": self.day, "hero_id": hero_id, "event": f"reached level {hero['level']}"})
        return True

    def _power(self, hero_id: str) -> int:
        hero = self.heroes[hero_id]
        return int(hero["strength"] + sum(POWER.get(item, 0) for item in hero["equipment"].values() if item))

    def show_chronicle(self) -> dict[str, Any]:
        """Show the current day and what happened so far."""
        return {"success": True, "day": self.day, "events": len(self.chronicle), "chronicle": list(self.chronicle)}

    def list_enemies(self) -> dict[str, Any]:
        """List the living enemies with their power."""
        rows = sorted(self.enemies.items())
        return {"success": True, "enemies": {key: row["power"] for key, row in rows if row["health"] > 0}}

    def get_hero(self, hero_id: str) -> dict[str, Any]:
        """Show a hero and the power in a fight.

        Args:
            hero_id: The hero.
        """
        if hero_id not in self.heroes:
            return {"success": False, "error": f"There is no hero {hero_id}"}
        return {"success": True, "hero": self.heroes[hero_id], "power": self._power(hero_id)}

    def accept_quest(self, hero_id: str, quest_id: str) -> dict[str, Any]:
        """Let a hero take an open quest, at most two at a time.

        Args:
            hero_id: The hero, of the quest's level or above.
            quest_id: The quest.
        """
        error = self._not_able(hero_id)
        if error is None and (quest_id not in self.quests or self.quests[quest_id]["status"] != "open"):
            error = f"Quest {quest_id} is unknown or not open"
        if error:
            return {"success": False, "error": error}
        hero, quest = self.heroes[hero_id], self.quests[quest_id]
        if hero["level"] < quest["level"] or hero["active_quests"] >= 2:
            return {"success": False, "error": f"{hero_id} is below level {quest['level']} or has two quests"}
        quest["status"], quest["hero_id"], quest["due_day"] = "active", hero_id, self.day + 5
        hero["active_quests"] += 1
        return {"success": True, "steps": quest["steps"], "due_day": quest["due_day"]}

    def advance_quest(self, quest_id: str) -> dict[str, Any]:
        """Do the next step of an active quest; the last one brings its reward.

        Args:
            quest_id: The quest.
        """
        if quest_id not in self.quests or self.quests[quest_id]["status"] != "active":
            return {"success": False, "error": f"Quest {quest_id} is unknown or not active"}
        quest = self.quests[quest_id]
        error = self._not_able(quest["hero_id"])
        reward = quest["reward"]
        last = quest["done_steps"] + 1 == quest["steps"]
        if error is None and last and self._full(quest["hero_id"], reward["item"]):
            error = f"{quest['hero_id']} cannot carry the {reward['item']}"
        if error:
            return {"success": False, "error": error}
        quest["done_steps"] += 1
        if not last:
            return {"success": True, "steps_left": quest["steps"] - quest["done_steps"]}
        hero = self.heroes[quest["hero_id"]]
        quest["status"] = "done"
        hero["active_quests"] -= 1
        hero["gold"] = round(hero["gold"] + reward["gold"], 1)
        self._put(quest["hero_id"], reward["item"], 1)
        self.chronicle.append({"day": self.day, "hero_id": quest["hero_id"], "event": f"finished {quest_id}"})
        return {"success": True, "reward": reward, "level_up": self._gain(quest["hero_id"], reward["xp"])}

    def fight(self, hero_id: str, enemy_id: str) -> dict[str, Any]:
        """Fight an enemy of the hero's place: the stronger side hurts the other, a beaten enemy leaves loot.

        Args:
            hero_id: The hero.
            enemy_id: The enemy.
        """
        error = self._not_able(hero_id)
        if error is None and (enemy_id not in self.enemies or self.enemies[enemy_id]["health"] <= 0):
            error = f"Enemy {enemy_id} is unknown or beaten"
        if error is None and self.enemies[enemy_id]["place"] != self.heroes[hero_id]["place"]:
            error = f"{enemy_id} is at {self.enemies[enemy_id]['place']}"
        if error:
            return {"success": False, "error": error}
        hero, enemy = self.heroes[hero_id], self.enemies[enemy_id]
        power = self._power(hero_id)
        hero["health"] = max(0, hero["health"] - max(1, enemy["power"] - power // 2))
        enemy["health"] = max(0, enemy["health"] - power)
        if hero["health"] == 0:
            hero["gold"] = round(hero["gold"] / 2, 1)
            return {"success": True, "outcome": "lost", "health": 0, "gold": hero["gold"]}
        if enemy["health"]:
            return {"success": True, "outcome": "undecided", "health": hero["health"], "enemy_health": enemy["health"]}
        loot = enemy["loot"]
        hero["kills"] += 1
        hero["gold"] = round(hero["gold"] + loot["gold"], 1)
        if loot["item"] is not None and not self._full(hero_id, loot["item"]):
            self._put(hero_id, loot["item"], 1)
        level_up = self._gain(hero_id, enemy["power"] * 4)
        return {"success": True, "outcome": "won", "loot": loot, "level_up": level_up}

    def travel(self, hero_id: str, place: str) -> dict[str, Any]:
        """Let a hero, and the party of a party's leader, go to another place; it costs each of them a ration of 1 gold.

        Args:
            hero_id: The hero.
            place: A place where there is a shop or an enemy.
        """
        error = self._not_able(hero_id)
        known = {row["place"] for rows in (self.shops, self.enemies) for row in rows.values()}
        if error is None and (place not in known or self.heroes[hero_id]["place"] == place):
            error = f"'{place}' is unknown or {hero_id} is there"
        if error:
            return {"success": False, "error": error}
        led = [row["members"] for _, row in sorted(self.parties.items()) if row["leader_id"] == hero_id]
        group = led[0] if led else [hero_id]
        poor = [member for member in group if self.heroes[member]["gold"] < 1]
        if poor:
            return {"success": False, "error": f"{', '.join(poor)} cannot pay for a ration"}
        for member in group:
            self.heroes[member]["place"] = place
            self.heroes[member]["gold"] = round(self.heroes[member]["gold"] - 1, 1)
        return {"success": True, "place": place, "travelled": list(group)}

    def craft(self, hero_id: str, item: Literal["potion", "torch", "spear", "armour"]) -> dict[str, Any]:
        """Make an item from materials that the hero carries.

        Args:
            hero_id: The hero.
            item: What is made.
        """
        error = self._not_able(hero_id)
        if error is None and item not in RECIPES:
            error = f"There is no recipe for '{item}'"
        items = {} if error else self.heroes[hero_id]["items"]
        missing = [] if error else [name for name, count in RECIPES[item].items() if items.get(name, 0) < count]
        if error is None and (missing or self._full(hero_id, item)):
            error = f"{hero_id} lacks {', '.join(sorted(missing)) or 'a free slot'}"
        if error:
            return {"success": False, "error": error}
        for name, count in RECIPES[item].items():
            self._put(hero_id, name, -count)
        self._put(hero_id, item, 1)
        return {"success": True, "crafted": item, "level_up": self._gain(hero_id, 10)}

    def buy_item(self, hero_id: str, shop_id: str, item: str, count: int = 1) -> dict[str, Any]:
        """Buy pieces of an item; the last piece takes it off the shelf.

        Args:
            hero_id: The hero.
            shop_id: The shop.
            item: The item.
            count: 1 to 9.
        """
        error = self._not_able(hero_id)
        if error is None and (shop_id not in self.shops or item not in self.shops[shop_id]["stock"]):
            error = f"There is no shop {shop_id}, or it does not sell '{item}'"
        if error is None and not 1 <= count <= min(9, self.shops[shop_id]["stock"][item]["count"]):
            error = f"{shop_id} has {self.shops[shop_id]['stock'][item]['count']} of {item}"
        if error is None and self._full(hero_id, item):
            error = f"{hero_id} carries {MAX_SLOTS} kinds of item already"
        if error:
            return {"success": False, "error": error}
        hero, shop = self.heroes[hero_id], self.shops[shop_id]
        cost = round(shop["stock"][item]["price"] * count, 1)
        if cost > hero["gold"]:
            return {"success": False, "error": f"{count} {item} cost {cost}, {hero_id} has {hero['gold']}"}
        hero["gold"] = round(hero["gold"] - cost, 1)
        shop["purse"] = round(shop["purse"] + cost, 1)
        shop["stock"][item]["count"] -= count
        if not shop["stock"][item]["count"]:
            del shop["stock"][item]
        self._put(hero_id, item, count)
        return {"success": True, "cost": cost, "gold": hero["gold"]}

    def sell_all(self, hero_id: str, shop_id: str) -> dict[str, Any]:
        """Sell everything in a hero's bag that the shop trades in, as long as its purse lasts.

        Args:
            hero_id: The hero.
            shop_id: The shop.
        """
        error = self._not_able(hero_id)
        if error is None and shop_id not in self.shops:
            error = f"There is no shop {shop_id}"
        if error:
            return {"success": False, "error": error}
        hero, shop = self.heroes[hero_id], self.shops[shop_id]
        sold = {}
        for item, count in sorted(hero["items"].items()):
            row = shop["stock"].get(item)
            value = round(row["price"] * SELL_SHARE * count, 1) if row else 0.0
            if 0 < value <= shop["purse"]:
                self._put(hero_id, item, -count)
                row["count"] += count
                hero["gold"] = round(hero["gold"] + value, 1)
                shop["purse"] = round(shop["purse"] - value, 1)
                sold[item] = value
        if not sold:
            return {"success": False, "error": f"{shop_id} buys nothing that {hero_id} carries"}
        return {"success": True, "sold": sold, "gold": hero["gold"]}

    def equip(self, hero_id: str, item: Literal["spear", "torch", "sword", "armour"]) -> dict[str, Any]:
        """Take an item into the hand, or put armour on; what was there goes into the bag.

        Args:
            hero_id: The hero.
            item: An item with power that the hero carries.
        """
        error = self._not_able(hero_id)
        if error is None and (item not in POWER or item not in self.heroes[hero_id]["items"]):
            error = f"{hero_id} carries no '{item}' that can be equipped"
        if error:
            return {"success": False, "error": error}
        slot = "body" if item == "armour" else "hand"
        previous = self.heroes[hero_id]["equipment"][slot]
        self._put(hero_id, item, -1)
        if previous is not None:
            self._put(hero_id, previous, 1)
        self.heroes[hero_id]["equipment"][slot] = item
        return {"success": True, "slot": slot, "previous": previous, "power": self._power(hero_id)}

    def form_party(self, hero_id: str, hero_ids: list[str]) -> dict[str, Any]:
        """Form a party of two to four heroes who are in none.

        Args:
            hero_id: The hero who leads.
            hero_ids: The others.
        """
        members = sorted({hero_id, *hero_ids})
        taken = {member for row in self.parties.values() for member in row["members"]}
        if not 2 <= len(members) <= 4 or any(key not in self.heroes or key in taken for key in members):
            return {"success": False, "error": "A party has two to four known heroes who are in no other"}
        key = f"party{self.next_party_number}"
        self.next_party_number += 1
        self.parties[key] = {"leader_id": hero_id, "members": members, "formed": self.day}
        return {"success": True, "party_id": key, "members": members}

    def disband_party(self, party_id: str) -> dict[str, Any]:
        """Disband a party; the gold of its members is shared out equally first.

        Args:
            party_id: The party.
        """
        if party_id not in self.parties:
            return {"success": False, "error": f"There is no {party_id}"}
        members = self.parties.pop(party_id)["members"]
        share = round(sum(self.heroes[key]["gold"] for key in members) / len(members), 1)
        for key in members:
            self.heroes[key]["gold"] = share
        return {"success": True, "members": members, "share": share}

    def rest(self) -> dict[str, Any]:
        """Let a night pass: heroes recover by ten, quests that are overdue fail."""
        self.day += 1
        for hero in self.heroes.values():
            hero["health"] = min(hero["health"] + 10, hero["max_health"])
        failed = [k for k, q in sorted(self.quests.items()) if q["status"] == "active" and q["due_day"] < self.day]
        for key in failed:
            self.quests[key]["status"] = "failed"
            self.heroes[self.quests[key]["hero_id"]]["active_quests"] -= 1
        return {"success": True, "day": self.day, "failed_quests": failed}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A world with about three heroes, two quests, two enemies and a shop for every two units of size."""
    places = ["harbour", "forest", "mine", "tower", "marsh"]
    goods = ["herb", "water", "wood", "resin", "iron", "leather", "sword", "spear", "torch", "armour"]
    day = rng.randrange(3, 40)
    heroes: dict[str, dict[str, Any]] = {}
    for i in range(1 + 3 * size):
        health = rng.randrange(20, 45)
        heroes[f"{rng.choice(['ayla', 'bran', 'cato', 'dessa', 'elric'])}{i + 1}"] = {
            "level": rng.randrange(1, 5),
            "xp": rng.randrange(30, 95),
            "health": max(1, health - rng.randrange(20)),
            "max_health": health,
            "strength": rng.randrange(4, 14),
            "gold": round(rng.uniform(5, 80), 1),
            "place": rng.choice(places[:3]),
            "kills": rng.randrange(9),
            "active_quests": 0,
            "items": {item: rng.randrange(1, 5) for item in {"wood": 1, **dict.fromkeys(rng.sample(goods, 4))}},
            "equipment": {"hand": rng.choice([None, "spear"]), "body": None},
        }
    parties: dict[str, dict[str, Any]] = {}
    if rng.random() < 0.5:
        members = sorted(rng.sample(list(heroes), 2))
        parties["party1"] = {"leader_id": members[0], "members": members, "formed": day - 2}
    quests: dict[str, dict[str, Any]] = {}
    for i in range(2 * size):
        hero_id = rng.choice(list(heroes))
        active = heroes[hero_id]["active_quests"] < 2 and rng.random() < 0.5
        heroes[hero_id]["active_quests"] += active
        steps = rng.randrange(1, 4)
        quests[f"Q{i + 1}"] = {
            "level": rng.randrange(1, 4),
            "steps": steps,
            "done_steps": rng.randrange(steps) if active else 0,
            "status": "active" if active else "open",
            "hero_id": hero_id if active else None,
            "due_day": day + rng.randrange(4) if active else None,
            "reward": {"gold": float(rng.randrange(5, 60)), "xp": rng.randrange(20, 70), "item": rng.choice(goods)},
        }
    return {
        "day": day,
        "heroes": heroes,
        "quests": quests,
        "enemies": {
            f"{rng.choice(['wolf', 'ghoul', 'bandit', 'golem'])}{i + 1}": {
                "power": rng.randrange(3, 14),
                "health": rng.randrange(4, 18),
                "place": rng.choice(places[:3]),
                "loot": {"gold": float(rng.randrange(1, 12)), "item": rng.choice([None, *goods])},
            }
            for i in range(2 * size)
        },
        "shops": {
            f"shop{i + 1}": {
                "place": places[i % 5],
                "purse": round(rng.uniform(60, 200), 1),
                "stock": {
                    item: {"price": round(rng.uniform(1, 14), 1), "count": rng.randrange(1, 6)}
                    for item in rng.sample(goods, 4)
                },
            }
            for i in range((size + 1) // 2)
        },
        "parties": parties,
        "chronicle": [],
        "next_party_number": 2,
    }

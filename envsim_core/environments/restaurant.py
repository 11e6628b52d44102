"""Restaurant: tables, a menu with ingredients, orders, the kitchen, bills, tips and the end of a shift."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "gastronomy"

SERVICE_CHARGE = 0.125  # for parties of six and more
LARGE_PARTY = 6
STATIONS = ("grill", "cold", "bar")


class Restaurant:
    """A restaurant's till and kitchen. An order's `lines` are in the sequence of ordering; money is in floats."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        self.menu: dict[str, dict[str, Any]] = {}
        self.ingredients: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.waiters: dict[str, dict[str, Any]] = {}
        self.stations: dict[str, int] = dict.fromkeys(STATIONS, 0)
        self.takings: dict[str, Any] = {"cash": 0.0, "card": 0.0, "tips": 0.0, "comped": 0.0, "covers": 0}
        self.next_order_number = 1

    def _not_running(self, order_id: str) -> str | None:
        if order_id not in self.orders:
            return f"Order {order_id} is unknown"
        if self.orders[order_id]["status"] != "running":
            return f"Order {order_id} is {self.orders[order_id]['status']}"
        return None

    def _shortage(self, dish: str, quantity: int) -> str | None:
        for name, amount in sorted(self.menu[dish]["needs"].items()):
            if self.ingredients[name]["stock"] < amount * quantity:
                return f"{dish} is sold out: {self.ingredients[name]['stock']} of {name} left"
        return None

    def _use(self, dish: str, quantity: int) -> None:
        """Take a dish's ingredients out of the stock, or put them back for a negative quantity."""
        for name, amount in self.menu[dish]["needs"].items():
            row = self.ingredients[name]
            row["stock"] = round(row["stock"] + -amount * quantity, 3)
            row["low"] = row["stock"] < row["reorder_below"]

    def _total(self, order_id: str) -> float:
        order = self.orders[order_id]
        total: float = sum(line["price"] * line["quantity"] for line in order["lines"] if not line["comped"])
        return round(total, 2)

    def _clear(self, order_id: str, status: str) -> None:
        """End an order: its table is to be cleaned and its waiter has one fewer."""
        order = self.orders[order_id]
        order["status"] = status
        table = self.tables[order["table_id"]]
        table["status"], table["order_id"], table["guests"] = "dirty", None, 0
        self.waiters[order["waiter_id"]]["open_orders"] -= 1

    def get_takings(self) -> dict[str, Any]:
        """Show what the till took in this shift."""
        return {"success": True, "takings": dict(self.takings)}

    def list_low_ingredients(self) -> dict[str, Any]:
        """List the ingredients that must be ordered."""
        low = {key: row["stock"] for key, row in self.ingredients.items() if row["low"]}
        return {"success": True, "count": len(low), "ingredients": low}

    def show_kitchen(self) -> dict[str, Any]:
        """Show how many dishes each station still has to make."""
        return {"success": True, "stations": dict(self.stations), "total": sum(self.stations.values())}

    def get_order(self, order_id: str) -> dict[str, Any]:
        """Show an order with its total so far.

        Args:
            order_id: The order.
        """
        if order_id not in self.orders:
            return {"success": False, "error": f"Order {order_id} is unknown"}
        return {"success": True, "order": self.orders[order_id], "total": self._total(order_id)}

    def find_table(self, guests: int) -> dict[str, Any]:
        """List the free tables that seat a party, the smallest first.

        Args:
            guests: The size of the party, 1 to 12.
        """
        if not 1 <= guests <= 12:
            return {"success": False, "error": "guests must be 1 to 12"}
        rows = sorted((row["seats"], key) for key, row in self.tables.items() if row["status"] == "free")
        return {"success": True, "table_ids": [key for seats, key in rows if seats >= guests]}

    def seat_party(self, table_id: str, guests: int, waiter_id: str) -> dict[str, Any]:
        """Seat a party at a free table and open its order.

        Args:
            table_id: The table.
            guests: The size of the party; it must fit the table.
            waiter_id: Who serves it; at most six orders each.
        """
        if table_id not in self.tables or waiter_id not in self.waiters:
            return {"success": False, "error": f"Table {table_id} or waiter {waiter_id} is unknown"}
        table, waiter = self.tables[table_id], self.waiters[waiter_id]
        if table["status"] != "free":
            return {"success": False, "error": f"Table {table_id} is {table['status']}"}
        if not 1 <= guests <= table["seats"]:
            return {"success": False, "error": f"Table {table_id} seats 1 to {table['seats']}"}
        if waiter["open_orders"] >= 6:
            return {"success": False, "error": f"{waiter_id} has {waiter['open_orders']} open orders"}
        key = f"R{self.next_order_number}"
        self.next_order_number += 1
        self.orders[key] = {
            "table_id": table_id,
            "waiter_id": waiter_id,
            "status": "running",
            "lines": [],
            "paid": 0.0,
            "discount": 0.0,
        }
        table["status"], table["order_id"], table["guests"] = "taken", key, guests
        waiter["open_orders"] += 1
        self.takings["covers"] += guests
        return {"success": True, "order_id": key}

    def order_dish(self, order_id: str, dish: str, quantity: int = 1, note: str = "") -> dict[str, Any]:
        """Add a dish to an order; its ingredients leave the stock and its station gets the work.

        Args:
            order_id: The order.
            dish: The dish as it is called on the menu.
            quantity: 1 to 8.
            note: A wish for the kitchen.
        """
        error = self._not_running(order_id)
        if error is None and (dish not in self.menu or not self.menu[dish]["available"]):
            error = f"'{dish}' is not on today's menu"
        if error is None and not 1 <= quantity <= 8:
            error = "quantity must be 1 to 8"
        error = error or self._shortage(dish, quantity)
        if error:
            return {"success": False, "error": error}
        row = self.menu[dish]
        self._use(dish, quantity)
        line = {"dish": dish, "quantity": quantity, "price": row["price"], "note": note, "served": False}
        self.orders[order_id]["lines"].append(line | {"comped": False})
        self.stations[row["station"]] += quantity
        row["sold"] += quantity
        return {"success": True, "line": len(self.orders[order_id]["lines"]), "total": self._total(order_id)}

    def serve_order(self, order_id: str) -> dict[str, Any]:
        """Bring everything that was not served yet; the stations are relieved of it.

        Args:
            order_id: The order.
        """
        error = self._not_running(order_id)
        waiting = [] if error else [line for line in self.orders[order_id]["lines"] if not line["served"]]
        if error is None and not waiting:
            error = f"Order {order_id} waits for nothing"
        if error:
            return {"success": False, "error": error}
        for line in waiting:
            line["served"] = True
            self.stations[self.menu[line["dish"]]["station"]] -= line["quantity"]
        self.waiters[self.orders[order_id]["waiter_id"]]["served"] += len(waiting)
        return {"success": True, "dishes": [line["dish"] for line in waiting]}

    def cancel_line(self, order_id: str, line: int) -> dict[str, Any]:
        """Take a line that was not served off an order; its ingredients go back.

        Args:
            order_id: The order.
            line: Its number, from 1.
        """
        error = self._not_running(order_id)
        if error is None and not 1 <= line <= len(self.orders[order_id]["lines"]):
            error = f"Order {order_id} has {len(self.orders[order_id]['lines'])} lines"
        if error is None and self.orders[order_id]["lines"][line - 1]["served"]:
            error = f"Line {line} was served already"
        if error:
            return {"success": False, "error": error}
        row = self.orders[order_id]["lines"].pop(line - 1)
        self._use(row["dish"], -row["quantity"])
        self.stations[self.menu[row["dish"]]["station"]] -= row["quantity"]
        self.menu[row["dish"]]["sold"] -= row["quantity"]
        return {"success": True, "cancelled": row["dish"], "total": self._total(order_id)}

    def comp_order(self, order_id: str, reason: str) -> dict[str, Any]:
        """Give all served dishes of an order for free, as an apology.

        Args:
            order_id: The order.
            reason: Why; it must not be blank.
        """
        error = self._not_running(order_id)
        lines = [] if error else [line for line in self.orders[order_id]["lines"] if line["served"]]
        lines = [line for line in lines if not line["comped"]]
        if error is None and (not lines or not reason.strip()):
            error = f"Order {order_id} has nothing served to give away, or the reason is blank"
        if error:
            return {"success": False, "error": error}
        for line in lines:
            line["comped"] = True
        value = round(sum(line["price"] * line["quantity"] for line in lines), 2)
        self.takings["comped"] = round(self.takings["comped"] + value, 2)
        self.orders[order_id]["comp_reason"] = reason.strip()
        return {"success": True, "value": value, "lines": len(lines)}

    def pay_order(self, order_id: str, method: Literal["cash", "card"], tip: float = 0.0) -> dict[str, Any]:
        """Take the payment of an order, of which nothing is left to serve, and end it.

        Args:
            order_id: The order.
            method: How it is paid.
            tip: The waiter's tip, 0 to 100.
        """
        error = self._not_running(order_id)
        if error is None and method not in ("cash", "card"):
            error = f"Unknown method of payment '{method}'"
        if error is None and not 0 <= tip <= 100:
            error = "tip must be 0 to 100"
        if error is None and not all(line["served"] for line in self.orders[order_id]["lines"]):
            error = f"Order {order_id} still waits for dishes"
        if error:
            return {"success": False, "error": error}
        order = self.orders[order_id]
        total = self._total(order_id)
        large = self.tables[order["table_id"]]["guests"] >= LARGE_PARTY
        charge = round(total * SERVICE_CHARGE, 2) if large else 0.0
        order["paid"] = round(total + charge, 2)
        self._clear(order_id, "paid")
        self.takings[method] = round(self.takings[method] + order["paid"], 2)
        self.takings["tips"] = round(self.takings["tips"] + tip, 2)
        waiter = self.waiters[order["waiter_id"]]
        waiter["tips"] = round(waiter["tips"] + tip, 2)
        return {"success": True, "paid": order["paid"], "service_charge": charge, "tip": tip}

    def move_party(self, order_id: str, new_table_id: str) -> dict[str, Any]:
        """Move a party with its order to another free table.

        Args:
            order_id: The party's order.
            new_table_id: The table it moves to.
        """
        error = self._not_running(order_id)
        if error is None and (new_table_id not in self.tables or self.tables[new_table_id]["status"] != "free"):
            error = f"Table {new_table_id} is unknown or not free"
        if error:
            return {"success": False, "error": error}
        old, new = self.tables[self.orders[order_id]["table_id"]], self.tables[new_table_id]
        if new["seats"] < old["guests"]:
            return {"success": False, "error": f"Table {new_table_id} seats {new['seats']}, not {old['guests']}"}
        new["status"], new["order_id"], new["guests"] = "taken", order_id, old["guests"]
        old["status"], old["order_id"], old["guests"] = "dirty", None, 0
        self.orders[order_id]["table_id"] = new_table_id
        return {"success": True, "table_id": new_table_id, "guests": new["guests"]}

    def clean_tables(self) -> dict[str, Any]:
        """Clean all dirty tables, so that they are free again."""
        dirty = [key for key, row in sorted(self.tables.items()) if row["status"] == "dirty"]
        for key in dirty:
            self.tables[key]["status"] = "free"
        return {"success": True, "table_ids": dirty}

    def restock(self, ingredient: str, amount: float) -> dict[str, Any]:
        """Book a delivery of an ingredient.

        Args:
            ingredient: The ingredient.
            amount: How much arrived, above 0 and at most 500.
        """
        if ingredient not in self.ingredients:
            return {"success": False, "error": f"Ingredient '{ingredient}' is unknown"}
        if not 0 < amount <= 500:
            return {"success": False, "error": "amount must be above 0 and at most 500"}
        row = self.ingredients[ingredient]
        row["stock"] = round(row["stock"] + amount, 3)
        row["low"] = row["stock"] < row["reorder_below"]
        return {"success": True, "stock": row["stock"], "low": row["low"]}

    def set_availability(self, dish: str, available: bool) -> dict[str, Any]:
        """Take a dish off today's menu, or put it back.

        Args:
            dish: The dish.
            available: Whether guests can order it.
        """
        if dish not in self.menu:
            return {"success": False, "error": f"'{dish}' is not on the menu"}
        changed = self.menu[dish]["available"] != available
        self.menu[dish]["available"] = available
        return {"success": True, "changed": changed}

    def close_shift(self) -> dict[str, Any]:
        """End the shift: paid and abandoned orders leave the till, its totals and the waiters' counters restart."""
        running = [key for key, row in sorted(self.orders.items()) if row["status"] == "running"]
        if any(self.orders[key]["lines"] for key in running):
            return {"success": False, "error": f"Orders {', '.join(running)} are still running"}
        for key in running:
            self._clear(key, "abandoned")
        archived = sorted(self.orders)
        self.orders = {}
        takings = dict(self.takings)
        self.takings = {"cash": 0.0, "card": 0.0, "tips": 0.0, "comped": 0.0, "covers": 0}
        for waiter in self.waiters.values():
            waiter["served"], waiter["tips"] = 0, 0.0
        return {"success": True, "archived": archived, "takings": takings}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A restaurant with about three tables, three dishes, four ingredients and two orders per unit of size."""
    foods = ["beef", "rice", "leek", "cream", "lime", "gin", "flour", "trout", "beans", "mint"]
    styles = ["stew", "salad", "soup", "plate", "cooler", "pie", "bowl"]
    names = [f"{food}{i or ''}" for i in range(size) for food in rng.sample(foods, 4)]
    ingredients: dict[str, dict[str, Any]] = {}
    for name in names:
        stock, below = round(rng.uniform(2, 12), 2), rng.choice([1.5, 3.0, 5.0])
        ingredients[name] = {"stock": stock, "reorder_below": below, "low": stock < below}
    menu: dict[str, dict[str, Any]] = {}
    for i in range(3 * size):
        needs = rng.sample(names, rng.randrange(1, 5))
        menu[f"{needs[0]} {rng.choice(styles)} {i + 1}"] = {
            "price": rng.randrange(6, 29) + rng.choice([0.0, 0.5, 0.9]),
            "station": rng.choice(STATIONS),
            "available": i == 0 or rng.random() < 0.9,
            "needs": {name: rng.choice([0.1, 0.25, 0.4]) for name in needs},
            "sold": rng.randrange(20),
        }
    restaurant = Restaurant()
    restaurant.menu, restaurant.ingredients = menu, ingredients
    restaurant.tables = {
        f"T{i + 1}": {"seats": rng.choice([2, 4, 4, 6, 8]), "status": "free", "order_id": None, "guests": 0}
        for i in range(1 + 4 * size)
    }
    restaurant.waiters = {
        f"waiter{i + 1}": {"open_orders": 0, "served": rng.randrange(30), "tips": round(rng.uniform(0, 60), 2)}
        for i in range(1 + (size + 1) // 2)
    }
    for table_id in rng.sample(list(restaurant.tables), 3 * size):
        guests = rng.randrange(1, restaurant.tables[table_id]["seats"] + 1)
        seated = restaurant.seat_party(table_id, guests, rng.choice(list(restaurant.waiters)))
        for _ in range(rng.randrange(1, 4) if seated["success"] else 0):
            restaurant.order_dish(seated["order_id"], rng.choice(list(menu)), rng.randrange(1, 3))
        if seated["success"] and rng.random() < 0.5:
            restaurant.serve_order(seated["order_id"])
            if rng.random() < 0.3:
                restaurant.pay_order(seated["order_id"], rng.choice(["cash", "card"]), float(rng.randrange(6)))
    return {
        "tables": restaurant.tables,
        "menu": menu,
        "ingredients": ingredients,
        "orders": restaurant.orders,
        "waiters": restaurant.waiters,
        "stations": restaurant.stations,
        "takings": restaurant.takings,
        "next_order_number": restaurant.next_order_number,
    }

"""Warehouse: bins, stock moves, purchase orders, picking, shipping and stock counts."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "logistics"


class Warehouse:
    """A warehouse. A bin's `stock` maps products to quantities; a product's totals always agree with the bins."""

    def __init__(self) -> None:
        self.products: dict[str, dict[str, Any]] = {}
        self.bins: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.purchase_orders: dict[str, dict[str, Any]] = {}
        self.movements = 0
        self.statistics: dict[str, Any] = {
            "units_received": 0,
            "units_shipped": 0,
            "weight_shipped_kg": 0.0,
            "orders_shipped": 0,
            "shrinkage": 0,
        }
        self.next_purchase_order_number = 1

    def _put(self, bin_id: str, product_id: str, quantity: int) -> None:
        stock = self.bins[bin_id]["stock"]
        left = stock.get(product_id, 0) + quantity
        if left:
            stock[product_id] = left
        else:
            del stock[product_id]
        self.bins[bin_id]["used"] += quantity

    def _bin_refusal(self, bin_id: str) -> str | None:
        if bin_id not in self.bins:
            return f"BIN_NOT_FOUND: {bin_id}"
        if self.bins[bin_id]["locked"]:
            return f"BIN_LOCKED: {bin_id}"
        return None

    def _space(self, bin_id: str) -> int:
        return int(self.bins[bin_id]["capacity"] - self.bins[bin_id]["used"])

    def _order_refusal(self, order_id: str, *statuses: str) -> str | None:
        if order_id not in self.orders:
            return f"ORDER_NOT_FOUND: {order_id}"
        if self.orders[order_id]["status"] not in statuses:
            return f"INVALID_STATE: order {order_id} is {self.orders[order_id]['status']}"
        return None

    def get_statistics(self) -> dict[str, Any]:
        """Show the warehouse's running totals."""
        return {"success": True, "movements": self.movements, "statistics": dict(self.statistics)}

    def list_low_stock(self) -> dict[str, Any]:
        """List the products whose free stock is below their reorder point."""
        rows = sorted(self.products.items())
        low = {k: p["on_hand"] - p["reserved"] for k, p in rows if p["on_hand"] - p["reserved"] < p["reorder_point"]}
        return {"success": True, "count": len(low), "products": low}

    def get_product(self, product_id: str) -> dict[str, Any]:
        """Show a product and the bins that hold it.

        Args:
            product_id: The product.
        """
        if product_id not in self.products:
            return {"success": False, "error": f"PRODUCT_NOT_FOUND: {product_id}"}
        where = {key: row["stock"][product_id] for key, row in self.bins.items() if product_id in row["stock"]}
        return {"success": True, "product": self.products[product_id], "bins": where}

    def get_bin(self, bin_id: str) -> dict[str, Any]:
        """Show a bin, what lies in it and how much still fits.

        Args:
            bin_id: The bin.
        """
        if bin_id not in self.bins:
            return {"success": False, "error": f"BIN_NOT_FOUND: {bin_id}"}
        return {"success": True, "bin": self.bins[bin_id], "space": self._space(bin_id)}

    def move_stock(self, product_id: str, source_bin_id: str, target_bin_id: str, quantity: int) -> dict[str, Any]:
        """Carry units of a product from one bin to another.

        Args:
            product_id: The product.
            source_bin_id: The bin that has it.
            target_bin_id: The bin that gets it.
            quantity: Units, at least 1.
        """
        error = self._bin_refusal(source_bin_id) or self._bin_refusal(target_bin_id)
        if error is None and source_bin_id == target_bin_id:
            error = "INVALID_REQUEST: source and target bin are the same"
        if error is None and not 1 <= quantity <= self.bins[source_bin_id]["stock"].get(product_id, 0):
            error = f"INSUFFICIENT_STOCK: {self.bins[source_bin_id]['stock'].get(product_id, 0)} in {source_bin_id}"
        if error is None and quantity > self._space(target_bin_id):
            error = f"BIN_FULL: {target_bin_id} has space for {self._space(target_bin_id)}"
        if error:
            return {"success": False, "error": error}
        self._put(source_bin_id, product_id, -quantity)
        self._put(target_bin_id, product_id, quantity)
        self.movements += 1
        return {"success": True, "moved": quantity, "movement": self.movements}

    def empty_bin(self, source_bin_id: str, target_bin_id: str) -> dict[str, Any]:
        """Carry everything from one bin to another.

        Args:
            source_bin_id: The bin to empty.
            target_bin_id: The bin that gets its stock.
        """
        error = self._bin_refusal(source_bin_id) or self._bin_refusal(target_bin_id)
        if error is None and source_bin_id == target_bin_id:
            error = "INVALID_REQUEST: source and target bin are the same"
        if error is None and not self.bins[source_bin_id]["stock"]:
            error = f"BIN_EMPTY: {source_bin_id}"
        if error is None and self.bins[source_bin_id]["used"] > self._space(target_bin_id):
            error = f"BIN_FULL: {target_bin_id} has space for {self._space(target_bin_id)}"
        if error:
            return {"success": False, "error": error}
        moved = dict(self.bins[source_bin_id]["stock"])
        for product_id, quantity in sorted(moved.items()):
            self._put(source_bin_id, product_id, -quantity)
            self._put(target_bin_id, product_id, quantity)
            self.movements += 1
        return {"success": True, "moved": moved}

    def count_bin(self, bin_id: str, product_id: str, counted: int) -> dict[str, Any]:
        """Record a stock count: the books follow what was found, a loss counts as shrinkage.

        Args:
            bin_id: The bin that was counted.
            product_id: The product that was counted.
            counted: Units found, 0 or more.
        """
        error = self._bin_refusal(bin_id)
        if error is None and product_id not in self.bins[bin_id]["stock"]:
            error = f"PRODUCT_NOT_IN_BIN: {product_id} in {bin_id}"
        if error:
            return {"success": False, "error": error}
        difference = counted - self.bins[bin_id]["stock"][product_id]
        product = self.products[product_id]
        if counted < 0 or difference > self._space(bin_id):
            return {"success": False, "error": "INVALID_QUANTITY: negative, or more than the bin holds"}
        if product["on_hand"] + difference < product["reserved"]:
            return {
                "success": False,
                "error": f"STOCK_RESERVED: {product['reserved']} units of {product_id} are promised",
            }
        if difference:
            self._put(bin_id, product_id, difference)
            product["on_hand"] += difference
            self.statistics["shrinkage"] -= min(difference, 0)
        return {"success": True, "difference": difference, "on_hand": product["on_hand"]}

    def set_bin_lock(self, bin_id: str, locked: bool) -> dict[str, Any]:
        """Lock a bin against all moves, or unlock it.

        Args:
            bin_id: The bin.
            locked: Whether it shall be locked.
        """
        if bin_id not in self.bins:
            return {"success": False, "error": f"BIN_NOT_FOUND: {bin_id}"}
        changed = self.bins[bin_id]["locked"] != locked
        self.bins[bin_id]["locked"] = locked
        return {"success": True, "changed": changed}

    def create_purchase_order(self, product_id: str, quantity: int) -> dict[str, Any]:
        """Order more of a product from its supplier.

        Args:
            product_id: The product.
            quantity: Units, at least the supplier's minimum.
        """
        if product_id not in self.products:
            return {"success": False, "error": f"PRODUCT_NOT_FOUND: {product_id}"}
        product = self.products[product_id]
        if product["discontinued"]:
            return {"success": False, "error": f"PRODUCT_DISCONTINUED: {product_id}"}
        if not product["minimum_order"] <= quantity <= 1000:
            return {"success": False, "error": f"INVALID_QUANTITY: minimum is {product['minimum_order']}, maximum 1000"}
        key = f"PO-{self.next_purchase_order_number:03d}"
        self.next_purchase_order_number += 1
        self.purchase_orders[key] = {"lines": {product_id: quantity}, "status": "ordered", "bin_id": None}
        product["incoming"] += quantity
        return {"success": True, "purchase_order_id": key, "cost": round(quantity * product["unit_cost"], 2)}

    def receive_purchase_order(self, purchase_order_id: str, bin_id: str) -> dict[str, Any]:
        """Book the arrival of a purchase order into one bin.

        Args:
            purchase_order_id: The purchase order that arrived.
            bin_id: The bin that gets the goods.
        """
        if purchase_order_id not in self.purchase_orders:
            return {"success": False, "error": f"PURCHASE_ORDER_NOT_FOUND: {purchase_order_id}"}
        row = self.purchase_orders[purchase_order_id]
        error = self._bin_refusal(bin_id)
        if error is None and row["status"] != "ordered":
            error = f"INVALID_STATE: purchase order {purchase_order_id} is {row['status']}"
        units = sum(row["lines"].values())
        if error is None and units > self._space(bin_id):
            error = f"BIN_FULL: {units} units arrive, {bin_id} has space for {self._space(bin_id)}"
        if error:
            return {"success": False, "error": error}
        for product_id, quantity in sorted(row["lines"].items()):
            self._put(bin_id, product_id, quantity)
            self.products[product_id]["incoming"] -= quantity
            self.products[product_id]["on_hand"] += quantity
            self.movements += 1
        row["status"], row["bin_id"] = "received", bin_id
        self.statistics["units_received"] += units
        return {"success": True, "units": units, "space_left": self._space(bin_id)}

    def reserve_order(self, order_id: str) -> dict[str, Any]:
        """Reserve stock for every line of a new order, all or nothing.

        Args:
            order_id: The customer's order.
        """
        error = self._order_refusal(order_id, "new")
        if error:
            return {"success": False, "error": error}
        order = self.orders[order_id]
        for product_id, line in sorted(order["lines"].items()):
            free = self.products[product_id]["on_hand"] - self.products[product_id]["reserved"]
            if line["ordered"] > free:
                return {"success": False, "error": f"INSUFFICIENT_STOCK: {product_id} has {free} free"}
        for product_id, line in sorted(order["lines"].items()):
            self.products[product_id]["reserved"] += line["ordered"]
        order["status"] = "reserved"
        return {"success": True, "status": "reserved", "lines": len(order["lines"])}

    def pick_order(self, order_id: str) -> dict[str, Any]:
        """Pick a reserved order: each product is taken from its unlocked bins in the order of their ids.

        Args:
            order_id: The customer's order.
        """
        error = self._order_refusal(order_id, "reserved")
        if error:
            return {"success": False, "error": error}
        order, plan = self.orders[order_id], []
        for product_id, line in sorted(order["lines"].items()):
            missing = line["ordered"]
            for bin_id, row in sorted(self.bins.items()):
                take = 0 if row["locked"] else min(missing, row["stock"].get(product_id, 0))
                if take:
                    plan.append((bin_id, product_id, take))
                    missing -= take
            if missing:
                return {"success": False, "error": f"PICK_SHORT: {missing} units of {product_id} are in locked bins"}
        for bin_id, product_id, take in plan:
            self._put(bin_id, product_id, -take)
            self.products[product_id]["on_hand"] -= take
            self.products[product_id]["reserved"] -= take
            order["lines"][product_id]["picked"] += take
            self.movements += 1
        order["status"] = "picked"
        return {"success": True, "picks": [{"bin_id": b, "product_id": p, "quantity": q} for b, p, q in plan]}

    def ship_order(self, order_id: str, carrier: Literal["DPX", "PostLine", "RailGo"]) -> dict[str, Any]:
        """Hand a picked order to a carrier.

        Args:
            order_id: The customer's order.
            carrier: Who carries it.
        """
        error = self._order_refusal(order_id, "picked")
        if error is None and carrier not in ("DPX", "PostLine", "RailGo"):
            error = f"UNKNOWN_CARRIER: {carrier}"
        if error:
            return {"success": False, "error": error}
        order = self.orders[order_id]
        lines = sorted(order["lines"].items())
        weight = round(sum(self.products[key]["weight_kg"] * line["picked"] for key, line in lines), 3)
        order["status"], order["shipment"] = "shipped", {"carrier": carrier, "weight_kg": weight}
        self.statistics["units_shipped"] += sum(line["picked"] for line in order["lines"].values())
        self.statistics["weight_shipped_kg"] = round(self.statistics["weight_shipped_kg"] + weight, 3)
        self.statistics["orders_shipped"] += 1
        self.movements += 1
        return {"success": True, "carrier": carrier, "weight_kg": weight}

    def cancel_order(self, order_id: str) -> dict[str, Any]:
        """Cancel an order that was not picked yet and free what it reserved.

        Args:
            order_id: The customer's order.
        """
        error = self._order_refusal(order_id, "new", "reserved")
        if error:
            return {"success": False, "error": error}
        order = self.orders[order_id]
        if order["status"] == "reserved":
            for product_id, line in sorted(order["lines"].items()):
                self.products[product_id]["reserved"] -= line["ordered"]
        order["status"] = "cancelled"
        return {"success": True, "status": "cancelled"}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A warehouse with about three products, three bins, four orders and two purchase orders per unit of size."""
    words = ["bolt", "gasket", "lamp", "drill", "hinge", "valve", "sensor", "cable"]
    products: dict[str, dict[str, Any]] = {
        f"{rng.choice(words)}-{100 + i}": {
            "unit_cost": round(rng.uniform(0.5, 60), 2),
            "weight_kg": round(rng.uniform(0.05, 4), 3),
            "on_hand": 0,
            "reserved": 0,
            "incoming": 0,
            "reorder_point": rng.choice([0, 10, 25]),
            "minimum_order": rng.choice([1, 2, 5]),
            "discontinued": rng.random() < 0.08,
        }
        for i in range(3 * size)
    }
    keys = list(products)
    bins: dict[str, dict[str, Any]] = {}
    for i in range(3 * size):
        stock = {key: rng.randrange(3, 30) for key in rng.sample(keys, rng.randrange(min(4, len(keys)) + 1))}
        used = sum(stock.values())
        locked = i > 1 and rng.random() < 0.1
        bins[f"{chr(65 + i % 6)}.{i // 6 + 1:02d}"] = {"stock": stock, "used": used, "capacity": 160, "locked": locked}
        for key, quantity in stock.items():
            products[key]["on_hand"] += quantity
    orders: dict[str, dict[str, Any]] = {}
    for i in range(1 + 4 * size):
        lines = {
            k: {"ordered": rng.randrange(1, 9), "picked": 0}
            for k in rng.sample(keys, rng.randrange(1, min(5, len(keys) + 1)))
        }
        status = rng.choice(["new", "reserved", "reserved", "picked", "picked", "cancelled"])
        if status == "reserved":
            if any(line["ordered"] > products[k]["on_hand"] - products[k]["reserved"] for k, line in lines.items()):
                status = "new"
            else:
                for key, line in lines.items():
                    products[key]["reserved"] += line["ordered"]
        if status == "picked":
            for line in lines.values():
                line["picked"] = line["ordered"]
        orders[f"ORD-{2001 + i}"] = {"lines": lines, "status": status, "shipment": None}
    purchase_orders: dict[str, dict[str, Any]] = {}
    for i in range(2 * size):
        bought = {key: rng.randrange(5, 20) for key in rng.sample(keys, rng.randrange(1, 4))}
        status = rng.choice(["ordered", "ordered", "ordered", "cancelled"])
        purchase_orders[f"PO-{i + 1:03d}"] = {"lines": bought, "status": status, "bin_id": None}
        for key, quantity in bought.items():
            products[key]["incoming"] += quantity if status == "ordered" else 0
    return {
        "products": products,
        "bins": bins,
        "orders": orders,
        "purchase_orders": purchase_orders,
        "movements": rng.randrange(500),
        "statistics": {
            "units_received": 310,
            "units_shipped": 250,
            "weight_shipped_kg": 418.125,
            "orders_shipped": rng.randrange(40, 90),
            "shrinkage": 4,
        },
        "next_purchase_order_number": len(purchase_orders) + 1,
    }

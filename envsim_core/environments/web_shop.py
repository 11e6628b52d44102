"""Web shop: products, carts, coupons, checkout, shipping, returns and store credit."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "e_commerce"

FREE_SHIPPING_FROM = 50.0
SHIPPING = {"standard": 4.9, "express": 12.9}
MAX_PER_LINE = 10


class WebShop:
    """An online shop. The `items` of carts and orders map products to quantities; prices are floats in euros."""

    def __init__(self) -> None:
        self.products: dict[str, dict[str, Any]] = {}
        self.customers: dict[str, dict[str, Any]] = {}
        self.carts: dict[str, dict[str, Any]] = {}
        self.coupons: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.sales: dict[str, Any] = {"orders": 0, "units": 0, "revenue": 0.0, "refunded": 0.0}
        self.next_order_number = 1

    def _customer_refusal(self, customer_id: str) -> str | None:
        if customer_id not in self.customers:
            return f"customer_not_found: {customer_id}"
        if self.customers[customer_id]["banned"]:
            return f"customer_banned: {customer_id}"
        return None

    def _price(self, customer_id: str, shipping: str) -> dict[str, float]:
        cart = self.carts.get(customer_id, {"items": {}, "coupon_id": None})
        goods = round(sum(self.products[key]["price"] * count for key, count in sorted(cart["items"].items())), 2)
        discount = 0.0
        if cart["coupon_id"] in self.coupons:
            coupon = self.coupons[cart["coupon_id"]]
            if goods >= coupon["minimum"]:
                discount = round(goods * coupon["percent"] / 100, 2)
        fee = 0.0 if shipping == "standard" and goods - discount >= FREE_SHIPPING_FROM else SHIPPING[shipping]
        return {"goods": goods, "discount": discount, "shipping": fee, "total": round(goods - discount + fee, 2)}

    def _order_in(self, order_id: str, status: str) -> str | None:
        if order_id not in self.orders:
            return f"order_not_found: {order_id}"
        if self.orders[order_id]["status"] != status:
            return f"invalid_order_status: {order_id} is {self.orders[order_id]['status']}"
        return None

    def _refund(self, order_id: str, amount: float) -> None:
        customer = self.customers[self.orders[order_id]["customer_id"]]
        customer["store_credit"] = round(customer["store_credit"] + amount, 2)
        customer["spent"] = round(customer["spent"] - amount, 2)
        self.sales["refunded"] = round(self.sales["refunded"] + amount, 2)

    def get_sales(self) -> dict[str, Any]:
        """Show the shop's sales figures."""
        return {"success": True, "sales": dict(self.sales), "open_carts": len(self.carts)}

    def list_sold_out(self) -> dict[str, Any]:
        """List the products that are sold out, with the number of customers who asked for a message."""
        rows = sorted(self.products.items())
        return {"success": True, "products": {key: len(row["notify"]) for key, row in rows if row["stock"] == 0}}

    def get_product(self, product_id: str) -> dict[str, Any]:
        """Show a product.

        Args:
            product_id: The product.
        """
        if product_id not in self.products:
            return {"success": False, "error": f"product_not_found: {product_id}"}
        return {"success": True, "product": self.products[product_id]}

    def get_cart_total(self, customer_id: str, shipping: Literal["standard", "express"] = "standard") -> dict[str, Any]:
        """Calculate what the cart of a customer would cost.

        Args:
            customer_id: The customer.
            shipping: How it would be sent.
        """
        error = self._customer_refusal(customer_id)
        if error is None and shipping not in SHIPPING:
            error = f"invalid_shipping: {shipping}"
        if error:
            return {"success": False, "error": error}
        return {"success": True, **self._price(customer_id, shipping)}

    def add_to_cart(self, customer_id: str, product_id: str, quantity: int = 1) -> dict[str, Any]:
        """Put units of a product into a customer's cart, which is created when missing.

        Args:
            customer_id: The customer.
            product_id: The product.
            quantity: 1 to 10; a cart holds at most 10 of each.
        """
        error = self._customer_refusal(customer_id)
        if error is None and product_id not in self.products:
            error = f"product_not_found: {product_id}"
        if error:
            return {"success": False, "error": error}
        cart = self.carts.get(customer_id, {"items": {}, "coupon_id": None})
        wanted = cart["items"].get(product_id, 0) + quantity
        if not self.products[product_id]["listed"] or self.products[product_id]["stock"] < wanted:
            return {"success": False, "error": f"not_available: {self.products[product_id]['stock']} in stock"}
        if quantity < 1 or wanted > MAX_PER_LINE:
            return {"success": False, "error": f"invalid_quantity: at most {MAX_PER_LINE} of each"}
        cart["items"][product_id] = wanted
        self.carts[customer_id] = cart
        return {"success": True, "quantity": wanted, "total": self._price(customer_id, "standard")["total"]}

    def remove_from_cart(self, customer_id: str, product_id: str) -> dict[str, Any]:
        """Take a product out of a cart; an empty cart is removed.

        Args:
            customer_id: The customer.
            product_id: The product.
        """
        if customer_id not in self.carts:
            return {"success": False, "error": f"cart_not_found: {customer_id}"}
        if product_id not in self.carts[customer_id]["items"]:
            return {"success": False, "error": f"item_not_in_cart: {product_id}"}
        removed = self.carts[customer_id]["items"].pop(product_id)
        if not self.carts[customer_id]["items"]:
            del self.carts[customer_id]
        return {"success": True, "removed": removed}

    def apply_coupon(self, customer_id: str, coupon_id: str) -> dict[str, Any]:
        """Use a coupon for a cart.

        Args:
            customer_id: The customer.
            coupon_id: The coupon's code.
        """
        if customer_id not in self.carts:
            return {"success": False, "error": f"cart_not_found: {customer_id}"}
        coupon = self.coupons.get(coupon_id)
        if coupon is None or coupon["uses_left"] < 1:
            return {"success": False, "error": f"coupon_invalid: {coupon_id}"}
        goods = self._price(customer_id, "standard")["goods"]
        if goods < coupon["minimum"]:
            return {"success": False, "error": f"coupon_minimum: {goods:.2f} of {coupon['minimum']:.2f}"}
        self.carts[customer_id]["coupon_id"] = coupon_id
        return {"success": True, **self._price(customer_id, "standard")}

    def check_out(
        self, customer_id: str, shipping: Literal["standard", "express"], use_credit: bool = True
    ) -> dict[str, Any]:
        """Turn a cart into a paid order; stock falls, the coupon is used up by one and the cart is removed.

        Args:
            customer_id: The customer.
            shipping: How it is sent.
            use_credit: Whether store credit pays first.
        """
        error = self._customer_refusal(customer_id)
        if error is None and customer_id not in self.carts:
            error = f"cart_not_found: {customer_id}"
        if error is None and shipping not in SHIPPING:
            error = f"invalid_shipping: {shipping}"
        if error:
            return {"success": False, "error": error}
        cart, customer = self.carts[customer_id], self.customers[customer_id]
        missing = [key for key, count in sorted(cart["items"].items()) if self.products[key]["stock"] < count]
        if missing:
            return {"success": False, "error": f"out_of_stock: {', '.join(missing)}"}
        price = self._price(customer_id, shipping)
        credit = min(customer["store_credit"], price["total"]) if use_credit else 0.0
        for key, count in sorted(cart["items"].items()):
            self.products[key]["stock"] -= count
            self.products[key]["sold"] += count
        if price["discount"]:
            self.coupons[cart["coupon_id"]]["uses_left"] -= 1
        customer["store_credit"] = round(customer["store_credit"] - credit, 2)
        customer["spent"] = round(customer["spent"] + price["total"], 2)
        customer["vip"] = customer["vip"] or customer["spent"] >= 500
        order_id = f"R{self.next_order_number:05d}"
        self.next_order_number += 1
        self.orders[order_id] = {
            "customer_id": customer_id,
            "items": dict(cart["items"]),
            "shipping": shipping,
            "total": price["total"],
            "card_charge": round(price["total"] - credit, 2),
            "status": "paid",
            "tracking": None,
        }
        self.sales["orders"] += 1
        self.sales["units"] += sum(cart["items"].values())
        self.sales["revenue"] = round(self.sales["revenue"] + price["total"], 2)
        del self.carts[customer_id]
        return {"success": True, "order_id": order_id, "total": price["total"], "credit_used": round(credit, 2)}

    def ship_order(self, order_id: str) -> dict[str, Any]:
        """Ship a paid order.

        Args:
            order_id: The order.
        """
        error = self._order_in(order_id, "paid")
        if error:
            return {"success": False, "error": error}
        order = self.orders[order_id]
        prefix = "EX" if order["shipping"] == "express" else "ST"
        order["status"], order["tracking"] = "shipped", f"{prefix}-{order_id[1:]}-{sum(order['items'].values())}"
        return {"success": True, "tracking": order["tracking"]}

    def cancel_order(self, order_id: str) -> dict[str, Any]:
        """Cancel a paid order: its goods go back into stock, its total becomes store credit.

        Args:
            order_id: The order, not shipped yet.
        """
        error = self._order_in(order_id, "paid")
        if error:
            return {"success": False, "error": error}
        order = self.orders[order_id]
        for key, count in sorted(order["items"].items()):
            self.products[key]["stock"] += count
            self.products[key]["sold"] -= count
        order["status"] = "cancelled"
        self._refund(order_id, order["total"])
        return {"success": True, "refunded": order["total"]}

    def return_item(
        self, order_id: str, condition: Literal["new", "used", "broken"], product_id: str | None = None
    ) -> dict[str, Any]:
        """Take back one product of a shipped order: used goods are refunded by half, only new ones are sold again.

        Args:
            order_id: The order.
            condition: How it came back.
            product_id: The product that came back, all its units; without it, the order's first by id.
        """
        error = self._order_in(order_id, "shipped")
        if product_id is None:
            product_id = "nothing" if error else min(self.orders[order_id]["items"])
        if error is None and product_id not in self.orders[order_id]["items"]:
            error = f"item_not_in_order: {product_id}"
        if error is None and condition not in ("new", "used", "broken"):
            error = f"invalid_condition: {condition}"
        if error:
            return {"success": False, "error": error}
        order = self.orders[order_id]
        count = order["items"].pop(product_id)
        refund = round(self.products[product_id]["price"] * count * (0.5 if condition == "used" else 1), 2)
        self._refund(order_id, refund)
        if condition == "new":
            self.products[product_id]["stock"] += count
            self.products[product_id]["sold"] -= count
        if not order["items"]:
            order["status"] = "returned"
        return {"success": True, "refund": refund, "order_status": order["status"]}

    def notify_when_available(self, customer_id: str, product_id: str) -> dict[str, Any]:
        """Note that a customer waits for a product that is sold out.

        Args:
            customer_id: The customer.
            product_id: The product.
        """
        error = self._customer_refusal(customer_id)
        if error is None and product_id not in self.products:
            error = f"product_not_found: {product_id}"
        if error is None and self.products[product_id]["stock"] > 0:
            error = f"in_stock: {product_id}"
        if error is None and customer_id in self.products[product_id]["notify"]:
            error = f"already_waiting: {customer_id}"
        if error:
            return {"success": False, "error": error}
        self.products[product_id]["notify"].append(customer_id)
        return {"success": True, "waiting": len(self.products[product_id]["notify"])}

    def restock(self, product_id: str, quantity: int) -> dict[str, Any]:
        """Add stock of a product; the customers who waited get a message.

        Args:
            product_id: The product.
            quantity: 1 to 500.
        """
        if product_id not in self.products:
            return {"success": False, "error": f"product_not_found: {product_id}"}
        if not 1 <= quantity <= 500:
            return {"success": False, "error": "invalid_quantity: 1 to 500"}
        row = self.products[product_id]
        row["stock"] += quantity
        told, row["notify"] = row["notify"], []
        for customer_id in told:
            self.customers[customer_id]["messages"] += 1
        return {"success": True, "stock": row["stock"], "notified": told}

    def set_price(self, product_id: str, price: float) -> dict[str, Any]:
        """Change the price of a product.

        Args:
            product_id: The product.
            price: Greater than 0, at most 2000.
        """
        if product_id not in self.products:
            return {"success": False, "error": f"product_not_found: {product_id}"}
        if not 0.01 <= price <= 2000:
            return {"success": False, "error": "invalid_price: 0.01 to 2000"}
        old, self.products[product_id]["price"] = self.products[product_id]["price"], round(price, 2)
        return {"success": True, "old_price": old, "new_price": round(price, 2)}

    def delist_product(self, product_id: str) -> dict[str, Any]:
        """Take a product off the shop and out of all carts.

        Args:
            product_id: The product.
        """
        if product_id not in self.products:
            return {"success": False, "error": f"product_not_found: {product_id}"}
        if not self.products[product_id]["listed"]:
            return {"success": False, "error": f"already_delisted: {product_id}"}
        self.products[product_id]["listed"] = False
        affected = [key for key, cart in sorted(self.carts.items()) if product_id in cart["items"]]
        for key in affected:
            self.remove_from_cart(key, product_id)
        return {"success": True, "carts": affected}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A shop with about three products, three customers, two carts and three orders per unit of size."""
    words = ["mug", "lamp", "shirt", "novel", "teapot", "poster", "scarf", "puzzle"]
    customers: dict[str, dict[str, Any]] = {
        f"user{i + 1}@mail.example": {
            "store_credit": rng.choice([0.0, 0.0, 5.0, 22.75]),
            "spent": round(rng.uniform(0, 600), 2),
            "vip": False,
            "banned": i > 1 and rng.random() < 0.08,
            "messages": rng.randrange(3),
        }
        for i in range(1 + 4 * size)
    }
    products: dict[str, dict[str, Any]] = {}
    for i in range(1 + 3 * size):
        stock = rng.choice([0, 2, 8, 25, 60])
        products[f"{rng.choice(words)}-{i + 1}"] = {
            "price": round(rng.uniform(3, 80), 2),
            "stock": stock,
            "sold": rng.randrange(5, 90),
            "listed": rng.random() < 0.93 or i == 0,
            "tags": rng.sample(["gift", "sale", "new", "eco"], rng.randrange(3)),
            "notify": rng.sample(list(customers), rng.randrange(min(4, len(customers)))) if stock == 0 else [],
        }
    keys = list(products)
    coupons = {
        f"SAVE{5 * (i + 1)}": {
            "percent": 5 * (i % 6 + 1),
            "minimum": rng.choice([0.0, 20.0, 60.0]),
            "uses_left": rng.randrange(4),
        }
        for i in range(1 + (size + 1) // 2)
    }
    carts: dict[str, dict[str, Any]] = {}
    for key in rng.sample(list(customers), 1 + 2 * size):
        items = {product: rng.randrange(1, 4) for product in rng.sample(keys, rng.randrange(1, 4))}
        carts[key] = {"items": items, "coupon_id": rng.choice([None, None, rng.choice(list(coupons))])}
    orders: dict[str, dict[str, Any]] = {}
    for i in range(3 * size):
        items = {product: rng.randrange(1, 4) for product in rng.sample(keys, rng.randrange(1, min(5, len(keys))))}
        total = round(sum(products[key]["price"] * count for key, count in items.items()) + 4.9, 2)
        status = rng.choice(["paid", "paid", "shipped", "shipped", "cancelled"])
        orders[f"R{i + 1:05d}"] = {
            "customer_id": rng.choice(list(customers)),
            "items": items,
            "shipping": "standard",
            "total": total,
            "card_charge": total,
            "status": status,
            "tracking": f"ST-{i + 1:05d}-{sum(items.values())}" if status == "shipped" else None,
        }
    return {
        "products": products,
        "customers": customers,
        "carts": carts,
        "coupons": coupons,
        "orders": orders,
        "sales": {"orders": 3 * size, "units": 9 * size, "revenue": round(rng.uniform(300, 5000), 2), "refunded": 41.3},
        "next_order_number": len(orders) + 1,
    }

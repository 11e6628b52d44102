"""Subscriptions: plans, seats, add-ons, coupons, proration, invoices, retries of payment and churn; decimal money."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from random import Random
from typing import Any, Literal

DOMAIN = "software_as_a_service"

CENT = Decimal("0.01")
TAX = {"DE": Decimal("0.19"), "FR": Decimal("0.20"), "US": Decimal("0.00"), "GB": Decimal("0.20")}
ADDONS = {"backup": "4.50", "support": "12.00", "audit_log": "2.75"}
YEARLY_FACTOR = 10  # a year costs ten months
MAX_ATTEMPTS = 3
LIVE = ("trialing", "active", "past_due")


class Subscriptions:
    """A billing system for subscriptions. Every amount is text with two decimals ("19.90"), in one currency."""

    def __init__(self) -> None:
        self.today = "2025-01-01"
        self.plans: dict[str, dict[str, Any]] = {}
        self.customers: dict[str, dict[str, Any]] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.invoices: dict[str, dict[str, Any]] = {}
        self.coupons: dict[str, dict[str, Any]] = {}
        self.metrics: dict[str, Any] = {"revenue": "0.00", "refunded": "0.00", "churned": 0, "active": 0}
        self.next_numbers = {"subscription": 1, "invoice": 1}

    def _text(self, amount: Decimal) -> str:
        return str(amount.quantize(CENT, ROUND_HALF_UP))

    def _add(self, row: dict[str, Any], field: str, amount: Decimal) -> None:
        row[field] = self._text(Decimal(row[field]) + amount)

    def _not_live(self, subscription_id: str) -> str | None:
        if subscription_id not in self.subscriptions:
            return f"resource_missing: no such subscription {subscription_id}"
        if self.subscriptions[subscription_id]["status"] not in LIVE:
            return f"invalid_state: {subscription_id} is {self.subscriptions[subscription_id]['status']}"
        return None

    def _no_invoice(self, invoice_id: str, status: str) -> str | None:
        if invoice_id not in self.invoices:
            return f"resource_missing: no such invoice {invoice_id}"
        if self.invoices[invoice_id]["status"] != status:
            return f"invalid_state: {invoice_id} is {self.invoices[invoice_id]['status']}"
        return None

    def _months(self, subscription_id: str) -> int:
        return YEARLY_FACTOR if self.subscriptions[subscription_id]["interval"] == "year" else 1

    def _price(self, subscription_id: str) -> Decimal:
        """The price of a period before discount and tax: the plan for every seat, and the add-ons."""
        row = self.subscriptions[subscription_id]
        monthly = [Decimal(self.plans[row["plan"]]["price"]) * int(row["seats"]), *map(Decimal, row["addons"].values())]
        return sum(monthly, Decimal(0)) * self._months(subscription_id)

    def _day(self, days: int) -> str:
        return (date.fromisoformat(self.today) + timedelta(days=days)).isoformat()

    def _unused_share(self, subscription_id: str) -> Decimal:
        """The share of the period that is still to come."""
        row = self.subscriptions[subscription_id]
        days = 365 if row["interval"] == "year" else 30
        left = (date.fromisoformat(row["period_end"]) - date.fromisoformat(self.today)).days
        return Decimal(min(max(left, 0), days)) / days

    def _invoice(self, subscription_id: str, net: Decimal, reason: str) -> str:
        """Write an invoice: the coupon reduces it, credit of the customer pays part of it."""
        row = self.subscriptions[subscription_id]
        customer = self.customers[row["customer_id"]]
        percent = 0 if row["coupon"] is None else self.coupons[row["coupon"]]["percent"]
        discount = (net * percent / 100).quantize(CENT, ROUND_HALF_UP)
        tax = ((net - discount) * TAX[customer["country"]]).quantize(CENT, ROUND_HALF_UP)
        total = net.quantize(CENT, ROUND_HALF_UP) - discount + tax
        credit = min(Decimal(customer["credit"]), total)
        key = f"IN{self.next_numbers['invoice']}"
        self.next_numbers["invoice"] += 1
        self.invoices[key] = {
            "subscription_id": subscription_id,
            "customer_id": row["customer_id"],
            "reason": reason,
            "total": self._text(total),
            "tax": self._text(tax),
            "due": self._text(total - credit),
            "status": "open" if total > credit else "paid",
            "attempts": 0,
        }
        if credit:
            self._add(customer, "credit", -credit)
        return key

    def _end(self, subscription_id: str) -> None:
        row = self.subscriptions[subscription_id]
        row["status"], row["ends_at_period_end"] = "cancelled", False
        self.plans[row["plan"]]["subscribers"] -= 1
        self.metrics["active"] -= 1
        self.metrics["churned"] += 1

    def get_metrics(self) -> dict[str, Any]:
        """Show today's date, revenue, churn and the number of live subscriptions."""
        return {"success": True, "today": self.today, "metrics": dict(self.metrics)}

    def list_open_invoices(self) -> dict[str, Any]:
        """List the open invoices with what is due."""
        due = {key: row["due"] for key, row in sorted(self.invoices.items()) if row["status"] == "open"}
        return {"success": True, "invoices": due, "total": self._text(sum(map(Decimal, due.values()), Decimal(0)))}

    def preview_change(self, subscription_id: str, new_plan: str) -> dict[str, Any]:
        """Say what changing to another plan now would cost or give back, without doing it.

        Args:
            subscription_id: The subscription.
            new_plan: The plan.
        """
        error = self._not_live(subscription_id)
        if error is None and new_plan not in self.plans:
            error = f"resource_missing: no such plan {new_plan}"
        if error:
            return {"success": False, "error": error}
        row = self.subscriptions[subscription_id]
        step = Decimal(self.plans[new_plan]["price"]) - Decimal(self.plans[row["plan"]]["price"])
        amount = step * row["seats"] * self._months(subscription_id) * self._unused_share(subscription_id)
        return {"success": True, "net": self._text(amount)}

    def subscribe(
        self, customer_id: str, plan: str, seats: int = 1, interval: Literal["month", "year"] = "month"
    ) -> dict[str, Any]:
        """Start a subscription; a plan with trial days is invoiced after the trial, another one at once.

        Args:
            customer_id: The customer.
            plan: The plan.
            seats: 1 to 100.
            interval: How often it is invoiced.
        """
        if customer_id not in self.customers or plan not in self.plans:
            return {"success": False, "error": f"resource_missing: {customer_id} or {plan}"}
        if not 1 <= seats <= 100 or interval not in ("month", "year"):
            return {"success": False, "error": "invalid_request: seats must be 1 to 100, interval month or year"}
        rows = self.subscriptions.values()
        if any((s["customer_id"], s["plan"]) == (customer_id, plan) and s["status"] in LIVE for s in rows):
            return {"success": False, "error": f"invalid_request: {customer_id} has a subscription to {plan}"}
        key = f"SUB{self.next_numbers['subscription']}"
        self.next_numbers["subscription"] += 1
        trial = self.plans[plan]["trial_days"]
        days = trial or (365 if interval == "year" else 30)
        self.subscriptions[key] = {
            "customer_id": customer_id,
            "plan": plan,
            "seats": seats,
            "interval": interval,
            "status": "trialing" if trial else "active",
            "period_end": self._day(days),
            "addons": {},
            "coupon": None,
            "ends_at_period_end": False,
        }
        self.plans[plan]["subscribers"] += 1
        self.metrics["active"] += 1
        invoice_id = None if trial else self._invoice(key, self._price(key), "start")
        return {"success": True, "subscription_id": key, "invoice_id": invoice_id}

    def change_plan(self, subscription_id: str, new_plan: str) -> dict[str, Any]:
        """Change the plan now: an upgrade is invoiced for the rest of the period, a downgrade becomes credit.

        Args:
            subscription_id: The subscription.
            new_plan: The plan.
        """
        preview = self.preview_change(subscription_id, new_plan)
        if not preview["success"]:
            return preview
        row = self.subscriptions[subscription_id]
        if row["plan"] == new_plan:
            return {"success": False, "error": f"invalid_request: {subscription_id} is on {new_plan} already"}
        self.plans[row["plan"]]["subscribers"] -= 1
        self.plans[new_plan]["subscribers"] += 1
        row["plan"] = new_plan
        net, invoice_id = Decimal(preview["net"]), None
        if net > 0 and row["status"] != "trialing":
            invoice_id = self._invoice(subscription_id, net, "upgrade")
        elif net < 0 and row["status"] != "trialing":
            self._add(self.customers[row["customer_id"]], "credit", -net)
        return {"success": True, "net": preview["net"], "invoice_id": invoice_id}

    def set_seats(self, subscription_id: str, seats: int) -> dict[str, Any]:
        """Change the number of seats; more seats of an active subscription are invoiced for the rest of the period.

        Args:
            subscription_id: The subscription.
            seats: 1 to 100.
        """
        error = self._not_live(subscription_id)
        if error is None and not 1 <= seats <= 100:
            error = "invalid_request: seats must be 1 to 100"
        if error:
            return {"success": False, "error": error}
        row = self.subscriptions[subscription_id]
        added, row["seats"] = seats - row["seats"], seats
        share = self._unused_share(subscription_id)
        invoice_id = None
        if added > 0 and share > 0 and row["status"] == "active":
            net = Decimal(self.plans[row["plan"]]["price"]) * added * self._months(subscription_id) * share
            invoice_id = self._invoice(subscription_id, net, "seats")
        return {"success": True, "added": added, "invoice_id": invoice_id}

    def set_addon(
        self, subscription_id: str, addon: Literal["backup", "support", "audit_log"], enabled: bool
    ) -> dict[str, Any]:
        """Add an add-on from the next period on, or remove it.

        Args:
            subscription_id: The subscription.
            addon: The add-on.
            enabled: Whether the subscription shall have it.
        """
        error = self._not_live(subscription_id)
        if error is None and addon not in ADDONS:
            error = f"invalid_request: no such add-on {addon}"
        if error is None and (addon in self.subscriptions[subscription_id]["addons"]) == enabled:
            error = f"invalid_request: {subscription_id} {'has' if enabled else 'does not have'} {addon}"
        if error:
            return {"success": False, "error": error}
        addons = self.subscriptions[subscription_id]["addons"]
        if enabled:
            addons[addon] = ADDONS[addon]
        else:
            del addons[addon]
        return {"success": True, "addons": dict(addons), "next_price": self._text(self._price(subscription_id))}

    def apply_coupon(self, subscription_id: str, coupon: str) -> dict[str, Any]:
        """Give a subscription the discount of a coupon with uses left; a previous coupon is given back.

        Args:
            subscription_id: The subscription.
            coupon: The coupon.
        """
        error = self._not_live(subscription_id)
        if error is None and (coupon not in self.coupons or self.coupons[coupon]["uses_left"] < 1):
            error = f"coupon_invalid: {coupon} is unknown or used up"
        if error is None and self.subscriptions[subscription_id]["coupon"] == coupon:
            error = f"coupon_invalid: {subscription_id} has {coupon} already"
        if error:
            return {"success": False, "error": error}
        row = self.subscriptions[subscription_id]
        previous, row["coupon"] = row["coupon"], coupon
        if previous is not None:
            self.coupons[previous]["uses_left"] += 1
        self.coupons[coupon]["uses_left"] -= 1
        self.coupons[coupon]["redeemed"] += 1
        return {"success": True, "percent": self.coupons[coupon]["percent"], "previous": previous}

    def charge_invoice(self, invoice_id: str) -> dict[str, Any]:
        """Charge the customer's card for an open invoice; the third failure writes it off and ends the subscription.

        Args:
            invoice_id: The invoice.
        """
        error = self._no_invoice(invoice_id, "open")
        if error:
            return {"success": False, "error": error}
        invoice = self.invoices[invoice_id]
        customer, row = self.customers[invoice["customer_id"]], self.subscriptions[invoice["subscription_id"]]
        invoice["attempts"] += 1
        if customer["card"] == "valid":
            paid, invoice["status"], invoice["due"] = invoice["due"], "paid", "0.00"
            self._add(self.metrics, "revenue", Decimal(paid))
            self._add(customer, "spent", Decimal(paid))
            row["status"] = "active" if row["status"] == "past_due" else row["status"]
            return {"success": True, "charged": paid, "status": row["status"]}
        row["status"] = "past_due" if row["status"] in LIVE else row["status"]
        if invoice["attempts"] >= MAX_ATTEMPTS:
            invoice["status"] = "written_off"
            if row["status"] in LIVE:
                self._end(invoice["subscription_id"])
        return {"success": True, "charged": "0.00", "status": row["status"], "attempts": invoice["attempts"]}

    def update_card(self, customer_id: str) -> dict[str, Any]:
        """Record a new valid card of a customer and charge all open invoices with it.

        Args:
            customer_id: The customer.
        """
        if customer_id not in self.customers:
            return {"success": False, "error": f"resource_missing: no such customer {customer_id}"}
        self.customers[customer_id]["card"] = "valid"
        rows = sorted(self.invoices.items())
        due = [key for key, row in rows if row["customer_id"] == customer_id and row["status"] == "open"]
        charged = {key: self.charge_invoice(key)["charged"] for key in due}
        return {"success": True, "charged": charged}

    def refund_invoice(self, invoice_id: str, percent: int = 100) -> dict[str, Any]:
        """Refund a share of a paid invoice to the customer's credit.

        Args:
            invoice_id: The invoice.
            percent: 1 to 100.
        """
        error = self._no_invoice(invoice_id, "paid")
        if error is None and not 1 <= percent <= 100:
            error = "invalid_request: percent must be 1 to 100"
        if error:
            return {"success": False, "error": error}
        invoice = self.invoices[invoice_id]
        amount = (Decimal(invoice["total"]) * percent / 100).quantize(CENT, ROUND_DOWN)
        invoice["status"] = "refunded"
        self._add(self.customers[invoice["customer_id"]], "credit", amount)
        self._add(self.metrics, "refunded", amount)
        return {"success": True, "refunded": self._text(amount)}

    def cancel(self, subscription_id: str, at_period_end: bool = True) -> dict[str, Any]:
        """End a subscription with its period, or now, which gives the unused part back as credit.

        Args:
            subscription_id: The subscription.
            at_period_end: Whether it runs to the end of its period.
        """
        error = self._not_live(subscription_id)
        if error is None and at_period_end and self.subscriptions[subscription_id]["ends_at_period_end"]:
            error = f"invalid_state: {subscription_id} ends already"
        if error:
            return {"success": False, "error": error}
        row = self.subscriptions[subscription_id]
        if at_period_end:
            row["ends_at_period_end"] = True
            return {"success": True, "ends_on": row["period_end"], "credit": "0.00"}
        unused = self._price(subscription_id) * self._unused_share(subscription_id)
        credit = unused if row["status"] == "active" else Decimal(0)
        self._add(self.customers[row["customer_id"]], "credit", credit)
        self._end(subscription_id)
        return {"success": True, "ends_on": self.today, "credit": self._text(credit)}

    def run_renewals(self) -> dict[str, Any]:
        """Let a day pass: subscriptions whose period is over end, if they shall, or are renewed and invoiced."""
        self.today = self._day(1)
        renewed, ended = {}, []
        for key, row in sorted(self.subscriptions.items()):
            if row["status"] not in ("trialing", "active") or row["period_end"] > self.today:
                continue
            if row["ends_at_period_end"]:
                self._end(key)
                ended.append(key)
            else:
                row["status"], row["period_end"] = "active", self._day(365 if row["interval"] == "year" else 30)
                renewed[key] = self._invoice(key, self._price(key), "renewal")
        return {"success": True, "today": self.today, "renewed": renewed, "ended": ended}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A system with about three subscriptions, two customers and two invoices per unit of size."""
    names = ["Acme Farm", "Blue Yard", "Cargo Inn", "Delta Kite", "Echo Mill", "Fern Works"]
    billing = Subscriptions()
    today = date(2025, rng.randrange(2, 12), rng.randrange(1, 28))
    billing.today = today.isoformat()
    billing.plans = {
        name: {"price": price, "trial_days": trial, "subscribers": 0}
        for name, price, trial in (("solo", "9.00", 14), ("team", "14.50", 0), ("studio", "29.90", 0))
    }
    billing.customers = {
        f"CU{i + 1}": {
            "name": rng.choice(names),
            "country": rng.choice(sorted(TAX)),
            "credit": rng.choice(["0.00", "0.00", "12.35"]),
            "card": rng.choice(["valid", "valid", "declined"]),
            "spent": f"{rng.randrange(900)}.{rng.randrange(10, 100)}",
        }
        for i in range(5 * size // 2)
    }
    billing.coupons = {
        f"{word}{percent}": {"percent": percent, "uses_left": rng.randrange(1, 9), "redeemed": 0}
        for word, percent in (("SPRING", 10), ("HALF", 50))
    }
    for _ in range(5 * size + size // 2):
        seats, yearly = rng.randrange(1, 9), rng.random() < 0.3
        started = billing.subscribe(rng.choice(list(billing.customers)), rng.choice(["solo", "team", "studio"]), seats)
        if not started["success"]:
            continue
        row = billing.subscriptions[started["subscription_id"]]
        row["interval"] = "year" if yearly else "month"
        row["period_end"] = (today + timedelta(days=rng.choice([1, 1, 2, 9, 25]))).isoformat()
        row["ends_at_period_end"] = rng.random() < 0.2
        row["addons"] = {name: ADDONS[name] for name in ("backup", "support") if rng.random() < 0.4}
        if started["invoice_id"] and rng.random() < 0.5:
            billing.charge_invoice(started["invoice_id"])
    return {
        "today": billing.today,
        "plans": billing.plans,
        "customers": billing.customers,
        "subscriptions": billing.subscriptions,
        "invoices": billing.invoices,
        "coupons": billing.coupons,
        "metrics": billing.metrics,
        "next_numbers": billing.next_numbers,
    }

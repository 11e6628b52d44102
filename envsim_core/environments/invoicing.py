"""Invoicing: customers, invoices, payments, credit notes and a ledger, with money as decimal strings."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from random import Random
from typing import Any, Literal

DOMAIN = "accounting"

CENT = Decimal("0.01")
TAX_RATES = {"standard": Decimal("0.20"), "reduced": Decimal("0.05"), "zero": Decimal(0)}
REMINDER_FEE = Decimal("15.00")


class Invoicing:
    """An invoicing service. Every amount is a string with two decimals; `ledger` holds the balances of the books."""

    def __init__(self) -> None:
        self.today = "2025-01-01"
        self.customers: dict[str, dict[str, Any]] = {}
        self.invoices: dict[str, dict[str, Any]] = {}
        self.payments: dict[str, dict[str, Any]] = {}
        self.ledger: dict[str, str] = {"receivable": "0.00", "cash": "0.00", "revenue": "0.00", "tax_payable": "0.00"}
        self.numbers: dict[str, int] = {"invoice": 1, "payment": 1}

    def _money(self, amount: Decimal) -> str:
        return str(amount.quantize(CENT, ROUND_HALF_UP))

    def _parse(self, amount: str) -> Decimal | None:
        """A positive amount with at most two decimals, or None."""
        try:
            value = Decimal(amount)
        except (InvalidOperation, TypeError, ValueError):
            return None
        if not value.is_finite() or not 0 < value <= 1_000_000 or value != value.quantize(CENT):
            return None
        return value

    def _add(self, row: dict[str, Any], key: str, amount: Decimal) -> None:
        row[key] = self._money(Decimal(row[key]) + amount)

    def _due(self, invoice_id: str) -> Decimal:
        row = self.invoices[invoice_id]
        return Decimal(row["total"]) - Decimal(row["paid"])

    def _overdue(self) -> list[str]:
        rows = sorted(self.invoices.items())
        return [key for key, row in rows if row["status"] == "open" and row["due_date"] < self.today]

    def _refusal(self, invoice_id: str, *statuses: str) -> str | None:
        if invoice_id not in self.invoices:
            return f"No such invoice: '{invoice_id}'"
        if self.invoices[invoice_id]["status"] not in statuses:
            return f"Invoice {invoice_id} is {self.invoices[invoice_id]['status']}"
        return None

    def _total(self, invoice_id: str) -> None:
        row = self.invoices[invoice_id]
        net, tax = Decimal(0), Decimal(0)
        for line in row["lines"]:
            amount = Decimal(line["unit_price"]) * line["quantity"]
            net += amount
            tax += (amount * TAX_RATES[line["tax"]]).quantize(CENT, ROUND_HALF_UP)
        row["net"], row["tax"], row["total"] = self._money(net), self._money(tax), self._money(net + tax)

    def _settle(self, invoice_id: str, amount: Decimal) -> None:
        row = self.invoices[invoice_id]
        self._add(row, "paid", amount)
        self._add(self.customers[row["customer_id"]], "owed", -amount)
        self._add(self.ledger, "receivable", -amount)
        if self._due(invoice_id) == 0:
            row["status"] = "paid"

    def get_ledger(self) -> dict[str, Any]:
        """Show the balances of the books."""
        return {"success": True, "today": self.today, "ledger": dict(self.ledger)}

    def list_overdue_invoices(self) -> dict[str, Any]:
        """List the open invoices past their due date with the amount still due."""
        late = {key: self._money(self._due(key)) for key in self._overdue()}
        return {"success": True, "count": len(late), "invoices": late}

    def get_invoice(self, invoice_id: str) -> dict[str, Any]:
        """Show an invoice.

        Args:
            invoice_id: The invoice.
        """
        if invoice_id not in self.invoices:
            return {"success": False, "error": f"No such invoice: '{invoice_id}'"}
        return {"success": True, "invoice": self.invoices[invoice_id], "due": self._money(self._due(invoice_id))}

    def get_statement(self, customer_id: str) -> dict[str, Any]:
        """Show what a customer owes, holds as credit and has paid.

        Args:
            customer_id: The customer.
        """
        if customer_id not in self.customers:
            return {"success": False, "error": f"No such customer: '{customer_id}'"}
        mine = [key for key, row in sorted(self.invoices.items()) if row["customer_id"] == customer_id]
        paid = sum(
            (Decimal(p["amount"]) for p in self.payments.values() if p["customer_id"] == customer_id), Decimal(0)
        )
        customer = self.customers[customer_id]
        return {"success": True, "customer": customer, "invoice_ids": mine, "paid": self._money(paid)}

    def create_invoice(self, customer_id: str, due_in_days: int = 30) -> dict[str, Any]:
        """Create an empty draft.

        Args:
            customer_id: The customer who will be billed.
            due_in_days: Days until it is due, 0 to 90.
        """
        if customer_id not in self.customers:
            return {"success": False, "error": f"No such customer: '{customer_id}'"}
        if self.customers[customer_id]["blocked"]:
            return {"success": False, "error": f"Customer {customer_id} is blocked"}
        if not 0 <= due_in_days <= 90:
            return {"success": False, "error": "due_in_days must be between 0 and 90"}
        key = f"INV-{self.numbers['invoice']:04d}"
        self.numbers["invoice"] += 1
        due = (date.fromisoformat(self.today) + timedelta(days=due_in_days)).isoformat()
        self.invoices[key] = {
            "customer_id": customer_id,
            "status": "draft",
            "due_date": due,
            "lines": [],
            "net": "0.00",
            "tax": "0.00",
            "total": "0.00",
            "paid": "0.00",
            "reminders": 0,
        }
        return {"success": True, "invoice_id": key, "due_date": due}

    def add_line(
        self, invoice_id: str, item: str, unit_price: str, quantity: int, tax: Literal["standard", "reduced", "zero"]
    ) -> dict[str, Any]:
        """Add a line to a draft.

        Args:
            invoice_id: The draft.
            item: What is billed.
            unit_price: Net price of one unit as a decimal string, such as "12.50".
            quantity: Units, 1 to 999.
            tax: The tax rate.
        """
        error = self._refusal(invoice_id, "draft")
        price = self._parse(unit_price)
        if error is None and (price is None or not 1 <= quantity <= 999 or not item.strip()):
            error = "A line needs an item, a positive unit_price with two decimals and a quantity of 1 to 999"
        if error is None and tax not in TAX_RATES:
            error = f"Unknown tax rate '{tax}'"
        if error or price is None:
            return {"success": False, "error": error}
        line = {"item": item.strip(), "unit_price": self._money(price), "quantity": quantity, "tax": tax}
        self.invoices[invoice_id]["lines"].append(line)
        self._total(invoice_id)
        return {"success": True, "total": self.invoices[invoice_id]["total"]}

    def issue_invoice(self, invoice_id: str) -> dict[str, Any]:
        """Issue a draft and book it; credit that the customer holds is used at once.

        Args:
            invoice_id: The draft.
        """
        error = self._refusal(invoice_id, "draft")
        if error is None and not self.invoices[invoice_id]["lines"]:
            error = f"Invoice {invoice_id} has no lines"
        if error:
            return {"success": False, "error": error}
        row = self.invoices[invoice_id]
        customer = self.customers[row["customer_id"]]
        total = Decimal(row["total"])
        if Decimal(customer["owed"]) + total > Decimal(customer["credit_limit"]):
            return {"success": False, "error": f"Credit limit of {customer['credit_limit']} exceeded"}
        row["status"] = "open"
        self._add(customer, "owed", total)
        self._add(self.ledger, "receivable", total)
        self._add(self.ledger, "revenue", Decimal(row["net"]))
        self._add(self.ledger, "tax_payable", Decimal(row["tax"]))
        used = min(Decimal(customer["credit"]), total)
        if used > 0:
            self._add(customer, "credit", -used)
            self._settle(invoice_id, used)
        return {
            "success": True,
            "status": row["status"],
            "credit_used": self._money(used),
            "due": self._money(self._due(invoice_id)),
        }

    def delete_draft(self, invoice_id: str) -> dict[str, Any]:
        """Delete a draft.

        Args:
            invoice_id: The draft.
        """
        error = self._refusal(invoice_id, "draft")
        if error:
            return {"success": False, "error": error}
        del self.invoices[invoice_id]
        return {"success": True, "deleted": invoice_id}

    def record_payment(
        self, customer_id: str, amount: str, method: Literal["bank", "card", "cash"] = "bank"
    ) -> dict[str, Any]:
        """Record a payment: it settles the customer's open invoices by due date, what is left becomes credit.

        Args:
            customer_id: The customer who pays.
            amount: A positive decimal string with at most two decimals.
            method: How it was paid.
        """
        if customer_id not in self.customers:
            return {"success": False, "error": f"No such customer: '{customer_id}'"}
        left = self._parse(amount)
        if left is None or method not in ("bank", "card", "cash"):
            return {"success": False, "error": f"Invalid amount '{amount}' or method '{method}'"}
        key = f"PAY-{self.numbers['payment']:04d}"
        self.numbers["payment"] += 1
        self._add(self.ledger, "cash", left)
        rows = sorted(self.invoices.items())
        mine = sorted((r["due_date"], k) for k, r in rows if r["customer_id"] == customer_id and r["status"] == "open")
        allocated = {}
        for _, invoice_id in mine:
            part = min(left, self._due(invoice_id))
            if part > 0:
                self._settle(invoice_id, part)
                allocated[invoice_id] = self._money(part)
                left -= part
        if left > 0:
            self._add(self.customers[customer_id], "credit", left)
        self.payments[key] = {
            "customer_id": customer_id,
            "amount": self._money(Decimal(amount)),
            "method": method,
            "date": self.today,
            "allocated": allocated,
        }
        return {"success": True, "payment_id": key, "allocated": dict(allocated), "credit": self._money(left)}

    def issue_credit_note(self, invoice_id: str, amount: str, reason: str) -> dict[str, Any]:
        """Forgive part of an open invoice; revenue falls by the same amount.

        Args:
            invoice_id: The invoice.
            amount: A positive decimal string, at most what is due.
            reason: Why it is forgiven.
        """
        error = self._refusal(invoice_id, "open")
        value = self._parse(amount)
        if error is None and (value is None or value > self._due(invoice_id)):
            error = f"Amount must be positive and at most {self._money(self._due(invoice_id))}"
        if error is None and not reason.strip():
            error = "A reason is required"
        if error or value is None:
            return {"success": False, "error": error}
        self._settle(invoice_id, value)
        self._add(self.ledger, "revenue", -value)
        note = {"item": f"Credit: {reason.strip()}", "unit_price": self._money(-value), "quantity": 1, "tax": "zero"}
        self.invoices[invoice_id]["lines"].append(note)
        status = self.invoices[invoice_id]["status"]
        return {"success": True, "status": status, "due": self._money(self._due(invoice_id))}

    def void_invoice(self, invoice_id: str) -> dict[str, Any]:
        """Void an open invoice; what was paid on it becomes the customer's credit.

        Args:
            invoice_id: The invoice.
        """
        error = self._refusal(invoice_id, "open")
        if error:
            return {"success": False, "error": error}
        row = self.invoices[invoice_id]
        customer, paid, due = self.customers[row["customer_id"]], Decimal(row["paid"]), self._due(invoice_id)
        row["status"] = "void"
        self._add(customer, "owed", -due)
        self._add(customer, "credit", paid)
        self._add(self.ledger, "receivable", -due)
        self._add(self.ledger, "revenue", -Decimal(row["net"]))
        self._add(self.ledger, "tax_payable", -Decimal(row["tax"]))
        return {"success": True, "credited": self._money(paid)}

    def send_reminders(self, customer_id: str) -> dict[str, Any]:
        """Remind a customer of overdue invoices; the second reminder adds a fee, the third also blocks the customer.

        Args:
            customer_id: The customer.
        """
        if customer_id not in self.customers:
            return {"success": False, "error": f"No such customer: '{customer_id}'"}
        late = [key for key in self._overdue() if self.invoices[key]["customer_id"] == customer_id]
        if not late:
            return {"success": False, "error": f"Customer {customer_id} has no overdue invoices"}
        customer = self.customers[customer_id]
        for key in late:
            row = self.invoices[key]
            row["reminders"] += 1
            if row["reminders"] >= 2:
                for account, field in ((row, "total"), (customer, "owed")):
                    self._add(account, field, REMINDER_FEE)
                for field in ("receivable", "revenue"):
                    self._add(self.ledger, field, REMINDER_FEE)
            customer["blocked"] = customer["blocked"] or row["reminders"] >= 3
        return {"success": True, "reminded": late, "blocked": customer["blocked"]}

    def set_credit_limit(self, customer_id: str, credit_limit: str) -> dict[str, Any]:
        """Change how much a customer may owe, and unblock a customer who owes less than that.

        Args:
            customer_id: The customer.
            credit_limit: A positive decimal string.
        """
        if customer_id not in self.customers:
            return {"success": False, "error": f"No such customer: '{customer_id}'"}
        limit = self._parse(credit_limit)
        if limit is None:
            return {"success": False, "error": f"Invalid amount '{credit_limit}'"}
        customer = self.customers[customer_id]
        customer["credit_limit"] = self._money(limit)
        customer["blocked"] = customer["blocked"] and Decimal(customer["owed"]) >= limit
        return {"success": True, "credit_limit": customer["credit_limit"], "blocked": customer["blocked"]}

    def advance_days(self, days: int) -> dict[str, Any]:
        """Let days pass.

        Args:
            days: 1 to 31.
        """
        if not 1 <= days <= 31:
            return {"success": False, "error": "days must be between 1 and 31"}
        self.today = (date.fromisoformat(self.today) + timedelta(days=days)).isoformat()
        return {"success": True, "today": self.today}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """Books with about one customer, four invoices and a payment per unit of size."""
    firms = ["Acme", "Borealis", "Corvid", "Delta Nine", "Elm & Ash", "Foxglove"]
    items = ["Consulting", "Hosting", "Licence", "Training", "Support", "Travel"]
    today = date(2025, 7, rng.randrange(3, 28))
    customers: dict[str, dict[str, Any]] = {
        f"cus_{i + 1}": {
            "name": f"{rng.choice(firms)} {rng.choice(['Ltd', 'GmbH', 'Inc'])}",
            "owed": "0.00",
            "credit": rng.choice(["0.00", "0.00", "35.00", "120.40"]),
            "credit_limit": rng.choice(["1500.00", "5000.00", "20000.00"]),
            "blocked": i > 1 and rng.random() < 0.15,
        }
        for i in range(1 + size)
    }
    sums = dict.fromkeys(["receivable", "cash", "revenue", "tax_payable"], Decimal(0))
    invoices: dict[str, dict[str, Any]] = {}
    payments: dict[str, dict[str, Any]] = {}
    for i in range(4 * size):
        customer_id, key = rng.choice(list(customers)), f"INV-{i + 1:04d}"
        lines, net, tax = [], Decimal(0), Decimal(0)
        for _ in range(rng.randrange(1, 4)):
            price, rate = Decimal(rng.randrange(500, 15_000)) / 100, rng.choice(list(TAX_RATES))
            quantity = rng.randrange(1, 5)
            lines.append({"item": rng.choice(items), "unit_price": f"{price:.2f}", "quantity": quantity, "tax": rate})
            net += price * quantity
            tax += (price * quantity * TAX_RATES[rate]).quantize(CENT, ROUND_HALF_UP)
        status = rng.choice(["draft", "draft", "open", "open", "open", "paid", "void"])
        paid = {"open": rng.choice([Decimal(0), Decimal("10.50")]), "paid": net + tax}.get(status, Decimal(0))
        paid = min(paid, net + tax - 1) if status == "open" else paid
        invoices[key] = {
            "customer_id": customer_id,
            "status": status,
            "due_date": (today + timedelta(days=rng.randrange(-25, 25))).isoformat(),
            "lines": lines,
            "net": f"{net:.2f}",
            "tax": f"{tax:.2f}",
            "total": f"{net + tax:.2f}",
            "paid": f"{paid:.2f}",
            "reminders": rng.choice([0, 0, 1, 2]) if status == "open" else 0,
        }
        if status in ("open", "paid"):
            due = net + tax - paid
            customers[customer_id]["owed"] = f"{Decimal(customers[customer_id]['owed']) + due:.2f}"
            for account, value in zip(sums, (due, paid, net, tax), strict=True):
                sums[account] += value
        if paid:
            payment = {"customer_id": customer_id, "amount": f"{paid:.2f}", "method": rng.choice(["bank", "card"])}
            dated = {"date": (today - timedelta(days=9)).isoformat(), "allocated": {key: f"{paid:.2f}"}}
            payments[f"PAY-{len(payments) + 1:04d}"] = {**payment, **dated}
    return {
        "today": today.isoformat(),
        "customers": customers,
        "invoices": invoices,
        "payments": payments,
        "ledger": {account: f"{value:.2f}" for account, value in sums.items()},
        "numbers": {"invoice": len(invoices) + 1, "payment": len(payments) + 1},
    }

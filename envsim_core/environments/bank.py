"""Bank: accounts, transfers with fees, standing orders and the end of the business day."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any, Literal

DOMAIN = "finance"

OVERDRAFT_FEE = 12.5
FOREIGN_RATE = 0.015  # share of the amount that a transfer between two currencies costs
SAVINGS_RATE = 0.002
PER_EUR = {"EUR": 1.0, "USD": 1.1, "GBP": 0.85}


class Bank:
    """A retail bank. All money is in floats rounded to cents; `business_date` only moves at the end of a day."""

    def __init__(self) -> None:
        self.business_date = "2025-01-01"
        self.accounts: dict[str, dict[str, Any]] = {}
        self.transactions: dict[str, dict[str, Any]] = {}
        self.standing_orders: dict[str, dict[str, Any]] = {}
        self.ledger: dict[str, Any] = {"fees": 0.0, "interest_paid": 0.0, "transfers": 0, "volume": 0.0}
        self.next_numbers = {"transaction": 1, "standing_order": 1}

    def _record(self, kind: str, account_id: str, amount: float, other_account_id: str | None = None) -> str:
        transaction_id = f"TX-{self.next_numbers['transaction']:05d}"
        self.next_numbers["transaction"] += 1
        self.transactions[transaction_id] = {
            "kind": kind,
            "account_id": account_id,
            "other_account_id": other_account_id,
            "amount": amount,
            "date": self.business_date,
        }
        return transaction_id

    def _refusal(self, account_id: str, amount: float | None = None) -> str | None:
        account = self.accounts.get(account_id)
        if account is None:
            return f"Account '{account_id}' not found"
        if account["status"] != "active":
            return f"Account {account_id} is {account['status']}"
        if amount is not None and not 0 < amount <= 1_000_000:
            return "Amount must be greater than 0 and at most 1000000"
        return None

    def _shortage(self, account_id: str, amount: float) -> str | None:
        account = self.accounts[account_id]
        if account["spent_today"] + amount > account["daily_limit"]:
            return f"Daily limit of {account['daily_limit']:.2f} exceeded"
        if account["balance"] + account["overdraft_limit"] < amount:
            return f"Insufficient funds: available {account['balance'] + account['overdraft_limit']:.2f}"
        return None

    def _debit(self, account_id: str, amount: float) -> float:
        """Take money and, when that newly overdraws the account, the overdraft fee as well."""
        account = self.accounts[account_id]
        was_positive = account["balance"] >= 0
        account["balance"] = round(account["balance"] - amount, 2)
        account["spent_today"] = round(account["spent_today"] + amount, 2)
        if was_positive and account["balance"] < 0:
            account["balance"] = round(account["balance"] - OVERDRAFT_FEE, 2)
            self.ledger["fees"] = round(self.ledger["fees"] + OVERDRAFT_FEE, 2)
            return OVERDRAFT_FEE
        return 0.0

    def _move(self, source_account_id: str, target_account_id: str, amount: float, kind: str) -> dict[str, Any]:
        source, target = self.accounts[source_account_id], self.accounts[target_account_id]
        fee = self._debit(source_account_id, amount)
        credited = amount
        if source["currency"] != target["currency"]:
            charge = round(amount * FOREIGN_RATE, 2)
            credited = round((amount - charge) * PER_EUR[target["currency"]] / PER_EUR[source["currency"]], 2)
            self.ledger["fees"] = round(self.ledger["fees"] + charge, 2)
            fee += charge
        target["balance"] = round(target["balance"] + credited, 2)
        self.ledger["transfers"] += 1
        self.ledger["volume"] = round(self.ledger["volume"] + amount, 2)
        transaction_id = self._record(kind, source_account_id, amount, target_account_id)
        return {"transaction_id": transaction_id, "credited": credited, "fee": round(fee, 2)}

    def get_ledger(self) -> dict[str, Any]:
        """Show the totals of the bank and the current business date."""
        return {"success": True, "business_date": self.business_date, "ledger": dict(self.ledger)}

    def list_blocked_accounts(self) -> dict[str, Any]:
        """List the accounts that are frozen or closed."""
        blocked = {key: row["status"] for key, row in self.accounts.items() if row["status"] != "active"}
        return {"success": True, "count": len(blocked), "accounts": blocked}

    def get_account(self, account_id: str) -> dict[str, Any]:
        """Show one account.

        Args:
            account_id: The account's id.
        """
        if account_id not in self.accounts:
            return {"success": False, "error": f"Account '{account_id}' not found"}
        return {"success": True, "account_id": account_id, **self.accounts[account_id]}

    def list_transactions(self, account_id: str, limit: int = 5) -> dict[str, Any]:
        """List the latest transactions of an account, newest first.

        Args:
            account_id: The account whose transactions are listed.
            limit: How many to return, 1 to 50.
        """
        if account_id not in self.accounts:
            return {"success": False, "error": f"Account '{account_id}' not found"}
        if not 1 <= limit <= 50:
            return {"success": False, "error": "limit must be between 1 and 50"}
        found = [
            key
            for key, row in sorted(self.transactions.items())
            if account_id in (row["account_id"], row["other_account_id"])
        ]
        return {"success": True, "transaction_ids": sorted(found, reverse=True)[:limit], "total": len(found)}

    def deposit(self, account_id: str, amount: float) -> dict[str, Any]:
        """Pay cash into an account.

        Args:
            account_id: The account that receives the money.
            amount: Amount in the account's currency, greater than 0.
        """
        error = self._refusal(account_id, amount)
        if error:
            return {"success": False, "error": error}
        account = self.accounts[account_id]
        account["balance"] = round(account["balance"] + amount, 2)
        return {
            "success": True,
            "transaction_id": self._record("deposit", account_id, amount),
            "balance": account["balance"],
        }

    def withdraw(self, account_id: str, amount: float) -> dict[str, Any]:
        """Take cash out of an account; overdrawing it costs a fee.

        Args:
            account_id: The account that pays.
            amount: Amount in the account's currency, greater than 0.
        """
        error = self._refusal(account_id, amount) or self._shortage(account_id, amount)
        if error:
            return {"success": False, "error": error}
        fee = self._debit(account_id, amount)
        transaction_id = self._record("withdrawal", account_id, amount)
        return {
            "success": True,
            "transaction_id": transaction_id,
            "fee": fee,
            "balance": self.accounts[account_id]["balance"],
        }

    def transfer(self, source_account_id: str, target_account_id: str, amount: float) -> dict[str, Any]:
        """Move money between two accounts, converting it when their currencies differ.

        Args:
            source_account_id: The account that pays.
            target_account_id: The account that receives.
            amount: Amount in the currency of the source account, greater than 0.
        """
        if source_account_id == target_account_id:
            return {"success": False, "error": "Source and target account must differ"}
        error = self._refusal(source_account_id, amount) or self._refusal(target_account_id)
        error = error or self._shortage(source_account_id, amount)
        if error:
            return {"success": False, "error": error}
        return {"success": True, **self._move(source_account_id, target_account_id, amount, "transfer")}

    def set_daily_limit(self, account_id: str, daily_limit: float) -> dict[str, Any]:
        """Change how much an account may spend in one day.

        Args:
            account_id: The account to change.
            daily_limit: The new limit, 0 to 20000.
        """
        error = self._refusal(account_id)
        if error:
            return {"success": False, "error": error}
        if not 0 <= daily_limit <= 20_000:
            return {"success": False, "error": "daily_limit must be between 0 and 20000"}
        old = self.accounts[account_id]["daily_limit"]
        self.accounts[account_id]["daily_limit"] = round(daily_limit, 2)
        return {"success": True, "old_limit": old, "new_limit": round(daily_limit, 2)}

    def set_account_status(self, account_id: str, status: Literal["active", "frozen"]) -> dict[str, Any]:
        """Freeze an account, which also suspends its standing orders, or release it again.

        Args:
            account_id: The account to change.
            status: The status that the account shall have.
        """
        account = self.accounts.get(account_id)
        if account is None:
            return {"success": False, "error": f"Account '{account_id}' not found"}
        if status not in ("active", "frozen"):
            return {"success": False, "error": f"Invalid status '{status}'"}
        if account["status"] in ("closed", status):
            return {"success": False, "error": f"Account {account_id} is already {account['status']}"}
        account["status"] = status
        suspended = []
        for key, order in sorted(self.standing_orders.items()):
            if status == "frozen" and order["source_account_id"] == account_id and order["active"]:
                order["active"] = False
                suspended.append(key)
        return {"success": True, "status": status, "suspended_orders": suspended}

    def create_standing_order(
        self, source_account_id: str, target_account_id: str, amount: float, interval_days: int = 30
    ) -> dict[str, Any]:
        """Create a payment that repeats; it is first due after one interval.

        Args:
            source_account_id: The account that pays.
            target_account_id: The account that receives.
            amount: Amount of each payment, greater than 0.
            interval_days: Days between two payments, 1 to 365.
        """
        if source_account_id == target_account_id:
            return {"success": False, "error": "Source and target account must differ"}
        error = self._refusal(source_account_id, amount) or self._refusal(target_account_id)
        if error:
            return {"success": False, "error": error}
        if not 1 <= interval_days <= 365:
            return {"success": False, "error": "interval_days must be between 1 and 365"}
        key = f"SO-{self.next_numbers['standing_order']:04d}"
        self.next_numbers["standing_order"] += 1
        due = (date.fromisoformat(self.business_date) + timedelta(days=interval_days)).isoformat()
        self.standing_orders[key] = {
            "source_account_id": source_account_id,
            "target_account_id": target_account_id,
            "amount": round(amount, 2),
            "interval_days": interval_days,
            "next_date": due,
            "active": True,
            "failures": 0,
        }
        return {"success": True, "standing_order_id": key, "next_date": due}

    def cancel_standing_order(self, standing_order_id: str) -> dict[str, Any]:
        """Remove a standing order.

        Args:
            standing_order_id: The order to remove.
        """
        if standing_order_id not in self.standing_orders:
            return {"success": False, "error": f"Standing order '{standing_order_id}' not found"}
        order = self.standing_orders.pop(standing_order_id)
        return {"success": True, "cancelled": standing_order_id, "amount": order["amount"]}

    def run_standing_orders(self, account_id: str) -> dict[str, Any]:
        """Execute the due standing orders that one account pays; an order that fails three times is suspended.

        Args:
            account_id: The account that pays.
        """
        error = self._refusal(account_id)
        if error:
            return {"success": False, "error": error}
        results = {}
        for key, order in sorted(self.standing_orders.items()):
            if (
                order["source_account_id"] != account_id
                or not order["active"]
                or order["next_date"] > self.business_date
            ):
                continue
            target, amount = order["target_account_id"], order["amount"]
            refusal = self._refusal(target) or self._shortage(account_id, amount)
            if refusal:
                order["failures"] += 1
                order["active"] = order["failures"] < 3
                results[key] = refusal
                continue
            due = date.fromisoformat(order["next_date"]) + timedelta(days=order["interval_days"])
            order["next_date"], order["failures"] = due.isoformat(), 0
            results[key] = self._move(account_id, target, amount, "standing_order")["transaction_id"]
        return {"success": True, "results": results}

    def close_account(self, account_id: str, payout_account_id: str) -> dict[str, Any]:
        """Close an account that is not overdrawn, pay out its balance and drop the standing orders that touch it.

        Args:
            account_id: The account to close.
            payout_account_id: The account of the same currency that receives the balance.
        """
        error = self._refusal(account_id) or self._refusal(payout_account_id)
        if error:
            return {"success": False, "error": error}
        account, payout = self.accounts[account_id], self.accounts[payout_account_id]
        if account is payout or account["currency"] != payout["currency"]:
            return {"success": False, "error": "Payout account must be another account of the same currency"}
        if account["balance"] < 0:
            return {"success": False, "error": f"Account {account_id} is overdrawn by {-account['balance']:.2f}"}
        paid = account["balance"]
        if paid > 0:
            payout["balance"] = round(payout["balance"] + paid, 2)
            self._record("payout", account_id, paid, payout_account_id)
        account["balance"], account["status"] = 0.0, "closed"
        sides = ("source_account_id", "target_account_id")
        dropped = [k for k, row in sorted(self.standing_orders.items()) if account_id in (row[side] for side in sides)]
        for key in dropped:
            del self.standing_orders[key]
        return {"success": True, "paid_out": paid, "dropped_orders": dropped}

    def end_of_day(self) -> dict[str, Any]:
        """Move to the next business date, reset daily spending and, on the first of a month, pay savings interest."""
        day = date.fromisoformat(self.business_date) + timedelta(days=1)
        self.business_date = day.isoformat()
        total = 0.0
        for account in self.accounts.values():
            account["spent_today"] = 0.0
            if (
                day.day == 1
                and account["type"] == "savings"
                and account["status"] == "active"
                and account["balance"] > 0
            ):
                interest = round(account["balance"] * SAVINGS_RATE, 2)
                account["balance"] = round(account["balance"] + interest, 2)
                total = round(total + interest, 2)
        self.ledger["interest_paid"] = round(self.ledger["interest_paid"] + total, 2)
        return {"success": True, "business_date": self.business_date, "interest": total}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A bank in the last days of a month with about three accounts, orders and transactions per unit of size."""
    owners = [
        "Ann Lee",
        "Bo Jensen",
        "Carla Diaz",
        "Deniz Kaya",
        "Emeka Obi",
        "Farah Nasser",
        "Gus Petrov",
        "Hana Mori",
    ]
    count = 2 + 3 * size
    ids = [f"ACC-{1001 + i}" for i in range(count)]
    accounts = {
        key: {
            "owner": rng.choice(owners),
            "type": rng.choice(["checking", "checking", "savings", "business"]),
            "currency": rng.choice(["EUR", "EUR", "EUR", "USD", "GBP"]),
            "balance": round(rng.uniform(0, 4000), 2),
            "overdraft_limit": rng.choice([0.0, 200.0, 1000.0]),
            "daily_limit": rng.choice([500.0, 1000.0, 2500.0]),
            "spent_today": rng.choice([0.0, 0.0, 40.0, 120.5]),
            "status": "active" if i < 3 else rng.choice(["active"] * 8 + ["frozen", "closed"]),
        }
        for i, key in enumerate(ids)
    }
    for account in accounts.values():
        account["balance"] = 0.0 if account["status"] == "closed" else account["balance"]
    live = [key for key in ids if accounts[key]["status"] == "active"]
    orders: dict[str, Any] = {}
    for i in range(3 * size):
        source, target = rng.sample(live, 2)
        orders[f"SO-{i + 1:04d}"] = {
            "source_account_id": source,
            "target_account_id": target,
            "amount": round(rng.uniform(5, 300), 2),
            "interval_days": rng.choice([7, 14, 30]),
            "next_date": f"2025-03-{rng.randrange(20, 32)}",
            "active": rng.random() < 0.9,
            "failures": rng.choice([0, 0, 0, 1, 2]),
        }
    transactions: dict[str, Any] = {}
    for i in range(4 * size):
        source, target = rng.sample(ids, 2)
        kind = rng.choice(["deposit", "withdrawal", "transfer"])
        transactions[f"TX-{i + 1:05d}"] = {
            "kind": kind,
            "account_id": source,
            "other_account_id": target if kind == "transfer" else None,
            "amount": round(rng.uniform(5, 900), 2),
            "date": f"2025-03-{rng.randrange(10, 29)}",
        }
    return {
        "business_date": f"2025-03-{rng.randrange(28, 32)}",
        "accounts": accounts,
        "transactions": transactions,
        "standing_orders": orders,
        "ledger": {
            "fees": 37.5,
            "interest_paid": 12.48,
            "transfers": 4 * size,
            "volume": round(rng.uniform(1e3, 1e5), 2),
        },
        "next_numbers": {"transaction": len(transactions) + 1, "standing_order": len(orders) + 1},
    }

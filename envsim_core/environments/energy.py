"""Energy: meters, readings, tariffs with tiers, bills, part payments, reminders and outages."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random
from typing import Any, Literal

DOMAIN = "utilities"

CENT = Decimal("0.01")
VAT = Decimal("0.19")
REMINDER_FEE = Decimal("7.50")
DUE_DAYS = 14
MAX_STEP = 5_000.0  # kWh between two readings; more is taken for a misreading


class Energy:
    """An electricity supplier. Meter readings are floats in kWh, money is text with two decimals ("84.20")."""

    def __init__(self) -> None:
        self.today = "2025-01-01"
        self.customers: dict[str, dict[str, Any]] = {}
        self.meters: dict[str, dict[str, Any]] = {}
        self.tariffs: dict[str, dict[str, Any]] = {}
        self.bills: dict[str, dict[str, Any]] = {}
        self.grid: dict[str, dict[str, Any]] = {}
        self.books: dict[str, Any] = {"billed": "0.00", "received": "0.00", "energy_kwh": 0.0, "reminders": 0}
        self.next_bill_number = 1

    def _money(self, amount: Decimal) -> str:
        return str(amount.quantize(CENT, ROUND_HALF_EVEN))

    def _book(self, total: str, amount: Decimal) -> None:
        self.books[total] = self._money(Decimal(self.books[total]) + amount)

    def _not_running(self, meter_id: str) -> str | None:
        if meter_id not in self.meters:
            return f"E404: meter {meter_id} is unknown"
        if self.meters[meter_id]["status"] != "running":
            return f"E409: meter {meter_id} is {self.meters[meter_id]['status']}"
        return None

    def _not_open(self, bill_id: str) -> str | None:
        if bill_id not in self.bills:
            return f"E404: bill {bill_id} is unknown"
        if self.bills[bill_id]["status"] == "paid":
            return f"E409: bill {bill_id} is paid"
        return None

    def _cost(self, tariff_id: str, energy: Decimal) -> Decimal:
        """The price without tax: a base price and, above the limit of the first tier, the second tier's price."""
        tariff = self.tariffs[tariff_id]
        first = min(energy, Decimal(tariff["tier_limit_kwh"]))
        prices = tariff["prices"]
        return Decimal(prices["base"]) + first * Decimal(prices["tier1"]) + (energy - first) * Decimal(prices["tier2"])

    def _bill(self, meter_id: str) -> str:
        """Bill what a meter counted since it was billed last, and add that to what its customer owes."""
        meter = self.meters[meter_id]
        energy = Decimal(str(meter["reading"])) - Decimal(str(meter["billed_reading"]))
        net = self._cost(meter["tariff_id"], energy)
        tax = (net * VAT).quantize(CENT, ROUND_HALF_EVEN)
        key = f"BL{self.next_bill_number}"
        self.next_bill_number += 1
        self.bills[key] = {
            "customer_id": meter["customer_id"],
            "meter_id": meter_id,
            "energy_kwh": float(energy),
            "net": self._money(net),
            "tax": self._money(tax),
            "open_amount": self._money(net + tax),
            "due_date": (date.fromisoformat(self.today) + timedelta(days=DUE_DAYS)).isoformat(),
            "status": "open",
        }
        meter["billed_reading"] = meter["reading"]
        self._owe(meter["customer_id"], Decimal(self.bills[key]["open_amount"]))
        self._book("billed", Decimal(self.bills[key]["open_amount"]))
        self.books["energy_kwh"] = round(self.books["energy_kwh"] + float(energy), 1)
        return key

    def _owe(self, customer_id: str, amount: Decimal) -> None:
        customer = self.customers[customer_id]
        customer["owes"] = self._money(Decimal(customer["owes"]) + amount)

    def get_books(self) -> dict[str, Any]:
        """Show today's date and the sums of the books."""
        return {"success": True, "today": self.today, "books": dict(self.books)}

    def list_overdue_bills(self) -> dict[str, Any]:
        """List the open bills past their due date with what is still to pay."""
        rows = sorted(self.bills.items())
        late = {k: r["open_amount"] for k, r in rows if r["status"] != "paid" and r["due_date"] < self.today}
        return {"success": True, "count": len(late), "bills": late}

    def list_outages(self) -> dict[str, Any]:
        """List the districts without power and how many meters stand still there."""
        out = {}
        for key, row in sorted(self.grid.items()):
            if not row["powered"]:
                out[key] = sum(meter["district"] == key for meter in self.meters.values())
        return {"success": True, "districts": out}

    def get_customer(self, customer_id: str) -> dict[str, Any]:
        """Show a customer with meters and unpaid bills.

        Args:
            customer_id: The customer.
        """
        if customer_id not in self.customers:
            return {"success": False, "error": f"E404: customer {customer_id} is unknown"}
        meters = [key for key, row in sorted(self.meters.items()) if row["customer_id"] == customer_id]
        rows = sorted(self.bills.items())
        unpaid = [key for key, row in rows if row["customer_id"] == customer_id and row["status"] != "paid"]
        return {"success": True, "customer": self.customers[customer_id], "meter_ids": meters, "unpaid": unpaid}

    def estimate_cost(self, tariff_id: str, energy_kwh: float) -> dict[str, Any]:
        """Say what an amount of energy costs in a tariff, tax included.

        Args:
            tariff_id: The tariff.
            energy_kwh: Kilowatt hours, 0 to 100000.
        """
        if tariff_id not in self.tariffs or not 0 <= energy_kwh <= 100_000:
            return {"success": False, "error": f"E400: tariff {tariff_id} is unknown or energy_kwh is not 0 to 100000"}
        net = self._cost(tariff_id, Decimal(str(energy_kwh)))
        return {"success": True, "net": self._money(net), "gross": self._money(net * (1 + VAT))}

    def submit_reading(self, meter_id: str, used_kwh: float) -> dict[str, Any]:
        """Record what a meter counted since its last reading.

        Args:
            meter_id: A running meter.
            used_kwh: Kilowatt hours, above 0 and at most 5000.
        """
        error = self._not_running(meter_id)
        if error is None and not 0 < used_kwh <= MAX_STEP:
            error = f"E400: used_kwh must be above 0 and at most {MAX_STEP:.0f}"
        if error:
            return {"success": False, "error": error}
        meter = self.meters[meter_id]
        meter["reading"] = round(meter["reading"] + used_kwh, 1)
        meter["read_on"] = self.today
        return {"success": True, "reading": meter["reading"]}

    def bill_meter(self, meter_id: str) -> dict[str, Any]:
        """Bill one meter up to its last reading.

        Args:
            meter_id: A running meter that counted something since it was billed.
        """
        error = self._not_running(meter_id)
        if error is None and self.meters[meter_id]["reading"] <= self.meters[meter_id]["billed_reading"]:
            error = f"E409: meter {meter_id} has nothing to bill"
        if error:
            return {"success": False, "error": error}
        key = self._bill(meter_id)
        return {"success": True, "bill_id": key, "open_amount": self.bills[key]["open_amount"]}

    def bill_district(self, district: str) -> dict[str, Any]:
        """Bill all running meters of a district that counted something since they were billed.

        Args:
            district: The district.
        """
        if district not in self.grid:
            return {"success": False, "error": f"E404: district '{district}' is unknown"}
        due = [
            key
            for key, row in sorted(self.meters.items())
            if row["district"] == district and row["status"] == "running" and row["reading"] > row["billed_reading"]
        ]
        if not due:
            return {"success": False, "error": f"E409: nothing to bill in '{district}'"}
        return {"success": True, "bills": {key: self._bill(key) for key in due}}

    def pay_bill(self, bill_id: str, share: float = 1.0) -> dict[str, Any]:
        """Take a payment of a bill; what is left stays open.

        Args:
            bill_id: The bill.
            share: The share of the open amount that is paid, above 0; 1 or more pays it all.
        """
        error = self._not_open(bill_id)
        if error is None and share <= 0:
            error = "E400: share must be above 0"
        if error:
            return {"success": False, "error": error}
        bill = self.bills[bill_id]
        total = Decimal(bill["open_amount"])
        paid = (total * Decimal(str(min(share, 1.0)))).quantize(CENT, ROUND_HALF_EVEN)
        bill["open_amount"] = self._money(total - paid)
        bill["status"] = "paid" if paid == total else "partly_paid"
        self._owe(bill["customer_id"], -paid)
        self._book("received", paid)
        return {"success": True, "paid": self._money(paid), "open_amount": bill["open_amount"]}

    def settle_account(self, customer_id: str) -> dict[str, Any]:
        """Take one payment for all unpaid bills of a customer.

        Args:
            customer_id: The customer.
        """
        if customer_id not in self.customers:
            return {"success": False, "error": f"E404: customer {customer_id} is unknown"}
        rows = sorted(self.bills.items())
        unpaid = [key for key, row in rows if row["customer_id"] == customer_id and row["status"] != "paid"]
        if not unpaid:
            return {"success": False, "error": f"E409: customer {customer_id} owes nothing"}
        for key in unpaid:
            self.pay_bill(key)
        self.customers[customer_id]["reminders"] = 0
        return {"success": True, "bill_ids": unpaid, "owes": self.customers[customer_id]["owes"]}

    def send_reminders(self) -> dict[str, Any]:
        """Remind of every overdue bill for a fee; the third reminder stops the bill's meter."""
        reminded, stopped = [], []
        for key, row in sorted(self.bills.items()):
            if row["status"] == "paid" or row["due_date"] >= self.today:
                continue
            row["open_amount"] = self._money(Decimal(row["open_amount"]) + REMINDER_FEE)
            row["due_date"] = (date.fromisoformat(self.today) + timedelta(days=DUE_DAYS)).isoformat()
            self._owe(row["customer_id"], REMINDER_FEE)
            customer = self.customers[row["customer_id"]]
            customer["reminders"] += 1
            reminded.append(key)
            if customer["reminders"] >= 3 and self.meters[row["meter_id"]]["status"] == "running":
                self.meters[row["meter_id"]]["status"] = "stopped"
                stopped.append(row["meter_id"])
        self.books["reminders"] += len(reminded)
        return {"success": True, "reminded": reminded, "stopped": stopped}

    def restart_meter(self, meter_id: str) -> dict[str, Any]:
        """Start a stopped meter again once its customer owes less than 250.

        Args:
            meter_id: The meter.
        """
        if meter_id not in self.meters or self.meters[meter_id]["status"] != "stopped":
            return {"success": False, "error": f"E409: meter {meter_id} is unknown or not stopped"}
        customer = self.customers[self.meters[meter_id]["customer_id"]]
        if Decimal(customer["owes"]) >= 250:
            return {"success": False, "error": f"E402: {customer['owes']} are still to pay"}
        self.meters[meter_id]["status"], customer["reminders"] = "running", 0
        return {"success": True, "status": "running"}

    def change_tariff(self, meter_id: str, new_tariff_id: str) -> dict[str, Any]:
        """Put a running meter into another tariff; what it counted so far is billed in the old one.

        Args:
            meter_id: The meter.
            new_tariff_id: The new tariff.
        """
        error = self._not_running(meter_id)
        if error is None and (new_tariff_id not in self.tariffs or self.meters[meter_id]["tariff_id"] == new_tariff_id):
            error = f"E400: tariff {new_tariff_id} is unknown or the meter's own"
        if error:
            return {"success": False, "error": error}
        meter = self.meters[meter_id]
        bill_id = self._bill(meter_id) if meter["reading"] > meter["billed_reading"] else None
        self.tariffs[meter["tariff_id"]]["meters"] -= 1
        self.tariffs[new_tariff_id]["meters"] += 1
        meter["tariff_id"] = new_tariff_id
        return {"success": True, "bill_id": bill_id}

    def reprice_tariff(self, tariff_id: str, percent: float) -> dict[str, Any]:
        """Change all prices of a tariff.

        Args:
            tariff_id: The tariff.
            percent: -20 to 20, not 0; below 0 the tariff becomes cheaper.
        """
        if tariff_id not in self.tariffs:
            return {"success": False, "error": f"E404: tariff {tariff_id} is unknown"}
        if not -20 <= percent <= 20 or percent == 0:
            return {"success": False, "error": "E400: percent must be -20 to 20 and not 0"}
        tariff = self.tariffs[tariff_id]
        factor = 1 + Decimal(str(percent)) / 100
        for name, price in tariff["prices"].items():
            tariff["prices"][name] = str((Decimal(price) * factor).quantize(Decimal("0.0001"), ROUND_HALF_EVEN))
        tariff["valid_from"] = self.today
        return {"success": True, "prices": dict(tariff["prices"])}

    def set_power(self, district: str, powered: bool, cause: Literal["storm", "works", "fault"]) -> dict[str, Any]:
        """Record that a district lost its power or has it back.

        Args:
            district: The district.
            powered: Whether it has power now.
            cause: What caused the outage.
        """
        if district not in self.grid or cause not in ("storm", "works", "fault"):
            return {"success": False, "error": f"E400: district '{district}' or cause '{cause}' is unknown"}
        row = self.grid[district]
        if row["powered"] == powered:
            return {"success": False, "error": f"E409: '{district}' {'has' if powered else 'is without'} power already"}
        row["powered"], row["cause"] = powered, None if powered else cause
        changed = []
        for key, meter in sorted(self.meters.items()):
            if meter["district"] == district and meter["status"] == ("interrupted" if powered else "running"):
                meter["status"] = "running" if powered else "interrupted"
                changed.append(key)
        row["outages"] += not powered
        return {"success": True, "meter_ids": changed}

    def remove_meter(self, meter_id: str) -> dict[str, Any]:
        """Remove a meter whose bills are all paid, with a final bill for the rest; paid bills of it are deleted.

        Args:
            meter_id: The meter.
        """
        if meter_id not in self.meters:
            return {"success": False, "error": f"E404: meter {meter_id} is unknown"}
        meter = self.meters[meter_id]
        own = [key for key, row in sorted(self.bills.items()) if row["meter_id"] == meter_id]
        unpaid = [key for key in own if self.bills[key]["status"] != "paid"]
        if unpaid or meter["reading"] > meter["billed_reading"]:
            return {"success": False, "error": f"E409: meter {meter_id} is not billed and paid up to its reading"}
        for key in own:
            del self.bills[key]
        del self.meters[meter_id]
        self.tariffs[meter["tariff_id"]]["meters"] -= 1
        self.customers[meter["customer_id"]]["meters"] -= 1
        return {"success": True, "deleted_bills": own}

    def next_week(self) -> dict[str, Any]:
        """Let seven days pass."""
        self.today = (date.fromisoformat(self.today) + timedelta(days=7)).isoformat()
        return {"success": True, "today": self.today}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A supplier with about four meters, two customers and three bills per unit of size, two to four districts."""
    names = ["Bakery Ohm", "Ivo Marek", "Jana Petit", "Kai Soto", "Lumen Ltd", "Mia Frost"]
    today = date(2025, rng.randrange(2, 12), rng.randrange(1, 28))
    districts = ["north", "south", "river", "hill"][: 2 + size // 4]
    energy = Energy()
    energy.today = (today - timedelta(days=21)).isoformat()
    energy.customers = {
        f"K{i + 1}": {"name": rng.choice(names), "owes": "0.00", "reminders": rng.choice([0, 0, 1, 2]), "meters": 0}
        for i in range(1 + 2 * size)
    }
    energy.tariffs = {
        f"tariff{i + 1}": {
            "tier_limit_kwh": rng.choice([500, 1000]),
            "prices": {
                "base": f"{rng.randrange(6, 15)}.90",
                "tier1": f"0.{rng.randrange(2500, 3600)}",
                "tier2": "0.3900",
            },
            "meters": 0,
            "valid_from": "2025-01-01",
        }
        for i in range(2 + size // 5)
    }
    energy.grid = {name: {"powered": True, "cause": None, "outages": 0} for name in districts}
    if rng.random() < 0.3:
        energy.grid[districts[1]] = {"powered": False, "cause": "works", "outages": 1}
    for i in range(4 * size):
        customer_id, tariff_id = rng.choice(list(energy.customers)), rng.choice(list(energy.tariffs))
        reading = round(rng.uniform(900, 30_000), 1)
        district = rng.choice(districts)
        key = f"Z{501 + i}"
        energy.meters[key] = {
            "customer_id": customer_id,
            "tariff_id": tariff_id,
            "district": district,
            "reading": reading,
            "billed_reading": round(reading - rng.uniform(100, 900), 1),
            "read_on": (today - timedelta(days=rng.randrange(1, 20))).isoformat(),
            "status": "running" if energy.grid[district]["powered"] else "interrupted",
        }
        energy.customers[customer_id]["meters"] += 1
        energy.tariffs[tariff_id]["meters"] += 1
        if rng.random() < 0.8:
            bill_id = energy._bill(key)
            if rng.random() < 0.4:
                energy.pay_bill(bill_id, rng.choice([0.5, 1.0]))
        if i % 4 == 2 and energy.meters[key]["status"] == "running":
            energy.meters[key]["status"] = "stopped"
        elif rng.random() < 0.8:
            energy.meters[key]["reading"] = round(reading + rng.choice([0.0, 250.5, 612.3]), 1)
    energy.today = today.isoformat()
    return {
        "today": energy.today,
        "customers": energy.customers,
        "meters": energy.meters,
        "tariffs": energy.tariffs,
        "bills": energy.bills,
        "grid": energy.grid,
        "books": energy.books,
        "next_bill_number": energy.next_bill_number,
    }

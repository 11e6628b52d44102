"""Payroll: employees, timesheets, leave, expenses, pay runs and raises; money is written as decimal strings."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from random import Random
from typing import Any, Literal

DOMAIN = "human_resources"

CENT = Decimal("0.01")
TAX = {"A": Decimal("0.21"), "B": Decimal("0.28"), "C": Decimal("0.35")}
PENSION = Decimal("0.045")
OVERTIME = Decimal("1.5")
WEEK_HOURS = 40
MAX_EXPENSE = Decimal("2500")


class Payroll:
    """A payroll office. Money is text with two decimals ("1234.50"); a pay run closes the current `period`."""

    def __init__(self) -> None:
        self.period = "2025-01"
        self.employees: dict[str, dict[str, Any]] = {}
        self.timesheets: dict[str, dict[str, Any]] = {}
        self.leaves: dict[str, dict[str, Any]] = {}
        self.expenses: dict[str, dict[str, Any]] = {}
        self.payslips: dict[str, dict[str, Any]] = {}
        self.departments: dict[str, dict[str, Any]] = {}
        self.next_numbers = {"leave": 1, "expense": 1, "payslip": 1}

    def _money(self, amount: Decimal) -> str:
        return str(amount.quantize(CENT, ROUND_HALF_UP))

    def _key(self, kind: str, prefix: str) -> str:
        key = f"{prefix}{self.next_numbers[kind]}"
        self.next_numbers[kind] += 1
        return key

    def _not_active(self, employee_id: str) -> str | None:
        if employee_id not in self.employees:
            return f"EMPLOYEE_UNKNOWN: {employee_id}"
        if self.employees[employee_id]["status"] == "left":
            return f"EMPLOYEE_LEFT: {employee_id}"
        return None

    def _not_pending(self, rows: dict[str, dict[str, Any]], key: str) -> str | None:
        if key not in rows:
            return f"REQUEST_UNKNOWN: {key}"
        if rows[key]["status"] != "requested":
            return f"REQUEST_DECIDED: {key} is {rows[key]['status']}"
        return None

    def _payslip(self, employee_id: str) -> str:
        """Pay one employee: wages, overtime and approved expenses; the timesheet starts anew."""
        employee, sheet = self.employees[employee_id], self.timesheets[employee_id]
        wages = Decimal(employee["hourly_rate"]) * (sheet["hours"] + OVERTIME * sheet["overtime"])
        refunds = Decimal(0)
        for row in self.expenses.values():
            if row["employee_id"] == employee_id and row["status"] == "approved":
                refunds += Decimal(row["amount"])
                row["status"] = "paid"
        pension = wages * PENSION
        tax = (wages - pension) * TAX[employee["tax_class"]]
        key = self._key("payslip", "PS")
        self.payslips[key] = {
            "employee_id": employee_id,
            "period": self.period,
            "gross": self._money(wages),
            "tax": self._money(tax),
            "pension": self._money(pension),
            "net": self._money(wages - pension - tax + refunds),
        }
        employee["paid_this_year"] = self._money(Decimal(employee["paid_this_year"]) + wages)
        department = self.departments[employee["department"]]
        department["spent"] = self._money(Decimal(department["spent"]) + wages)
        sheet["hours"], sheet["overtime"], sheet["approved"] = 0, 0, False
        return key

    def get_budgets(self) -> dict[str, Any]:
        """Show the current period and what each department has spent of its budget."""
        return {"success": True, "period": self.period, "departments": dict(self.departments)}

    def list_requests(self) -> dict[str, Any]:
        """List the leaves and expenses that wait for a decision."""
        leaves = [key for key, row in sorted(self.leaves.items()) if row["status"] == "requested"]
        expenses = [key for key, row in sorted(self.expenses.items()) if row["status"] == "requested"]
        return {"success": True, "leave_ids": leaves, "expense_ids": expenses}

    def get_employee(self, employee_id: str) -> dict[str, Any]:
        """Show an employee and the current timesheet.

        Args:
            employee_id: The employee.
        """
        if employee_id not in self.employees:
            return {"success": False, "error": f"EMPLOYEE_UNKNOWN: {employee_id}"}
        sheet = self.timesheets.get(employee_id)
        return {"success": True, "employee": self.employees[employee_id], "timesheet": sheet}

    def get_payslips(self, employee_id: str) -> dict[str, Any]:
        """List an employee's payslips and the sum of what was paid out.

        Args:
            employee_id: The employee.
        """
        if employee_id not in self.employees:
            return {"success": False, "error": f"EMPLOYEE_UNKNOWN: {employee_id}"}
        found = {key: row["net"] for key, row in sorted(self.payslips.items()) if row["employee_id"] == employee_id}
        return {"success": True, "payslips": found, "total": self._money(sum(map(Decimal, found.values()), Decimal(0)))}

    def log_hours(self, employee_id: str, hours: int) -> dict[str, Any]:
        """Add worked hours to a timesheet that is not approved yet; those above 40 are overtime.

        Args:
            employee_id: The employee.
            hours: 1 to 24.
        """
        error = self._not_active(employee_id)
        if error is None and not 1 <= hours <= 24:
            error = "HOURS_INVALID: 1 to 24"
        if error is None and self.timesheets[employee_id]["approved"]:
            error = f"TIMESHEET_APPROVED: {employee_id}"
        if error:
            return {"success": False, "error": error}
        sheet = self.timesheets[employee_id]
        total = sheet["hours"] + sheet["overtime"] + hours
        sheet["hours"], sheet["overtime"] = min(total, WEEK_HOURS), max(total - WEEK_HOURS, 0)
        return {"success": True, "hours": sheet["hours"], "overtime": sheet["overtime"]}

    def approve_timesheets(self, department: str) -> dict[str, Any]:
        """Approve every timesheet with hours in a department.

        Args:
            department: The department.
        """
        if department not in self.departments:
            return {"success": False, "error": f"DEPARTMENT_UNKNOWN: {department}"}
        approved = []
        for key, sheet in sorted(self.timesheets.items()):
            if self.employees[key]["department"] == department and sheet["hours"] and not sheet["approved"]:
                sheet["approved"] = True
                approved.append(key)
        return {"success": True, "approved": approved}

    def request_leave(self, employee_id: str, kind: Literal["holiday", "sick", "unpaid"], days: int) -> dict[str, Any]:
        """Ask for days of leave; sick leave needs no approval.

        Args:
            employee_id: The employee.
            kind: The kind of leave.
            days: 1 to 15; a holiday at most as many as are left.
        """
        error = self._not_active(employee_id)
        if error is None and (kind not in ("holiday", "sick", "unpaid") or not 1 <= days <= 15):
            error = "LEAVE_INVALID: a known kind and 1 to 15 days are needed"
        if error is None and kind == "holiday" and days > self.employees[employee_id]["holidays_left"]:
            error = f"LEAVE_EXCEEDED: {self.employees[employee_id]['holidays_left']} days are left"
        if error:
            return {"success": False, "error": error}
        key = self._key("leave", "LV")
        status = "approved" if kind == "sick" else "requested"
        self.leaves[key] = {"employee_id": employee_id, "kind": kind, "days": days, "status": status}
        if kind == "sick":
            self.employees[employee_id]["sick_days"] += days
        return {"success": True, "leave_id": key, "status": status}

    def decide_leave(self, leave_id: str, approve: bool) -> dict[str, Any]:
        """Approve or decline a leave; an approved holiday uses up days, the employee is then away.

        Args:
            leave_id: The request.
            approve: Whether it is granted.
        """
        error = self._not_pending(self.leaves, leave_id)
        error = error or self._not_active(self.leaves[leave_id]["employee_id"])
        if error:
            return {"success": False, "error": error}
        row = self.leaves[leave_id]
        employee = self.employees[row["employee_id"]]
        if approve and row["kind"] == "holiday" and row["days"] > employee["holidays_left"]:
            return {"success": False, "error": f"LEAVE_EXCEEDED: {employee['holidays_left']} days are left"}
        row["status"] = "approved" if approve else "declined"
        if approve:
            employee["status"] = "on_leave"
            employee["holidays_left"] -= row["days"] if row["kind"] == "holiday" else 0
        return {"success": True, "status": row["status"], "holidays_left": employee["holidays_left"]}

    def claim_expense(
        self, employee_id: str, amount: str, category: Literal["travel", "meals", "equipment"]
    ) -> dict[str, Any]:
        """Claim an expense; up to 50.00 it is approved at once.

        Args:
            employee_id: The employee.
            amount: The amount as text, as in "48.20", up to 2500.
            category: What it was spent on.
        """
        error = self._not_active(employee_id)
        if error is None and category not in ("travel", "meals", "equipment"):
            error = f"CATEGORY_UNKNOWN: {category}"
        try:
            value = Decimal(amount).quantize(CENT, ROUND_HALF_UP)
        except InvalidOperation:
            value = Decimal(0)
        if error is None and not 0 < value <= MAX_EXPENSE:
            error = f"AMOUNT_INVALID: '{amount}' is not an amount up to {MAX_EXPENSE}"
        if error:
            return {"success": False, "error": error}
        key = self._key("expense", "EX")
        row = {"employee_id": employee_id, "amount": self._money(value), "category": category}
        self.expenses[key] = row | {"status": "approved" if value <= 50 else "requested"}
        return {"success": True, "expense_id": key, "status": self.expenses[key]["status"]}

    def decide_expense(self, expense_id: str, approve: bool) -> dict[str, Any]:
        """Approve an expense for the next pay run, or delete it.

        Args:
            expense_id: The expense.
            approve: Whether it is granted.
        """
        error = self._not_pending(self.expenses, expense_id)
        if error:
            return {"success": False, "error": error}
        if not approve:
            return {"success": True, "deleted": self.expenses.pop(expense_id)["amount"]}
        self.expenses[expense_id]["status"] = "approved"
        return {"success": True, "status": "approved"}

    def raise_pay(self, department: str, percent: float) -> dict[str, Any]:
        """Raise the hourly rate of everybody in a department.

        Args:
            department: The department.
            percent: Above 0 and at most 20.
        """
        if department not in self.departments:
            return {"success": False, "error": f"DEPARTMENT_UNKNOWN: {department}"}
        if not 0 < percent <= 20:
            return {"success": False, "error": "PERCENT_INVALID: above 0 and at most 20"}
        factor = 1 + Decimal(str(percent)) / 100
        rates = {}
        for key, row in sorted(self.employees.items()):
            if row["department"] == department and row["status"] != "left":
                row["hourly_rate"] = rates[key] = self._money(Decimal(row["hourly_rate"]) * factor)
        self.departments[department]["last_raise"] = self.period
        return {"success": True, "hourly_rates": rates}

    def transfer_employee(self, employee_id: str, department: str) -> dict[str, Any]:
        """Move an employee to another department.

        Args:
            employee_id: The employee.
            department: The new department.
        """
        error = self._not_active(employee_id)
        if error is None and department not in self.departments:
            error = f"DEPARTMENT_UNKNOWN: {department}"
        if error is None and self.employees[employee_id]["department"] == department:
            error = f"NO_CHANGE: {employee_id} works in {department}"
        if error:
            return {"success": False, "error": error}
        previous = self.employees[employee_id]["department"]
        self.employees[employee_id]["department"] = department
        self.departments[previous]["headcount"] -= 1
        self.departments[department]["headcount"] += 1
        return {"success": True, "previous": previous, "department": department}

    def run_payroll(self, department: str) -> dict[str, Any]:
        """Pay everybody in a department whose timesheet is approved.

        Args:
            department: The department.
        """
        if department not in self.departments:
            return {"success": False, "error": f"DEPARTMENT_UNKNOWN: {department}"}
        rows = sorted(self.timesheets.items())
        due = [key for key, row in rows if row["approved"] and self.employees[key]["department"] == department]
        if not due:
            return {"success": False, "error": f"NOTHING_DUE: no approved timesheet in {department}"}
        paid = {key: self._payslip(key) for key in due}
        return {"success": True, "payslips": paid, "spent": self.departments[department]["spent"]}

    def dismiss_employee(self, employee_id: str) -> dict[str, Any]:
        """Let an employee go: worked hours are paid, open requests and the timesheet are deleted.

        Args:
            employee_id: The employee.
        """
        error = self._not_active(employee_id)
        if error:
            return {"success": False, "error": error}
        payslip_id = self._payslip(employee_id) if self.timesheets[employee_id]["hours"] else None
        del self.timesheets[employee_id]
        dropped = []
        for rows in (self.expenses, self.leaves):
            for key in sorted(rows):
                if rows[key]["employee_id"] == employee_id and rows[key]["status"] == "requested":
                    del rows[key]
                    dropped.append(key)
        employee = self.employees[employee_id]
        employee["status"] = "left"
        self.departments[employee["department"]]["headcount"] -= 1
        return {"success": True, "payslip_id": payslip_id, "dropped": dropped}

    def close_period(self) -> dict[str, Any]:
        """Move to the next month: everybody is back from leave, in January the year's sums restart."""
        first = date.fromisoformat(f"{self.period}-01")
        following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        self.period = following.isoformat()[:7]
        back = []
        for key, row in sorted(self.employees.items()):
            if row["status"] == "on_leave":
                row["status"] = "active"
                back.append(key)
            if following.month == 1:
                row["paid_this_year"], row["holidays_left"], row["sick_days"] = "0.00", 25, 0
        return {"success": True, "period": self.period, "back": back}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """An office with about three employees, two leaves and three expenses per unit of size, late in a year."""
    names = ["Ola Brandt", "Priya Nair", "Quentin Roy", "Rosa Vidal", "Sami Haddad", "Tess Moor"]
    areas = ["sales", "design", "support", "legal", "plant", "research"]
    departments: dict[str, dict[str, Any]] = {}
    for i in range(2 + size // 2):
        budget, spent = f"{rng.randrange(20, 90)}000.00", f"{rng.randrange(9000)}.{rng.randrange(10, 100)}"
        name = areas[i % 6] + ("" if i < 6 else f"_{i // 6 + 1}")
        departments[name] = {"headcount": 0, "budget": budget, "spent": spent, "last_raise": None}
    employees: dict[str, dict[str, Any]] = {}
    timesheets: dict[str, dict[str, Any]] = {}
    for i in range(1 + 3 * size):
        key, department = f"E{101 + i}", rng.choice(list(departments))
        employees[key] = {
            "name": rng.choice(names),
            "department": department,
            "hourly_rate": f"{rng.randrange(18, 70)}.{rng.choice(['00', '25', '50', '80'])}",
            "tax_class": rng.choice("ABC"),
            "status": rng.choice(["active", "active", "active", "on_leave"]),
            "holidays_left": rng.randrange(4, 26),
            "sick_days": rng.randrange(5),
            "paid_this_year": f"{rng.randrange(9000, 60_000)}.{rng.randrange(10, 100)}",
        }
        departments[department]["headcount"] += 1
        hours = rng.choice([0, 16, 24, 38, 40])
        overtime = rng.randrange(9) if hours == WEEK_HOURS else 0
        timesheets[key] = {"hours": hours, "overtime": overtime, "approved": hours > 0 and rng.random() < 0.4}
    leaves: dict[str, dict[str, Any]] = {
        f"LV{i + 1}": {
            "employee_id": rng.choice(list(employees)),
            "kind": rng.choice(["holiday", "unpaid"]),
            "days": rng.randrange(1, 6),
            "status": rng.choice(["requested", "requested", "declined"]),
        }
        for i in range(2 * size)
    }
    expenses: dict[str, dict[str, Any]] = {
        f"EX{i + 1}": {
            "employee_id": rng.choice(list(employees)),
            "amount": f"{rng.randrange(4, 400)}.{rng.randrange(10, 100)}",
            "category": rng.choice(["travel", "meals", "equipment"]),
            "status": rng.choice(["requested", "approved", "approved"]),
        }
        for i in range(3 * size)
    }
    payslips: dict[str, dict[str, Any]] = {}
    for i in range(2 * size):
        gross = rng.randrange(1500, 5000)
        payslips[f"PS{i + 1}"] = {
            "employee_id": rng.choice(list(employees)),
            "period": "2025-09",
            "gross": f"{gross}.00",
            "tax": f"{gross // 4}.50",
            "pension": f"{gross // 20}.25",
            "net": f"{gross - gross // 4 - gross // 20 - 1}.25",
        }
    return {
        "period": f"2025-{rng.choice(['10', '11', '12'])}",
        "employees": employees,
        "timesheets": timesheets,
        "leaves": leaves,
        "expenses": expenses,
        "payslips": payslips,
        "departments": departments,
        "next_numbers": {"leave": len(leaves) + 1, "expense": len(expenses) + 1, "payslip": len(payslips) + 1},
    }

"""Library: titles with copies, members, loans, holds, renewals and fines."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any, Literal

DOMAIN = "education"

LOAN_DAYS = {"adult": 21, "student": 28, "child": 14}
MAX_LOANS = {"adult": 5, "student": 8, "child": 3}
FINE_PER_DAY = 0.25
FINE_CAP = 10.0
BLOCK_AT = 5.0  # a member who owes this much cannot borrow


class Library:
    """A lending library. A title's `copies` maps a barcode to "in", "out", "held" or "lost"; `holds` is a queue."""

    def __init__(self) -> None:
        self.today = "2025-01-01"
        self.titles: dict[str, dict[str, Any]] = {}
        self.members: dict[str, dict[str, Any]] = {}
        self.loans: dict[str, dict[str, Any]] = {}
        self.shelf: dict[str, dict[str, Any]] = {}
        self.statistics: dict[str, Any] = {"issued": 0, "returned": 0, "fines_charged": 0.0, "fines_paid": 0.0}
        self.next_loan_number = 1

    def _day(self, days: int) -> str:
        return (date.fromisoformat(self.today) + timedelta(days=days)).isoformat()

    def _refusal(self, member_id: str) -> str | None:
        if member_id not in self.members:
            return f"Member {member_id} is not registered"
        member = self.members[member_id]
        if member["suspended"]:
            return f"Membership {member_id} is suspended"
        if member["fines"] >= BLOCK_AT:
            return f"Member {member_id} owes {member['fines']:.2f}"
        return None

    def _no_title(self, title_id: str) -> str | None:
        return None if title_id in self.titles else f"Title {title_id} is not in the catalogue"

    def _fine(self, member_id: str, amount: float) -> None:
        member = self.members[member_id]
        member["fines"] = round(member["fines"] + amount, 2)
        self.statistics["fines_charged"] = round(self.statistics["fines_charged"] + amount, 2)

    def _overdue(self, loan_id: str) -> float:
        late = (date.fromisoformat(self.today) - date.fromisoformat(self.loans[loan_id]["due"])).days
        return round(min(max(late, 0) * FINE_PER_DAY, FINE_CAP), 2)

    def _shelve(self, title_id: str, barcode: str) -> str | None:
        """Put a copy back: the first in the queue finds it on the holds shelf for a week."""
        title = self.titles[title_id]
        if not title["holds"]:
            title["copies"][barcode] = "in"
            return None
        member_id: str = title["holds"].pop(0)
        title["copies"][barcode] = "held"
        self.shelf[barcode] = {"title_id": title_id, "member_id": member_id, "until": self._day(7)}
        self.members[member_id]["notices"] += 1
        return member_id

    def get_statistics(self) -> dict[str, Any]:
        """Show today's date and the library's counters."""
        return {"success": True, "today": self.today, "statistics": dict(self.statistics)}

    def list_overdue(self) -> dict[str, Any]:
        """List the loans past their due date with the fine so far."""
        late = {key: self._overdue(key) for key in self.loans if self._overdue(key) > 0}
        return {"success": True, "count": len(late), "loans": late}

    def get_title(self, title_id: str) -> dict[str, Any]:
        """Show a title and how many of its copies are in.

        Args:
            title_id: The title.
        """
        if title_id not in self.titles:
            return {"success": False, "error": f"Title {title_id} is not in the catalogue"}
        title = self.titles[title_id]
        return {"success": True, "title": title, "available": list(title["copies"].values()).count("in")}

    def search_catalogue(self, author: str, only_available: bool = False) -> dict[str, Any]:
        """Find titles by author.

        Args:
            author: Part of the author's name, case ignored.
            only_available: Leave out titles without a copy on the shelf.
        """
        if not author.strip():
            return {"success": False, "error": "author must not be blank"}
        rows = sorted(self.titles.items())
        found = [key for key, row in rows if author.lower() in row["author"].lower()]
        if only_available:
            found = [key for key in found if "in" in self.titles[key]["copies"].values()]
        return {"success": True, "title_ids": found}

    def check_out(self, member_id: str, title_id: str) -> dict[str, Any]:
        """Lend a copy: one that is held for the member, else the first one that is in.

        Args:
            member_id: The borrower.
            title_id: The title.
        """
        error = self._refusal(member_id) or self._no_title(title_id)
        if error:
            return {"success": False, "error": error}
        member, title = self.members[member_id], self.titles[title_id]
        if member["loans"] >= MAX_LOANS[member["category"]]:
            return {"success": False, "error": f"Loan limit of {MAX_LOANS[member['category']]} reached"}
        held = [
            k for k, row in sorted(self.shelf.items()) if row["member_id"] == member_id and row["title_id"] == title_id
        ]
        barcodes = held or sorted(key for key, status in title["copies"].items() if status == "in")
        if not barcodes:
            return {"success": False, "error": f"No copy of {title_id} is available; {len(title['holds'])} people wait"}
        self.shelf.pop(barcodes[0], None)
        title["copies"][barcodes[0]] = "out"
        key = f"L{self.next_loan_number}"
        self.next_loan_number += 1
        due = self._day(LOAN_DAYS[member["category"]])
        self.loans[key] = {
            "title_id": title_id,
            "barcode": barcodes[0],
            "member_id": member_id,
            "due": due,
            "renewals": 0,
        }
        member["loans"] += 1
        self.statistics["issued"] += 1
        return {"success": True, "loan_id": key, "barcode": barcodes[0], "due": due}

    def return_copy(self, loan_id: str) -> dict[str, Any]:
        """Take a copy back, charge a fine if it is late and keep it for the first hold.

        Args:
            loan_id: The loan that ends.
        """
        if loan_id not in self.loans:
            return {"success": False, "error": f"Loan {loan_id} not found"}
        fine, loan = self._overdue(loan_id), self.loans[loan_id]
        del self.loans[loan_id]
        self.members[loan["member_id"]]["loans"] -= 1
        self.statistics["returned"] += 1
        if fine:
            self._fine(loan["member_id"], fine)
        return {"success": True, "fine": fine, "held_for": self._shelve(loan["title_id"], loan["barcode"])}

    def renew_loan(self, loan_id: str) -> dict[str, Any]:
        """Extend a loan from today, at most twice and only while nobody waits for the title.

        Args:
            loan_id: The loan.
        """
        if loan_id not in self.loans:
            return {"success": False, "error": f"Loan {loan_id} not found"}
        loan = self.loans[loan_id]
        error = self._refusal(loan["member_id"])
        if error is None and self.titles[loan["title_id"]]["holds"]:
            error = f"Title {loan['title_id']} is wanted by others"
        if error is None and loan["renewals"] >= 2:
            error = f"Loan {loan_id} was renewed twice already"
        if error:
            return {"success": False, "error": error}
        loan["due"] = self._day(LOAN_DAYS[self.members[loan["member_id"]]["category"]])
        loan["renewals"] += 1
        return {"success": True, "due": loan["due"], "renewals": loan["renewals"]}

    def place_hold(self, member_id: str, title_id: str) -> dict[str, Any]:
        """Queue a member for a title that has no copy in.

        Args:
            member_id: The member.
            title_id: The title.
        """
        error = self._refusal(member_id) or self._no_title(title_id)
        if error:
            return {"success": False, "error": error}
        title = self.titles[title_id]
        if "in" in title["copies"].values():
            return {"success": False, "error": f"A copy of {title_id} is on the shelf"}
        if member_id in title["holds"]:
            return {"success": False, "error": f"{member_id} already waits for {title_id}"}
        title["holds"].append(member_id)
        return {"success": True, "position": len(title["holds"])}

    def cancel_holds(self, member_id: str) -> dict[str, Any]:
        """Take a member out of every queue.

        Args:
            member_id: The member.
        """
        if member_id not in self.members:
            return {"success": False, "error": f"Member {member_id} is not registered"}
        waiting = [key for key, title in sorted(self.titles.items()) if member_id in title["holds"]]
        for key in waiting:
            self.titles[key]["holds"].remove(member_id)
        return {"success": True, "title_ids": waiting}

    def report_lost(self, loan_id: str) -> dict[str, Any]:
        """Record a borrowed copy as lost; its borrower pays the price of the title.

        Args:
            loan_id: The loan.
        """
        if loan_id not in self.loans:
            return {"success": False, "error": f"Loan {loan_id} not found"}
        loan = self.loans.pop(loan_id)
        title = self.titles[loan["title_id"]]
        title["copies"][loan["barcode"]] = "lost"
        self.members[loan["member_id"]]["loans"] -= 1
        self._fine(loan["member_id"], title["price"])
        return {"success": True, "charged": title["price"], "member_id": loan["member_id"]}

    def pay_fines(self, member_id: str, amount: float) -> dict[str, Any]:
        """Take a payment of fines; what is above the debt is given back.

        Args:
            member_id: The member who pays.
            amount: What the member hands over, greater than 0 and at most 1000.
        """
        if member_id not in self.members:
            return {"success": False, "error": f"Member {member_id} is not registered"}
        member = self.members[member_id]
        if not 0 < amount <= 1000 or not member["fines"]:
            return {"success": False, "error": f"{member_id} owes {member['fines']:.2f}, or the amount is invalid"}
        paid = round(min(amount, member["fines"]), 2)
        member["fines"] = round(member["fines"] - paid, 2)
        self.statistics["fines_paid"] = round(self.statistics["fines_paid"] + paid, 2)
        return {"success": True, "owes": member["fines"], "change": round(amount - paid, 2)}

    def set_category(self, member_id: str, category: Literal["adult", "student", "child"]) -> dict[str, Any]:
        """Change a member's category.

        Args:
            member_id: The member.
            category: The new category.
        """
        if member_id not in self.members:
            return {"success": False, "error": f"Member {member_id} is not registered"}
        if category not in LOAN_DAYS:
            return {"success": False, "error": f"Unknown category '{category}'"}
        self.members[member_id]["category"] = category
        return {"success": True, "loan_limit": MAX_LOANS[category]}

    def add_copies(self, title_id: str, count: int) -> dict[str, Any]:
        """Add new copies of a title; the first ones go to the people who wait.

        Args:
            title_id: The title.
            count: 1 to 5.
        """
        if title_id not in self.titles:
            return {"success": False, "error": f"Title {title_id} is not in the catalogue"}
        if not 1 <= count <= 5:
            return {"success": False, "error": "count must be 1 to 5"}
        title, added = self.titles[title_id], {}
        for _ in range(count):
            barcode = f"{title_id}/{title['next_copy']}"
            title["next_copy"] += 1
            added[barcode] = self._shelve(title_id, barcode)
        return {"success": True, "added": added}

    def withdraw_member(self, member_id: str) -> dict[str, Any]:
        """Delete a member who has neither loans nor fines; their holds and held copies are passed on.

        Args:
            member_id: The member.
        """
        if member_id not in self.members:
            return {"success": False, "error": f"Member {member_id} is not registered"}
        member = self.members[member_id]
        if member["loans"] or member["fines"]:
            return {
                "success": False,
                "error": f"{member_id} has {member['loans']} loans and owes {member['fines']:.2f}",
            }
        for title in self.titles.values():
            if member_id in title["holds"]:
                title["holds"].remove(member_id)
        released = [barcode for barcode, row in sorted(self.shelf.items()) if row["member_id"] == member_id]
        for barcode in released:
            self._shelve(self.shelf.pop(barcode)["title_id"], barcode)
        del self.members[member_id]
        return {"success": True, "released": released}

    def next_day(self, days: int = 1) -> dict[str, Any]:
        """Let days pass: held copies that were not fetched in time go to the next in the queue, or back on the shelf.

        Args:
            days: 1 to 14.
        """
        if not 1 <= days <= 14:
            return {"success": False, "error": "days must be 1 to 14"}
        self.today = self._day(days)
        expired = [barcode for barcode, row in sorted(self.shelf.items()) if row["until"] < self.today]
        passed_on = {barcode: self._shelve(self.shelf.pop(barcode)["title_id"], barcode) for barcode in expired}
        return {"success": True, "today": self.today, "expired": passed_on}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A library with about three titles, three members and four loans per unit of size."""
    authors = ["Ursula Vane", "Tomas Reyes", "Imre Kovac", "Aiko Tan", "Ngozi Bello"]
    words = ["River", "Glass", "Winter", "Orchard", "Signal", "Harbour", "Atlas", "Ember"]
    today = date(2025, 9, rng.randrange(5, 28))
    members: dict[str, dict[str, Any]] = {
        f"M{700 + i}": {
            "category": rng.choice(["adult", "student", "child"]),
            "loans": 0,
            "fines": rng.choice([0.0, 0.0, 0.0, 1.5, 6.25]) if i > 1 else 0.0,
            "suspended": i > 2 and rng.random() < 0.1,
            "notices": rng.randrange(3),
        }
        for i in range(1 + 4 * size)
    }
    titles: dict[str, dict[str, Any]] = {}
    loans: dict[str, dict[str, Any]] = {}
    shelf: dict[str, dict[str, Any]] = {}
    for i in range(4 * size):
        key, copies = f"isbn.{9780 + i}", {}
        holds = rng.sample(list(members), rng.randrange(3))
        for number in range(1, 1 + rng.randrange(1, 4)):
            barcode, member_id = f"{key}/{number}", rng.choice(list(members))
            status = rng.choice(["out", "out", "held", "lost"] if holds else ["in", "in", "out", "out", "held"])
            copies[barcode] = status
            if status == "out" and members[member_id]["loans"] < 3:
                members[member_id]["loans"] += 1
                due = (today + timedelta(days=rng.randrange(-12, 20))).isoformat()
                row = {"title_id": key, "barcode": barcode, "member_id": member_id, "due": due}
                loans[f"L{len(loans) + 1}"] = {**row, "renewals": rng.choice([0, 0, 1, 2])}
            elif status == "held":
                until = (today + timedelta(days=rng.randrange(0, 7))).isoformat()
                shelf[barcode] = {"title_id": key, "member_id": member_id, "until": until}
            elif status == "out":
                copies[barcode] = "lost"
        titles[key] = {
            "name": f"The {rng.choice(words)} {rng.choice(words)}",
            "author": rng.choice(authors),
            "price": round(rng.uniform(8, 40), 2),
            "copies": copies,
            "next_copy": len(copies) + 1,
            "holds": holds,
        }
    return {
        "today": today.isoformat(),
        "titles": titles,
        "members": members,
        "loans": loans,
        "shelf": shelf,
        "statistics": {"issued": 930, "returned": 881, "fines_charged": 140.25, "fines_paid": 96.5},
        "next_loan_number": len(loans) + 1,
    }

"""Insurance: policies with coverages, claims, appraisals, payouts with deductibles, premiums and renewals."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any, Literal

DOMAIN = "insurance"

COVERAGES = ("theft", "fire", "water", "glass", "liability")
RATE = {"theft": 0.012, "fire": 0.006, "water": 0.009, "glass": 0.02, "liability": 0.004}
CLASS_FACTOR = {"1": 0.8, "2": 1.0, "3": 1.25, "4": 1.6}
APPRAISAL_ABOVE = 2_000.0  # a claim above this is appraised before it is approved
GRACE_DAYS = 30


class Insurance:
    """An insurer's back office. Sums are floats in euros; a policy's `coverages` map a risk to limit and deductible."""

    def __init__(self) -> None:
        self.today = "2025-01-01"
        self.policies: dict[str, dict[str, Any]] = {}
        self.holders: dict[str, dict[str, Any]] = {}
        self.claims: dict[str, dict[str, Any]] = {}
        self.adjusters: dict[str, dict[str, Any]] = {}
        self.reserves: dict[str, float] = {}
        self.accounts: dict[str, Any] = {"premiums": 0.0, "payouts": 0.0, "claims_closed": 0}
        self.next_claim_number = 1

    def _no_policy(self, policy_id: str, *statuses: str) -> str | None:
        if policy_id not in self.policies:
            return f"No policy {policy_id}"
        if self.policies[policy_id]["status"] not in statuses:
            return f"Policy {policy_id} is {self.policies[policy_id]['status']}"
        return None

    def _no_claim(self, claim_id: str, *statuses: str) -> str | None:
        if claim_id not in self.claims:
            return f"No claim {claim_id}"
        if self.claims[claim_id]["status"] not in statuses:
            return f"Claim {claim_id} is {self.claims[claim_id]['status']}, not {' or '.join(statuses)}"
        return None

    def _price(self, policy_id: str) -> None:
        """Set a policy's yearly premium from its coverages and the holder's risk class."""
        policy = self.policies[policy_id]
        factor = CLASS_FACTOR[self.holders[policy["holder_id"]]["risk_class"]]
        rows = sorted(policy["coverages"].items())
        policy["premium"] = round(sum(RATE[risk] * row["limit"] for risk, row in rows) * factor, 2)

    def _reserve(self, risk: str, amount: float) -> None:
        self.reserves[risk] = round(self.reserves[risk] + amount, 2)

    def _close(self, claim_id: str, status: str) -> None:
        """End a claim: its reserve is freed and its adjuster has one fewer."""
        claim = self.claims[claim_id]
        self._reserve(claim["risk"], -claim["reserved"])
        if claim["adjuster_id"] is not None:
            self.adjusters[claim["adjuster_id"]]["open_claims"] -= 1
        claim["status"], claim["reserved"] = status, 0.0
        self.policies[claim["policy_id"]]["open_claims"] -= 1
        self.accounts["claims_closed"] += 1

    def _later(self, days: int) -> str:
        return (date.fromisoformat(self.today) + timedelta(days=days)).isoformat()

    def get_accounts(self) -> dict[str, Any]:
        """Show today's date, premiums, payouts and the reserves of each risk."""
        return {"success": True, "today": self.today, "accounts": dict(self.accounts), "reserves": dict(self.reserves)}

    def list_open_claims(self) -> dict[str, Any]:
        """List the claims that are not closed, by status."""
        found: dict[str, list[str]] = {}
        for key, row in sorted(self.claims.items()):
            if row["status"] in ("reported", "assigned"):
                found.setdefault(row["status"], []).append(key)
        return {"success": True, "claims": found}

    def get_policy(self, policy_id: str) -> dict[str, Any]:
        """Show a policy and its claims.

        Args:
            policy_id: The policy.
        """
        if policy_id not in self.policies:
            return {"success": False, "error": f"No policy {policy_id}"}
        claims = [key for key, row in sorted(self.claims.items()) if row["policy_id"] == policy_id]
        return {"success": True, "policy": self.policies[policy_id], "claim_ids": claims}

    def quote(
        self, holder_id: str, risk: Literal["theft", "fire", "water", "glass", "liability"], limit: float
    ) -> dict[str, Any]:
        """Say what a coverage would cost a holder in a year, without selling it.

        Args:
            holder_id: The holder.
            risk: The risk.
            limit: The highest payout, 100 to 500000.
        """
        if holder_id not in self.holders or risk not in COVERAGES:
            return {"success": False, "error": f"No holder {holder_id} or no risk '{risk}'"}
        if not 100 <= limit <= 500_000:
            return {"success": False, "error": "limit must be 100 to 500000"}
        factor = CLASS_FACTOR[self.holders[holder_id]["risk_class"]]
        return {"success": True, "premium": round(RATE[risk] * limit * factor, 2)}

    def add_coverage(
        self,
        policy_id: str,
        risk: Literal["theft", "fire", "water", "glass", "liability"],
        limit: float,
        deductible: float = 150.0,
    ) -> dict[str, Any]:
        """Insure a further risk, or change the terms of one that is insured; the premium follows.

        Args:
            policy_id: An active policy.
            risk: The risk.
            limit: The highest payout, 100 to 500000.
            deductible: What the holder bears of each claim, at most a fifth of the limit.
        """
        error = self._no_policy(policy_id, "active")
        if error is None and risk not in COVERAGES:
            error = f"No risk '{risk}'"
        if error is None and not (100 <= limit <= 500_000 and 0 <= deductible <= limit / 5):
            error = "limit must be 100 to 500000 and the deductible at most a fifth of it"
        if error:
            return {"success": False, "error": error}
        policy = self.policies[policy_id]
        policy["coverages"][risk] = {"limit": round(limit, 2), "deductible": round(deductible, 2)}
        self._price(policy_id)
        return {"success": True, "premium": policy["premium"]}

    def drop_coverage(self, policy_id: str, risk: str) -> dict[str, Any]:
        """End the coverage of a risk; the last one of a policy stays.

        Args:
            policy_id: An active policy.
            risk: The risk.
        """
        error = self._no_policy(policy_id, "active")
        if error is None and risk not in self.policies[policy_id]["coverages"]:
            error = f"Policy {policy_id} does not cover '{risk}'"
        if error is None and len(self.policies[policy_id]["coverages"]) == 1:
            error = f"'{risk}' is the only coverage of {policy_id}"
        if error:
            return {"success": False, "error": error}
        del self.policies[policy_id]["coverages"][risk]
        self._price(policy_id)
        return {"success": True, "premium": self.policies[policy_id]["premium"]}

    def report_claim(
        self, policy_id: str, risk: Literal["theft", "fire", "water", "glass", "liability"], amount: float
    ) -> dict[str, Any]:
        """Report a loss under an active policy; its amount up to the limit is reserved.

        Args:
            policy_id: The policy.
            risk: What caused the loss.
            amount: The loss, above 0.
        """
        error = self._no_policy(policy_id, "active")
        if error is None and risk not in self.policies[policy_id]["coverages"]:
            error = f"Policy {policy_id} does not cover '{risk}'"
        if error is None and not 0 < amount <= 1_000_000:
            error = "amount must be above 0 and at most 1000000"
        if error:
            return {"success": False, "error": error}
        key = f"CL{self.next_claim_number}"
        self.next_claim_number += 1
        reserved = round(min(amount, self.policies[policy_id]["coverages"][risk]["limit"]), 2)
        self.claims[key] = {
            "policy_id": policy_id,
            "risk": risk,
            "amount": round(amount, 2),
            "reserved": reserved,
            "status": "reported",
            "adjuster_id": None,
            "appraisal": None,
            "date": self.today,
        }
        self._reserve(risk, reserved)
        self.policies[policy_id]["open_claims"] += 1
        return {"success": True, "claim_id": key, "reserved": reserved}

    def assign_adjuster(self, claim_id: str, adjuster_id: str) -> dict[str, Any]:
        """Give a claim to an adjuster who handles at most eight; the previous one is relieved.

        Args:
            claim_id: The claim.
            adjuster_id: The adjuster.
        """
        error = self._no_claim(claim_id, "reported", "assigned")
        if error is None and (adjuster_id not in self.adjusters or self.adjusters[adjuster_id]["open_claims"] >= 8):
            error = f"No adjuster {adjuster_id}, or one with eight claims"
        if error is None and self.claims[claim_id]["adjuster_id"] == adjuster_id:
            error = f"Claim {claim_id} is with {adjuster_id} already"
        if error:
            return {"success": False, "error": error}
        claim = self.claims[claim_id]
        previous = claim["adjuster_id"]
        if previous is not None:
            self.adjusters[previous]["open_claims"] -= 1
        self.adjusters[adjuster_id]["open_claims"] += 1
        claim["adjuster_id"], claim["status"] = adjuster_id, "assigned"
        return {"success": True, "previous": previous}

    def appraise(self, claim_id: str, amount: float) -> dict[str, Any]:
        """Record what an assigned claim is worth; the reserve follows.

        Args:
            claim_id: The claim.
            amount: The appraised loss, 0 or more.
        """
        error = self._no_claim(claim_id, "assigned")
        if error is None and not 0 <= amount <= 1_000_000:
            error = "amount must be 0 to 1000000"
        if error:
            return {"success": False, "error": error}
        claim = self.claims[claim_id]
        coverage = self.policies[claim["policy_id"]]["coverages"].get(claim["risk"])
        reserved = round(min(amount, coverage["limit"] if coverage else 0.0), 2)
        self._reserve(claim["risk"], reserved - claim["reserved"])
        claim["reserved"] = reserved
        claim["appraisal"] = {"amount": round(amount, 2), "adjuster_id": claim["adjuster_id"], "date": self.today}
        self.adjusters[claim["adjuster_id"]]["appraisals"] += 1
        return {"success": True, "reserved": reserved}

    def pay_claim(self, claim_id: str) -> dict[str, Any]:
        """Pay a claim less the deductible; the loss moves its holder up a risk class.

        Args:
            claim_id: The claim; above 2000 it must be appraised.
        """
        error = self._no_claim(claim_id, "reported", "assigned")
        if error is None and self.claims[claim_id]["appraisal"] is None:
            if self.claims[claim_id]["amount"] > APPRAISAL_ABOVE:
                error = f"Claim {claim_id} is above {APPRAISAL_ABOVE:.0f} and not appraised"
        if error:
            return {"success": False, "error": error}
        claim = self.claims[claim_id]
        policy = self.policies[claim["policy_id"]]
        deductible = policy["coverages"].get(claim["risk"], {"deductible": claim["reserved"]})["deductible"]
        paid = round(max(claim["reserved"] - deductible, 0.0), 2)
        holder = self.holders[policy["holder_id"]]
        holder["received"] = round(holder["received"] + paid, 2)
        holder["risk_class"] = str(min(int(holder["risk_class"]) + 1, 4))
        self.accounts["payouts"] = round(self.accounts["payouts"] + paid, 2)
        self._close(claim_id, "paid")
        return {"success": True, "paid": paid, "deductible": deductible, "risk_class": holder["risk_class"]}

    def reject_claim(self, claim_id: str, reason: str) -> dict[str, Any]:
        """Reject a claim.

        Args:
            claim_id: The claim.
            reason: Why; it must not be blank.
        """
        error = self._no_claim(claim_id, "reported", "assigned")
        if error is None and not reason.strip():
            error = "reason must not be blank"
        if error:
            return {"success": False, "error": error}
        self._close(claim_id, "rejected")
        self.claims[claim_id]["reason"] = reason.strip()
        return {"success": True, "claim_id": claim_id}

    def pay_premium(self, policy_id: str) -> dict[str, Any]:
        """Take the yearly premium: the policy is valid for another year and is active again if it had lapsed.

        Args:
            policy_id: The policy.
        """
        error = self._no_policy(policy_id, "active", "lapsed")
        if error:
            return {"success": False, "error": error}
        policy = self.policies[policy_id]
        start = max(policy["paid_until"], self.today)
        policy["paid_until"] = (date.fromisoformat(start) + timedelta(days=365)).isoformat()
        policy["status"] = "active"
        self.accounts["premiums"] = round(self.accounts["premiums"] + policy["premium"], 2)
        return {"success": True, "paid": policy["premium"], "paid_until": policy["paid_until"]}

    def cancel_policy(self, policy_id: str) -> dict[str, Any]:
        """Cancel a policy: open claims are closed unpaid and the coverages are deleted.

        Args:
            policy_id: The policy.
        """
        error = self._no_policy(policy_id, "active", "lapsed")
        if error:
            return {"success": False, "error": error}
        rows = sorted(self.claims.items())
        pending = [k for k, row in rows if row["policy_id"] == policy_id and row["status"] in ("reported", "assigned")]
        for key in pending:
            self._close(key, "void")
        policy = self.policies[policy_id]
        policy["status"], policy["coverages"], policy["premium"] = "cancelled", {}, 0.0
        return {"success": True, "void": pending}

    def reprice_holder(self, holder_id: str, risk_class: Literal["1", "2", "3", "4"]) -> dict[str, Any]:
        """Put a holder into a risk class; the premiums of all active policies follow.

        Args:
            holder_id: The holder.
            risk_class: The class, 1 is the safest.
        """
        if holder_id not in self.holders or risk_class not in CLASS_FACTOR:
            return {"success": False, "error": f"No holder {holder_id} or no class '{risk_class}'"}
        self.holders[holder_id]["risk_class"] = risk_class
        premiums = {}
        for key, row in sorted(self.policies.items()):
            if row["holder_id"] == holder_id and row["status"] == "active":
                self._price(key)
                premiums[key] = row["premium"]
        return {"success": True, "premiums": premiums}

    def next_month(self) -> dict[str, Any]:
        """Let 30 days pass: policies unpaid for longer than the period of grace lapse."""
        self.today = self._later(30)
        limit = self._later(-GRACE_DAYS)
        rows = sorted(self.policies.items())
        lapsed = [key for key, row in rows if row["status"] == "active" and row["paid_until"] < limit]
        for key in lapsed:
            self.policies[key]["status"] = "lapsed"
        return {"success": True, "today": self.today, "lapsed": lapsed}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """An insurer with about three policies, one holder and four claims per unit of size."""
    names = ["Alma Reyes", "Bjorn Falk", "Chen Wei", "Dora Weiss", "Elif Aydin", "Frank Ito"]
    insurer = Insurance()
    today = date(2025, rng.randrange(2, 11), rng.randrange(1, 28))
    insurer.today = today.isoformat()
    insurer.reserves = dict.fromkeys(COVERAGES, 0.0)
    insurer.holders = {
        f"H{i + 1}": {"name": rng.choice(names), "risk_class": rng.choice("1234"), "received": 0.0}
        for i in range(1 + size)
    }
    insurer.adjusters = {
        f"adjuster{i + 1}": {"open_claims": 0, "appraisals": rng.randrange(30)} for i in range(2 + size // 2)
    }
    for i in range(1 + 3 * size):
        key = f"P{8001 + i}"
        insurer.policies[key] = {
            "holder_id": rng.choice(list(insurer.holders)),
            "status": "active" if i < 2 else rng.choice(["active"] * 5 + ["lapsed"]),
            "paid_until": (today + timedelta(days=rng.randrange(-25, 200))).isoformat(),
            "premium": 0.0,
            "open_claims": 0,
            "coverages": {
                risk: {"limit": rng.choice([2_000.0, 5_000.0, 20_000.0]), "deductible": rng.choice([100.0, 250.0])}
                for risk in rng.sample(COVERAGES, rng.randrange(1, 4))
            },
        }
        insurer._price(key)
    for _ in range(4 * size):
        policy_id = rng.choice(list(insurer.policies))
        risk = rng.choice(sorted(insurer.policies[policy_id]["coverages"]))
        claim = insurer.report_claim(policy_id, risk, round(rng.uniform(80, 3_000), 2))
        if claim["success"] and rng.random() < 0.6:
            insurer.assign_adjuster(claim["claim_id"], rng.choice(list(insurer.adjusters)))
            if rng.random() < 0.4:
                insurer.appraise(claim["claim_id"], round(rng.uniform(80, 3_000), 2))
    return {
        "today": insurer.today,
        "policies": insurer.policies,
        "holders": insurer.holders,
        "claims": insurer.claims,
        "adjusters": insurer.adjusters,
        "reserves": insurer.reserves,
        "accounts": {
            "premiums": round(rng.uniform(5e3, 9e4), 2),
            "payouts": 7210.4,
            "claims_closed": rng.randrange(40),
        },
        "next_claim_number": insurer.next_claim_number,
    }

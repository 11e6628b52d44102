"""Help desk: tickets, agents, service levels, escalation and merging."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "customer_support"

PRIORITIES = ("low", "normal", "high", "urgent")
RESPONSE_MINUTES = {"low": 2880, "normal": 1440, "high": 240, "urgent": 60}
MAX_LOAD = 6  # open tickets that one agent may hold
OPEN = ("new", "open", "pending")


class HelpDesk:
    """A support queue. `clock` counts minutes; `counters` holds the number of tickets per status."""

    def __init__(self) -> None:
        self.clock = 0
        self.tickets: dict[str, dict[str, Any]] = {}
        self.agents: dict[str, dict[str, Any]] = {}
        self.customers: dict[str, dict[str, Any]] = {}
        self.counters: dict[str, int] = {"new": 0, "open": 0, "pending": 0, "solved": 0, "closed": 0}
        self.breaches = 0
        self.next_ticket_number = 1

    def _set_status(self, ticket_id: str, status: str) -> None:
        ticket = self.tickets[ticket_id]
        self.counters[ticket["status"]] -= 1
        self.counters[status] += 1
        ticket["status"] = status

    def _unassign(self, ticket_id: str) -> None:
        agent_id = self.tickets[ticket_id]["agent_id"]
        if agent_id is not None:
            self.agents[agent_id]["load"] -= 1
            self.tickets[ticket_id]["agent_id"] = None

    def _give(self, ticket_id: str, agent_id: str) -> None:
        self._unassign(ticket_id)
        self.tickets[ticket_id]["agent_id"] = agent_id
        self.agents[agent_id]["load"] += 1
        if self.tickets[ticket_id]["status"] == "new":
            self._set_status(ticket_id, "open")

    def _idlest(self, category: str, excluded: str | None) -> str | None:
        able = [
            (agent["load"], key)
            for key, agent in sorted(self.agents.items())
            if key != excluded and agent["online"] and category in agent["skills"] and agent["load"] < MAX_LOAD
        ]
        return min(able)[1] if able else None

    def _not_open(self, ticket_id: str) -> str | None:
        if ticket_id not in self.tickets:
            return f"RecordNotFound: ticket {ticket_id}"
        if self.tickets[ticket_id]["status"] not in OPEN:
            return f"RecordInvalid: ticket {ticket_id} is {self.tickets[ticket_id]['status']}"
        return None

    def _not_assigned(self, ticket_id: str) -> str | None:
        error = self._not_open(ticket_id)
        if error is None and self.tickets[ticket_id]["agent_id"] is None:
            error = f"RecordInvalid: ticket {ticket_id} has no agent"
        return error

    def get_queue_summary(self) -> dict[str, Any]:
        """Show the number of tickets per status and of breached deadlines."""
        return {"success": True, "clock": self.clock, "counters": dict(self.counters), "breaches": self.breaches}

    def list_available_agents(self) -> dict[str, Any]:
        """List the agents who are online and can take another ticket, with their load."""
        free = {k: a["load"] for k, a in self.agents.items() if a["online"] and a["load"] < MAX_LOAD}
        return {"success": True, "agents": free}

    def get_ticket(self, ticket_id: str) -> dict[str, Any]:
        """Show one ticket with its messages.

        Args:
            ticket_id: The ticket.
        """
        if ticket_id not in self.tickets:
            return {"success": False, "error": f"RecordNotFound: ticket {ticket_id}"}
        return {"success": True, "ticket_id": ticket_id, "ticket": self.tickets[ticket_id]}

    def search_tickets(
        self, status: Literal["new", "open", "pending", "solved", "closed"], customer_id: str | None = None
    ) -> dict[str, Any]:
        """Find tickets by status and, if given, by customer.

        Args:
            status: The status to look for.
            customer_id: Only tickets of this customer.
        """
        if status not in self.counters:
            return {"success": False, "error": f"InvalidValue: status '{status}'"}
        if customer_id is not None and customer_id not in self.customers:
            return {"success": False, "error": f"RecordNotFound: customer {customer_id}"}
        rows = sorted(self.tickets.items())
        found = [k for k, t in rows if t["status"] == status and customer_id in (None, t["customer_id"])]
        return {"success": True, "ticket_ids": found, "count": len(found)}

    def create_ticket(
        self,
        customer_id: str,
        subject: str,
        category: str,
        priority: Literal["low", "normal", "high", "urgent"] = "normal",
    ) -> dict[str, Any]:
        """Open a ticket; an urgent one goes at once to the least busy agent with the skill.

        Args:
            customer_id: The customer who asks.
            subject: A short description, 1 to 120 characters.
            category: The skill that the ticket needs.
            priority: How soon it must be answered.
        """
        if customer_id not in self.customers:
            return {"success": False, "error": f"RecordNotFound: customer {customer_id}"}
        if not 1 <= len(subject.strip()) <= 120:
            return {"success": False, "error": "RecordInvalid: subject must have 1 to 120 characters"}
        if priority not in PRIORITIES:
            return {"success": False, "error": f"InvalidValue: priority '{priority}'"}
        if not any(category in agent["skills"] for agent in self.agents.values()):
            return {"success": False, "error": f"RecordInvalid: nobody handles category '{category}'"}
        key = f"T-{self.next_ticket_number}"
        self.next_ticket_number += 1
        self.tickets[key] = {
            "customer_id": customer_id,
            "subject": subject.strip(),
            "category": category,
            "priority": priority,
            "status": "new",
            "agent_id": None,
            "sla": {"due": self.clock + RESPONSE_MINUTES[priority], "breached": False},
            "messages": [],
            "merged_into": None,
        }
        self.counters["new"] += 1
        self.customers[customer_id]["open_tickets"] += 1
        agent_id = self._idlest(category, None) if priority == "urgent" else None
        if agent_id:
            self._give(key, agent_id)
        return {"success": True, "ticket_id": key, "agent_id": agent_id}

    def assign_ticket(self, ticket_id: str, agent_id: str) -> dict[str, Any]:
        """Give a ticket to an agent who has the skill and is not full.

        Args:
            ticket_id: The ticket.
            agent_id: The agent who shall work on it.
        """
        error = self._not_open(ticket_id)
        if error:
            return {"success": False, "error": error}
        if agent_id not in self.agents:
            return {"success": False, "error": f"RecordNotFound: agent {agent_id}"}
        ticket, agent = self.tickets[ticket_id], self.agents[agent_id]
        if ticket["agent_id"] == agent_id:
            return {"success": False, "error": f"RecordInvalid: {ticket_id} is already assigned to {agent_id}"}
        if not agent["online"] or agent["load"] >= MAX_LOAD or ticket["category"] not in agent["skills"]:
            return {
                "success": False,
                "error": f"RecordInvalid: {agent_id} is offline, full or lacks '{ticket['category']}'",
            }
        previous = ticket["agent_id"]
        self._give(ticket_id, agent_id)
        return {"success": True, "previous_agent": previous, "load": agent["load"]}

    def reply(self, ticket_id: str, body: str, public: bool = True) -> dict[str, Any]:
        """Answer a ticket as its agent; a public answer stops the deadline and waits for the customer.

        Args:
            ticket_id: The ticket.
            body: The text of the answer.
            public: Whether the customer sees it.
        """
        error = self._not_assigned(ticket_id)
        if error:
            return {"success": False, "error": error}
        ticket = self.tickets[ticket_id]
        if not body.strip():
            return {"success": False, "error": "RecordInvalid: body cannot be blank"}
        ticket["messages"].append({"author": ticket["agent_id"], "public": public, "at": self.clock, "body": body})
        if public:
            ticket["sla"]["due"] = None
            self.agents[ticket["agent_id"]]["replies"] += 1
            if ticket["status"] != "pending":
                self._set_status(ticket_id, "pending")
        return {"success": True, "status": ticket["status"], "messages": len(ticket["messages"])}

    def set_priority(self, ticket_id: str, priority: Literal["low", "normal", "high", "urgent"]) -> dict[str, Any]:
        """Change a ticket's priority and with it a running deadline.

        Args:
            ticket_id: The ticket.
            priority: The new priority.
        """
        error = self._not_open(ticket_id)
        if error is None and priority not in PRIORITIES:
            error = f"InvalidValue: priority '{priority}'"
        if error:
            return {"success": False, "error": error}
        ticket = self.tickets[ticket_id]
        if ticket["sla"]["due"] is not None:
            ticket["sla"]["due"] += RESPONSE_MINUTES[priority] - RESPONSE_MINUTES[ticket["priority"]]
        ticket["priority"] = priority
        return {"success": True, "priority": priority, "due": ticket["sla"]["due"]}

    def solve_ticket(self, ticket_id: str, rating: int | None = None) -> dict[str, Any]:
        """Mark an assigned ticket as solved and record the customer's rating.

        Args:
            ticket_id: The ticket.
            rating: 1 (bad) to 5 (good), if the customer gave one.
        """
        error = self._not_assigned(ticket_id)
        if error:
            return {"success": False, "error": error}
        ticket = self.tickets[ticket_id]
        if rating is not None and not 1 <= rating <= 5:
            return {"success": False, "error": "RecordInvalid: rating must be between 1 and 5"}
        agent = self.agents[ticket["agent_id"]]
        self._set_status(ticket_id, "solved")
        agent["load"] -= 1
        agent["solved"] += 1
        ticket["sla"]["due"] = None
        self.customers[ticket["customer_id"]]["open_tickets"] -= 1
        if rating is not None:
            agent["ratings"].append(rating)
            agent["average_rating"] = round(sum(agent["ratings"]) / len(agent["ratings"]), 2)
        return {"success": True, "agent_id": ticket["agent_id"], "average_rating": agent["average_rating"]}

    def reopen_ticket(self, ticket_id: str) -> dict[str, Any]:
        """Reopen a solved ticket; its agent gets it back if online, else nobody has it.

        Args:
            ticket_id: The ticket.
        """
        if ticket_id not in self.tickets:
            return {"success": False, "error": f"RecordNotFound: ticket {ticket_id}"}
        ticket = self.tickets[ticket_id]
        if ticket["status"] != "solved":
            return {"success": False, "error": f"RecordInvalid: ticket {ticket_id} is {ticket['status']}, not solved"}
        self._set_status(ticket_id, "open")
        ticket["sla"]["due"] = self.clock + RESPONSE_MINUTES[ticket["priority"]]
        self.customers[ticket["customer_id"]]["open_tickets"] += 1
        if ticket["agent_id"] is not None and self.agents[ticket["agent_id"]]["online"]:
            self.agents[ticket["agent_id"]]["load"] += 1
        else:
            ticket["agent_id"] = None
        return {"success": True, "agent_id": ticket["agent_id"], "due": ticket["sla"]["due"]}

    def merge_tickets(self, source_ticket_id: str, target_ticket_id: str) -> dict[str, Any]:
        """Merge one open ticket into another of the same customer: messages move, the source is closed.

        Args:
            source_ticket_id: The ticket that is closed.
            target_ticket_id: The ticket that stays.
        """
        error = self._not_open(source_ticket_id) or self._not_open(target_ticket_id)
        if error:
            return {"success": False, "error": error}
        source, target = self.tickets[source_ticket_id], self.tickets[target_ticket_id]
        if source is target or source["customer_id"] != target["customer_id"]:
            return {"success": False, "error": "RecordInvalid: tickets must be two of the same customer"}
        if PRIORITIES.index(source["priority"]) > PRIORITIES.index(target["priority"]):
            target["priority"] = source["priority"]
        target["messages"].extend(source["messages"])
        self._unassign(source_ticket_id)
        self._set_status(source_ticket_id, "closed")
        source["messages"], source["merged_into"] = [], target_ticket_id
        self.customers[source["customer_id"]]["open_tickets"] -= 1
        return {"success": True, "messages": len(target["messages"]), "priority": target["priority"]}

    def delete_ticket(self, ticket_id: str) -> dict[str, Any]:
        """Delete a ticket for good, as spam.

        Args:
            ticket_id: The ticket.
        """
        if ticket_id not in self.tickets:
            return {"success": False, "error": f"RecordNotFound: ticket {ticket_id}"}
        ticket = self.tickets[ticket_id]
        self.counters[ticket["status"]] -= 1
        if ticket["status"] in OPEN:
            self._unassign(ticket_id)
            self.customers[ticket["customer_id"]]["open_tickets"] -= 1
        del self.tickets[ticket_id]
        return {"success": True, "deleted": ticket_id}

    def set_agent_offline(self, agent_id: str) -> dict[str, Any]:
        """Take an agent offline and hand each of their open tickets to the least busy colleague, or to nobody.

        Args:
            agent_id: The agent who leaves.
        """
        if agent_id not in self.agents:
            return {"success": False, "error": f"RecordNotFound: agent {agent_id}"}
        if not self.agents[agent_id]["online"]:
            return {"success": False, "error": f"RecordInvalid: {agent_id} is already offline"}
        self.agents[agent_id]["online"] = False
        handed: dict[str, str | None] = {}
        for key, ticket in sorted(self.tickets.items()):
            if ticket["agent_id"] == agent_id and ticket["status"] in OPEN:
                successor = self._idlest(ticket["category"], agent_id)
                self._unassign(key)
                if successor is not None:
                    self._give(key, successor)
                handed[key] = successor
        return {"success": True, "handed_over": handed}

    def advance_clock(self, minutes: int) -> dict[str, Any]:
        """Let time pass; tickets whose deadline goes by are marked as breached and raised to urgent.

        Args:
            minutes: 1 to 1440.
        """
        if not 1 <= minutes <= 1440:
            return {"success": False, "error": "InvalidValue: minutes must be between 1 and 1440"}
        self.clock += minutes
        breached = []
        for key, ticket in sorted(self.tickets.items()):
            due = ticket["sla"]["due"]
            if ticket["status"] in OPEN and due is not None and due < self.clock and not ticket["sla"]["breached"]:
                ticket["sla"]["breached"], ticket["priority"] = True, "urgent"
                breached.append(key)
        self.breaches += len(breached)
        return {"success": True, "clock": self.clock, "breached": breached}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A queue with about five tickets, one agent and one or two customers per unit of size."""
    skills = ["billing", "login", "shipping", "api.v2", "hardware"]
    subjects = ["Cannot sign in", "Charged twice", "Parcel lost", "API returns 500", "Screen flickers", "Refund please"]
    clock = rng.randrange(10_000, 20_000)
    agents: dict[str, dict[str, Any]] = {}
    for i in range(2 + size):
        ratings = [rng.randrange(1, 6) for _ in range(rng.randrange(3))]
        agents[f"agent.{i + 1}"] = {
            "online": i < 2 or rng.random() < 0.75,
            "skills": sorted(rng.sample(skills, rng.randrange(2, 5))),
            "load": 0,
            "replies": rng.randrange(40),
            "solved": rng.randrange(30),
            "ratings": ratings,
            "average_rating": round(sum(ratings) / len(ratings), 2) if ratings else None,
        }
    customers: dict[str, dict[str, Any]] = {
        f"C-{501 + i}": {
            "name": f"Customer {chr(65 + i % 26)}{i}",
            "plan": rng.choice(["free", "pro"]),
            "open_tickets": 0,
        }
        for i in range(1 + size)
    }
    counters = dict.fromkeys(["new", "open", "pending", "solved", "closed"], 0)
    tickets: dict[str, dict[str, Any]] = {}
    for i in range(5 * size):
        category, priority = rng.choice(skills), rng.choice(PRIORITIES)
        customer_id = rng.choice(list(customers))
        able = [k for k, a in agents.items() if a["online"] and category in a["skills"] and a["load"] < MAX_LOAD]
        status = rng.choice(["new", "open", "open", "pending", "solved", "closed"] if able else ["new", "closed"])
        agent_id = rng.choice(able) if status in ("open", "pending", "solved") else None
        messages = [
            {
                "author": agent_id,
                "public": rng.random() < 0.7,
                "at": clock - rng.randrange(900),
                "body": "We are on it.",
            }
            for _ in range(rng.randrange(3) if agent_id else 0)
        ]
        tickets[f"T-{i + 1}"] = {
            "customer_id": customer_id,
            "subject": rng.choice(subjects),
            "category": category,
            "priority": priority,
            "status": status,
            "agent_id": agent_id,
            "sla": {"due": clock + rng.randrange(5, 1500) if status in ("new", "open") else None, "breached": False},
            "messages": messages,
            "merged_into": None,
        }
        counters[status] += 1
        if status in OPEN:
            customers[customer_id]["open_tickets"] += 1
            if agent_id:
                agents[agent_id]["load"] += 1
    return {
        "clock": clock,
        "tickets": tickets,
        "agents": agents,
        "customers": customers,
        "counters": counters,
        "breaches": rng.randrange(5),
        "next_ticket_number": len(tickets) + 1,
    }

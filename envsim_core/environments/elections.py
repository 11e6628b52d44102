"""Elections: polls with candidates, registered voters, ballots of three kinds, counting, recounts and delegation."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "civic_services"

METHODS = ("plurality", "approval", "ranked")
MAX_CANDIDATES = 7
QUORUM = 3


class Elections:
    """An association's election office. A poll's `ballots` map a voter to the chosen candidates, in order."""

    def __init__(self) -> None:
        self.polls: dict[str, dict[str, Any]] = {}
        self.voters: dict[str, dict[str, Any]] = {}
        self.districts: dict[str, dict[str, Any]] = {}
        self.objections: dict[str, dict[str, Any]] = {}
        self.statistics: dict[str, Any] = {"ballots_cast": 0, "polls_counted": 0, "turnout": 0.0}
        self.next_numbers = {"poll": 1, "objection": 1}

    def _no_poll(self, poll_id: str, *statuses: str) -> str | None:
        if poll_id not in self.polls:
            return f"unknown poll: {poll_id}"
        if self.polls[poll_id]["status"] not in statuses:
            return f"poll {poll_id} is {self.polls[poll_id]['status']}"
        return None

    def _no_vote(self, voter_id: str, poll_id: str) -> str | None:
        """Why a voter has no vote in a poll: unknown, struck off, delegated or of another district."""
        error = self._no_poll(poll_id, "open")
        if error is None and voter_id not in self.voters:
            error = f"unknown voter: {voter_id}"
        if error:
            return error
        voter, poll = self.voters[voter_id], self.polls[poll_id]
        if voter["status"] != "registered":
            return f"voter {voter_id} is {voter['status']}"
        if poll["district"] not in (None, voter["district"]):
            return f"poll {poll_id} is held in {poll['district']}"
        return None

    def _weight(self, voter_id: str) -> int:
        return 1 + sum(bool(row["delegate_id"] == voter_id) for row in self.voters.values())

    def _withdraw_ballot(self, poll_id: str, voter_id: str) -> None:
        poll = self.polls[poll_id]
        del poll["ballots"][voter_id]
        poll["votes_cast"] -= 1
        self.voters[voter_id]["ballots"] -= 1
        self.statistics["ballots_cast"] -= 1

    def _count(self, poll_id: str) -> dict[str, int]:
        """The votes of each candidate; in a ranked poll the last one is dropped until somebody has a majority."""
        poll = self.polls[poll_id]
        running = set(poll["candidates"])
        while True:
            votes = dict.fromkeys(sorted(running), 0)
            for voter_id, chosen in poll["ballots"].items():
                valid = [name for name in chosen if name in running]
                for name in valid if poll["method"] == "approval" else valid[:1]:
                    votes[name] += self._weight(voter_id)
            top = max(votes.values(), default=0)
            if poll["method"] != "ranked" or len(running) <= 2 or top * 2 > sum(votes.values()):
                return votes
            running.remove(min(votes, key=lambda name: (votes[name], name)))

    def get_statistics(self) -> dict[str, Any]:
        """Show the office's counters and the number of registered voters."""
        registered = sum(row["status"] == "registered" for row in self.voters.values())
        return {"success": True, "registered": registered, "statistics": dict(self.statistics)}

    def list_polls(self) -> dict[str, Any]:
        """List all polls by status."""
        found: dict[str, list[str]] = {}
        for key, row in sorted(self.polls.items()):
            found.setdefault(row["status"], []).append(key)
        return {"success": True, "polls": found}

    def get_turnout(self, poll_id: str) -> dict[str, Any]:
        """Show how many of a poll's voters have voted, without what they voted.

        Args:
            poll_id: The poll.
        """
        if poll_id not in self.polls:
            return {"success": False, "error": f"unknown poll: {poll_id}"}
        poll = self.polls[poll_id]
        able = [row for row in self.voters.values() if poll["district"] in (None, row["district"])]
        share = round(poll["votes_cast"] / len(able), 3) if able else 0.0
        return {"success": True, "status": poll["status"], "votes_cast": poll["votes_cast"], "turnout": share}

    def get_voter(self, voter_id: str) -> dict[str, Any]:
        """Show a voter and the weight of the vote, delegations included.

        Args:
            voter_id: The voter.
        """
        if voter_id not in self.voters:
            return {"success": False, "error": f"unknown voter: {voter_id}"}
        return {"success": True, "voter": self.voters[voter_id], "weight": self._weight(voter_id)}

    def create_poll(
        self,
        title: str,
        candidates: list[str],
        method: Literal["plurality", "approval", "ranked"] = "plurality",
        district: str | None = None,
    ) -> dict[str, Any]:
        """Prepare a poll, in one district or in all.

        Args:
            title: What is decided; it must not be blank.
            candidates: 2 to 7 different names.
            method: How votes are counted.
            district: The district, or nothing for all voters.
        """
        if not title.strip() or not 2 <= len(set(candidates)) <= MAX_CANDIDATES or method not in METHODS:
            return {"success": False, "error": "a poll needs a title, 2 to 7 candidates and a known method"}
        if district is not None and district not in self.districts:
            return {"success": False, "error": f"unknown district: {district}"}
        key = f"poll{self.next_numbers['poll']}"
        self.next_numbers["poll"] += 1
        self.polls[key] = {
            "title": title.strip(),
            "method": method,
            "district": district,
            "status": "draft",
            "candidates": {name: {"votes": 0, "elected": False} for name in sorted(set(candidates))},
            "ballots": {},
            "votes_cast": 0,
        }
        for name in [district] if district else sorted(self.districts):
            self.districts[name]["polls"] += 1
        return {"success": True, "poll_id": key}

    def add_candidate(self, poll_id: str, candidate: str) -> dict[str, Any]:
        """Add a candidate to a poll that is not counted yet.

        Args:
            poll_id: The poll.
            candidate: The candidate's name.
        """
        error = self._no_poll(poll_id, "draft", "open")
        if error is None and (not candidate.strip() or candidate in self.polls[poll_id]["candidates"]):
            error = f"candidate '{candidate}' is blank or stands already"
        if error is None and len(self.polls[poll_id]["candidates"]) >= MAX_CANDIDATES:
            error = f"poll {poll_id} has {MAX_CANDIDATES} candidates"
        if error:
            return {"success": False, "error": error}
        self.polls[poll_id]["candidates"][candidate] = {"votes": 0, "elected": False}
        return {"success": True, "candidates": sorted(self.polls[poll_id]["candidates"])}

    def open_polls(self, district: str) -> dict[str, Any]:
        """Open all prepared polls of a district and those of all districts.

        Args:
            district: The district.
        """
        if district not in self.districts:
            return {"success": False, "error": f"unknown district: {district}"}
        rows = sorted(self.polls.items())
        opened = [key for key, row in rows if row["status"] == "draft" and row["district"] in (None, district)]
        if not opened:
            return {"success": False, "error": f"no poll of {district} is prepared"}
        for key in opened:
            self.polls[key]["status"] = "open"
        return {"success": True, "opened": opened}

    def cast_ballot(self, voter_id: str, poll_id: str, candidates: list[str]) -> dict[str, Any]:
        """Vote: one candidate, or several to approve of or in order of preference; a second ballot replaces the first.

        Args:
            voter_id: A registered voter who has not delegated the vote.
            poll_id: An open poll of the voter's district.
            candidates: The chosen candidates; others are ignored, but one must stand.
        """
        error = self._no_vote(voter_id, poll_id)
        if error is None and self.voters[voter_id]["delegate_id"] is not None:
            error = f"voter {voter_id} delegated the vote to {self.voters[voter_id]['delegate_id']}"
        standing = [] if error else [name for name in candidates if name in self.polls[poll_id]["candidates"]]
        if error is None and not standing:
            error = f"none of the chosen candidates stands in {poll_id}"
        if error:
            return {"success": False, "error": error}
        poll = self.polls[poll_id]
        replaced = voter_id in poll["ballots"]
        chosen = list(dict.fromkeys(standing))
        poll["ballots"][voter_id] = chosen[:1] if poll["method"] == "plurality" else chosen
        if not replaced:
            poll["votes_cast"] += 1
            self.voters[voter_id]["ballots"] += 1
            self.statistics["ballots_cast"] += 1
        return {"success": True, "ballot": poll["ballots"][voter_id], "replaced": replaced}

    def withdraw_ballot(self, voter_id: str, poll_id: str) -> dict[str, Any]:
        """Take a ballot back while the poll is open.

        Args:
            voter_id: The voter.
            poll_id: The poll.
        """
        error = self._no_vote(voter_id, poll_id)
        if error is None and voter_id not in self.polls[poll_id]["ballots"]:
            error = f"voter {voter_id} has not voted in {poll_id}"
        if error:
            return {"success": False, "error": error}
        self._withdraw_ballot(poll_id, voter_id)
        return {"success": True, "votes_cast": self.polls[poll_id]["votes_cast"]}

    def delegate_vote(self, voter_id: str, delegate_voter_id: str | None) -> dict[str, Any]:
        """Delegate a vote to a voter of the same district, or take it back; ballots in open polls are withdrawn.

        Args:
            voter_id: The voter.
            delegate_voter_id: Who votes instead, or nothing.
        """
        if voter_id not in self.voters or (delegate_voter_id is not None and delegate_voter_id not in self.voters):
            return {"success": False, "error": f"unknown voter: {voter_id} or {delegate_voter_id}"}
        voter = self.voters[voter_id]
        if voter["delegate_id"] == delegate_voter_id or voter_id == delegate_voter_id:
            return {"success": False, "error": f"voter {voter_id} has this delegate, or is it"}
        if delegate_voter_id is not None:
            delegate = self.voters[delegate_voter_id]
            if delegate["delegate_id"] is not None or delegate["district"] != voter["district"]:
                return {
                    "success": False,
                    "error": f"voter {delegate_voter_id} delegated too, or is of another district",
                }
            if self._weight(voter_id) > 1:
                return {"success": False, "error": f"voter {voter_id} votes for others"}
        withdrawn = []
        for key, poll in sorted(self.polls.items()):
            if poll["status"] == "open" and delegate_voter_id is not None and voter_id in poll["ballots"]:
                self._withdraw_ballot(key, voter_id)
                withdrawn.append(key)
        voter["delegate_id"] = delegate_voter_id
        return {"success": True, "withdrawn": withdrawn}

    def count_poll(self, poll_id: str) -> dict[str, Any]:
        """Close an open poll with at least three ballots and count it; a tie elects the first name.

        Args:
            poll_id: The poll.
        """
        error = self._no_poll(poll_id, "open", "recount")
        if error is None and self.polls[poll_id]["votes_cast"] < QUORUM:
            error = f"{self.polls[poll_id]['votes_cast']} of {QUORUM} needed votes are cast in {poll_id}"
        if error:
            return {"success": False, "error": error}
        poll = self.polls[poll_id]
        votes = self._count(poll_id)
        winner = min(votes, key=lambda name: (-votes[name], name))
        for name, row in poll["candidates"].items():
            row["votes"], row["elected"] = votes.get(name, 0), name == winner
        poll["status"] = "counted"
        self.statistics["polls_counted"] += 1
        self.statistics["turnout"] = round(poll["votes_cast"] / len(self.voters), 3)
        return {"success": True, "votes": votes, "elected": winner}

    def raise_objection(self, voter_id: str, poll_id: str, reason: str) -> dict[str, Any]:
        """Object to a counted poll, once for each voter.

        Args:
            voter_id: The voter who objects.
            poll_id: The poll.
            reason: Why; it must not be blank.
        """
        error = self._no_poll(poll_id, "counted")
        if error is None and (voter_id not in self.voters or not reason.strip()):
            error = f"unknown voter: {voter_id}, or the reason is blank"
        if error is None and any(
            o["voter_id"] == voter_id and o["poll_id"] == poll_id for o in self.objections.values()
        ):
            error = f"voter {voter_id} objected to {poll_id} already"
        if error:
            return {"success": False, "error": error}
        key = f"OBJ{self.next_numbers['objection']}"
        self.next_numbers["objection"] += 1
        self.objections[key] = {"voter_id": voter_id, "poll_id": poll_id, "reason": reason.strip(), "upheld": None}
        return {"success": True, "objection_id": key}

    def decide_objection(self, objection_id: str, upheld: bool) -> dict[str, Any]:
        """Decide an objection; one that is upheld undoes the count, and the objector's ballot does not count.

        Args:
            objection_id: The objection.
            upheld: Whether it is right.
        """
        if objection_id not in self.objections or self.objections[objection_id]["upheld"] is not None:
            return {"success": False, "error": f"objection {objection_id} is unknown or decided"}
        row = self.objections[objection_id]
        error = self._no_poll(row["poll_id"], "counted")
        if error:
            return {"success": False, "error": error}
        row["upheld"] = upheld
        if upheld:
            poll = self.polls[row["poll_id"]]
            poll["status"] = "recount"
            for candidate in poll["candidates"].values():
                candidate["votes"], candidate["elected"] = 0, False
            if row["voter_id"] in poll["ballots"]:
                self._withdraw_ballot(row["poll_id"], row["voter_id"])
        return {"success": True, "status": self.polls[row["poll_id"]]["status"]}

    def move_voter(self, voter_id: str, new_district: str) -> dict[str, Any]:
        """Register a voter in another district; delegations to and from the voter end.

        Args:
            voter_id: The voter.
            new_district: The new district.
        """
        if voter_id not in self.voters or new_district not in self.districts:
            return {"success": False, "error": f"unknown voter {voter_id} or district {new_district}"}
        voter = self.voters[voter_id]
        if voter["district"] == new_district or voter["status"] != "registered":
            return {"success": False, "error": f"voter {voter_id} is {voter['status']} in {voter['district']}"}
        freed = [key for key, row in sorted(self.voters.items()) if row["delegate_id"] == voter_id]
        for key in freed:
            self.voters[key]["delegate_id"] = None
        self.districts[voter["district"]]["voters"] -= 1
        self.districts[new_district]["voters"] += 1
        voter["district"], voter["delegate_id"] = new_district, None
        return {"success": True, "freed": freed}

    def strike_voter(self, voter_id: str) -> dict[str, Any]:
        """Strike a voter off the register: ballots in open polls are withdrawn, delegations to the voter end.

        Args:
            voter_id: The voter.
        """
        if voter_id not in self.voters or self.voters[voter_id]["status"] != "registered":
            return {"success": False, "error": f"voter {voter_id} is unknown or not registered"}
        polls = [k for k, p in sorted(self.polls.items()) if p["status"] == "open" and voter_id in p["ballots"]]
        for key in polls:
            self._withdraw_ballot(key, voter_id)
        for row in self.voters.values():
            row["delegate_id"] = None if row["delegate_id"] == voter_id else row["delegate_id"]
        self.voters[voter_id]["status"] = "struck"
        self.districts[self.voters[voter_id]["district"]]["voters"] -= 1
        return {"success": True, "withdrawn": polls}

    def archive_counted(self) -> dict[str, Any]:
        """Delete the counted polls to which no objection is pending, with their objections."""
        pending = {row["poll_id"] for row in self.objections.values() if row["upheld"] is None}
        gone = [k for k, row in sorted(self.polls.items()) if row["status"] == "counted" and k not in pending]
        for key in gone:
            for name, row in self.districts.items():
                row["polls"] -= self.polls[key]["district"] in (None, name)
            del self.polls[key]
        for key in sorted(self.objections):
            if self.objections[key]["poll_id"] in gone:
                del self.objections[key]
        return {"success": True, "archived": gone}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """An office with about five voters, two polls and three ballots for each open poll per unit of size."""
    names = ["Abel", "Bea", "Cyra", "Dov", "Esme", "Faro", "Gwen", "Hugo"]
    titles = ["Chair of the board", "Summer party", "New logo", "Treasurer", "Opening hours"]
    office = Elections()
    areas = ["east", "west", "old_town", "docks"][: 2 + size // 5]
    office.districts = {name: {"voters": 0, "polls": 0} for name in areas}
    for i in range(2 + 5 * size):
        district = areas[i % len(areas)]
        voter = {"name": f"{rng.choice(names)} {chr(65 + i % 26)}.", "district": district, "status": "registered"}
        office.voters[f"V{i + 1}"] = voter | {"delegate_id": None, "ballots": 0}
        office.districts[district]["voters"] += 1
    for i in range(3 * size):
        method = rng.choice(METHODS)
        held_in = rng.choice([None, *areas]) if i != 1 else None
        chosen = rng.sample(names, rng.randrange(2, 5))
        created = office.create_poll(rng.choice(titles), chosen, "plurality", held_in)
        poll_id = created["poll_id"]
        poll = office.polls[poll_id]
        poll["method"] = method
        if i < 2 or rng.random() < 0.6:
            poll["status"] = "open"
            for voter_id in rng.sample(list(office.voters), 4):
                office.cast_ballot(voter_id, poll_id, rng.sample(chosen, rng.randrange(1, 3)))
            if i == 1 or (i and rng.random() < 0.4):
                office.count_poll(poll_id)
                office.raise_objection(rng.choice(list(office.voters)), poll_id, "late ballots")
    for _ in range(size):
        one, other = rng.sample(list(office.voters), 2)
        office.delegate_vote(one, other)
    return {
        "polls": office.polls,
        "voters": office.voters,
        "districts": office.districts,
        "objections": office.objections,
        "statistics": office.statistics,
        "next_numbers": office.next_numbers,
    }

"""Code host: repositories, branches of files, pull requests with reviews, issues and roles."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "software_development"

ROLES = ("read", "write", "admin")
REQUIRED_APPROVALS = 1


class CodeHost:
    """A forge. A branch's `paths` maps each file to its revision: the number of the commit that last wrote it."""

    def __init__(self) -> None:
        self.current_user = ""
        self.commit_number = 0
        self.users: dict[str, dict[str, Any]] = {}
        self.repositories: dict[str, dict[str, Any]] = {}
        self.pull_requests: dict[str, dict[str, Any]] = {}
        self.issues: dict[str, dict[str, Any]] = {}
        self.next_pull_request_number = 1

    def _denied(self, repository_id: str, role: str) -> str | None:
        if repository_id not in self.repositories:
            return "404 Not Found"
        repository = self.repositories[repository_id]
        held = repository["roles"].get(self.current_user)
        if held is None and repository["private"]:
            return "404 Not Found"
        if ROLES.index(held or "read") < ROLES.index(role):
            return f"403 Forbidden: {self.current_user} needs the role '{role}' on {repository_id}"
        if repository["archived"] and role == "write":
            return f"403 Forbidden: {repository_id} is archived"
        return None

    def _no_branch(self, repository_id: str, branch: str) -> str | None:
        if branch not in self.repositories[repository_id]["branches"]:
            return f"404 Not Found: branch '{branch}' in {repository_id}"
        return None

    def _request(self, pull_request_id: str, role: str) -> str | None:
        if pull_request_id not in self.pull_requests:
            return f"404 Not Found: {pull_request_id}"
        row = self.pull_requests[pull_request_id]
        if row["status"] != "open":
            return f"422 Unprocessable: {pull_request_id} is {row['status']}"
        return self._denied(row["repository_id"], role)

    def _open_requests(self, repository_id: str) -> list[dict[str, Any]]:
        rows = self.pull_requests.values()
        return [row for row in rows if row["status"] == "open" and row["repository_id"] == repository_id]

    def _changes(self, pull_request_id: str) -> dict[str, int | None]:
        """What the source branch has that the target has not: path to revision, None for a deleted file."""
        row = self.pull_requests[pull_request_id]
        branches = self.repositories[row["repository_id"]]["branches"]
        source, target = branches[row["source_branch"]]["paths"], branches[row["target_branch"]]["paths"]
        base = branches[row["source_branch"]]["base"]
        changed: dict[str, int | None] = {
            path: rev for path, rev in sorted(source.items()) if target.get(path) != rev and base.get(path) != rev
        }
        changed.update({path: None for path in target if path not in source and path in base})
        return changed

    def list_my_repositories(self) -> dict[str, Any]:
        """List the repositories in which the current user has a role."""
        rows = sorted(self.repositories.items())
        mine = {key: row["roles"][self.current_user] for key, row in rows if self.current_user in row["roles"]}
        return {"success": True, "user_id": self.current_user, "repositories": mine}

    def list_review_requests(self) -> dict[str, Any]:
        """List the open pull requests of others that the current user has not approved."""
        me = self.current_user
        rows = sorted(self.pull_requests.items())
        found = [k for k, r in rows if r["status"] == "open" and r["author"] != me and me not in r["approvals"]]
        mine = [key for key in found if not self._denied(self.pull_requests[key]["repository_id"], "write")]
        return {"success": True, "pull_request_ids": mine}

    def list_files(self, repository_id: str, branch: str) -> dict[str, Any]:
        """List the files of a branch with their revisions.

        Args:
            repository_id: The repository.
            branch: The branch.
        """
        error = self._denied(repository_id, "read") or self._no_branch(repository_id, branch)
        if error:
            return {"success": False, "error": error}
        row = self.repositories[repository_id]["branches"][branch]
        return {"success": True, "files": dict(row["paths"]), "protected": row["protected"]}

    def get_pull_request(self, pull_request_id: str) -> dict[str, Any]:
        """Show a pull request and, while it is open, what it changes.

        Args:
            pull_request_id: The pull request.
        """
        if pull_request_id not in self.pull_requests:
            return {"success": False, "error": f"404 Not Found: {pull_request_id}"}
        row = self.pull_requests[pull_request_id]
        error = self._denied(row["repository_id"], "read")
        if error:
            return {"success": False, "error": error}
        changes = self._changes(pull_request_id) if row["status"] == "open" else {}
        return {"success": True, "pull_request": row, "changes": changes}

    def switch_user(self, user_id: str) -> dict[str, Any]:
        """Sign in as another user.

        Args:
            user_id: The user.
        """
        if user_id not in self.users:
            return {"success": False, "error": f"401 Unauthorized: {user_id}"}
        if self.users[user_id]["suspended"]:
            return {"success": False, "error": f"403 Forbidden: {user_id} is suspended"}
        previous, self.current_user = self.current_user, user_id
        return {"success": True, "previous": previous}

    def create_branch(self, repository_id: str, source_branch: str, name: str) -> dict[str, Any]:
        """Create a branch from the present state of another one.

        Args:
            repository_id: The repository.
            source_branch: The branch to start from.
            name: The new branch's name, without spaces.
        """
        error = self._denied(repository_id, "write") or self._no_branch(repository_id, source_branch)
        if error is None and (not name or " " in name):
            error = f"422 Unprocessable: '{name}' is no valid branch name"
        if error is None and name in self.repositories[repository_id]["branches"]:
            error = f"409 Conflict: branch '{name}' exists"
        if error:
            return {"success": False, "error": error}
        branches = self.repositories[repository_id]["branches"]
        files = branches[source_branch]["paths"]
        branches[name] = {"paths": dict(files), "base": dict(files), "protected": False}
        return {"success": True, "branch": name, "files": len(files)}

    def commit_files(
        self, repository_id: str, branch: str, paths: list[str], change: Literal["write", "delete"] = "write"
    ) -> dict[str, Any]:
        """Write new content to files of an unprotected branch, or delete them, in one commit.

        Args:
            repository_id: The repository.
            branch: The branch.
            paths: 1 to 8 paths such as "src/app.py"; only existing ones can be deleted.
            change: What is done to them.
        """
        error = self._denied(repository_id, "write") or self._no_branch(repository_id, branch)
        if error:
            return {"success": False, "error": error}
        row, wanted = self.repositories[repository_id]["branches"][branch], list(dict.fromkeys(paths))
        bad = [path for path in wanted if not path or path.startswith("/") or ".." in path or " " in path]
        missing = [path for path in wanted if path not in row["paths"]] if change == "delete" else []
        if row["protected"]:
            error = f"403 Forbidden: branch '{branch}' is protected"
        elif bad or not 1 <= len(wanted) <= 8 or change not in ("write", "delete"):
            error = f"422 Unprocessable: 1 to 8 relative paths to write or delete, not {bad}"
        elif missing:
            error = f"404 Not Found: '{missing[0]}' on '{branch}'"
        if error:
            return {"success": False, "error": error}
        self.commit_number += 1
        for path in wanted:
            if change == "write":
                row["paths"][path] = self.commit_number
            else:
                del row["paths"][path]
        self.users[self.current_user]["commits"] += 1
        for request in self._open_requests(repository_id):  # a push makes reviews stale
            if request["source_branch"] == branch:
                request["approvals"], request["blocked_by"] = [], None
        return {"success": True, "commit": self.commit_number, "files": len(wanted)}

    def open_pull_request(
        self, repository_id: str, from_branch: str, into_branch: str, closes_issue_id: str | None = None
    ) -> dict[str, Any]:
        """Ask to merge one branch into another.

        Args:
            repository_id: The repository.
            from_branch: The branch with the changes.
            into_branch: The branch that shall get them.
            closes_issue_id: An issue of the repository that the merge will close.
        """
        error = self._denied(repository_id, "write")
        error = error or self._no_branch(repository_id, from_branch) or self._no_branch(repository_id, into_branch)
        if error is None and from_branch == into_branch:
            error = "422 Unprocessable: source and target branch are the same"
        closes = [closes_issue_id] if closes_issue_id is not None else []
        if error is None and any(self.issues.get(key, {}).get("repository_id") != repository_id for key in closes):
            error = f"422 Unprocessable: {closes_issue_id} is no issue of {repository_id}"
        if error is None and any(r["source_branch"] == from_branch for r in self._open_requests(repository_id)):
            error = f"409 Conflict: '{from_branch}' already has an open pull request"
        if error:
            return {"success": False, "error": error}
        key = f"PR-{self.next_pull_request_number}"
        self.next_pull_request_number += 1
        self.pull_requests[key] = {
            "repository_id": repository_id,
            "source_branch": from_branch,
            "target_branch": into_branch,
            "author": self.current_user,
            "status": "open",
            "approvals": [],
            "blocked_by": None,
            "closes": closes,
        }
        self.repositories[repository_id]["open_pull_requests"] += 1
        return {"success": True, "pull_request_id": key, "changes": len(self._changes(key))}

    def review(self, pull_request_id: str, verdict: Literal["approve", "request_changes"]) -> dict[str, Any]:
        """Review another user's pull request: approve it, or block it until its branch gets a new commit.

        Args:
            pull_request_id: The pull request.
            verdict: The outcome of the review.
        """
        error = self._request(pull_request_id, "write")
        row, me = self.pull_requests.get(pull_request_id, {}), self.current_user
        if error is None and row["author"] == me:
            error = "422 Unprocessable: authors cannot review their own pull request"
        elif error is None and verdict not in ("approve", "request_changes"):
            error = f"422 Unprocessable: verdict '{verdict}'"
        elif error is None and verdict == "approve" and me in row["approvals"]:
            error = f"409 Conflict: {me} has approved already"
        if error:
            return {"success": False, "error": error}
        if verdict == "approve":
            row["approvals"].append(me)
            row["blocked_by"] = None if row["blocked_by"] == me else row["blocked_by"]
        else:
            row["approvals"] = [user for user in row["approvals"] if user != me]
            row["blocked_by"] = me
        self.users[me]["reviews"] += 1
        return {"success": True, "approvals": list(row["approvals"]), "blocked_by": row["blocked_by"]}

    def merge(self, pull_request_id: str, delete_branch: bool = False) -> dict[str, Any]:
        """Merge an approved pull request that nobody blocks: files move to the target, issues are closed.

        Args:
            pull_request_id: The pull request.
            delete_branch: Whether the source branch, unless protected or still needed, is deleted afterwards.
        """
        error = self._request(pull_request_id, "write")
        row = self.pull_requests.get(pull_request_id, {})
        if error is None and (len(row["approvals"]) < REQUIRED_APPROVALS or row["blocked_by"]):
            error = f"405 Method Not Allowed: {len(row['approvals'])} approvals, blocked by {row['blocked_by']}"
        if error:
            return {"success": False, "error": error}
        repository = self.repositories[row["repository_id"]]
        source, target = repository["branches"][row["source_branch"]], repository["branches"][row["target_branch"]]
        changes = self._changes(pull_request_id)
        moved = [path for path in changes if target["paths"].get(path) != source["base"].get(path)]
        if moved:
            return {"success": False, "error": f"409 Conflict: {', '.join(sorted(moved))} changed on both branches"}
        for path, revision in sorted(changes.items()):
            if revision is None:
                del target["paths"][path]
            else:
                target["paths"][path] = revision
        row["status"] = "merged"
        closed = [key for key in row["closes"] if self.issues[key]["status"] == "open"]
        for key in closed:
            self.issues[key]["status"] = "closed"
        repository["open_issues"] -= len(closed)
        repository["open_pull_requests"] -= 1
        self.users[row["author"]]["merged"] += 1
        source["base"] = dict(source["paths"])
        targets = [request["target_branch"] for request in self._open_requests(row["repository_id"])]
        deleted = delete_branch and not source["protected"] and row["source_branch"] not in targets
        if deleted:
            del repository["branches"][row["source_branch"]]
        return {"success": True, "files_changed": len(changes), "closed_issues": closed, "branch_deleted": deleted}

    def set_role(
        self, repository_id: str, user_id: str, role: Literal["none", "read", "write", "admin"]
    ) -> dict[str, Any]:
        """Give a user a role in a repository, or take it away; a repository keeps at least one admin.

        Args:
            repository_id: The repository.
            user_id: The user.
            role: The new role; "none" removes the user.
        """
        error = self._denied(repository_id, "admin")
        if error is None and (user_id not in self.users or role not in ("none", *ROLES)):
            error = f"422 Unprocessable: user '{user_id}', role '{role}'"
        if error:
            return {"success": False, "error": error}
        roles = self.repositories[repository_id]["roles"]
        if role != "admin" and [key for key, held in sorted(roles.items()) if held == "admin"] == [user_id]:
            return {"success": False, "error": "422 Unprocessable: a repository needs an admin"}
        previous = roles.pop(user_id, "none")
        if role != "none":
            roles[user_id] = role
        return {"success": True, "previous": previous, "role": role}

    def archive_repository(self, repository_id: str, archived: bool = True) -> dict[str, Any]:
        """Archive a repository, which closes its open pull requests and issues and makes it read-only, or revive it.

        Args:
            repository_id: The repository.
            archived: False to revive it.
        """
        error = self._denied(repository_id, "admin")
        if error is None and self.repositories[repository_id]["archived"] == archived:
            error = f"422 Unprocessable: {repository_id} is {'archived' if archived else 'not archived'}"
        if error:
            return {"success": False, "error": error}
        repository = self.repositories[repository_id]
        closed = []
        for rows in (self.pull_requests, self.issues):
            for key, row in sorted(rows.items()):
                if row["repository_id"] == repository_id and row["status"] == "open":
                    row["status"] = "closed"
                    closed.append(key)
        repository["archived"], repository["open_pull_requests"], repository["open_issues"] = archived, 0, 0
        return {"success": True, "closed": closed}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A forge with about one repository, two users, two pull requests and three issues per unit of size."""
    paths = ["src/app.py", "src/db/models.py", "README.md", "tests/test_app.py", "docs/guide.v2.md", "ci/build.yml"]
    users: dict[str, dict[str, Any]] = {
        f"dev{i + 1}": {
            "suspended": i > 2 and rng.random() < 0.1,
            "commits": rng.randrange(60),
            "reviews": rng.randrange(20),
            "merged": rng.randrange(9),
        }
        for i in range(2 + size)
    }
    active = [key for key, row in users.items() if not row["suspended"]]
    repositories: dict[str, dict[str, Any]] = {}
    pull_requests: dict[str, dict[str, Any]] = {}
    issues: dict[str, dict[str, Any]] = {}
    commit = 10
    for i in range(size):
        key = f"org/{rng.choice(['web', 'api', 'core', 'infra'])}.{i + 1}"
        main = {path: rng.randrange(1, 11) for path in rng.sample(paths, rng.randrange(3, 6))}
        branches = {"main": {"paths": main, "base": {}, "protected": True}}
        members = rng.sample(active, min(len(active), rng.randrange(2, 6)))
        roles = {user: rng.choice(["write", "write", "admin", "read"]) for user in members}
        roles[members[0]] = "admin"
        repositories[key] = {
            "private": rng.random() < 0.3,
            "archived": i > 0 and rng.random() < 0.08,
            "roles": roles,
            "branches": branches,
            "open_pull_requests": 0,
            "open_issues": 0,
        }
        for _ in range(3):
            number = len(issues) + 1
            status = "closed" if repositories[key]["archived"] else rng.choice(["open", "open", "closed"])
            issues[f"ISSUE-{number}"] = {
                "repository_id": key,
                "title": rng.choice(["Crash on start", "Slow query", "Typo in guide", "Support v2"]),
                "labels": sorted(rng.sample(["bug", "docs", "perf", "good first issue"], rng.randrange(3))),
                "status": status,
                "author": rng.choice(members),
            }
            repositories[key]["open_issues"] += status == "open"
        for name in rng.sample(["feature/login", "fix/typo", "release/1.2", "dev.next"], rng.randrange(2, 4)):
            commit += 1
            files = {**main, **dict.fromkeys(rng.sample(paths, rng.randrange(1, 5)), commit)}
            if rng.random() < 0.4:
                del files[rng.choice(list(main))]
            branches[name] = {"paths": files, "base": dict(main), "protected": False}
            if rng.random() < 0.55 and not repositories[key]["archived"]:
                opened = [k for k, row in issues.items() if row["repository_id"] == key and row["status"] == "open"]
                author = rng.choice(members)
                approvals = [user for user in members if user != author and roles[user] != "read"][:1]
                pull_requests[f"PR-{len(pull_requests) + 1}"] = {
                    "repository_id": key,
                    "source_branch": name,
                    "target_branch": "main",
                    "author": author,
                    "status": "open",
                    "approvals": approvals if rng.random() < 0.6 else [],
                    "blocked_by": rng.choice([None, None, None, members[0]]),
                    "closes": opened,
                }
                repositories[key]["open_pull_requests"] += 1
    return {
        "current_user": rng.choice([user for row in repositories.values() for user in row["roles"]]),
        "commit_number": commit,
        "users": users,
        "repositories": repositories,
        "pull_requests": pull_requests,
        "issues": issues,
        "next_pull_request_number": len(pull_requests) + 1,
    }

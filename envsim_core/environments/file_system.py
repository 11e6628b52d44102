"""File system: directories, files, quotas, permissions and a trash, with full paths as keys."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "operating_system"

BLOCK = 512  # sizes are accounted in whole blocks, as disks do


class FileSystem:
    """A small multi-user file system. `clock` counts the operations that changed something."""

    def __init__(self) -> None:
        self.current_user = "root"
        self.clock = 0
        self.paths: dict[str, dict[str, Any]] = {"/": {"kind": "directory", "owner": "root", "modified": 0}}
        self.users: dict[str, dict[str, Any]] = {"root": {"quota_blocks": None, "used_blocks": 0}}
        self.trash: dict[str, dict[str, Any]] = {}
        self.next_trash_number = 1

    def _blocks(self, content: str) -> int:
        return -(-len(content.encode("utf-8", "replace")) // BLOCK)

    def _parent(self, path: str) -> str:
        return path.rpartition("/")[0] or "/"

    def _join(self, parent: str, name: str) -> str:
        return f"/{name}" if parent == "/" else f"{parent}/{name}"

    def _subtree(self, path: str) -> list[str]:
        prefix = path if path == "/" else path + "/"
        return sorted(key for key in self.paths if key == path or key.startswith(prefix))

    def _missing(self, path: str, kind: str | None = None) -> str | None:
        entry = self.paths.get(path)
        if entry is None:
            return f"{path}: No such file or directory"
        if kind == "file" and entry["kind"] != "file":
            return f"{path}: Is a directory"
        if kind == "directory" and entry["kind"] != "directory":
            return f"{path}: Not a directory"
        return None

    def _denied(self, path: str) -> str | None:
        entry = self.paths[path]
        if self.current_user not in ("root", entry["owner"]) or entry.get("read_only"):
            return f"{path}: Permission denied"
        return None

    def _over_quota(self, blocks: int) -> str | None:
        user = self.users[self.current_user]
        if user["quota_blocks"] is not None and user["used_blocks"] + blocks > user["quota_blocks"]:
            return f"Disk quota exceeded for {self.current_user}"
        return None

    def _bad_name(self, name: str) -> str | None:
        if not name or "/" in name or name in (".", "..") or len(name) > 64:
            return f"Invalid file name '{name}'"
        return None

    def _charge(self, owner: str, blocks: int) -> None:
        self.users[owner]["used_blocks"] += blocks

    def disk_usage(self) -> dict[str, Any]:
        """Show the used and allowed blocks of every user."""
        return {"success": True, "users": {name: dict(user) for name, user in sorted(self.users.items())}}

    def list_trash(self) -> dict[str, Any]:
        """List what lies in the trash with the path it came from."""
        return {"success": True, "trash": {key: item["original_path"] for key, item in self.trash.items()}}

    def list_directory(self, path: str) -> dict[str, Any]:
        """List the direct entries of a directory.

        Args:
            path: Full path of the directory.
        """
        error = self._missing(path, "directory")
        if error:
            return {"success": False, "error": error}
        entries = [key for key in self._subtree(path) if key != path and self._parent(key) == path]
        return {"success": True, "entries": entries}

    def read_file(self, path: str) -> dict[str, Any]:
        """Return the content of a file.

        Args:
            path: Full path of the file.
        """
        error = self._missing(path, "file")
        if error:
            return {"success": False, "error": error}
        return {"success": True, "content": self.paths[path]["content"], "blocks": self.paths[path]["blocks"]}

    def find_files(self, path: str, extension: Literal["txt", "pdf", "py", "log", "csv"]) -> dict[str, Any]:
        """Find the files below a directory that have an extension.

        Args:
            path: Full path of the directory to search.
            extension: The extension without its dot.
        """
        error = self._missing(path, "directory")
        if error:
            return {"success": False, "error": error}
        found = [key for key in self._subtree(path) if key.endswith(f".{extension}")]
        return {"success": True, "matches": found, "count": len(found)}

    def make_directory(self, parent_path: str, name: str) -> dict[str, Any]:
        """Create an empty directory.

        Args:
            parent_path: Full path of the existing parent directory.
            name: Name of the new directory, without slashes.
        """
        error = self._missing(parent_path, "directory") or self._bad_name(name) or self._denied(parent_path)
        path = self._join(parent_path, name)
        if error is None and path in self.paths:
            error = f"{path}: File exists"
        if error:
            return {"success": False, "error": error}
        self.clock += 1
        self.paths[path] = {"kind": "directory", "owner": self.current_user, "modified": self.clock}
        self.paths[parent_path]["modified"] = self.clock
        return {"success": True, "path": path}

    def create_file(self, parent_path: str, name: str, content: str = "") -> dict[str, Any]:
        """Create a new file.

        Args:
            parent_path: Full path of the directory that will hold it.
            name: Name of the file, without slashes.
            content: Its text.
        """
        error = self._missing(parent_path, "directory") or self._bad_name(name) or self._denied(parent_path)
        path, blocks = self._join(parent_path, name), self._blocks(content)
        if error is None and path in self.paths:
            error = f"{path}: File exists"
        error = error or self._over_quota(blocks)
        if error:
            return {"success": False, "error": error}
        self.clock += 1
        self.paths[path] = {
            "kind": "file",
            "owner": self.current_user,
            "modified": self.clock,
            "content": content,
            "blocks": blocks,
            "read_only": False,
        }
        self.paths[parent_path]["modified"] = self.clock
        self._charge(self.current_user, blocks)
        return {"success": True, "path": path, "blocks": blocks}

    def append_to_file(self, path: str, content: str) -> dict[str, Any]:
        """Append a line to a file.

        Args:
            path: Full path of the file.
            content: The text to append; a newline is put before it unless the file is empty.
        """
        error = self._missing(path, "file") or self._denied(path)
        if error:
            return {"success": False, "error": error}
        entry = self.paths[path]
        text = f"{entry['content']}\n{content}" if entry["content"] else content
        blocks = self._blocks(text)
        error = self._over_quota(blocks - entry["blocks"])
        if error:
            return {"success": False, "error": error}
        self.clock += 1
        self._charge(entry["owner"], blocks - entry["blocks"])
        entry["content"], entry["blocks"], entry["modified"] = text, blocks, self.clock
        return {"success": True, "length": len(text), "blocks": blocks}

    def copy(self, source_path: str, target_path: str | None = None) -> dict[str, Any]:
        """Copy a file or a whole directory into a directory; the copies belong to the current user.

        Args:
            source_path: Full path of what is copied.
            target_path: Full path of the directory that receives the copy; without it, the current user's home.
        """
        home = f"/home/{self.current_user}"
        target_path = target_path or (home if home in self.paths else "/")
        error = self._missing(source_path) or self._missing(target_path, "directory") or self._denied(target_path)
        if error:
            return {"success": False, "error": error}
        root = self._join(target_path, source_path.rpartition("/")[2])
        tree = self._subtree(source_path)
        if source_path == "/" or target_path in tree:
            return {"success": False, "error": f"cannot copy '{source_path}' into itself"}
        if root in self.paths:
            return {"success": False, "error": f"{root}: File exists"}
        blocks = sum(self.paths[key].get("blocks", 0) for key in tree)
        error = self._over_quota(blocks)
        if error:
            return {"success": False, "error": error}
        self.clock += 1
        for key in tree:
            entry = {**self.paths[key], "owner": self.current_user, "modified": self.clock}
            self.paths[root + key[len(source_path) :]] = entry
        self.paths[target_path]["modified"] = self.clock
        self._charge(self.current_user, blocks)
        return {"success": True, "path": root, "copied": len(tree)}

    def move(self, source_path: str, target_path: str) -> dict[str, Any]:
        """Move a file or a whole directory into another directory, keeping owners.

        Args:
            source_path: Full path of what is moved.
            target_path: Full path of the existing directory that receives it.
        """
        error = self._missing(source_path) or self._missing(target_path, "directory")
        error = error or self._denied(source_path) or self._denied(target_path)
        if error:
            return {"success": False, "error": error}
        root = self._join(target_path, source_path.rpartition("/")[2])
        tree = self._subtree(source_path)
        if source_path == "/" or target_path in tree:
            return {"success": False, "error": f"cannot move '{source_path}' to a subdirectory of itself"}
        if root in self.paths:
            return {"success": False, "error": f"{root}: File exists"}
        self.clock += 1
        for key in tree:
            self.paths[root + key[len(source_path) :]] = self.paths.pop(key)
        self.paths[target_path]["modified"] = self.paths[self._parent(source_path)]["modified"] = self.clock
        return {"success": True, "path": root, "moved": len(tree)}

    def remove(self, path: str, recursive: bool = False) -> dict[str, Any]:
        """Put a file, or with `recursive` a directory with all it holds, into the trash; files there use no quota.

        Args:
            path: Full path of what is removed.
            recursive: Whether a directory that is not empty may be removed.
        """
        error = self._missing(path)
        if error is None and path == "/":
            error = "it is dangerous to operate recursively on '/'"
        error = error or self._denied(path)
        if error:
            return {"success": False, "error": error}
        tree = self._subtree(path)
        if len(tree) > 1 and not recursive:
            return {"success": False, "error": f"{path}: Directory not empty"}
        self.clock += 1
        trash_ids = []
        for key in tree:
            entry = self.paths.pop(key)
            if entry["kind"] == "file":
                trash_id = f"trash-{self.next_trash_number}"
                self.next_trash_number += 1
                self.trash[trash_id] = {"original_path": key, "entry": entry}
                self._charge(entry["owner"], -entry["blocks"])
                trash_ids.append(trash_id)
        self.paths[self._parent(path)]["modified"] = self.clock
        return {"success": True, "removed": len(tree), "trash_ids": trash_ids}

    def restore(self, trash_id: str) -> dict[str, Any]:
        """Put a file from the trash back where it was, if its directory still exists and nothing took its place.

        Args:
            trash_id: The id that the trash shows.
        """
        if trash_id not in self.trash:
            return {"success": False, "error": f"{trash_id}: not in trash"}
        path, entry = self.trash[trash_id]["original_path"], self.trash[trash_id]["entry"]
        error = self._missing(self._parent(path), "directory")
        if error is None and path in self.paths:
            error = f"{path}: File exists"
        if error:
            return {"success": False, "error": error}
        self.clock += 1
        del self.trash[trash_id]
        self.paths[path] = entry
        self._charge(entry["owner"], entry["blocks"])
        self.paths[self._parent(path)]["modified"] = self.clock
        return {"success": True, "path": path}

    def set_read_only(self, path: str, read_only: bool) -> dict[str, Any]:
        """Set or clear the read-only flag of a file, or of all files below a directory.

        Args:
            path: Full path of the file or directory.
            read_only: The flag's new value.
        """
        error = self._missing(path)
        if error is None and self.current_user not in ("root", self.paths[path]["owner"]):
            error = f"{path}: Operation not permitted"
        if error:
            return {"success": False, "error": error}
        files = [key for key in self._subtree(path) if self.paths[key]["kind"] == "file"]
        changed = [key for key in files if self.paths[key]["read_only"] != read_only]
        for key in changed:
            self.paths[key]["read_only"] = read_only
        self.clock += 1 if changed else 0
        return {"success": True, "changed": changed}

    def switch_user(self, user_id: str) -> dict[str, Any]:
        """Work as another user from now on.

        Args:
            user_id: The user to become.
        """
        if user_id not in self.users:
            return {"success": False, "error": f"user {user_id} does not exist"}
        if user_id == self.current_user:
            return {"success": False, "error": f"already working as {user_id}"}
        previous, self.current_user = self.current_user, user_id
        return {"success": True, "previous_user": previous, "current_user": user_id}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """Home directories with projects: about seven files and a directory or two per unit of size."""
    stems = ["report", "notes", "main", "invoice", "todo", "backup", "readme", "data", "plan", "access"]
    lines = ["total 42", "import sys", "alpha,beta,gamma", "ok", "see chapter 3", "GET /index 200", "draft, not final"]
    users = ["root", "ann", "bo", "chen"]
    paths: dict[str, dict[str, Any]] = {}
    used = dict.fromkeys(users, 0)
    clock = 0

    def add_directory(path: str, owner: str) -> str:
        paths[path] = {"kind": "directory", "owner": owner, "modified": clock}
        return path

    add_directory("/", "root")
    add_directory("/home", "root")
    folders = [add_directory(f"/home/{user}", user) for user in users[1:]]
    for i in range(size + size // 2):
        parent = rng.choice(folders)
        folders.append(add_directory(f"{parent}/project.{i + 1}", paths[parent]["owner"]))
    for i in range(1 + 7 * size):
        parent = rng.choice(folders[-(size + 3) :])
        owner = paths[parent]["owner"]
        content = "\n".join(rng.choice(lines) for _ in range(rng.randrange(6)))
        blocks = -(-len(content) // 512)
        name = f"{rng.choice(stems)}.v{i + 1}.{rng.choice(['txt', 'pdf', 'py', 'log', 'csv'])}"
        clock += 1
        paths[f"{parent}/{name}"] = {
            "kind": "file",
            "owner": owner,
            "modified": clock,
            "content": content,
            "blocks": blocks,
            "read_only": rng.random() < 0.1,
        }
        used[owner] += blocks
    lost = {"kind": "file", "owner": "ann", "modified": 1, "content": "old", "blocks": 1, "read_only": False}
    return {
        "current_user": rng.choice(["root", "root", "ann", "bo"]),
        "clock": clock,
        "paths": paths,
        "users": {
            user: {
                "quota_blocks": None if user == "root" else used[user] + rng.choice([0, 3, 50]),
                "used_blocks": used[user],
            }
            for user in users
        },
        "trash": {
            "trash-1": {"original_path": "/home/ann/old.v0.txt", "entry": lost},
            "trash-2": {"original_path": "/home/gone/list.txt", "entry": {**lost, "owner": "bo"}},
        },
        "next_trash_number": 3,
    }

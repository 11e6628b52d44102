"""Messaging: channels, posts, threads, reactions, unread counters and pins of a chat workspace."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

DOMAIN = "communication"

EMOJI = ("thumbsup", "heart", "eyes", "tada")
MAX_PINS = 3


class Messaging:
    """A chat workspace. A user's `unread` maps channels with news to the number of posts; `clock` ticks per post."""

    def __init__(self) -> None:
        self.active_user = ""
        self.clock = 0
        self.users: dict[str, dict[str, Any]] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self.messages: dict[str, dict[str, Any]] = {}
        self.next_message_number = 1

    def _cannot_write(self, channel_id: str) -> str | None:
        if channel_id not in self.channels:
            return "channel_not_found"
        if self.channels[channel_id]["archived"]:
            return "is_archived"
        if self.active_user not in self.channels[channel_id]["members"]:
            return "not_in_channel"
        return None

    def _notify(self, channel_id: str, count: int) -> None:
        """Add to the unread posts of every member but the active user; a counter at zero is removed."""
        for user_id in self.channels[channel_id]["members"]:
            user = self.users[user_id]
            if user_id == self.active_user or channel_id in user["muted"]:
                continue
            unread = user["unread"].get(channel_id, 0) + count
            if unread > 0:
                user["unread"][channel_id] = unread
            else:
                user["unread"].pop(channel_id, None)

    def _store(self, channel_id: str, text: str, thread_id: str | None) -> str:
        self.clock += 1
        message_id = f"m{self.next_message_number}"
        self.next_message_number += 1
        self.messages[message_id] = {
            "channel_id": channel_id,
            "author": self.active_user,
            "text": text,
            "at": self.clock,
            "thread_id": thread_id,
            "replies": 0,
            "edited": False,
            "reactions": {},
        }
        return message_id

    def list_channels(self) -> dict[str, Any]:
        """List the channels that the active user belongs to, with their unread posts."""
        unread = self.users[self.active_user]["unread"]
        mine = {k: unread.get(k, 0) for k, c in self.channels.items() if self.active_user in c["members"]}
        return {"success": True, "user_id": self.active_user, "channels": mine}

    def get_mentions(self) -> dict[str, Any]:
        """List the posts of others that mention the active user."""
        mark = f"@{self.active_user}"
        found = [
            k for k, m in sorted(self.messages.items()) if mark in m["text"].split() and m["author"] != self.active_user
        ]
        return {"success": True, "message_ids": found}

    def get_message(self, message_id: str) -> dict[str, Any]:
        """Show one post.

        Args:
            message_id: The post.
        """
        if message_id not in self.messages:
            return {"success": False, "error": "message_not_found"}
        return {"success": True, "message": self.messages[message_id]}

    def search_messages(self, query: str, channel_id: str | None = None) -> dict[str, Any]:
        """Find posts that contain a text, ignoring case.

        Args:
            query: At least two characters.
            channel_id: Search this channel only.
        """
        if len(query) < 2:
            return {"success": False, "error": "invalid_query"}
        if channel_id is not None and channel_id not in self.channels:
            return {"success": False, "error": "channel_not_found"}
        rows = sorted(self.messages.items())
        found = [k for k, m in rows if query.lower() in m["text"].lower() and channel_id in (None, m["channel_id"])]
        return {"success": True, "matches": found, "total": len(found)}

    def switch_user(self, user_id: str) -> dict[str, Any]:
        """Act as another user from now on.

        Args:
            user_id: The user.
        """
        if user_id not in self.users:
            return {"success": False, "error": "user_not_found"}
        if self.users[user_id]["deactivated"]:
            return {"success": False, "error": "account_inactive"}
        self.active_user = user_id
        return {"success": True, "user_id": user_id, "unread": dict(self.users[user_id]["unread"])}

    def post_message(self, channel_id: str, text: str) -> dict[str, Any]:
        """Post into a channel; every member who has not muted it gets one more unread post.

        Args:
            channel_id: The channel.
            text: 1 to 200 characters.
        """
        error = self._cannot_write(channel_id)
        if error is None and not text.strip():
            error = "no_text"
        if error is None and len(text) > 200:
            error = "msg_too_long"
        if error:
            return {"success": False, "error": error}
        message_id = self._store(channel_id, text, None)
        self._notify(channel_id, 1)
        return {"success": True, "message_id": message_id, "at": self.clock}

    def reply_in_thread(self, message_id: str, text: str, broadcast: bool = False) -> dict[str, Any]:
        """Reply to a post; only with `broadcast` does the channel see it as news.

        Args:
            message_id: A post, or a reply whose thread is meant.
            text: 1 to 200 characters.
            broadcast: Whether members are notified.
        """
        if message_id not in self.messages:
            return {"success": False, "error": "message_not_found"}
        thread_id = self.messages[message_id]["thread_id"] or message_id
        channel_id = self.messages[message_id]["channel_id"]
        error = self._cannot_write(channel_id)
        if error is None and not 1 <= len(text.strip()) <= 200:
            error = "no_text" if not text.strip() else "msg_too_long"
        if error is None and thread_id not in self.messages:
            error = "thread_not_found"
        if error:
            return {"success": False, "error": error}
        key = self._store(channel_id, text, thread_id)
        self.messages[thread_id]["replies"] += 1
        if broadcast:
            self._notify(channel_id, 1)
        return {"success": True, "message_id": key, "thread_id": thread_id}

    def edit_message(self, message_id: str, text: str) -> dict[str, Any]:
        """Change the text of one's own post.

        Args:
            message_id: The post.
            text: The new text, 1 to 200 characters.
        """
        if message_id not in self.messages:
            return {"success": False, "error": "message_not_found"}
        message = self.messages[message_id]
        if message["author"] != self.active_user:
            return {"success": False, "error": "cant_update_message"}
        if not 1 <= len(text.strip()) <= 200:
            return {"success": False, "error": "no_text" if not text.strip() else "msg_too_long"}
        message["text"], message["edited"] = text, True
        return {"success": True, "message_id": message_id}

    def delete_message(self, message_id: str) -> dict[str, Any]:
        """Delete one's own post with its thread and its pin, or one's own reply.

        Args:
            message_id: The post.
        """
        if message_id not in self.messages:
            return {"success": False, "error": "message_not_found"}
        message = self.messages[message_id]
        if message["author"] != self.active_user:
            return {"success": False, "error": "cant_delete_message"}
        doomed = [message_id] + [key for key, row in sorted(self.messages.items()) if row["thread_id"] == message_id]
        pins = self.channels[message["channel_id"]]["pins"]
        if message_id in pins:
            pins.remove(message_id)
        if message["thread_id"] in self.messages:
            self.messages[message["thread_id"]]["replies"] -= 1
        for key in doomed:
            del self.messages[key]
        return {"success": True, "deleted": doomed}

    def toggle_reaction(self, message_id: str, emoji: Literal["thumbsup", "heart", "eyes", "tada"]) -> dict[str, Any]:
        """Add the active user's reaction to a post, or take it back; the author's karma follows.

        Args:
            message_id: The post.
            emoji: The reaction.
        """
        if message_id not in self.messages:
            return {"success": False, "error": "message_not_found"}
        if emoji not in EMOJI:
            return {"success": False, "error": "invalid_name"}
        message = self.messages[message_id]
        who = message["reactions"].setdefault(emoji, [])
        step = -1 if self.active_user in who else 1
        if step == 1:
            who.append(self.active_user)
        else:
            who.remove(self.active_user)
        if not who:
            del message["reactions"][emoji]
        if message["author"] != self.active_user:
            self.users[message["author"]]["karma"] += step
        return {"success": True, "added": step == 1, "count": len(who)}

    def pin_message(self, message_id: str) -> dict[str, Any]:
        """Pin a post in its channel, which holds three pins at most.

        Args:
            message_id: The post.
        """
        if message_id not in self.messages:
            return {"success": False, "error": "message_not_found"}
        channel_id = self.messages[message_id]["channel_id"]
        pins = self.channels[channel_id]["pins"]
        error = self._cannot_write(channel_id)
        if error is None and (message_id in pins or len(pins) >= MAX_PINS):
            error = "already_pinned" if message_id in pins else "too_many_pins"
        if error:
            return {"success": False, "error": error}
        pins.append(message_id)
        return {"success": True, "pins": list(pins)}

    def mark_read(self, channel_id: str | None = None) -> dict[str, Any]:
        """Mark one channel, or all channels, as read for the active user.

        Args:
            channel_id: The channel; null for all.
        """
        unread = self.users[self.active_user]["unread"]
        if channel_id is not None and channel_id not in self.channels:
            return {"success": False, "error": "channel_not_found"}
        cleared = [key for key in sorted(unread) if channel_id in (None, key)]
        total = sum(unread.pop(key) for key in cleared)
        return {"success": True, "channels": cleared, "marked": total}

    def set_muted(self, channel_id: str, muted: bool) -> dict[str, Any]:
        """Mute a channel for the active user, which also clears its unread counter, or hear it again.

        Args:
            channel_id: The channel.
            muted: Whether it shall be muted.
        """
        if channel_id not in self.channels or self.active_user not in self.channels[channel_id]["members"]:
            return {"success": False, "error": "not_in_channel"}
        user = self.users[self.active_user]
        if (channel_id in user["muted"]) == muted:
            return {"success": False, "error": "no_change"}
        if muted:
            user["muted"] = sorted([*user["muted"], channel_id])
            user["unread"].pop(channel_id, None)
        else:
            user["muted"] = [key for key in user["muted"] if key != channel_id]
        return {"success": True, "muted": list(user["muted"])}

    def add_members(self, channel_id: str, user_ids: list[str]) -> dict[str, Any]:
        """Add users to a channel; each finds an unread welcome post by the active user.

        Args:
            channel_id: The channel.
            user_ids: The users to add.
        """
        error = self._cannot_write(channel_id)
        if error:
            return {"success": False, "error": error}
        channel = self.channels[channel_id]
        fresh = [key for key in dict.fromkeys(user_ids) if key not in channel["members"]]
        bad = [key for key in fresh if key not in self.users or self.users[key]["deactivated"]]
        if bad or not fresh:
            return {"success": False, "error": f"cant_invite: {bad[0]}" if bad else "already_in_channel"}
        channel["members"].extend(fresh)
        for key in fresh:
            self.users[key]["unread"][channel_id] = 1
        message_id = self._store(channel_id, f"Welcome {', '.join(fresh)}!", None)
        return {"success": True, "message_id": message_id, "members": len(channel["members"])}

    def leave_channel(self, channel_id: str) -> dict[str, Any]:
        """Leave a channel as the active user; when the last member leaves, it is archived.

        Args:
            channel_id: The channel.
        """
        error = self._cannot_write(channel_id)
        if error:
            return {"success": False, "error": error}
        channel, user = self.channels[channel_id], self.users[self.active_user]
        channel["members"].remove(self.active_user)
        channel["archived"] = not channel["members"]
        user["unread"].pop(channel_id, None)
        if channel_id in user["muted"]:
            user["muted"].remove(channel_id)
        return {"success": True, "archived": channel["archived"]}

    def archive_channel(self, channel_id: str) -> dict[str, Any]:
        """Archive a channel: its pins go, and nobody has unread posts there any more.

        Args:
            channel_id: The channel.
        """
        error = self._cannot_write(channel_id)
        if error is None and channel_id == "general":
            error = "cant_archive_general"
        if error:
            return {"success": False, "error": error}
        self.channels[channel_id]["archived"], self.channels[channel_id]["pins"] = True, []
        cleared = [key for key, user in sorted(self.users.items()) if user["unread"].pop(channel_id, None)]
        return {"success": True, "cleared": cleared}


def scenario(rng: Random, size: int) -> dict[str, Any]:
    """A workspace with about two users, one channel and six posts per unit of size; channels have 2 to 9 members."""
    names = ["amy", "bob", "cai", "dora", "eric", "fumi", "gina", "hugo"]
    words = ["deploy", "lunch", "budget", "release", "bug", "review", "coffee", "offsite", "invoice", "roadmap"]
    users: dict[str, dict[str, Any]] = {
        f"{names[i % 8]}{i // 8 or ''}": {
            "karma": rng.randrange(20),
            "deactivated": i > 4 and rng.random() < 0.1,
            "unread": {},
            "muted": [],
        }
        for i in range(4 + 2 * size)
    }
    active = [key for key, user in users.items() if not user["deactivated"]]
    channels: dict[str, dict[str, Any]] = {}
    for i in range(1 + size):
        key = "general" if i == 0 else f"{rng.choice(words)}.{i}"
        members = rng.sample(active, rng.randrange(2, min(9, len(active)) + 1))
        if i == 0 and "amy" not in members:
            members.append("amy")
        channels[key] = {"members": members, "archived": i > 1 and rng.random() < 0.1, "pins": []}
    messages: dict[str, dict[str, Any]] = {}
    for i in range(1 + 6 * size):
        channel_id = rng.choice(list(channels))
        members = channels[channel_id]["members"]
        parents = [k for k, m in messages.items() if m["channel_id"] == channel_id and m["thread_id"] is None]
        thread_id = rng.choice(parents) if parents and rng.random() < 0.35 else None
        if thread_id:
            messages[thread_id]["replies"] += 1
        elif not channels[channel_id]["archived"] and len(channels[channel_id]["pins"]) < 2 and rng.random() < 0.2:
            channels[channel_id]["pins"].append(f"m{i + 1}")
        messages[f"m{i + 1}"] = {
            "channel_id": channel_id,
            "author": rng.choice(members),
            "text": f"{rng.choice(words)} {rng.choice(words)} @{rng.choice(members)} {rng.choice(words)}?",
            "at": i + 1,
            "thread_id": thread_id,
            "replies": 0,
            "edited": rng.random() < 0.1,
            "reactions": {rng.choice(EMOJI): rng.sample(members, 1 + rng.randrange(2))} if rng.random() < 0.4 else {},
        }
        if not channels[channel_id]["archived"]:
            for key in rng.sample(members, rng.randrange(len(members))):
                users[key]["unread"][channel_id] = users[key]["unread"].get(channel_id, 0) + 1
    return {
        "active_user": rng.choice(channels["general"]["members"]),
        "clock": len(messages),
        "users": users,
        "channels": channels,
        "messages": messages,
        "next_message_number": len(messages) + 1,
    }

"""Limits: how many requests and tokens a minute may have, what answers cost, and when no more is spent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from envsim_core.config import Price
from envsim_core.errors import EnvSimError
from envsim_core.records import Message, Usage

BYTES_PER_TOKEN = 4  # an estimate for text that nobody has counted yet; the count of an answer corrects it
MILLION = 1_000_000


class SpendingLimitReached(EnvSimError):
    """The next answer might cost more than is allowed; what was paid for is kept."""


class Pace:
    """Spreads requests evenly over each minute, so that no minute holds more requests or tokens than it may."""

    def __init__(self, requests_per_minute: int | None, tokens_per_minute: int | None) -> None:
        self._per_request = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._per_token = 60.0 / tokens_per_minute if tokens_per_minute else 0.0
        self._request_at = self._tokens_at = 0.0
        self._answers = self._completion_tokens = 0

    def estimate(self, messages: Iterable[Message]) -> float:
        """The tokens of a prompt and its answer, before they are counted; 0 where tokens are not limited."""
        if not self._per_token:
            return 0.0
        prompt = sum(len(message.content) for message in messages) / BYTES_PER_TOKEN
        return prompt + self._completion_tokens / max(1, self._answers)

    def turn(self, tokens: float, now: float) -> float:
        """Take the next turn, for about `tokens`, and return the seconds until it comes."""
        start = max(now, self._request_at, self._tokens_at)
        self._request_at = start + self._per_request
        self._tokens_at = start + tokens * self._per_token
        return start - now

    def correct(self, estimated: float, usage: Usage) -> None:
        """Replace an estimate by what the server counted; one that counts nothing leaves it."""
        if counted := usage.prompt_tokens + usage.completion_tokens:
            self._tokens_at += (counted - estimated) * self._per_token
            self._answers += 1
            self._completion_tokens += usage.completion_tokens

    def hold(self, until: float) -> None:
        """No turn comes before `until`."""
        self._request_at = max(self._request_at, until)


class Budget:
    """What the answers in a store cost, and whether one more may be asked for.

    The next answer, and each in flight, is taken to cost what the dearest one did. While none is known one request
    goes out alone. So the limit is exceeded only by what the last few answers cost more than any before them.
    """

    def __init__(self, price: Price | None, limit: float | None, paid: Usage, largest: Usage) -> None:
        self.price, self.limit, self.paid = price, limit, paid
        self.exhausted = False
        self._largest = largest
        self._in_flight = 0
        self._changed = asyncio.Condition()

    @property
    def money(self) -> float | None:
        """The cost of every answer so far; None without a price."""
        return None if self.price is None else cost(self.price, self.paid)

    def add(self, usage: Usage) -> None:
        """An answer was paid for."""
        self.paid = total(self.paid, usage)
        self._largest = largest(self._largest, usage)

    async def enter(self) -> bool:
        """Wait until one more request may go out; False when none may any more. Each True needs a `leave`."""
        if self.limit is None:
            return True
        async with self._changed:
            await self._changed.wait_for(lambda: self._allows() or not self._in_flight)
            if not self._allows():
                self.exhausted = True
                return False
            self._in_flight += 1
            return True

    async def leave(self) -> None:
        """A request has ended."""
        if self.limit is not None:
            async with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def _allows(self) -> bool:
        if self.price is None or self.limit is None:
            return True
        dearest = cost(self.price, self._largest)
        if not dearest:
            return not self._in_flight
        return cost(self.price, self.paid) + (self._in_flight + 1) * dearest <= self.limit


def cost(price: Price, usage: Usage) -> float:
    """Dollars."""
    return (price.prompt * usage.prompt_tokens + price.completion * usage.completion_tokens) / MILLION


def total(one: Usage, other: Usage) -> Usage:
    """The sum of two counts."""
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
    )


def largest(one: Usage, other: Usage) -> Usage:
    """The larger of each of the two counts."""
    return Usage(
        prompt_tokens=max(one.prompt_tokens, other.prompt_tokens),
        completion_tokens=max(one.completion_tokens, other.completion_tokens),
    )

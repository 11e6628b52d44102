"""Similarity: how alike two calls are, measured on sketches of bounded size.

A state is the set of its leaves, `path = value` each; positions in arrays do not count. Two states are compared by the
Jaccard index of those sets (common leaves over all leaves), read off bottom-k sketches: exact for states of up to
`SKETCH` leaves, an estimate with a standard error below 0.03 beyond. The similarity of two calls is the index of their
states times the index of their actions, for tools whose code is the same but for layout, comments and docstrings.
"""

from __future__ import annotations

import ast
import hashlib
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

from envsim_core.records import Action, content_hash
from envsim_core.syntax import FUNCTIONS, Unsliceable, parse

SKETCH = 256  # hashes kept per state: 2 KB
MAX_COMPARED = 512  # calls of one tool that another one is compared with: the most recent ones
SHARED = 8  # of the smallest hashes: states of index 0.5 share one of them in 99 % of cases
MAX_BUCKET = 64  # states that share one hash and are compared with each other


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is kept of a call: its tool's code, its action, and its state."""

    tool_code: str
    action: frozenset[int]
    state: array[int]


def sketch(tool_code: str, action: Action, state: Mapping[str, Any]) -> Sketch:
    """The sketch of calling `action` in `state`; `tool_code` names the code that it runs."""
    leaves = sketch_state({"tool": action.name, "arguments": action.arguments})
    return Sketch(tool_code, frozenset(leaves), sketch_state(state))


def sketch_state(state: Mapping[str, Any]) -> array[int]:
    """The smallest hashes of a state's leaves, in order."""
    return array("Q", sorted({_hash(leaf) for leaf in leaves(state)})[:SKETCH])


def leaves(value: Any) -> Iterator[str]:
    """Every leaf of a JSON value as `path = value`; an empty container is a leaf."""
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict) and item:
            stack += [(f"{path}/{key}", inner) for key, inner in item.items()]
        elif isinstance(item, list) and item:
            stack += [(f"{path}/[]", inner) for inner in item]
        elif isinstance(item, float) and item.is_integer():
            yield f"{path} = {int(item)!r}"  # 1.0 is 1
        else:
            yield f"{path} = {item!r}"


def jaccard(one: Collection[int], other: Collection[int], threshold: float = 0.0) -> float:
    """The Jaccard index of two sets of hashes, of which only the `SKETCH` smallest may be known.

    Below `threshold` perhaps only an upper bound: what sizes alone rule out is not compared.
    """
    fewer, more = sorted((len(one), len(other)))
    if more and fewer / more < threshold:
        return fewer / more
    first, second = frozenset(one), frozenset(other)
    either = first | second
    if len(first) == SKETCH or len(second) == SKETCH:
        either = frozenset(sorted(either)[:SKETCH])
    return len(either & first & second) / len(either) if either else 1.0


def similarity(one: Sketch, other: Sketch, threshold: float = 0.0) -> float:
    """How alike two calls are, from 0 to 1; below `threshold` perhaps only an upper bound."""
    if one.tool_code != other.tool_code:
        return 0.0
    actions = jaccard(one.action, other.action, threshold)
    return actions if actions < threshold else actions * jaccard(one.state, other.state, threshold)


class NearDuplicates:
    """Calls of which no two are as alike as `threshold`; the first of those that are stays."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._kept: dict[str, list[Sketch]] = defaultdict(list)

    def add(self, call: Sketch) -> bool:
        """Whether the call is unlike all that were kept, and is kept now."""
        kept = self._kept[call.tool_code]
        if any(similarity(call, other, self.threshold) >= self.threshold for other in kept[-MAX_COMPARED:]):
            return False
        kept.append(call)
        return True


def alike_states(states: Mapping[str, array[int]], threshold: float) -> Iterator[tuple[str, str, float]]:
    """Pairs of names whose states are as alike as `threshold`, in order; only states that share a hash are compared."""
    buckets: dict[int, list[str]] = defaultdict(list)
    for name in sorted(states):
        for value in states[name][:SHARED]:
            buckets[value].append(name)
    pairs = {pair for names in buckets.values() for pair in combinations(names[:MAX_BUCKET], 2)}
    for one, other in sorted(pairs):
        index = jaccard(states[one], states[other], threshold)
        if index >= threshold:
            yield one, other, index


@lru_cache(maxsize=1024)
def class_key(code: str) -> str:
    """What source that differs in layout, comments or docstrings alone has in common."""
    try:
        return _key(parse(code))
    except Unsliceable:
        return content_hash(code)


@lru_cache(maxsize=1024)
def tool_keys(code: str, class_name: str) -> Mapping[str, str]:
    """Per method of the class, what methods that differ in layout, comments or docstrings alone have in common."""
    try:
        body = parse(code)
    except Unsliceable:
        return {}
    owners = [node for node in body if isinstance(node, ast.ClassDef) and node.name == class_name]
    methods = [node for owner in owners for node in owner.body if isinstance(node, FUNCTIONS)]
    try:
        return {method.name: _key([method]) for method in methods}
    except Unsliceable:
        return {}


def tool_key(code: str, class_name: str, tool: str) -> str:
    """The key of one tool; of one that stands elsewhere (a base class), the code and its name."""
    return tool_keys(code, class_name).get(tool) or content_hash([class_key(code), tool])


def _key(body: list[ast.stmt]) -> str:
    stack: list[ast.AST] = list(body)
    try:
        while stack:
            node = stack.pop()
            stack += ast.iter_child_nodes(node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                first = node.body[0]
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    node.body = node.body[1:] or [ast.Pass()]
        return content_hash(" ".join(ast.dump(node) for node in body))
    except (RecursionError, MemoryError):
        raise Unsliceable("the code is nested too deeply") from None


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")

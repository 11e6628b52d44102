"""Slices: what a tool can reach stays, word for word; what it cannot reach goes; what nobody can tell stays."""

from __future__ import annotations

import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envsim_core.config import Collect
from envsim_core.executor import Executor, Outcome
from envsim_core.policies import Setting, load_policy
from envsim_core.records import Action, Environment, JsonObject
from envsim_core.slices import Source
from envsim_core.sources import builtin
from envsim_core.syntax import MAX_CODE, Unsliceable

CODE = '''"""Shop: things that are sold."""

from __future__ import annotations

import math
from datetime import date, timedelta

RATE = 0.5  # of the price
UNUSED = {"a": 1}


def half(amount):
    """Half of it."""
    return math.floor(amount * RATE)


def double(amount):
    return amount * 2


class Shop:
    """A shop."""

    limit = 5
    colour = "red"

    def __init__(self):
        """Empty shelves."""
        # what is for sale
        self.items = {}
        # who buys
        self.customers: dict[str, dict] = {}
        self.day = date(2025, 1, 1)

    # the price after the discount
    def _price(self, key):
        """Helper's own words."""
        return half(self.items[key]["price"])  # never more

        # an afterthought

    def _other(self):
        return double(self.limit)

    @property
    def total(self):
        return len(self.items)

    @total.setter
    def total(self, value):
        raise AttributeError

    def sell(self, key):
        """Sell one.

        Args:
            key: Which.
        """
        return {"success": True, "price": self._price(key), "total": self.total}

    def paint(self, colour):
        self.colour = colour
        return {"success": True}

    def wait(self):
        self.day = self.day + timedelta(days=1)
'''


def kept(code: str, tool: str = "tool", class_name: str = "E") -> str:
    """The slice, which has to be a true part of the source and its own slice."""
    found = Source(textwrap.dedent(code), class_name).slice(tool)
    assert not found.everything
    check_laws(textwrap.dedent(code), found.text, class_name, tool)
    return found.text


def check_laws(code: str, text: str, class_name: str, tool: str) -> None:
    rest = iter(code.splitlines())
    assert all(line in rest for line in text.splitlines()), "lines of the source, in its order"
    assert Source(text, class_name).slice(tool).text == text, "a slice's slice is itself"


def test_what_the_tool_reaches_stays_as_it_was_written() -> None:
    text = kept(CODE, "sell", "Shop")
    for part in (
        '"""Shop: things', "import annotations", "import math", "RATE = 0.5  # of the price", "def half", "Half of it.",
        '"""A shop."""', "Empty shelves.", "# what is for sale\n        self.items = {}", "# the price after",
        "Helper's own words", "# never more", "# an afterthought", "@property", "@total.setter", "key: Which.",
    ):  # fmt: skip
        assert part in text


def test_what_the_tool_does_not_reach_goes_with_its_comments() -> None:
    text = kept(CODE, "sell", "Shop")
    for part in (
        "timedelta", "UNUSED", "double", "limit", "colour", "# who buys", "customers", "_other", "paint", "wait",
        "self.day",
    ):  # fmt: skip
        assert part not in text


def test_a_constructor_that_sets_nothing_of_interest_goes_whole() -> None:
    assert "__init__" not in kept("class E:\n def __init__(self):\n  self.a = 1\n def tool(self): return 1\n")


@pytest.mark.parametrize(
    ("code", "stays", "goes"),
    [
        # helpers by every way of naming them
        ("class E:\n def tool(self): return [self._a(x) for x in (1,)]\n def _a(self, x): return x\n def b(self): 0\n",
         ["_a"], ["def b"]),
        ("class E:\n def tool(self): return (lambda: self._a)()()\n def _a(self): return 1\n def b(self): 0\n",
         ["_a"], ["def b"]),
        ("class E:\n def tool(self):\n  def inner(): return self._a()\n  return inner()\n def _a(self): 0\n"
         " def b(self): 0\n", ["_a"], ["def b"]),
        ("class E:\n def tool(self): return getattr(self, '_a')()\n def _a(self): return 1\n def b(self): 0\n",
         ["_a"], ["def b"]),
        ("class E:\n def tool(self): return type(self)._a() + self.__class__.C + E.D\n C = 1\n D = 2\n F = 3\n"
         " @staticmethod\n def _a(): return 1\n", ["_a", "C =", "D =", "@static"], ["F ="]),
        ("class E:\n def tool(self):\n  me = self\n  return me._a()\n def _a(self): 0\n def b(self): 0\n",
         ["_a"], ["def b"]),
        ("class E:\n def tool(self): return show(self)\n def _a(self): 0\n def b(self): 0\n"
         "def show(e): return e._a()\n", ["_a", "def show"], ["def b"]),
        ("class E:\n tool = pay = lambda self: self._a()\n def _a(self): 0\n def b(self): 0\n", ["_a"], ["def b"]),
        ("class E:\n def tool(self):\n  match self:\n   case E(size=2): return 1\n"
         " @property\n def size(self): return 2\n def b(self): 0\n", ["size"], ["def b"]),
        ("class E:\n def tool(self): return self.__secret()\n def __secret(self): 0\n def b(self): 0\n",
         ["__secret"], ["def b"]),
        ("class E:\n def tool(self): return {'a': self._a}['a']()\n def _a(self): 0\n def b(self): 0\n",
         ["_a"], ["def b"]),
        ("class E:\n def tool(self): return 1 in self\n def __contains__(self, x): return self._a()\n"
         " def _a(self): 0\n def b(self): 0\n", ["__contains__", "_a"], ["def b"]),
        # other people's attributes are not members
        ("class E:\n def tool(self, rows): rows.sort(); return rows\n def sort(self): 0\n", [], ["def sort"]),
        # what is evaluated when the class is made
        ("MAX = 3\nclass E:\n LOW = 1\n def tool(self, n=MAX, *, low=LOW): return n\n", ["MAX", "LOW = 1"], []),
        ("from typing import TypedDict, Any\nclass Row(TypedDict):\n a: int\nclass Gone(TypedDict):\n b: int\n"
         "class E:\n def __init__(self): self.rows: list['Row'] = []\n def tool(self): return self.rows\n",
         ["class Row"], ["Gone"]),
        ("from dataclasses import dataclass\n@dataclass\nclass E:\n a: int = 0\n b: int = 0\n"
         " def tool(self): return self.a\n def other(self): 0\n", ["a: int", "b: int", "@dataclass"], ["other"]),
        ("from enum import Enum\nclass Kind(Enum):\n A = 1\nclass Size(Enum):\n B = 1\n"
         "class E:\n def tool(self): return Kind.A.name\n", ["Kind(Enum)"], ["Size"]),
        # bases
        ("class Top:\n def hook(self): return 0\n def gone(self): 0\nclass E(Top):\n"
         " def tool(self): return self.run()\n def run(self): return super().hook()\n",
         ["class Top", "hook"], ["gone"]),
        ("class Top:\n def run(self): return self.hook()\nclass E(Top):\n def tool(self): return self.run()\n"
         " def hook(self): return 1\n def b(self): 0\n", ["def run", "def hook"], ["def b"]),
        ("class Top:\n def gone(self): 0\nclass E(Top):\n def tool(self): 0\n", ["class Top"], []),
        ("class Top:\n def __init__(self): self.a = 1\nclass E(Top):\n"
         " def __init__(self):\n  self.b = 1\n  self.c = 1\n def tool(self): 0\n",
         ["def __init__(self):\n  self.b"], ["self.c"]),
        # constructors
        ("class E:\n def __init__(self, start=None):\n  start = start or {}\n  self.a = start.get('a')\n  self.b = 1\n"
         "  self.a2 = {'x': self.a}\n  self.load()\n def load(self): 0\n def tool(self): return self.a2\n",
         ["start = start", "self.a =", "self.load()", "def load"], ["self.b"]),
        ("class E:\n def __init__(self):\n  self.a = {}\n  self.b = {}\n def tool(self): self.__init__()\n",
         ["self.a", "self.b"], []),
        ("class E:\n def __init__(self):\n  self.log = []\n  self.a = {}\n"
         "  if self.a is not None:\n   self.a['x'] = 1\n def tool(self): return 1\n", ["self.a['x']"], ["self.log"]),
        # the module
        ("A = {}\nA['x'] = 1\nB = {}\nB['x'] = 1\nclass E:\n def tool(self): return A\n", ["A['x']"], ["B"]),
        ("try:\n import numpy\nexcept ImportError:\n numpy = None\nclass E:\n def tool(self): 0\n", ["numpy"], []),
        ("ALL = []\ndef known(f):\n ALL.append(f)\n return f\n@known\ndef first(): 0\ndef second(): 0\n"
         "class E:\n def tool(self): return len(ALL)\n", ["def first", "def known"], ["second"]),
        ("class E:\n def tool(self): 0\n def b(self): 0\nif __name__ == '__main__':\n E().b()\n",
         [], ["__main__", "b"]),
        ("def pay(shop): return shop._a()\nclass E:\n tool = pay\n def _a(self): 0\n def b(self): 0\n",
         ["def pay", "_a"], ["def b"]),
        ("N = 0\nclass E:\n def tool(self):\n  global N\n  N += 1\n  return N\n", ["N = 0"], []),
        ("a = 1; b = 2\nc = 3\nclass E:\n def tool(self): return a\n", ["a = 1; b = 2"], ["c ="]),
        # a parameter called like a builtin
        ("class E:\n def tool(self, dir, vars=1): return [dir, vars]\n def b(self): 0\n", [], ["def b"]),
        ("class E:\r\n def tool(self): return 1\r\n def b(self): 0\r\n", ["return 1\r\n"], ["def b"]),
    ],
)  # fmt: skip
def test_reach(code: str, stays: list[str], goes: list[str]) -> None:
    text = kept(code)
    for part in stays:
        assert part in text
    for part in goes:
        assert part not in text


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("def tool(self, name): return getattr(self, name)()", "getattr with a computed name"),
        ("def tool(self): return list(vars(self))", "uses vars"),
        ("def tool(self): return self.__dict__", "uses __dict__"),
        ("def tool(self): return self._all()\n def _all(self): return globals()", "uses globals"),
        ("def tool(self): return eval('self.other()')", "uses eval"),
        ("def tool(self):\n  import inspect\n  return inspect.getmembers(self)", "imports inspect"),
        ("def tool(self): return list(map(getattr, [self], ['other']))", "getattr as a value"),
        ("def __getattr__(self, name): return 1\n def tool(self): return self.anything", "defines __getattr__"),
        ("def tool(self, other, name):\n  me = self\n  return getattr(me, name)", "getattr with a computed name"),
    ],
)
def test_what_cannot_be_followed_by_name_keeps_everything(body: str, why: str) -> None:
    code = f"LEFT = 1\nclass E:\n {body}\n def other(self): 0\n"
    found = Source(code, "E").slice("tool")
    assert why in found.everything
    assert found.text == code


@pytest.mark.parametrize(
    "head",
    ["class E(metaclass=M):", "@register\nclass E:", "class E(dict):", "class E(mod.Base):"],
)
def test_a_class_that_others_may_change_is_kept_whole(head: str) -> None:
    code = f"import mod\nclass M(type): 0\ndef register(c): return c\n{head}\n def tool(self): 0\n def b(self): 0\n"
    assert Source(code, "E").slice("tool").text == code


def test_dynamic_access_that_the_tool_does_not_reach_costs_nothing() -> None:
    assert "vars" not in kept("class E:\n def tool(self): 0\n def dump(self): return vars(self)\n")


def test_the_tool_alone_is_the_method_below_its_class() -> None:
    assert Source(CODE, "Shop").tool_alone("paint") == (
        'class Shop:\n    def paint(self, colour):\n        self.colour = colour\n        return {"success": True}\n'
    )


@pytest.fixture
def digits_as_usual() -> Iterator[None]:
    """Python's own limit of digits, which other tests lift."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(sys.int_info.default_max_str_digits)
    yield
    sys.set_int_max_str_digits(limit)


FINE = "class E:\n def tool(self): return 1\n"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("class E:\n def tool(self", "not Python"),
        ("class E:\n def tool(self): return '\0'\n", "null bytes"),
        ("x = '\ud800'\n" + FINE, "UnicodeEncodeError"),
        ("x = " + "9" * 5000 + "\n" + FINE, "not Python"),
        ("x = " + "(" * 5000, "not Python"),
        ("x = " + "-" * 50_000 + "1\n" + FINE, "nested too deeply"),
        ("x = a" + ".b" * 50_000 + "\n" + FINE, "nested too deeply"),
        ("x = 1" + " + 1" * 50_000 + "\n" + FINE, "nested too deeply"),
        ("#" * MAX_CODE + "\n" + FINE, "more than"),
        ("a;" * 20_000 + "\n" + FINE, "more than"),
        ("", "no class"),
        ("class Other: ...", "no class"),
        ("if True:\n class E:\n  def tool(self): 0\n", "no class"),
        (FINE + FINE, "two classes"),
        ("class E:\n def other(self): 0\n", "no member"),
    ],
    ids=range(15),
)
def test_hostile_code_has_no_slice_and_says_why(code: str, why: str, digits_as_usual: None) -> None:
    with pytest.raises(Unsliceable, match=why):
        Source(code, "E").slice("tool")


def test_a_private_name_is_no_tool() -> None:
    with pytest.raises(Unsliceable, match="no tool"):
        Source("class E:\n def __init__(self): 0\n", "E").slice("__init__")


def test_names_in_other_scripts_are_names() -> None:
    assert "größe" in kept("class Лавка:\n größe = 1\n def вес(self): return self.größe\n", "вес", "Лавка")


def test_a_long_chain_of_helpers_takes_no_long_time() -> None:
    chain = "".join(f"def f{i}(): return f{i + 1}()\n" for i in reversed(range(4000)))
    assert kept(f"{chain}def f4000(): return 1\nclass E:\n def tool(self): return f0()\n").count("def ") == 4002


METHODS, NAMES = 6, 4


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A class whose methods call later ones and use attributes, class attributes, functions and constants."""
    number = st.integers(0, NAMES - 1)
    lines = [f"C{i} = {draw(st.integers(0, 9))}\ndef f{i}(x): return x + C{draw(number)}" for i in range(NAMES)]
    lines += [
        "class Base:",
        f"    K0 = {draw(st.integers(0, 9))}",
        "    def shared(self): return self.K0 + self.hook()",
    ]
    lines += ["    def hook(self): return 1", "class E(Base):"]
    lines += [f"    K{i} = C{draw(number)}" for i in range(1, NAMES)]
    lines += ["    def __init__(self):"]
    lines += [f"        self.a{i} = {draw(st.sampled_from(['1', 'f1(2)', '[3]', 'C2']))}" for i in range(NAMES)]
    lines += ["    def hook(self): return f0(self.K1)"] * draw(st.integers(0, 1))
    for i in range(METHODS):
        later = st.integers(i + 1, METHODS)
        lines.append(f"    {draw(st.sampled_from(['', '# note']))}\n    def m{i}(self, x=C{draw(number)}):")
        for _ in range(draw(st.integers(0, 3))):
            lines.append("        " + draw(st.one_of(
                later.map("x = self.m{}(x)".format),
                later.map("x = sum(m(x) for m in [self.m{}])".format),
                later.map("x = getattr(self, 'm{}')(x)".format),
                later.map("me = self; x = me.m{}(x)".format),
                later.map("x = (lambda e: e.m{}(x))(self)".format),
                number.map("self.a{} = [x, self.a1]".format),
                number.map("x = x + self.K{}".format),
                number.map("x = f{}(x)".format),
                st.just("x = x + self.shared()"),
                st.just("x = x + len(vars(self))"),
            )))  # fmt: skip
        lines.append("        return x")
    return "\n".join([*lines, f"    def m{METHODS}(self, x): return x", ""])


def outcome(code: str, tool: str) -> tuple[Any, dict[str, Any]]:
    """What a call returns, and what it leaves of the attributes that it changed."""
    module: dict[str, Any] = {"__name__": "environment"}
    exec(code, module)  # made by `programs` above
    instance = module["E"]()
    before = {key: repr(value) for key, value in vars(instance).items()}
    returned = getattr(instance, tool)(1)
    return returned, {key: value for key, value in vars(instance).items() if repr(value) != before.get(key)}


@settings(max_examples=150, deadline=None)
@given(programs(), st.integers(0, METHODS))
def test_a_slice_does_what_the_whole_does(code: str, method: int) -> None:
    text = Source(code, "E").slice(f"m{method}").text
    check_laws(code, text, "E", f"m{method}")
    assert outcome(text, f"m{method}") == outcome(code, f"m{method}")


@pytest.fixture(scope="module")
def environments() -> dict[str, Environment]:
    found = builtin.load_environments(Collect(scenarios_per_environment=1), seed=5)
    return {environment.env_id: environment for environment in found}


@pytest.mark.parametrize("env_id", [path.stem for path in builtin.source_files(Collect())])
def test_a_built_in_tools_slice_executes_every_call_as_the_whole_class(
    env_id: str, environments: dict[str, Environment]
) -> None:
    environment = environments[env_id]
    source = Source(environment.code, environment.class_name)
    slices = {tool.name: source.slice(tool.name) for tool in environment.tools}
    for name, found in slices.items():
        check_laws(environment.code, found.text, environment.class_name, name)
        assert len(found.text) < 0.4 * len(environment.code), name
    policy = load_policy("explore").create(environment, Setting(Collect(), "", Path()))
    scenario = environment.scenarios[0]
    rng, state = Random(f"slices/{env_id}"), scenario.init_config
    policy.begin(scenario, "task", 0, 30)
    calls: dict[str, list[tuple[JsonObject, Action, Outcome]]] = defaultdict(list)
    with Executor(environment.code, environment.class_name) as whole:
        for _ in range(30):
            action = policy.choose(rng, state)
            assert action is not None
            expected = whole.run(state, action)
            calls[action.name].append((state, action, expected))
            policy.learn(action, expected, None)
            state = expected.state_after or state
    for name, expectations in calls.items():
        with Executor(slices[name].text, environment.class_name) as part:
            for before, action, expected in expectations:
                assert part.run(before, action) == expected

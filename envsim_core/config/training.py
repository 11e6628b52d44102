"""Training: the keys of configs/config.yaml about data that models are trained on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from envsim_core.config.section import CodeForm, Count, Positive, Section, Share
from envsim_core.errors import UnknownName

if TYPE_CHECKING:
    from envsim_core.config.workflow import Collect, Prompts

Bin = Literal[
    "failure", "no_change", "no_change_no_args", "no_change_args", "simple", "delta_1", "delta_2", "delta_3_up",
    "medium", "delta_3", "delta_4", "delta_5", "delta_6", "difficult", "delta_7_12",
]  # fmt: skip
"""A stratum, a group of strata, or `delta_3_up`: every stratum of three changes and more (up to twelve)."""


class Recipe(Section):
    """What training data are made of, but for the mixture itself."""

    environments: Literal["all"] | list[str] = "all"
    """`all`, or the env_ids to collect from."""
    scenarios_per_environment: Positive | None = 24
    """Starting states per environment, those of the benchmark's tasks included, which are left out; null: all."""
    trajectories: Positive = 2
    """Trajectories per starting state."""
    steps: Positive = 30
    """Tool calls per trajectory."""
    size: Count = 1
    """Size of a starting state, as in `collect.size`."""
    held_out: Literal["environment", "task"] = "environment"
    """What no training row has in common with the held-out rows: the environment (then also with the environments on
    the test side of the benchmark's split), or only the task. A task of the benchmark is never trained on."""
    held_out_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of each environment's tasks that is held out (`task`), or of the environments where the benchmark's split
    holds out none of them (`environment`)."""
    held_out_rows: Positive = 200
    """Most rows of held_out.jsonl, spread over the strata."""
    rl_rows: Count = 0
    """Further rows in the same proportions that only reinforcement learning sees; 0: it sees the rows that were trained
    on, whose answers the model may know by heart."""
    near_duplicates: Share = 0.9
    """Similarity from which a call counts as one of the benchmark, of the held-out rows or of another training row."""
    code: CodeForm = "full"
    """How much of the source a prompt shows, as in `prompts.code`."""
    max_tokens: Positive = 8192
    """Longest row in tokens, prompt and answer together (`cutoff_len` of LLaMA-Factory, which cuts silently)."""
    over_long: Literal["error", "drop", "slice"] = "drop"
    """What becomes of a longer row: the run stops (error), it is left out and reported (drop), or it is shown a slice
    of the code, and left out where that is too long as well (slice)."""
    tokenizer: str | None = None
    """A tokenizer.json, or a model's folder that has one, to count tokens with; null: bytes / bytes_per_token."""
    bytes_per_token: Annotated[float, Field(gt=0)] = 4.0
    """The estimate where no tokenizer is named; 1.0 is the most that a byte-level tokenizer can need."""
    reasoning: Literal["none", "trace"] = "none"
    """What stands before an answer: nothing, or <think>…</think> with the lines that the call executed and what they
    wrote (trace; needs code: full or slice)."""


class Mixture(Section):
    """Which rows, and how many of each kind; every key of the recipe may be given here, for this mixture alone."""

    counts: dict[Bin, Count] = Field(default_factory=dict)
    """Rows per stratum or group."""
    shares: dict[Bin, Share] = Field(default_factory=dict)
    """Shares of `rows` per stratum or group, in place of counts."""
    only: list[Bin] = Field(default_factory=list)
    """With neither: the strata or groups to draw from, in the proportions they were collected in; none: all."""
    rows: Positive | None = None
    """Rows in all, of shares and of proportions; null with proportions: all that there are."""
    environments: Literal["all"] | list[str] | None = None
    scenarios_per_environment: Positive | None = None
    trajectories: Positive | None = None
    steps: Positive | None = None
    size: Count | None = None
    held_out: Literal["environment", "task"] | None = None
    held_out_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    held_out_rows: Positive | None = None
    rl_rows: Count | None = None
    near_duplicates: Share | None = None
    code: CodeForm | None = None
    max_tokens: Positive | None = None
    over_long: Literal["error", "drop", "slice"] | None = None
    tokenizer: str | None = None
    bytes_per_token: Annotated[float, Field(gt=0)] | None = None
    reasoning: Literal["none", "trace"] | None = None

    @model_validator(mode="after")
    def _one_way_to_say_how_many(self) -> Mixture:
        if sum(map(bool, (self.counts, self.shares, self.only))) > 1:
            raise ValueError("counts, shares and only exclude each other")
        if self.counts and self.rows is not None:
            raise ValueError("counts say how many rows there are; leave rows out, or give shares")
        if self.counts and not sum(self.counts.values()):
            raise ValueError("the counts are all 0")
        if self.shares and (self.rows is None or abs(sum(self.shares.values()) - 1) > 1e-6):
            raise ValueError("shares need rows, and add up to 1")
        overlapping = overlap([*self.counts, *self.shares, *self.only])
        if overlapping:
            raise ValueError(f"{overlapping} is in two of them")
        return self


MEMBERS: dict[str, tuple[str, ...]] = {
    "no_change": ("no_change_no_args", "no_change_args"),
    "simple": ("delta_1", "delta_2"),
    "medium": ("delta_3", "delta_4", "delta_5", "delta_6"),
    "difficult": ("delta_7_12",),
    "delta_3_up": ("delta_3", "delta_4", "delta_5", "delta_6", "delta_7_12"),
}


def strata_in(name: str) -> tuple[str, ...]:
    """The strata that a bin stands for."""
    return MEMBERS.get(name, (name,))


def overlap(names: list[Any]) -> str:
    """A stratum that two of the bins hold, or the empty text."""
    seen: set[str] = set()
    for name in names:
        for stratum in strata_in(name):
            if stratum in seen:
                return stratum
            seen.add(stratum)
    return ""


MIXTURES: dict[str, Mixture] = {
    "balance2": Mixture(counts={"failure": 1000, "no_change": 1000, "simple": 2000, "delta_3_up": 2230}),
    "natural": Mixture(rows=6230),
    "change_only": Mixture(only=["simple", "delta_3_up"], rows=6230),
    "tiny": Mixture(
        shares={"failure": 0.1, "no_change": 0.15, "simple": 0.5, "delta_3_up": 0.25},
        rows=600,
        scenarios_per_environment=12,
        trajectories=1,
        held_out="task",
        held_out_rows=60,
        code="none",
        bytes_per_token=1.0,
    ),
}
"""`balance2` is the published mixture."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a folder and a Snakemake wildcard


class Sft(Recipe):
    """sft: transitions are turned into rows to train on."""

    mixture: str = "balance2"
    """The entry of `mixtures` that `snakemake sft_data` makes."""
    shards: Positive = 2
    """Jobs that collecting is split into; the result does not depend on it."""
    title: str = "EnvSim training data"
    """Name of the data set on its card."""
    mixtures: dict[str, Mixture] = Field(default_factory=lambda: dict(MIXTURES))
    """Mixtures by name. Those that the project brings are there in any case; an entry of the same name replaces one."""

    @field_validator("mixtures", mode="after")
    @classmethod
    def _the_projects_own_stay(cls, value: dict[str, Mixture]) -> dict[str, Mixture]:
        for name in value:
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r}: a mixture's name is made of letters, digits, '.', '_' and '-'")
        return MIXTURES | value

    @model_validator(mode="after")
    def _every_mixture_can_be_made(self) -> Sft:
        for name in self.mixtures:
            recipe = self.recipe(name)
            if recipe.reasoning == "trace" and recipe.code not in ("full", "slice"):
                raise ValueError(f"{name}: reasoning: trace tells lines of code that code: {recipe.code} does not show")
        try:
            self.named(self.mixture)
        except UnknownName as error:
            raise ValueError(str(error)) from None
        return self

    def named(self, name: str) -> Mixture:
        """A mixture by name. Raises UnknownName offering the nearest one."""
        if name not in self.mixtures:
            raise UnknownName("mixture", name, self.mixtures)
        return self.mixtures[name]

    def recipe(self, name: str) -> Recipe:
        """The recipe of a mixture: its own keys, and the section's where it has none."""
        own = self.named(name).model_dump(exclude_none=True)
        values = {key: own.get(key, getattr(self, key)) for key in Recipe.model_fields}
        return Recipe(**values)

    def collection(self, name: str, base: Collect) -> Collect:
        """How a mixture's transitions are collected: by the benchmark's source and policy, to its own extent."""
        recipe = self.recipe(name)
        keys = ("environments", "scenarios_per_environment", "trajectories", "steps", "size")
        return base.model_copy(update={**{key: getattr(recipe, key) for key in keys}, "shards": self.shards})

    def prompts(self, name: str, base: Prompts, code: CodeForm | None = None) -> Prompts:
        """How a mixture's prompts are rendered; rows answer with the changes, whatever evaluation asks for."""
        return base.model_copy(update={"code": code or self.recipe(name).code, "answer": "delta"})

    def alone(self, name: str) -> Sft:
        """What one mixture depends on: the others, and which one is made by default, are as if not configured."""
        self.named(name)
        kept = MIXTURES | {name: self.mixtures[name]}
        return self.model_copy(update={"mixture": name, "mixtures": kept, "shards": 1})

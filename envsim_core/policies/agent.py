"""Policy `agent`: a language model with function calling works on a scenario's task.

Told the task, it acts until it answers without a call. In a conversation another model plays the user, who alone knows
the task: what the agent says without a call goes there, until the user says that all is done. Every answer is kept in
a file beside the transitions, so a run that was killed goes on without asking again.
"""

from __future__ import annotations

import json
from random import Random

from envsim_core.checks import Checker
from envsim_core.errors import BadConfig
from envsim_core.executor import Outcome
from envsim_core.policies import Setting
from envsim_core.policies._model import Model
from envsim_core.records import Action, Environment, JsonObject, Scenario

MAX_MISTAKES = 8  # calls of tools that are not there, or with arguments that cannot be read, per trajectory
DONE = "[DONE]"
FINISHED = "finished"
FREE_TASK = "No task is given. Use the tools for a sensible piece of work in this environment, then say what you did."
ACT = (
    "You work in an environment through its tools. Look things up before you change them, keep to the rules, and"
    " correct a call that failed. When nothing is left to do, answer without a call and say what was done."
)
TALK = (
    "You work in an environment through its tools, for a user who talks to you. Ask the user for what you cannot look"
    " up, keep to the rules, and say what you did. The conversation ends when the user ends it."
)
USER = (
    "You play a user who wants something done by an assistant with tools. What you want is below. Speak as that person"
    f" would, one or two sentences at a time, and tell only what you are asked for. When all of it is done, or cannot"
    f" be done, answer {DONE} and nothing else. Never do the assistant's work.\n\n"
)


def create(environment: Environment, setting: Setting) -> Agent:
    """An agent for one environment. Raises BadConfig when no model is named, or one that cannot act."""
    return Agent(environment, setting)


class Agent:
    """Keeps the conversation of one trajectory at a time."""

    def __init__(self, environment: Environment, setting: Setting) -> None:
        settings = setting.collect.agent
        if settings.model is None:
            raise BadConfig("collect.agent.model: policy agent needs a model; name an entry of the models file")
        self._environment, self._settings, self._limits = environment, settings, setting.collect.limits
        self._model, self._user = (
            name and Model(name, setting.models_file, setting.folder / role, environment.env_id, settings.retries)
            for role, name in (("acting", settings.model), ("user", settings.user))
        )
        self._tools: list[JsonObject] = [{"type": "function", "function": t.model_dump()} for t in environment.tools]

    def begin(self, scenario: Scenario, task_id: str, number: int, steps: int) -> int:
        """A new conversation about the scenario's task."""
        self._scenario, self._task_id = scenario, task_id
        self._waiting: list[JsonObject] = []  # calls of the last message that were not made yet
        self._ending, self._worked, self._mistakes, self._said, self._steps = "", 0, 0, 0, steps
        task = scenario.task or FREE_TASK
        about = f"{self._environment.summary}\n{self._environment.introduction}".strip()
        rule = TALK if self._user else ACT
        self._messages: list[JsonObject] = [{"role": "system", "content": f"{rule}\n\n{about}".strip()}]
        self._heard: list[JsonObject] = [{"role": "system", "content": USER + task}]
        if not self._user:
            self._messages.append({"role": "user", "content": task})
        for model in self._models():
            model.open()
        return steps

    def choose(self, rng: Random, state: JsonObject) -> Action | None:
        """The next call that can be made, after as many messages as it takes; None when the agent is done."""
        try:
            while not self._ending:
                if self._waiting:
                    action = self._readable(self._waiting[0])
                    if action is not None:
                        return action
                elif self._user and self._messages[-1]["role"] in ("system", "assistant"):
                    self._listen()
                else:
                    self._speak()
        except BaseException:
            self._close()
            raise
        return None

    def learn(self, action: Action, outcome: Outcome, stratum: str | None) -> None:
        """The agent is told what its call gave, an error included."""
        told = outcome.observation if outcome.status == "ok" else f"Error: {outcome.status}: {outcome.reason}"
        self._worked += outcome.status == "ok"
        self._answer_call(told or "")

    def end(self, first: JsonObject, last: JsonObject) -> str:
        """Whether the trajectory passes the filter that `collect.agent.keep` names."""
        self._close()
        keep = self._settings.keep
        if keep == "all":
            return ""
        if self._ending != FINISHED:
            return self._ending or f"not finished after {self._steps} calls"
        if not self._worked:
            return "finished without a call that worked"
        return self._failed_check(first, last) if keep == "checked" else ""

    def _failed_check(self, first: JsonObject, last: JsonObject) -> str:
        if not self._scenario.checks:
            return "the scenario has no checks"
        with Checker(self._limits) as checker:
            for check in self._scenario.checks:
                holds, why = checker.holds(check, first, last)
                if not holds:
                    return f"check failed: {check.item or 'unnamed'}" + (f" ({why})" if why else "")
        return ""

    def _speak(self) -> None:
        """Ask the agent for its next message."""
        assert isinstance(self._model, Model)
        message = self._model.ask(self._task_id, self._messages, self._tools)
        calls, content = message["calls"], message["content"]
        if message["refused"]:
            self._ending = "the model refused, or was filtered"
            return
        said: JsonObject = {"role": "assistant", "content": content}
        if calls:
            said["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": _as_text(call["arguments"])},
                }
                for call in calls
            ]
            self._waiting = list(calls)
        elif not content.strip():
            self._ending = "the model answered nothing"
        elif not self._user:
            self._ending = FINISHED
        self._messages.append(said)

    def _listen(self) -> None:
        """Ask the user, who has heard what the agent said last."""
        assert isinstance(self._user, Model)
        if self._said == self._settings.messages:
            self._ending = f"the user was not satisfied after {self._said} messages"
            return
        heard = self._messages[-1]["content"] if self._said else "Hello, what can I do for you?"
        self._heard.append({"role": "user", "content": heard})
        reply = self._user.ask(self._task_id, self._heard, [])
        self._said += 1
        text = reply["content"].strip()
        if reply["refused"] or not text:
            self._ending = "the user said nothing"
        elif DONE in text:
            self._ending = FINISHED
        self._heard.append({"role": "assistant", "content": text})
        self._messages.append({"role": "user", "content": text})

    def _readable(self, call: JsonObject) -> Action | None:
        """The call as an action; None when the model has to be told that it cannot be made."""
        arguments, name = call["arguments"], call["name"]
        why = ""
        if name not in {tool.name for tool in self._environment.tools}:
            why = f"no tool {name!r}; there are {', '.join(tool.name for tool in self._environment.tools)}"
        elif isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError) as error:
                why = f"the arguments are not JSON: {error}"
        if not why and not isinstance(arguments, dict):
            why = "the arguments are not an object"
        if not why:
            return Action(name=name, arguments=arguments)
        self._answer_call(f"Error: {why}")
        self._mistakes += 1
        if self._mistakes == MAX_MISTAKES:
            self._ending = f"{MAX_MISTAKES} calls could not be made, the last one because: {why[:200]}"
        return None

    def _answer_call(self, text: str) -> None:
        call = self._waiting.pop(0)
        self._messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})

    def _models(self) -> list[Model]:
        return [model for model in (self._model, self._user) if isinstance(model, Model)]

    def _close(self) -> None:
        for model in self._models():
            model.close()


def _as_text(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)

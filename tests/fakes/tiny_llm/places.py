"""Where conversations are met: before the shipped agents' own instructions and tools, as a run puts them there.

Specs, templates, tools and the words of graders are the product's own, so what the model learns to read is what it
reads in a mesh.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import yaml

from services.llm.chat import Message as Said
from services.llm.chat import Role
from services.llm.openai import request as openai_form
from services.orchestrator.agents.loop.graders import judge
from services.orchestrator.agents.loop.memory import SUMMARISE
from services.orchestrator.agents.loop.prompt import PromptTemplates, variables
from services.orchestrator.agents.specs.shipped import shipped
from services.orchestrator.agents.specs.spec import AgentSpec
from services.orchestrator.tools.builtin.calculator import Calculator
from services.orchestrator.tools.builtin.current_time import CurrentTime
from services.orchestrator.tools.builtin.search import SearchTool
from tests.fakes.tiny_llm.language import Message

DECLARATIONS = {each.declaration.name: each.declaration for each in (SearchTool, Calculator, CurrentTime)}
# Agents that tests have beside those that are shipped.
SPECS = {
    **{name: AgentSpec.model_validate(yaml.safe_load(text)) for name, text in shipped().items()},
    "clerk": AgentSpec(name="clerk", tools=("calculator",)),
}
# Instructions that are in the code, not in a spec.
FIXED = {"grounded": judge._GROUNDED, "answers": judge._ANSWERS, "summarise": SUMMARISE}
CLOSED = " without tools"  # behind an agent's name: its last words, for which no tools are offered
FIRST_DAY, DAYS, DAY = 1_735_689_600, 2500, 86_400
PLAIN = ""


def placed(place: str, messages: Sequence[Message], random: Random) -> tuple[list[Message], list[dict[str, Any]]]:
    """The messages as the model reads them in that place, and the tools that are offered there, in OpenAI's form."""
    if place == PLAIN:
        return list(messages), []
    if place in FIXED:
        return [{"role": "system", "content": FIXED[place]}, *messages], []
    spec = SPECS[place.removesuffix(CLOSED)]
    own = [Said(Role.SYSTEM, one["content"]) for one in messages if one["role"] == "system"]
    given = variables("", (), "default", spec.retrieval.collections, spec.name, time.time())
    given["now"] = datetime.fromtimestamp(FIRST_DAY + random.randrange(DAYS) * DAY, UTC)
    before = openai_form.messages(PromptTemplates(spec).build(own, given))
    tools = [] if place.endswith(CLOSED) else openai_form.tools([DECLARATIONS[name] for name in spec.tools])
    return [*before, *(one for one in messages if one["role"] != "system")], tools

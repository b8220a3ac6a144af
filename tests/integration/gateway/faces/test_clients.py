"""Frameworks, unmodified, before a bare model: each calls a tool and answers from its result.

They are in an environment of their own, for they are large and some forbid each other: `make clients`.
"""

import asyncio
import json
from pathlib import Path

import pytest

from tests.fakes import openai_upstream as fake
from tests.fakes.openai_upstream import Exchange, calls, delta
from tests.integration.gateway.conftest import KEY
from tests.integration.gateway.faces.conftest import Before

PYTHON = Path(__file__).parents[4] / ".venv-clients" / "bin" / "python"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="needs the clients: make clients")
USAGE = fake.usage(prompt=11, completion=2)
ANSWER = "It rains in Ulm."
SCHEMA_ANSWER = {"city": "Ulm"}

LANGCHAIN = """
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

@tool
def weather(city: str) -> str:
    "Tells the weather."
    return "rain"

bound = model.bind_tools([weather])
said = [HumanMessage("why?")]
whole = None
for chunk in bound.stream(said):
    whole = chunk if whole is None else whole + chunk
[call] = whole.tool_calls
assert call["args"] == {"city": "Ulm"}, call
said += [whole, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
last = bound.invoke(said)
assert last.usage_metadata["input_tokens"] == 11, last.usage_metadata
print(last.text if isinstance(last.text, str) else last.text())
"""
SCRIPTS = {
    "langchain-openai": """
from langchain_openai import ChatOpenAI
model = ChatOpenAI(model="small", base_url=url + "/v1", api_key=key, use_responses_api=True)
"""
    + LANGCHAIN,
    "langchain-anthropic": """
from langchain_anthropic import ChatAnthropic
model = ChatAnthropic(model="small", base_url=url, api_key=key, max_tokens=100)
"""
    + LANGCHAIN,
    "instructor-openai": """
import instructor, openai, pydantic
class City(pydantic.BaseModel):
    city: str
client = instructor.from_openai(openai.OpenAI(base_url=url + "/v1", api_key=key), mode=instructor.Mode.RESPONSES_TOOLS)
print(client.responses.create(model="small", input="where?", response_model=City).city)
""",
    "instructor-anthropic": """
import instructor, anthropic, pydantic
class City(pydantic.BaseModel):
    city: str
client = instructor.from_anthropic(anthropic.Anthropic(base_url=url, api_key=key))
ask = [{"role": "user", "content": "where?"}]
print(client.messages.create(model="small", max_tokens=100, messages=ask, response_model=City).city)
""",
    "pydantic-ai-openai": """
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
agent = Agent(OpenAIResponsesModel("small", provider=OpenAIProvider(base_url=url + "/v1", api_key=key)))
@agent.tool_plain
def weather(city: str) -> str:
    return "rain"
print(agent.run_sync("why?").output)
""",
    "openai-agents": """
import asyncio
from openai import AsyncOpenAI
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
set_tracing_disabled(True)
@function_tool
def weather(city: str) -> str:
    return "rain"
model = OpenAIResponsesModel("small", AsyncOpenAI(base_url=url + "/v1", api_key=key))
agent = Agent(name="A", instructions="Be brief.", model=model, tools=[weather])
async def main():
    streamed = Runner.run_streamed(agent, "why?")
    async for _ in streamed.stream_events():
        pass
    whole = await Runner.run(agent, "why?")
    assert streamed.final_output == whole.final_output
    print(whole.final_output)
asyncio.run(main())
""",
    "litellm-anthropic": """
import litellm
tool = {"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}}
ask = {"model": "anthropic/small", "api_base": url, "api_key": key, "tools": [tool], "max_tokens": 100}
said = [{"role": "user", "content": "why?"}]
parts = list(litellm.completion(messages=said, stream=True, **ask))
first = litellm.stream_chunk_builder(parts).choices[0].message
[call] = first.tool_calls
said += [first.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
print(litellm.completion(messages=said, **ask).choices[0].message.content)
""",
    "litellm-responses": """
import litellm
ask = {"model": "openai/small", "api_base": url + "/v1", "api_key": key, "input": "say it"}
whole = litellm.responses(**ask)
*_, last = litellm.responses(stream=True, **ask)
assert last.type == "response.completed", last
print(whole.output[0].content[0].text)
""",
}
CITY = ("instructor-openai", "instructor-anthropic")


async def answers(exchange: Exchange) -> None:
    """Calls the one tool that there is, and answers once it has a result; whole or in chunks, as it is asked."""
    body = exchange.body
    names = [tool["function"]["name"] for tool in body.get("tools", ())]
    if names and body["messages"][-1]["role"] != "tool":
        [chunk] = [calls((names[0], json.dumps(SCHEMA_ANSWER)))]
    else:
        chunk = delta("stop", role="assistant", content=ANSWER)
    if body.get("stream"):
        await fake.streams(chunk, USAGE)(exchange)
        return
    choice = chunk["choices"][0]
    message = {"role": "assistant", "content": None, **choice["delta"]}
    whole = {**USAGE, "object": "chat.completion", "choices": [{**choice, "message": message}]}
    await fake.raw(json.dumps(whole).encode(), kind="application/json")(exchange)


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_framework_calls_its_tool_and_answers(before: Before, name: str, tmp_path: Path) -> None:
    gateway, _ = await before(answers)
    script = f"import sys\nurl, key = sys.argv[1:]\n{SCRIPTS[name]}"
    process = await asyncio.create_subprocess_exec(
        PYTHON, "-c", script, str(gateway.http.base_url), KEY,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()[-4000:]
    assert out.decode().strip().endswith("Ulm" if name in CITY else ANSWER)

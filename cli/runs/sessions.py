"""`headworks sessions`."""

from typing import Any

import click
from headworks.orchestrator.v1 import run_pb2
from headworks.orchestrator.v1 import session_service_pb2 as pb

from cli.messages import as_dict, enum_word, list_all
from cli.options import MeshOptions, confirm, on_mesh, yes_option
from cli.output import console, print_done, print_json, print_list, put

COLUMNS = {"session": "id", "messages": "messages", "created": "create_time", "last used": "update_time"}
NONE = 'No sessions yet: make one with `headworks ask "…" --session NAME`.'


@click.group()
def sessions() -> None:
    """List, show and delete sessions: conversations that go on over several runs.

    \b
    Examples:
      headworks ask "What is a queen?" --agent chat --session bees
      headworks sessions list
      headworks sessions get bees
      headworks sessions delete bees --yes
    """


@sessions.command("list")
@on_mesh(30)
def list_(on: MeshOptions) -> None:
    """List the sessions, the latest used first.

    \b
    Example:
      headworks sessions list --json
    """
    with on.client() as client:
        messages = list_all(client.sessions.ListSessions, pb.ListSessionsRequest(), "sessions")
        rows = [_session(message) for message in messages]
    print_list(on, "sessions", rows, COLUMNS, NONE)


@sessions.command()
@click.argument("session_id")
@on_mesh(30)
def get(session_id: str, on: MeshOptions) -> None:
    """Show the session SESSION_ID with its messages.

    \b
    Example:
      headworks sessions get bees
    """
    request = pb.GetSessionRequest(session_id=session_id)
    with on.client() as client:
        response = client.sessions.GetSession(request)
    messages = [_message(message) for message in response.messages]
    if on.as_json:
        print_json(_session(response.session) | {"messages": messages})
        return
    out = console()
    if response.session.summary:
        put(out, f"[before that]  {response.session.summary}", style="dim")
    for message in messages:
        calls = "".join(f" [calls {call['name']} {call['arguments']}]" for call in message.get("tool_calls", ()))
        out.print(f"{message['role']:<10}", end=" ")
        put(out, f"{message['content']}{calls}", first=11, indent=11)


@sessions.command()
@click.argument("session_id")
@yes_option
@on_mesh(30)
def delete(session_id: str, yes: bool, on: MeshOptions) -> None:
    """Delete the session SESSION_ID: its messages, and the questions and events of its runs.

    \b
    Example:
      headworks sessions delete bees --yes
    """
    request = pb.DeleteSessionRequest(session_id=session_id)
    confirm(on, f"Delete the session {session_id} with everything said in it?", yes)
    with on.client() as client:
        client.sessions.DeleteSession(request)
    print_done(on, f"Deleted {session_id}.", deleted=session_id)


def _session(message: Any) -> dict[str, Any]:
    return {
        "id": message.id,
        "messages": message.message_count,
        "create_time": message.create_time.ToJsonString(),
        "update_time": message.update_time.ToJsonString(),
        "summary": message.summary,
        "subject": message.subject,
    }


def _message(message: Any) -> dict[str, Any]:
    record: dict[str, Any] = {
        "role": enum_word(run_pb2.Message.Role.DESCRIPTOR, message.role),
        "content": message.content,
        "tool_calls": [as_dict(call) for call in message.tool_calls],
        "tool_call_id": message.tool_call_id,
    }
    return {name: value for name, value in record.items() if value or name in ("role", "content")}

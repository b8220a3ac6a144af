"""`headworks sessions`."""

from typing import Any

import click

from cli.target import Target, on_mesh

PAGE = 1000


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
def list_(on: Target) -> None:
    """List the sessions, the latest used first.

    \b
    Example:
      headworks sessions list --json
    """
    from headworks.orchestrator.v1 import session_service_pb2 as pb

    from cli.output import print_json, table, wide

    found, request = [], pb.ListSessionsRequest(page_size=PAGE)
    with on.calling() as client:
        while True:
            page = client.sessions.ListSessions(request, **on.options(client))
            found += [_session(one) for one in page.sessions]
            request.page_token = page.next_page_token
            if not request.page_token:
                break
    if on.as_json:
        print_json({"sessions": found})
    elif not found:
        click.echo('No sessions yet: make one with `headworks ask "…" --session NAME`.')
    else:
        rows = ((one["id"], one["messages"], one["create_time"], one["update_time"]) for one in found)
        wide().print(table(("session", "messages", "created", "last used"), rows, right=("messages",)))


@sessions.command()
@click.argument("session_id")
@on_mesh(30)
def get(session_id: str, on: Target) -> None:
    """Show the session SESSION_ID with its messages.

    \b
    Example:
      headworks sessions get bees
    """
    from headworks.orchestrator.v1 import session_service_pb2 as pb

    from cli.client import utf8
    from cli.output import console, print_json

    request = pb.GetSessionRequest(session_id=utf8(session_id, "the session"))
    with on.calling() as client:
        response = client.sessions.GetSession(request, **on.options(client))
    messages = [_message(one) for one in response.messages]
    if on.as_json:
        print_json(_session(response.session) | {"messages": messages})
        return
    out = console()
    if response.session.summary:
        out.print(f"[before that]  {response.session.summary}", style="dim", markup=False)
    for one in messages:
        calls = "".join(f" [calls {call['name']} {call['arguments']}]" for call in one.get("tool_calls", ()))
        out.print(f"{one['role']:<10} {one['content']}{calls}", markup=False)


@sessions.command()
@click.argument("session_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_mesh(30)
def delete(session_id: str, yes: bool, on: Target) -> None:
    """Delete the session SESSION_ID: its messages, and the questions and events of its runs.

    \b
    Example:
      headworks sessions delete bees --yes
    """
    from headworks.orchestrator.v1 import session_service_pb2 as pb

    from cli.client import utf8
    from cli.output import print_json

    request = pb.DeleteSessionRequest(session_id=utf8(session_id, "the session"))
    if not yes and not on.as_json:
        click.confirm(f"Delete the session {session_id} with everything said in it?", abort=True)
    with on.calling() as client:
        client.sessions.DeleteSession(request, **on.options(client))
    if on.as_json:
        print_json({"deleted": session_id})
    else:
        click.echo(f"Deleted {session_id}.")


def _session(one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "messages": one.message_count,
        "create_time": one.create_time.ToJsonString(),
        "update_time": one.update_time.ToJsonString(),
        "summary": one.summary,
    }


def _message(one: Any) -> dict[str, Any]:
    from headworks.orchestrator.v1 import run_pb2

    from cli.answers import word

    told: dict[str, Any] = {"role": word(run_pb2.Message.Role.Name(one.role), "ROLE_"), "content": one.content}
    if one.tool_calls:
        told["tool_calls"] = [
            {"id": call.id, "name": call.name, "arguments": call.arguments} for call in one.tool_calls
        ]
    return told | ({"tool_call_id": one.tool_call_id} if one.tool_call_id else {})

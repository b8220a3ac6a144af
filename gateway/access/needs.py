"""What a method needs, as functions from a request to the permissions."""

from collections.abc import Callable, Sequence
from typing import Any

Needs = Callable[[Any], Sequence[str]]
DEFAULT_MODEL = "rag"
DEFAULT_COLLECTION = "default"


def nothing(request: Any) -> Sequence[str]:
    """Being who one is suffices. For what only the mesh itself calls, and for what OpenAI's face asks itself, once it
    has read the body."""
    return ()


def plain(permission: str) -> Needs:
    """The permission, whatever the request says."""
    return lambda request: (permission,)


def of_field(verb: str, field: str, default: str = "*") -> Needs:
    """The permission for what the request's field names; for `default` where it names nothing."""
    return lambda request: (f"{verb}:{getattr(request, field) or default}",)


def of_param(verb: str, name: str) -> Needs:
    """The permission for what a variable of an HTTP path names."""
    return lambda request: (f"{verb}:{request.params[name]}",)


def of_collection(verb: str, field: str = "collection") -> Needs:
    return of_field(f"collections.{verb}", field, DEFAULT_COLLECTION)


def of_ingestion(request: Any) -> Sequence[str]:
    """The collection is in the first message of the stream."""
    return (f"collections.write:{request.open.collection or DEFAULT_COLLECTION}",)


def of_run(request: Any) -> Sequence[str]:
    """What a run needs: its agent or model, and what the caller names beside it. An agent's own collections, tools and
    models come with the agent."""
    return run(request.model, request.collection, request.session_id)


def run(model: str, collection: str = "", session_id: str = "") -> Sequence[str]:
    """The same for a run that comes in another form."""
    needed = [f"models.call:{model_name(model)}"]
    if collection:
        needed.append(f"collections.read:{collection}")
    if session_id:
        needed.append(f"sessions.write:{session_id}")
    return needed


def model_name(model: str) -> str:
    """The name of the agent or model: without the version, "rag" for none."""
    return model.partition("@")[0] or DEFAULT_MODEL

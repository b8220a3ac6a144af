"""Messages of Agent2Agent to runs, and the events of runs to tasks. Pure."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from a2a.types import a2a_pb2 as a2a
from a2a.utils.errors import ContentTypeNotSupportedError, InvalidParamsError, UnsupportedOperationError
from google.protobuf import json_format, struct_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2

from gateway.calls.run_answer import finish_word
from gateway.faces.http.openai.seen import annotation

ANSWER = "answer"
Update = a2a.Task | a2a.TaskArtifactUpdateEvent | a2a.TaskStatusUpdateEvent
STATES = {
    run_pb2.Run.STATE_RUNNING: a2a.TASK_STATE_WORKING, run_pb2.Run.STATE_WAITING: a2a.TASK_STATE_WORKING,
    run_pb2.Run.STATE_SUCCEEDED: a2a.TASK_STATE_COMPLETED, run_pb2.Run.STATE_FAILED: a2a.TASK_STATE_FAILED,
    run_pb2.Run.STATE_CANCELLED: a2a.TASK_STATE_CANCELED,
}  # fmt: skip
_ENDS = {
    run_pb2.FINISH_REASON_CANCELLED: a2a.TASK_STATE_CANCELED, run_pb2.FINISH_REASON_REJECTED: a2a.TASK_STATE_REJECTED,
    run_pb2.FINISH_REASON_CONTENT_FILTER: a2a.TASK_STATE_REJECTED, run_pb2.FINISH_REASON_ERROR: a2a.TASK_STATE_FAILED,
    run_pb2.FINISH_REASON_DEADLINE_EXCEEDED: a2a.TASK_STATE_FAILED, run_pb2.FINISH_REASON_LIMIT: a2a.TASK_STATE_FAILED,
    run_pb2.FINISH_REASON_BUDGET: a2a.TASK_STATE_FAILED,
}  # fmt: skip
"""The ends that leave a task other than completed."""


def run_request(agent: str, message: a2a.Message) -> pb.RunRequest:
    """Raises InvalidParamsError, ContentTypeNotSupportedError, UnsupportedOperationError."""
    if message.task_id:
        raise UnsupportedOperationError("a task takes no further messages: send a new one with its contextId")
    text = "\n".join(map(_text, message.parts))
    if not text.strip():
        raise InvalidParamsError("the message has no text")
    asked = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=text)
    return pb.RunRequest(model=agent, messages=[asked], session_id=message.context_id or uuid.uuid4().hex)


def _text(part: a2a.Part) -> str:
    kind = part.WhichOneof("content")
    if kind == "text":
        return part.text
    if kind == "data":
        return orjson.dumps(json_format.MessageToDict(part.data)).decode()
    raise ContentTypeNotSupportedError("only text and data are read: files are for an ingestion")


class Updates:
    """What a run's events come to: the task when it begins, the answer as it grows, and the end. `task` is the whole of
    it so far."""

    def __init__(self, context_id: str) -> None:
        self.task = a2a.Task(context_id=context_id)
        self._text = ""
        self._sources: list[dict[str, Any]] = []
        self.over = False

    def take(self, events: Iterable[event_pb.RunEvent]) -> Iterator[Update]:
        """Take the next events; `over` once the last was among them."""
        for event in events:
            match event.WhichOneof("event"):
                case "started":
                    yield self._begun(event)
                case "text":
                    self._text += event.text.text
                    yield self._answer([a2a.Part(text=event.text.text)], append=len(self._text) > len(event.text.text))
                case "citation":
                    self._sources.append(annotation(event.citation)["url_citation"])
                case "finished":
                    self.over = True
                    if self._sources:
                        yield self._answer([_data({"sources": self._sources})], append=bool(self._text))
                    yield self._ended(event.finished)

    def _begun(self, event: event_pb.RunEvent) -> a2a.Task:
        self.task.id = event.run_id
        self.task.context_id = event.started.session_id or self.task.context_id or event.run_id
        self.task.status.state = a2a.TASK_STATE_WORKING
        self.task.status.timestamp.CopyFrom(event.create_time)
        begun = a2a.Task()
        begun.CopyFrom(self.task)
        return begun

    def _answer(self, parts: list[a2a.Part], append: bool) -> a2a.TaskArtifactUpdateEvent:
        artifact = a2a.Artifact(artifact_id=ANSWER, name=ANSWER, parts=parts)
        return a2a.TaskArtifactUpdateEvent(
            task_id=self.task.id, context_id=self.task.context_id, artifact=artifact, append=append
        )

    def _ended(self, finished: event_pb.RunFinished) -> a2a.TaskStatusUpdateEvent:
        parts = [a2a.Part(text=self._text)] if self._text else []
        parts += [_data({"sources": self._sources})] if self._sources else []
        if parts:
            self.task.artifacts.append(a2a.Artifact(artifact_id=ANSWER, name=ANSWER, parts=parts))
        status = self.task.status
        status.state = _ENDS.get(finished.reason, a2a.TASK_STATE_COMPLETED)
        status.timestamp.GetCurrentTime()
        reason = finish_word(finished.reason)
        if status.state != a2a.TASK_STATE_COMPLETED:
            said = finished.error_message or f"the run has ended: {reason}"
            status.message.CopyFrom(
                a2a.Message(message_id=f"{self.task.id}-end", role=a2a.ROLE_AGENT, parts=[a2a.Part(text=said)])
            )
        self.task.metadata.update({"finish_reason": reason})
        return a2a.TaskStatusUpdateEvent(
            task_id=self.task.id, context_id=self.task.context_id, status=status, metadata=self.task.metadata
        )


def task_of(run: run_pb2.Run) -> a2a.Task:
    """A run that is under way, or of which nothing more is known."""
    task = a2a.Task(id=run.id, context_id=run.session_id or run.id)
    task.status.state = STATES.get(run.state, a2a.TASK_STATE_UNSPECIFIED)
    return task


def _data(value: dict[str, Any]) -> a2a.Part:
    return a2a.Part(data=json_format.ParseDict(value, struct_pb2.Value()))

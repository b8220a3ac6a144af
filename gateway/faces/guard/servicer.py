"""GuardService: proto in, one domain call, proto out."""

from headworks.gateway.v1 import guard_service_pb2 as pb
from headworks.gateway.v1 import guard_service_pb2_grpc as pb_grpc

from gateway.faces.guard.screening import Judged, Pipelines, Verdict, judge
from gateway.guard.finding import Finding
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context, call_of

_VERDICTS = {
    Verdict.ALLOW: pb.ScreenedItem.VERDICT_ALLOW,
    Verdict.REDACT: pb.ScreenedItem.VERDICT_REDACT,
    Verdict.DROP: pb.ScreenedItem.VERDICT_DROP,
}


class GuardServicer(pb_grpc.GuardServiceServicer):
    """Screens by the policies of the caller's tenant."""

    def __init__(self, pipelines: Pipelines) -> None:
        self._pipelines = pipelines

    async def Screen(self, request: pb.ScreenRequest, context: Context) -> pb.ScreenResponse:
        """See the proto."""
        if request.stage == pb.ScreenRequest.STAGE_UNSPECIFIED:
            raise InvalidArgument("the stage is missing", field="stage")
        texts = [item.text for item in request.items]
        judged = await judge(self._pipelines, call_of(context).tenant, request.agent, texts, request.models)
        return pb.ScreenResponse(
            items=[_item(item.id, verdict) for item, verdict in zip(request.items, judged, strict=True)]
        )


def _item(id_: str, judged: Judged) -> pb.ScreenedItem:
    text = judged.text if judged.verdict is Verdict.REDACT else ""
    findings = [_finding(finding) for finding in judged.findings]
    return pb.ScreenedItem(id=id_, verdict=_VERDICTS[judged.verdict], text=text, findings=findings)


def _finding(finding: Finding) -> pb.ScreenFinding:
    return pb.ScreenFinding(
        guard=finding.guard,
        category=finding.category,
        score=finding.score,
        reason=finding.reason,
        action=finding.action.value,
        mode=finding.mode.value,
    )

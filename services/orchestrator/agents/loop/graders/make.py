"""Which grader a spec means."""

from services.llm.catalogue.entry import Capability
from services.llm.handle import ModelHandle
from services.llm.models import Catalogue
from services.orchestrator.agents.loop.graders import judge, similar
from services.orchestrator.agents.loop.graders.grader import Grade, GradedAnswer, Grader
from services.orchestrator.agents.loop.work import Embedder
from services.orchestrator.agents.specs.errors import ModelUnavailable
from services.orchestrator.agents.specs.spec import EMBEDDINGS, GraderSpec


class SchemaGrader:
    """The answer must be valid under the run's schema; without one it passes."""

    async def grade(self, question: GradedAnswer) -> Grade:
        fault = question.checker.fault(question.answer) if question.checker else None
        if fault is None:
            return Grade(True, 1.0, "it has the form that was asked for")
        return Grade(False, 0.0, f"it does not have the form that was asked for: {fault}")


def grader_of(spec: GraderSpec, served: ModelHandle, models: Catalogue, embedder: Embedder | None) -> Grader:
    """A language model where there is one that keeps to a schema, embeddings otherwise. Raises ModelUnavailable."""
    if spec.grader == "schema":
        return SchemaGrader()
    judging = _judge(spec, served, models)
    given = {} if spec.threshold is None else {"threshold": spec.threshold}
    if judging is not None:
        return (judge.JudgeGrounded if spec.grader == "grounded" else judge.JudgeAnswers)(judging, **given)
    if embedder is None:
        raise ModelUnavailable(f"the grader {spec.grader!r} has neither a model to ask nor embeddings")
    return (similar.SimilarToEvidence if spec.grader == "grounded" else similar.SimilarToQuestion)(embedder, **given)


def _judge(spec: GraderSpec, served: ModelHandle, models: Catalogue) -> ModelHandle | None:
    if spec.judge == EMBEDDINGS:
        return None
    if spec.judge:
        return models.find(spec.judge)
    return served if Capability.JSON_SCHEMA in served.entry.capabilities else None

"""Which of the catalogue's models an agent asks. Pure."""

from services.llm.models import Catalogue
from services.orchestrator.agents.specs.spec import EMBEDDINGS, AgentSpec
from services.runtime.errors import ModelNotFound


def asked_models(spec: AgentSpec, catalogue: Catalogue) -> tuple[str, ...]:
    """Each once, by its catalogue name: the one that answers, then those that judge; as the spec has it where there is
    none such."""
    judges = (grader.judge for grader in spec.graders if grader.judge not in ("", EMBEDDINGS))
    return tuple(dict.fromkeys(catalogue_name(model, catalogue) for model in (spec.model, *judges)))


def catalogue_name(model: str, catalogue: Catalogue) -> str:
    """The name of the model that a name stands for; itself where there is none."""
    try:
        return catalogue.find(model).entry.name
    except ModelNotFound:
        return model

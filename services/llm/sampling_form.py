"""What may be said of sampling in the files that people write: agents' specs and the model catalogue."""

from pydantic import BaseModel, Field


class SamplingFields(BaseModel):
    """The fields of chat.Sampling but for `ignore_eos`, with their bounds; None leaves one unset."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    stop: tuple[str, ...] = Field((), max_length=4)
    seed: int | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0)

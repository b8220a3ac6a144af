"""The file of upstreams: YAML in, upstreams out.

models:
  gpt-small:                                   # the name that callers ask for
    base_url: https://llm.example/v1
    model: gpt-small-2026                      # the upstream's own name for it; the same unless given
    api_key_env: LLM_KEY                       # the variable with the key; never the key itself
    input_price: 0.15                          # of a million tokens
    output_price: 0.6
    timeout: 120                               # seconds that a whole answer may take
    headers: {x-team: search}
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.passthrough.upstream import Upstream

NANOS = 10**9
Secret = Callable[[str], str | None]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_OURS = {
    "authorization",
    "host",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "accept-encoding",
}


class BadUpstreams(ValueError):
    """The file does not name upstreams; the message says where and why."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class UpstreamForm(_Form):
    base_url: str = Field(pattern=r"^https?://[^\s?#/]+[^\s?#]*$")
    model: str = ""
    api_key_env: str = Field("", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    description: str = ""
    input_price: Decimal = Field(Decimal(0), ge=0)
    output_price: Decimal = Field(Decimal(0), ge=0)
    timeout: float = Field(600, gt=0)
    connect_seconds: float = Field(5, gt=0)
    idle_seconds: float = Field(60, gt=0)
    answer_tokens: int = Field(1024, gt=0)
    headers: dict[str, str] = {}

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if name.lower() in _OURS:
                raise ValueError(f"the header {name} is the gateway's to set")
            if not (name + value).isascii() or not (name + value).isprintable() or set(name) & set(" :"):
                raise ValueError(f"{name!r} cannot be sent as a header")
        return {name.lower(): value for name, value in headers.items()}


class _File(_Form):
    models: dict[str, UpstreamForm]

    @field_validator("models")
    @classmethod
    def _named(cls, models: dict[str, UpstreamForm]) -> dict[str, UpstreamForm]:
        for name in models:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name for a model")
        return models


def read(path: Path, secret: Secret) -> dict[str, Upstream]:
    """The upstreams by name; `secret` gives the keys by their variables' names. Raises BadUpstreams."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadUpstreams(f"{path} cannot be read: {error}") from error
    return parse(text, str(path), secret)


def parse(text: str, where: str, secret: Secret) -> dict[str, Upstream]:
    """`where` names the text in errors. Raises BadUpstreams."""
    try:
        _refuse_duplicates(yaml.compose(text, yaml.SafeLoader))
        found = _File.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors())
        raise BadUpstreams(f"{where}: {'; '.join(problems)}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadUpstreams(f"{where}: {error}") from error
    return {name: _upstream(name, form, where, secret) for name, form in found.models.items()}


def _upstream(name: str, form: UpstreamForm, where: str, secret: Secret) -> Upstream:
    return Upstream(
        name=name,
        url=f"{form.base_url.rstrip('/')}/chat/completions",
        model=form.model or name,
        headers=_headers(name, form, where, secret),
        api_key_env=form.api_key_env,
        description=form.description,
        input_nanos=int(form.input_price * NANOS),
        output_nanos=int(form.output_price * NANOS),
        timeout=form.timeout,
        connect_seconds=form.connect_seconds,
        idle_seconds=form.idle_seconds,
        answer_tokens=form.answer_tokens,
    )


def _headers(name: str, form: UpstreamForm, where: str, secret: Secret) -> Mapping[str, str]:
    headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "headworks"}
    if form.api_key_env:
        key = (secret(form.api_key_env) or "").strip()
        if not key:
            raise BadUpstreams(f"{where}: models.{name}: api_key_env names {form.api_key_env}, which is not set")
        if not key.isascii() or not key.isprintable():
            raise BadUpstreams(f"{where}: models.{name}: {form.api_key_env} holds no key")
        headers["authorization"] = f"Bearer {key}"
    return headers | form.headers


def _refuse_duplicates(node: Any) -> None:
    """YAML lets a later key win in silence."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: {key.value} is given twice")
            seen.add(key.value)
            _refuse_duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item)

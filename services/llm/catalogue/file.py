"""The catalogue's file: YAML in, entries out, each error with its line and field.

currency: USD                      # of the prices; USD unless given
default: small                     # what the name "default" stands for
models:
  - name: small
    generator: openai              # or triton, extractive
    bare: true                     # the gateway answers it by itself, without a run
    base_url: https://llm.example/v1
    model: small-2026              # its name at the upstream; the entry's own unless given
    api_key_env: LLM_KEY           # the variable with the key, or api_key_file: a file; never the key itself
    price: {input: 0.15, output: 0.6}      # of a million tokens
    context_length: 128000
    capabilities: [tools, json_schema, logprobs]
    sampling: {temperature: 0.2, max_tokens: 1024}
    timeout: 120
routes:
  - name: steady                   # a name that callers use
    bare: true
    targets:
      - {model: small, weight: 3}
      - {model: other, order: 1}   # asked where none of the order 0 can be

A file of upstreams of the older form, whose models are under their names, is read too, for one release.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from services.llm.catalogue.entry import UPSTREAMS, CatalogueEntry, EngineKind
from services.llm.catalogue.form import CatalogueForm, ModelForm, RouteForm, UpstreamsForm
from services.llm.catalogue.route import RouteSpec
from services.runtime import strict_yaml
from services.runtime.file_faults import why
from services.runtime.strict_yaml import BadYaml, Problem, YamlDocument

Secret = Callable[[str], str | None]
"""The value of a variable of the environment; None where it is not set."""


class BadCatalogue(ValueError):
    """The file is no catalogue; the message says where and why."""


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """What the file has. `rewritten`: the text of today's form, where the file is of the older one."""

    entries: tuple[CatalogueEntry, ...] = ()
    routes: tuple[RouteSpec, ...] = ()
    default: str = ""
    currency: str = "USD"
    rewritten: str = ""


def read(path: Path) -> CatalogueFile:
    """Raises BadCatalogue."""
    try:
        return parse(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadCatalogue(f"{path} cannot be read: {why(error)}") from error


def parse(text: str, where: str) -> CatalogueFile:
    """`where` names the text in errors. Raises BadCatalogue."""
    try:
        document = strict_yaml.read(text)
    except BadYaml as error:
        raise _bad(where, *error.problems) from error
    older = isinstance(document.data, dict) and isinstance(document.data.get("models"), dict)
    try:
        if older:
            return _of_upstreams(UpstreamsForm.model_validate(document.data))
        form = CatalogueForm.model_validate(document.data)
    except ValidationError as error:
        raise _bad(where, *document.problems(error, form=UpstreamsForm if older else CatalogueForm)) from error
    return _checked(form, document, where)


def key_of(entry: CatalogueEntry, secret: Secret) -> str:
    """The key to the entry's upstream; empty where it needs none. Raises BadCatalogue."""
    if not entry.api_key_file and not entry.api_key_env:
        return ""
    at = f"model {entry.name!r}"
    if entry.api_key_file:
        try:
            key = Path(entry.api_key_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadCatalogue(f"{at}: api_key_file cannot be read: {error}") from error
    else:
        value = secret(entry.api_key_env)
        if value is None:
            raise BadCatalogue(f"{at}: api_key_env names {entry.api_key_env}, which is not set")
        key = value.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise BadCatalogue(f"{at}: {entry.api_key_env or entry.api_key_file} holds no key")
    return key


def _of_upstreams(upstreams: UpstreamsForm) -> CatalogueFile:
    models = [form.model_form(name) for name, form in upstreams.models.items()]
    entries = tuple(ModelForm.model_validate(model).entry() for model in models)
    return CatalogueFile(entries, rewritten=yaml.safe_dump({"models": models}, sort_keys=False, allow_unicode=True))


def _checked(form: CatalogueForm, document: YamlDocument, where: str) -> CatalogueFile:
    models = {model.name: model for model in form.models}
    lines = [("models", number) for number in range(len(form.models))]
    lines += [("routes", number) for number in range(len(form.routes))]
    names = [*(model.name for model in form.models), *(route.name for route in form.routes)]
    for number, (name, line_of) in enumerate(zip(names, lines, strict=True)):
        if name in names[:number]:
            kinds = "two models" if line_of[0] == "models" else "a route and another model or route"
            raise _bad(where, Problem("", f"there are {kinds} {name!r}", document.line(line_of)))
    for number, route in enumerate(form.routes):
        for place, target in enumerate(route.targets):
            if wrong := _wrong_target(route, target.model, models, names):
                line = document.line(("routes", number, "targets", place))
                raise _bad(where, Problem("", f"routes[{number}].targets[{place}]: {wrong}", line))
    for number, route in enumerate(form.routes):
        if route.resume and not any(models[one.model].continues for one in route.targets if one.model in models):
            wrong = f"routes[{number}].resume: none of its targets `continues` an answer, as its model may say"
            raise _bad(where, Problem("", wrong, document.line(("routes", number, "resume"))))
    if form.default and form.default not in names:
        line = document.line(("default",))
        raise _bad(where, Problem("", f"default: there is no model {form.default!r}", line))
    return CatalogueFile(
        tuple(model.entry() for model in form.models),
        tuple(route.route() for route in form.routes),
        form.default,
        form.currency,
    )


def _wrong_target(route: RouteForm, target: str, models: Mapping[str, ModelForm], names: Collection[str]) -> str:
    """Why a route cannot lead to a target; empty where it can. One that is not in the file may be the mesh's own."""
    model = models.get(target)
    if model is None:
        if target in names:
            return f"{target!r} is a route: the targets of a route are models, so that no route leads in a circle"
        return f"there is no model {target!r} that the gateway can ask" if route.bare else ""
    if model.generator is EngineKind.EXTRACTIVE:
        return f"{target!r} only quotes from passages: it cannot answer in place of a language model"
    if route.bare and model.generator not in UPSTREAMS:
        return f"{target!r} is no upstream: a bare route is asked by the gateway, which knows only those"
    return ""


def _bad(where: str, *problems: Problem) -> BadCatalogue:
    lines = (f"{where}, line {max(one.line, 1)}: {one.field or 'the file'}: {one.message}" for one in problems)
    return BadCatalogue("\n".join(lines))

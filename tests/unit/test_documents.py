"""The documents hold together: links lead somewhere, YAML is what the code takes, metrics are those that there are."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cli.documents.sync_file import parse_sync_file
from gateway.schema.schema import SCHEMA as GATEWAY
from services.llm.catalogue import file as catalogue_file
from services.llm.prompts.prompt import parse as parse_prompt
from services.orchestrator.agents.specs.validation import parse
from services.orchestrator.schema.schema import SCHEMA as ORCHESTRATOR
from services.orchestrator.tools import config
from services.runtime.records.metrics import writer_metrics

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
METRIC = re.compile(r"\"(headworks_[a-z_]+)\"")


def ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(path: Path) -> set[str]:
    """Those of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text("utf-8")):
        if not link.startswith(("http://", "https://")):
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def blocks() -> Iterator[tuple[Path, str]]:
    for path in DOCUMENTS:
        for block in re.findall(r"```yaml\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
            yield path, block


def check(block: str, tmp_path: Path) -> None:
    """A catalogue, upstreams, what an operator allows, sources, a prompt, an agent, or a part of one."""
    found = yaml.safe_load(block)
    keys = set(found)
    if "models" in keys:
        assert not catalogue_file.parse(block, "the block").rewritten
    elif "messages" in keys:
        parse_prompt(block)
    elif "sources" in keys:
        parse_sync_file(block)
    elif keys <= set(config.ToolSettings.model_fields):
        names = re.findall(r"\{env: ([A-Z_]+)\}", block)
        config.parse(block, dict.fromkeys(names, "sqlite:////orders.db"))
    else:
        parse(block if "name" in keys else f"name: part\n{block}")


@pytest.mark.parametrize(
    ("path", "block"), [pytest.param(path, block, id=f"{ids(path)}-{block[:20]}") for path, block in blocks()]
)
def test_yaml_is_what_the_code_takes(path: Path, block: str, tmp_path: Path) -> None:
    check(block, tmp_path)


def test_metrics_are_those_that_there_are() -> None:
    made = {name for folder in ("services", "gateway", "infra") for path in (ROOT / folder).rglob("*.py")
            for name in METRIC.findall(path.read_text("utf-8"))}  # fmt: skip
    for schema in (GATEWAY, ORCHESTRATOR):
        for collector in vars(writer_metrics(schema.service)).values():
            (metric,) = collector.describe()
            made.add(metric.name + ("_total" if metric.type == "counter" else ""))
    told = set(re.findall(r"`(headworks_[a-z_]+)[`{]", (ROOT / "docs" / "operations.md").read_text("utf-8")))
    assert told <= made, told - made
    summed_up = ("headworks_retrieval_", "headworks_xds_", "headworks_topology_")
    assert not {name for name in made - told if not name.startswith(summed_up)}
    rules = (ROOT / "infra" / "prometheus" / "rules.yml").read_text("utf-8")
    assert {name.removesuffix("_bucket") for name in re.findall(r"\bheadworks_[a-z_0-9]+", rules)} <= made

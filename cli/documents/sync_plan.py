"""What it takes to make a collection equal to a source: the documents that are new, changed, and gone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headworks.retrieval.v1.document_pb2 import Document

from cli.documents.missing import find_missing
from cli.documents.sources.source import Source, SourceDocument, SourceScan, sha256_of
from cli.documents.sync_file import SourceSpec
from services.runtime.labels import RESERVED
from services.runtime.media_types import SELF_LABELLED

SOURCE = f"{RESERVED}source"
"""The label by which a collection says which source of a file a document came from."""


@dataclass
class SourcePlan:
    """`documents` are all that the source has, labelled as its own, for members of `groups` to read or for everybody;
    `gone` those of it that it has no more.

    `failures` are what could not be read or taken, each with why. `kept` counts documents that were not found and are
    not deleted, because the source was not seen whole, nothing was in it, or a folder of theirs is empty: `doubt` says
    which.
    """

    documents: list[SourceDocument] = field(default_factory=list)
    gone: list[Document] = field(default_factory=list)
    groups: tuple[str, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)
    scan: SourceScan = field(default_factory=SourceScan)
    kept: int = 0
    doubt: str = ""


def make_plan(
    spec: SourceSpec, source: Source, stored: Iterable[Document], workspace: Path, even_empty: bool
) -> SourcePlan:
    """Read the source and compare. `stored` is all that the collection has; `even_empty` deletes though nothing was
    found, or a folder is empty. Raises BadSource."""
    by_id = {document.id: document for document in stored}
    own = {name: each for name, each in by_id.items() if each.metadata.get(SOURCE) == spec.name}
    scan = source.scan({name: each.content_hash for name, each in own.items()}, workspace)
    plan = SourcePlan(groups=spec.groups, failures=dict(scan.failures), scan=scan)
    found: set[str] = set()
    for document in scan.documents:
        if not spec.takes(document.id):
            scan.skip("not included")
        elif document.id in found:
            scan.skip("there twice", document.id)
        elif other := _other_owner(by_id.get(document.id), spec.name):
            plan.failures[document.id] = f"the collection has it of the source {other!r}"
        else:
            found.add(document.id)
            plan.documents.append(_labelled(document, spec.name))
    missing = [each for name, each in own.items() if name not in found and name not in plan.failures]
    if missing and not scan.complete:
        plan.doubt = "the source was not seen whole"
    elif missing and not plan.documents and not even_empty:
        plan.doubt = plan.failures[spec.name] = "nothing was found there; if that is right, add --yes"
    elif not even_empty and (question := find_missing(missing, {}, scan.searched).question):
        plan.doubt = plan.failures[spec.name] = question
    if plan.doubt:
        plan.kept = len(missing)
    else:
        plan.gone = missing
    return plan


def _other_owner(stored: Document | None, name: str) -> str:
    owner = stored.metadata.get(SOURCE, "") if stored is not None else ""
    return owner if owner != name else ""


def _labelled(document: Any, name: str) -> SourceDocument:
    labelled: SourceDocument = replace(document, labels={**document.labels, SOURCE: name})
    return labelled


def changes(plan: SourcePlan, stored: Mapping[str, Document]) -> dict[str, list[str]]:
    """The ids of what is to be created, replaced and deleted; those whose labels or groups alone change are
    `relabelled`. Notes in the plan the hash of each document, and which cannot be read."""
    found: dict[str, list[str]] = {"created": [], "replaced": [], "relabelled": [], "unchanged": [], "deleted": []}
    documents: list[SourceDocument] = []
    for document in plan.documents:
        try:
            hashed = _hashed(document)
        except OSError as error:
            plan.failures[document.id] = error.strerror or "cannot be read"
        else:
            documents.append(hashed)
            found[_change(hashed, plan.groups, stored.get(document.id))].append(document.id)
    plan.documents = documents
    found["deleted"] = [document.id for document in plan.gone]
    return found


def _hashed(document: Any) -> SourceDocument:
    if not document.content_hash:
        with document.open() as source:
            document = replace(document, content_hash=sha256_of(source))
    hashed: SourceDocument = document
    return hashed


def _change(document: SourceDocument, groups: Sequence[str], stored: Document | None) -> str:
    if stored is None:
        return "created"
    if (document.content_hash, document.media_type) != (stored.content_hash, stored.media_type):
        return "replaced"
    labels, others = document.labels.items(), stored.metadata.items()
    same = labels <= others if document.media_type in SELF_LABELLED else labels == others
    same = same and document.title in ("", stored.title) and document.uri == stored.uri
    return "unchanged" if same and set(groups) == set(stored.access_groups) else "relabelled"

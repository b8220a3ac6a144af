"""What Jira's REST API answers to a search: JSON, its texts in Jira's markup or in Atlassian's document format."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import orjson

from cli.documents.sources.issues import KEY, Issue, joined, markup_to_html, present
from cli.documents.sources.jira_pages import SearchPage, page_of_json
from cli.documents.sources.source import BadSource

DEEPEST = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Nodes of the document format that are an element of HTML.
ELEMENTS = {
    "paragraph": "p", "bulletList": "ul", "orderedList": "ol", "listItem": "li", "codeBlock": "pre",
    "blockquote": "div", "table": "table", "tableRow": "tr", "tableHeader": "th", "tableCell": "td", "panel": "div",
    "taskList": "ul", "taskItem": "li", "decisionList": "ul", "decisionItem": "li",
}  # fmt: skip
# What is within a text, by the attribute that is to be read.
ATTRIBUTES = {"mention": "text", "emoji": "text", "status": "text", "inlineCard": "url"}


def read_json(source: BinaryIO) -> Iterator[Issue | SearchPage]:
    """The issues of {"issues": […]}, of a list of issues or of lists of such, or a single one; and what each list says
    of the search that it is a page of. Raises BadSource."""
    try:
        data = orjson.loads(source.read())
    except orjson.JSONDecodeError as error:
        raise BadSource(f"the JSON cannot be read: {error}") from error
    found = [data] if isinstance(data, dict) and "issues" not in data else data
    for each in found if isinstance(found, list) else [found]:
        issues = each.get("issues", [each]) if isinstance(each, dict) else []
        if not isinstance(issues, list):
            raise BadSource("the JSON is no export of Jira: `issues` is no list")
        for issue in issues:
            if isinstance(issue, dict) and (made := _issue(issue)):
                yield made
        if isinstance(each, dict) and "issues" in each and (page := page_of_json(each, len(issues))):
            yield page


def _issue(issue: Mapping[str, Any]) -> Issue | None:
    key, fields = issue.get("key"), issue.get("fields")
    if not isinstance(key, str) or not KEY.fullmatch(key) or not isinstance(fields, dict):
        return None
    labels = {
        "project": _named(fields.get("project"), "key") or key.rpartition("-")[0],
        "type": _named(fields.get("issuetype")),
        "status": _named(fields.get("status")),
        "priority": _named(fields.get("priority")),
        "resolution": _named(fields.get("resolution")),
        "assignee": _named(fields.get("assignee"), "displayName"),
        "reporter": _named(fields.get("reporter"), "displayName"),
        "labels": joined(each for each in _list(fields.get("labels")) if isinstance(each, str)),
        "components": joined(map(_named, _list(fields.get("components")))),
        "fix_versions": joined(map(_named, _list(fields.get("fixVersions")))),
        "created": _text(fields.get("created")),
        "updated": _text(fields.get("updated")),
    }
    comment = fields.get("comment")
    given = _list(comment.get("comments") if isinstance(comment, dict) else comment)
    total = comment.get("total") if isinstance(comment, dict) else None
    absent = max(0, total - len(given)) if isinstance(total, int) else 0
    comments = [
        (_named(each.get("author"), "displayName"), _html(each.get("body"))) for each in given if isinstance(each, dict)
    ]
    summary = " ".join(_text(fields.get("summary")).split())
    link = _link(issue.get("self"), key)
    return Issue(key, summary, _html(fields.get("description")), comments, present(labels), link, absent)


def _link(address: object, key: str) -> str:
    """Where people see it, on the host that the API is on."""
    parts = urlsplit(address if isinstance(address, str) else "")
    return f"{parts.scheme}://{parts.netloc}/browse/{key}" if parts.scheme in ("http", "https") else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _named(value: object, name: str = "name") -> str:
    return _text(value.get(name)) if isinstance(value, dict) else ""


def _html(value: object) -> str:
    if isinstance(value, str):
        return markup_to_html(value)
    return _node(value, 0) if isinstance(value, dict) else ""


def _day(timestamp: object) -> str:
    """The day of so many milliseconds since 1970, as 2026-05-01; what is none of these as it is."""
    try:
        return (EPOCH + timedelta(milliseconds=int(str(timestamp)))).date().isoformat()
    except (ValueError, OverflowError):
        return _text(timestamp)


def _node(node: Mapping[str, Any], depth: int) -> str:
    """A node of the document format. What is not known is the text within it."""
    if depth > DEEPEST:
        return ""
    kind = _text(node.get("type"))
    given = node.get("attrs")
    attributes: Mapping[str, Any] = given if isinstance(given, dict) else {}
    if kind == "text":
        return escape(_text(node.get("text")))
    if kind == "hardBreak":
        return "<br>"
    if kind == "date":
        return escape(_day(attributes.get("timestamp")))
    if kind in ATTRIBUTES:
        return escape(_text(attributes.get(ATTRIBUTES[kind])))
    within = "".join(_node(each, depth + 1) for each in _list(node.get("content")) if isinstance(each, dict))
    if kind == "heading":
        level = attributes.get("level")
        name = f"h{level}" if level in range(1, 7) else "h3"
        return f"<{name}>{within}</{name}>"
    name = ELEMENTS.get(kind, "")
    return f"<{name}>{within}</{name}>" if name else within

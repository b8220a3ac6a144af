"""Jira's XML export, which is RSS: an item an issue, its texts in HTML."""

from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from cli.documents.sources.issues import KEY, Issue, joined, present
from cli.documents.sources.jira_pages import SearchPage, page_of_rss
from cli.documents.sources.source import BadSource


def read_rss(source: BinaryIO) -> Iterator[Issue | SearchPage]:
    """The issues, one at a time, and what the channel says of the search that it is of. Raises BadSource."""
    channel: Element | None = None
    said: dict[str, str] = {}
    seen, count = False, 0
    try:
        for event, element in iterparse(source, events=("start", "end"), forbid_dtd=True):
            if event == "start":
                seen = seen or element.tag == "rss"
                channel = element if element.tag == "channel" and channel is None else channel
                if not seen:
                    raise BadSource("the XML is no export of Jira: it is no RSS")
            elif element.tag == "issue":
                said = said or dict(element.attrib)
            elif element.tag == "item":
                count += 1
                issue = _issue(element)
                if issue:
                    yield issue
                if channel is not None:
                    channel.clear()
        if page := page_of_rss(said, count):
            yield page
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise BadSource(f"the XML cannot be read: {str(error)[:200]}") from error


def _issue(item: Element) -> Issue | None:
    key = _text(item, "key")
    if not KEY.fullmatch(key):
        return None
    project = item.find("project")
    labels = {
        "project": project.get("key", "") if project is not None else "",
        "type": _text(item, "type"),
        "status": _text(item, "status"),
        "priority": _text(item, "priority"),
        "resolution": _text(item, "resolution"),
        "assignee": _text(item, "assignee"),
        "reporter": _text(item, "reporter"),
        "labels": joined(each.text or "" for each in item.findall("labels/label")),
        "components": joined(each.text or "" for each in item.findall("component")),
        "fix_versions": joined(each.text or "" for each in item.findall("fixVersion")),
        "created": _text(item, "created"),
        "updated": _text(item, "updated"),
    }
    comments = [(each.get("author", ""), each.text or "") for each in item.findall("comments/comment")]
    link = _text(item, "link")
    return Issue(
        key, _text(item, "summary"), item.findtext("description") or "", comments, present(labels),
        link if link.startswith(("http://", "https://")) else "",
    )  # fmt: skip


def _text(item: Element, name: str) -> str:
    return (item.findtext(name) or "").strip()

"""Confluence's storage format, XHTML with macros, as plain HTML."""

import re
from html import escape

# Parameters of macros that are text to read: of a panel its title, of a reference to Jira the issue.
READ = ("title", "key")
# Exports end those within a body by "]] >", for "]]>" would end the body's own.
_CDATA = re.compile(r"<!\[CDATA\[(.*?)(?:\]\]>|\]\] >(?=\s*</ac:plain-text-(?:link-)?body>|<!\[CDATA\[))", re.DOTALL)
_PARAMETER = re.compile(r"<ac:parameter\b([^>]*?)(?:/>|>(.*?)</ac:parameter>)", re.DOTALL)
_NAME = re.compile(r"""ac:name=["']([^"']*)["']""")
_LINK = re.compile(r"<ac:link\b[^>]*?(?:/>|>(.*?)</ac:link>)", re.DOTALL)
_BODY = re.compile(r"<ac:(?:plain-text-)?link-body>(.*?)</ac:(?:plain-text-)?link-body>", re.DOTALL)
_TARGET = re.compile(r"""ri:(?:content-title|filename)=["']([^"']*)["']""")
_IMAGE = re.compile(r"<ac:image\b[^>]*?(?:/>|>.*?</ac:image>)", re.DOTALL)
_TASK = re.compile(r"<ac:task-(?:id|status|uuid)>[^<]*</ac:task-(?:id|status|uuid)>")
_TIME = re.compile(r"""<time\b[^>]*?datetime=["']([^"']*)["'][^>]*?(?:/>|>\s*</time>)""")
_REST = re.compile(r"</?(?:ac|ri):[^>]*>")
# Elements that stand for one of HTML.
_SAME = (
    ("ac:plain-text-body", "pre"),
    ("ac:rich-text-body", "div"),
    ("ac:task-list", "ul"),
    ("ac:task-body", "li"),
    ("ac:layout-cell", "div"),
)


def storage_to_html(body: str) -> str:
    """The body of a page. Bodies of code macros are preformatted, links are their words, pictures are left out."""
    html = _CDATA.sub(lambda match: escape(match[1], quote=False), body)
    html = _IMAGE.sub("", html)
    html = _LINK.sub(lambda match: _link(match[0]), html)
    html = _PARAMETER.sub(lambda match: _parameter(match[1], match[2] or ""), html)
    html = _TASK.sub("", html)
    html = _TIME.sub(lambda match: match[1], html)
    for element, name in _SAME:
        html = re.sub(rf"<(/?){element}\b[^>]*>", rf"<\1{name}>", html)
    return _REST.sub("", html)


def _link(element: str) -> str:
    body = _BODY.search(element)
    if body:
        return body[1]
    target = _TARGET.search(element)
    return target[1] if target else ""


def _parameter(attributes: str, text: str) -> str:
    name = _NAME.search(attributes)
    return f" {text} " if name and name[1] in READ else ""

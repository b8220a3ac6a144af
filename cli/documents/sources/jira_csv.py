"""Jira's CSV export: a row an issue, columns of one name for several values, texts in its markup."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from cli.documents.sources.issues import KEY, Issue, joined, markup_to_html, present
from cli.documents.sources.source import BadSource

LARGEST_FIELD = 16 << 20
KEY_COLUMN = "issue key"
# Labels by the names of their columns, in older and newer versions.
LABELS = {
    "project": ("project key",),
    "type": ("issue type",),
    "status": ("status",),
    "priority": ("priority",),
    "resolution": ("resolution",),
    "assignee": ("assignee",),
    "reporter": ("reporter",),
    "labels": ("labels",),
    "components": ("component/s", "components"),
    "fix_versions": ("fix version/s", "fix versions"),
    "created": ("created",),
    "updated": ("updated",),
}
COMMENTS = ("comment", "comments", "comment body")


def read_csv(source: BinaryIO) -> Iterator[Issue]:
    """The issues, one at a time. Raises BadSource."""
    csv.field_size_limit(LARGEST_FIELD)
    text = io.TextIOWrapper(source, "utf-8-sig", newline="")
    try:
        head = text.readline()
        delimiter = max(",;\t", key=head.count)
        names = [name.strip().lower() for name in next(csv.reader([head], delimiter=delimiter), [])]
        if KEY_COLUMN not in names:
            raise BadSource("the CSV is no export of Jira: it has no column 'Issue key'")
        for row in csv.reader(text, delimiter=delimiter):
            issue = _issue(_columns(names, row))
            if issue:
                yield issue
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadSource(f"the CSV cannot be read: {error}") from error
    finally:
        text.detach()


def _columns(names: Sequence[str], row: Sequence[str]) -> Mapping[str, list[str]]:
    columns: dict[str, list[str]] = defaultdict(list)
    for name, value in zip(names, row, strict=False):
        if value.strip():
            columns[name].append(value)
    return columns


def _issue(columns: Mapping[str, list[str]]) -> Issue | None:
    key = "".join(columns.get(KEY_COLUMN, ())[:1]).strip()
    if not KEY.fullmatch(key):
        return None
    labels = {
        label: joined(value for name in names for value in columns.get(name, ())) for label, names in LABELS.items()
    }
    comments = [_comment(value) for name in COMMENTS for value in columns.get(name, ())]
    description = "\n\n".join(columns.get("description", ()))
    summary = " ".join("".join(columns.get("summary", ())[:1]).split())
    return Issue(key, summary, markup_to_html(description), comments, present(labels))


def _comment(value: str) -> tuple[str, str]:
    """Jira writes DATE;AUTHOR;TEXT."""
    date, _, rest = value.partition(";")
    author, semicolon, body = rest.partition(";")
    if semicolon and len(date) < 40 and len(author) < 200 and "\n" not in date + author:
        return author, markup_to_html(body)
    return "", markup_to_html(value)

"""What may stand in the file of `headworks sync`, and how what may not is named."""

from pathlib import Path

import pytest

from cli.documents.sources.folder import FolderSource
from cli.documents.sources.web import WebSource
from cli.documents.sync_file import BadSyncFile, parse_sync_file

FULL = """
collection: handbook
sources:
  - name: guides
    kind: folder
    path: guides
    include: ["*.md"]
    exclude: ["drafts/*"]
    labels: {team: hydro, year: 2026}
  - {name: code, kind: git, path: ../code, collection: code}
  - {name: files, kind: zip, path: files.zip}
  - {name: space, kind: confluence, path: space.zip}
  - {name: issues, kind: jira, path: issues.xml}
  - {name: site, kind: web, url: "https://example.com/docs/", depth: 2, pages: 10, bytes: 1000, delay: 0.5, below: true}
  - {name: map, kind: sitemap, url: "https://example.com/sitemap.xml", allow_private: true}
"""


def test_all_that_it_may_say() -> None:
    wanted = parse_sync_file(FULL)
    guides, code, *_, site, sitemap = wanted.sources
    assert (wanted.collection_of(guides), wanted.collection_of(code)) == ("handbook", "code")
    folder, web, mapped = (spec.source(Path("/base")) for spec in (guides, site, sitemap))
    assert isinstance(folder, FolderSource)
    assert (folder.path, folder.prefix, folder.labels) == (
        Path("/base/guides"), "guides/", {"team": "hydro", "year": "2026"},
    )  # fmt: skip
    assert isinstance(web, WebSource)
    assert (web.limits.depth, web.limits.pages, web.limits.below, web.manners.delay) == (2, 10, True, 0.5)
    assert isinstance(mapped, WebSource)
    assert (mapped.sitemap, mapped.manners.allow_private) == (True, True)


@pytest.mark.parametrize(
    ("name", "taken"),
    [("guides/a.md", True), ("guides/b/c.md", True), ("guides/a.txt", False), ("guides/drafts/a.md", False)],
)
def test_patterns(name: str, taken: bool) -> None:
    assert parse_sync_file(FULL).sources[0].takes(name) is taken


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a mapping with `sources`"), ("sources: []", "^line 1, sources: give at least one$"),
        ("sources: [{name: a}]", r"^line 1, sources\[0\]: kind is missing$"),
        ("sources: [{name: a, kind: ftp}]", "there is no kind 'ftp': it is one of folder, git, .*, sitemap$"),
        (
            "sources: [{name: a, kind: foldr}]",
            r"^line 1, sources\[0\]: there is no kind 'foldr'; did you mean folder\?$",
        ),
        ("sources:\n - {name: a, kind: folder}", "line 2.*path.*missing"),
        ("sources:\n - {name: A, kind: folder, path: x}", "line 2.*name"),
        ("sources:\n - {name: a, kind: folder, path: x, url: y}", "line 2.*no such field"),
        ("sources:\n - {name: a, kind: git, path: x, follow_links: true}", "for folders only"),
        (
            "sources:\n - name: a\n   kind: web\n   path: a", r"^line 2, sources\[0\]\.url: is missing; "
            r"line 4, sources\[0\]\.path: there is no such field$",
        ),
        ("sources:\n - {name: a, kind: zip, path: x, labls: {}}", r"no such field; did you mean labels\?$"),
        (
            "sources:\n - {name: a, kind: web, url: x, depth: 21}",
            r"^line 2, sources\[0\]\.depth: must be less than or equal to 20$",
        ),
        ("sources:\n - {name: a, kind: web, url: x, labels: {headworks.source: b}}", "Headworks' own"),
        ("sources:\n - {name: a, kind: zip, path: x}\n - {name: a, kind: zip, path: y}", "a is there twice"),
        ("sources: [", "not YAML"),
    ],
)  # fmt: skip
def test_what_it_may_not(text: str, why: str) -> None:
    with pytest.raises(BadSyncFile, match=f"(?s){why}"):
        parse_sync_file(text)

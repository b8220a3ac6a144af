"""`headworks sync`, and `headworks ingest` of other sources than files, against the retrieval service on its own
store."""

import asyncio
import dataclasses
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from services.retrieval.app import assemble, open_engine
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store.points import PointStore
from services.runtime.call import Call
from services.runtime.identity import Identity
from services.runtime.interceptors import layers
from services.runtime.interceptors.chain import Serve, T
from tests.fakes.retrieval import FakeEmbedder
from tests.fakes.serving import serving
from tests.fakes.site import Answer, Site, serving_site
from tests.unit.cli.sources.making import packed, unpacked


class Acme:
    """Takes every caller for the tenant "acme", as the gateway's token would say."""

    async def around(self, call: Call, serve: Serve[T]) -> T:
        call.identity = Identity("acme", "key")
        return await serve()


class Command:
    """The `headworks` command in a process of its own, in one folder, on a retrieval service."""

    def __init__(self, address: str, here: Path) -> None:
        self.address = address
        self.here = here

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """The exit code, and what was printed."""
        code = "import sys; from cli.program import run; sys.exit(run(sys.argv[1:]))"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, *arguments, "--edge", self.address, "--key", "hw_x",
            cwd=self.here, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={"XDG_CACHE_HOME": str(self.here / "cache"), "PATH": "/usr/bin:/bin", "HOME": str(self.here)},
        )  # fmt: skip
        out, err = await child.communicate()
        return child.returncode or 0, out.decode(), err.decode()

    async def json(self, *arguments: str) -> tuple[int, Any]:
        code, out, err = await self(*arguments, "--json")
        assert out, err
        return code, json.loads(out)

    async def sync(self, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
        """The exit code, and each source's report by its name."""
        code, report = await self.json("sync", "sync.yaml", *options)
        return code, {source["name"]: source for source in report["sources"]}

    async def documents(self, collection: str = "docs") -> dict[str, dict[str, Any]]:
        _, listed = await self.json("collections", "documents", collection)
        return {document["id"]: document for document in listed["documents"]}


@pytest.fixture
async def command(tmp_path: Path) -> AsyncIterator[Command]:
    settings = RetrievalSettings(data_dir=tmp_path / "data", max_document_bytes=1 << 20)
    app = await assemble(settings, PointStore(open_engine(settings)), [FakeEmbedder()], AsyncExitStack())
    app = dataclasses.replace(app, layers=[*layers(None, 60, 60), Acme()])
    here = tmp_path / "here"
    here.mkdir()
    async with serving(app, settings=settings) as address:
        yield Command(address, here)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving_site() as served:
        yield served


def counts(report: Mapping[str, Any]) -> dict[str, int]:
    """Those that are not 0."""
    names = ("created", "replaced", "relabelled", "unchanged", "deleted", "failed", "kept")
    return {name: report[name] for name in names if report.get(name)}


def sources(here: Path, *specs: str) -> None:
    lines = "".join(f"  - {{{spec}}}\n" for spec in specs)
    (here / "sync.yaml").write_text(f"collection: docs\nsources:\n{lines}")


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=e@e", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


async def test_a_folder_is_kept_equal(command: Command) -> None:
    here = command.here
    unpacked(
        here / "guides", {"a.md": "alpha", "b.md": "beta", "drafts/c.md": "gamma", "d.txt": "---\nx: 1\n---\ndelta"}
    )
    unpacked(here, {"other.md": "by hand"})
    await command("ingest", "other.md", "--collection", "docs")
    spec = "name: guides, kind: folder, path: guides, exclude: [drafts/*]"
    sources(here, spec)
    code, reports = await command.sync("--dry-run")
    assert (code, counts(reports["guides"])) == (0, {"created": 3})
    assert set(await command.documents()) == {"other.md"}
    code, reports = await command.sync()
    assert (code, counts(reports["guides"]), reports["guides"]["passages"]) == (0, {"created": 3}, 3)
    found = await command.documents()
    assert set(found) == {"other.md", "guides/a.md", "guides/b.md", "guides/d.txt"}
    assert found["guides/a.md"]["metadata"] == {"headworks.source": "guides"}
    assert counts((await command.sync())[1]["guides"]) == {"unchanged": 3}
    (here / "guides/a.md").write_text("alpha again")
    (here / "guides/b.md").unlink()
    unpacked(here / "guides", {"e.md": "epsilon", "d.txt.meta.yaml": "team: hydro"})
    for dry, options in ((True, ("--dry-run",)), (False, ())):
        code, reports = await command.sync(*options)
        assert counts(reports["guides"]) == {"created": 1, "replaced": 1, "relabelled": 1, "deleted": 1}, dry
        assert reports["guides"]["changes"] == {
            "created": ["guides/e.md"], "replaced": ["guides/a.md"], "relabelled": ["guides/d.txt"],
            "deleted": ["guides/b.md"],
        }  # fmt: skip
    assert set(await command.documents()) == {"other.md", "guides/a.md", "guides/d.txt", "guides/e.md"}
    sources(here, spec + ", labels: {team: gates}")
    assert counts((await command.sync())[1]["guides"]) == {"relabelled": 3}
    sources(here, spec)
    assert (await command.sync())[0] == 0
    assert (await command.documents())["guides/a.md"]["metadata"] == {"headworks.source": "guides"}


async def test_a_source_that_fails_deletes_nothing_and_stops_no_other(command: Command, site: Site) -> None:
    here = command.here
    unpacked(here / "one", {"a.md": "alpha", "b.md": "beta"})
    unpacked(here / "two", {"a.md": "other"})
    site.page("/", '<a href="/page">x</a> the start')
    site.page("/page", "the page")
    web = f"name: site, kind: web, url: '{site.url}/', depth: 1, delay: 0, allow_private: true"
    sources(here, "name: one, kind: folder, path: one", web, "name: two, kind: folder, path: two")
    code, reports = await command.sync()
    assert (code, [counts(each) for each in reports.values()]) == (0, [{"created": 2}, {"created": 2}, {"created": 1}])
    (here / "one").rename(here / "away")
    site.answers["/page"] = Answer(status=500)
    (here / "two/a.md").write_text("changed")
    code, reports = await command.sync()
    assert code == 1
    assert "not mounted" in reports["one"]["error"]
    assert counts(reports["site"]) == {"unchanged": 1, "failed": 1}
    assert counts(reports["two"]) == {"replaced": 1}
    assert len(await command.documents()) == 5
    (here / "one").mkdir()
    del site.answers["/page"]
    code, reports = await command.sync()
    assert (code, counts(reports["one"])) == (1, {"failed": 1, "kept": 2})
    assert "add --yes" in reports["one"]["kept_because"]
    assert counts(reports["site"]) == {"unchanged": 1, "deleted": 1}
    code, reports = await command.sync("--yes", "--source", "one")
    assert (code, {name: counts(each) for name, each in reports.items()}) == (0, {"one": {"deleted": 2}})
    assert set(await command.documents()) == {"two/a.md", f"{site.url}/"}


async def test_a_source_that_was_not_seen_whole_deletes_nothing(command: Command, site: Site) -> None:
    site.page("/", '<a href="/a">x</a><a href="/b">x</a> start')
    for name in "ab":
        site.page(f"/{name}", name)
    spec = f"name: site, kind: web, url: '{site.url}/', depth: 1, delay: 0, allow_private: true"
    sources(command.here, spec)
    await command.sync()
    sources(command.here, spec + ", pages: 2")
    code, reports = await command.sync()
    assert (code, counts(reports["site"])) == (1, {"unchanged": 2, "failed": 1, "kept": 1})
    assert len(await command.documents()) == 3


async def test_what_has_not_changed_is_neither_fetched_nor_sent(command: Command, site: Site) -> None:
    site.page("/", '<a href="/a">x</a> start', etag='"1"')
    site.page("/a", "a page", etag='"2"')
    sources(
        command.here,
        f"name: site, kind: web, url: '{site.url}/', depth: 1, delay: 0, allow_private: true, labels: {{lang: en}}",
    )
    await command.sync()
    code, reports = await command.sync()
    assert (code, counts(reports["site"])) == (0, {"unchanged": 2})
    assert [given.get("if-none-match") for given in site.headers[-2:]] == ['"1"', '"2"']
    sources(command.here, f"name: site, kind: web, url: '{site.url}/', depth: 1, delay: 0, allow_private: true")
    code, reports = await command.sync()
    assert (code, counts(reports["site"])) == (0, {"relabelled": 2})


async def test_two_sources_do_not_take_each_others_documents(command: Command, site: Site) -> None:
    site.page("/", "start")
    web = f"kind: web, url: '{site.url}/', delay: 0, allow_private: true"
    sources(command.here, f"name: one, {web}", f"name: two, {web}")
    code, reports = await command.sync()
    assert (code, counts(reports["one"]), counts(reports["two"])) == (1, {"created": 1}, {"failed": 1})
    assert "of the source 'one'" in reports["two"]["failures"][0]["message"]


async def test_every_kind(command: Command) -> None:
    here = command.here
    packed(here / "files.zip", {"a.md": "zipped"})
    unpacked(here / "checkout", {"a.md": "tracked", "b.md": "not tracked", "sub/c.md": "tracked too"})
    (here / "checkout/link.md").symlink_to("/etc/hostname")
    git(here / "checkout", "init")
    git(here / "checkout", "add", "a.md", "sub", "link.md")
    (here / "issues.csv").write_text("Issue key,Summary,Description\nHYD-1,Gate sticks,It does.\n")
    space = '<title>S : P</title><div id="main-content"><p>wiki</p></div>'
    unpacked(here / "space", {"S/index.html": "Space Details", "S/P_1.html": space})
    sources(
        here, "name: files, kind: zip, path: files.zip", "name: code, kind: git, path: checkout",
        "name: issues, kind: jira, path: issues.csv", "name: space, kind: confluence, path: space",
    )  # fmt: skip
    code, reports = await command.sync()
    assert (code, [counts(each) for each in reports.values()]) == (
        0, [{"created": 1}, {"created": 2}, {"created": 1}, {"created": 1}],
    )  # fmt: skip
    found = await command.documents()
    assert set(found) == {"files/a.md", "code/a.md", "code/sub/c.md", "issues/HYD-1", "space/S/P_1.html"}
    assert found["issues/HYD-1"]["title"] == "HYD-1: Gate sticks"
    (here / "checkout/a.md").unlink()
    packed(here / "files.zip", {"b.md": "zipped anew"})
    code, reports = await command.sync()
    assert [counts(each) for each in reports.values()] == [
        {"created": 1, "deleted": 1}, {"unchanged": 1, "deleted": 1}, {"unchanged": 1}, {"unchanged": 1},
    ]  # fmt: skip


async def test_ingest_takes_them_too(command: Command, site: Site) -> None:
    here = command.here
    packed(here / "files.zip", {"sub/a.md": "zipped", "b.png": b"x"})
    unpacked(here, {"c.md": "a file"})
    site.page("/docs/", '<a href="b">x</a><a href="/up">x</a> start')
    site.page("/docs/b", "b")
    site.page("/up", "up")
    code, report = await command.json(
        "ingest", "files.zip", "c.md", f"{site.url}/docs/", "--depth", "1", "--below", "--delay", "0",
        "--allow-private", "--collection", "docs", "--meta", "team=hydro",
    )  # fmt: skip
    assert (code, report["created"], report["skipped"]) == (0, 4, {"of another type": 1})
    found = await command.documents()
    assert set(found) == {"files.zip/sub/a.md", "c.md", f"{site.url}/docs/", f"{site.url}/docs/b"}
    assert all(document["metadata"] == {"team": "hydro"} for document in found.values())
    code, _, err = await command("ingest", f"{site.url}/docs/", "--collection", "docs")
    assert (code, "inside a private network" in err) == (1, True)
    code, _, err = await command("ingest", "files.zip", "--kind", "jira", "--collection", "docs")
    assert (code, "no export of Jira" in err) == (1, True)
    code, _, err = await command("ingest", "nothing.zip", "--kind", "zip")
    assert (code, "nothing.zip: nothing is there" in err) == (1, True)


async def test_what_is_said_for_people(command: Command) -> None:
    unpacked(command.here / "guides", {"a.md": "alpha"})
    sources(command.here, "name: guides, kind: folder, path: guides", "name: none, kind: folder, path: none")
    code, out, err = await command("sync", "sync.yaml", "--dry-run")
    assert (code, out.splitlines()[1]) == (1, "  + guides/a.md")
    assert out.startswith("guides → docs: would be 1 created in ")
    assert err.startswith("none → docs: ")
    code, _, err = await command("sync", "sync.yaml", "--source", "other")
    assert (code, "has no source other" in err) == (2, True)
    (command.here / "sync.yaml").write_text("sources:\n  - {name: a, kind: ftp}\n")
    code, _, err = await command("sync", "sync.yaml")
    assert (code, "sync.yaml: line 2" in err) == (2, True)

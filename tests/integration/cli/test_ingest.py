"""`headworks ingest` against the retrieval service on its own store: what --delete-missing deletes, and what never."""

import asyncio
import dataclasses
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from services.retrieval.app import assemble, open_engine
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store.points import PointStore
from services.runtime.call import Call
from services.runtime.embedders import E5
from services.runtime.identity import Identity
from services.runtime.interceptors import layers
from services.runtime.interceptors.chain import Serve, T
from tests.fakes.retrieval import FakeEmbedder
from tests.fakes.serving import serving, until


class Acme:
    """Takes every caller for the tenant "acme", as the gateway's token would say."""

    async def around(self, call: Call, serve: Serve[T]) -> T:
        call.identity = Identity("acme", "key")
        return await serve()


class Command:
    """The `headworks` command in a process of its own, on a retrieval service."""

    def __init__(self, address: str, embedder: FakeEmbedder) -> None:
        self.address = address
        self.embedder = embedder

    async def __call__(self, here: Path, *arguments: str) -> tuple[int, str]:
        """The exit code, and what was printed."""
        code = "import sys; from cli.program import run; sys.exit(run(sys.argv[1:]))"
        argv = [*arguments, "--edge", self.address, "--key", "hw_x"]
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, *argv,
            cwd=here, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = await child.communicate()
        return child.returncode or 0, printed.decode()

    async def ingest(self, here: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Ingest with --delete-missing: the exit code, and the summary."""
        code, printed = await self(here, "ingest", *arguments, "--collection", "docs", "--delete-missing", "--json")
        return code, json.loads(printed) if printed.startswith("{") else {"said": printed}

    async def documents(self) -> set[str]:
        code, printed = await self(Path("/"), "collections", "documents", "docs", "--json")
        assert code == 0, printed
        return {document["id"] for document in json.loads(printed)["documents"]}


@pytest.fixture
async def command(tmp_path: Path) -> AsyncIterator[Command]:
    settings, embedder = RetrievalSettings(data_dir=tmp_path / "data", max_document_bytes=1 << 20), FakeEmbedder()
    app = await assemble(
        settings, PointStore(open_engine(settings)), [embedder, FakeEmbedder(spec=E5)], AsyncExitStack()
    )
    app = dataclasses.replace(app, layers=[*layers(None, 60, 60), Acme()])
    async with serving(app, settings=settings) as address:
        yield Command(address, embedder)


def tree(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


async def test_what_is_gone_is_deleted_and_what_is_skipped_or_fails_is_kept(tmp_path: Path, command: Command) -> None:
    texts = ("a.md", "b.md", "binary.md", "empty.md", "large.md", "sub/other.md", "named.conf")
    files: dict[str, str | bytes] = {name: f"the text of {name}" for name in texts}
    here = tree(tmp_path / "here", files | {"wide.md": "Die Schleuse öffnet um neun.".encode("utf-16")})
    code, summary = await command.ingest(here, "named.conf", ".")
    assert (code, summary["created"]) == (0, 8), summary
    (here / "b.md").unlink()
    tree(here, {"binary.md": b"a\0b", "empty.md": "", "large.md": b"x " * (1 << 20)})
    code, summary = await command.ingest(here, ".")
    assert (code, summary["deleted"], summary["failed"]) == (1, 1, 2)
    assert summary["kept"] == {"there": 2, "elsewhere": 0}
    assert await command.documents() == {
        "a.md", "binary.md", "empty.md", "large.md", "named.conf", "sub/other.md", "wide.md",
    }  # fmt: skip


async def test_a_part_of_what_was_ingested_deletes_within_that_part_only(tmp_path: Path, command: Command) -> None:
    files: dict[str, str | bytes] = {name: name for name in ("docs/sub/a.md", "docs/sub/b.md", "docs/other/c.md")}
    here = tree(tmp_path / "here", files)
    await command.ingest(here, "docs")
    (here / "docs/sub/a.md").unlink()
    (here / "docs/other/c.md").unlink()
    elsewhere = tree(tmp_path / "elsewhere", {"docs/sub/z.md": "another project's"})
    _, summary = await command.ingest(elsewhere, "docs")
    assert (summary["deleted"], summary["kept"]["elsewhere"]) == (0, 3)
    _, summary = await command.ingest(here, "docs/sub")
    assert summary["deleted"] == 1
    assert await command.documents() == {"docs/sub/b.md", "docs/other/c.md", "docs/sub/z.md"}


async def test_nothing_found_is_refused_unless_it_is_meant(tmp_path: Path, command: Command) -> None:
    here = tree(tmp_path / "here", {"docs/a.md": "a", "docs/sub/b.md": "b", "notes/c.md": "c"})
    await command.ingest(here, ".")
    (here / "docs/sub/b.md").unlink()
    code, told = await command.ingest(here, ".")
    assert code == 1
    assert "docs/sub is empty" in told["said"]
    (here / "docs/a.md").unlink()
    code, told = await command.ingest(here, "docs")
    assert code == 1
    assert "nothing to ingest was found in docs" in told["said"]
    assert "--yes" in told["said"]
    code, told = await command.ingest(here, "docs", "notes")
    assert code == 1
    assert await command.documents() == {"docs/a.md", "docs/sub/b.md", "notes/c.md"}
    code, summary = await command.ingest(here, "docs", "--yes")
    assert (code, summary["deleted"]) == (0, 2)
    assert await command.documents() == {"notes/c.md"}


async def test_two_at_once_exclude_each_other(tmp_path: Path, command: Command) -> None:
    one = tree(tmp_path / "one", {f"one{number}.md": f"one {number}" for number in range(3)})
    two = tree(tmp_path / "two", {f"two{number}.md": f"two {number}" for number in range(3)})
    await command.ingest(one, ".")
    await command.ingest(two, ".")
    everything = await command.documents()
    assert len(everything) == 6
    tree(one, {"one3.md": "one 3"})
    (one / "one0.md").unlink()
    command.embedder.gate.clear()
    batches = len(command.embedder.batches)
    first = asyncio.create_task(command.ingest(one, "."))
    await until(lambda: len(command.embedder.batches) > batches)
    (two / "two0.md").unlink()
    code, told = await command.ingest(two, ".")
    assert code == 1
    assert "under way" in told["said"]
    command.embedder.gate.set()
    code, summary = await first
    assert (code, summary["deleted"]) == (0, 1)
    assert await command.documents() == everything - {"one0.md"} | {"one3.md"}
    code, summary = await command.ingest(two, ".")
    assert (code, summary["deleted"]) == (0, 1)


async def test_what_another_ingestion_brings_meanwhile_is_kept(tmp_path: Path, command: Command) -> None:
    one = tree(tmp_path / "one", {"one.md": "one"})
    two = tree(tmp_path / "two", {"two.md": "two"})
    command.embedder.gate.clear()
    first = asyncio.create_task(command.ingest(one, "."))
    await until(lambda: command.embedder.batches)
    second = asyncio.create_task(command(two, "ingest", ".", "--collection", "docs"))
    await until(lambda: sum(command.embedder.batches) == 2)
    command.embedder.gate.set()
    assert [code for code, _ in await asyncio.gather(first, second)] == [0, 0]
    assert await command.documents() == {"one.md", "two.md"}


async def test_a_broken_collection_is_listed_with_the_reason_and_deleted(tmp_path: Path, command: Command) -> None:
    await command(tree(tmp_path / "one", {"one.md": "one"}), "ingest", ".", "--collection", "good")
    tree(tmp_path / "data/acme/bad", {"collection.json": "garbage"})
    code, printed = await command(tmp_path, "collections")
    assert code == 0
    assert "its marker cannot be read" in printed
    code, printed = await command(tmp_path, "collections", "--json")
    assert [(one["name"], bool(one["broken"])) for one in json.loads(printed)["collections"]] == [
        ("bad", True), ("good", False),
    ]  # fmt: skip
    code, printed = await command(tmp_path, "ingest", "one", "--collection", "bad")
    assert code == 1
    assert "'bad' is broken" in printed
    code, printed = await command(tmp_path, "collections", "delete", "bad", "--yes")
    assert (code, printed) == (0, "Deleted bad.\n")
    code, printed = await command(tmp_path, "ingest", "one", "--collection", "bad")
    assert code == 0


async def test_a_collection_moves_to_another_embedder_and_says_so(tmp_path: Path, command: Command) -> None:
    await command.ingest(tree(tmp_path / "here", {"a.md": "a weir", "b.md": "a sluice"}), ".")
    code, printed = await command(tmp_path, "collections", "reembed", "docs", "--embedder", E5.name)
    assert (code, printed.splitlines()[-1]) == (0, f"docs has the embedder {E5.name}.")
    code, printed = await command(tmp_path, "collections", "create", "other", "--embedder", E5.name, "--json")
    assert (code, json.loads(printed)["embedder"]) == (0, E5.name)
    code, printed = await command(tmp_path, "collections", "--json")
    rows = json.loads(printed)["collections"]
    assert [(row["name"], row["documents"], row["embedder"], row["reembedding"]) for row in rows] == [
        ("docs", 2, E5.name, ""), ("other", 0, E5.name, ""),
    ]  # fmt: skip
    code, printed = await command(tmp_path, "collections", "reembed", "docs", "--embedder", "e6")
    assert (code, "there is no embedder 'e6'" in printed) == (1, True)


async def test_records_are_documents_where_their_parts_are_named(tmp_path: Path, command: Command) -> None:
    records = '{"key": "T-1", "subject": "Gate", "body": "It sticks."}\n{"key": "T-2", "body": "It leaks."}\n'
    here = tree(tmp_path / "here", {"tickets.jsonl": records, "a.md": "A dam."})
    parts = ("--record-text", "body", "--record-id", "key", "--record-title", "subject", "--record-meta", "by=key")
    code, printed = await command(here, "ingest", "tickets.jsonl", *parts, "--collection", "docs", "--json")
    assert (code, json.loads(printed)["created"]) == (0, 2), printed
    assert await command.documents() == {"tickets.jsonl/T-1", "tickets.jsonl/T-2"}
    code, summary = await command.ingest(here, ".")
    assert (code, summary["deleted"]) == (0, 0), summary
    code, printed = await command(here, "ingest", "tickets.jsonl", "--record-id", "key", "--collection", "docs")
    assert (code, printed) == (2, "headworks: say where a record's text is: --record-text PATH\n")

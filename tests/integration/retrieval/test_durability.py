"""What was acknowledged is there after kill -9."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from tests.fakes.retrieval import served

DOCUMENTS = 2000
# Ingests into DATA until it is killed; says the id of each document that was acknowledged.
CHILD = """
import asyncio, sys
from pathlib import Path
from tests.fakes.retrieval import ingest_requests, served

async def main():
    async with served(Path(sys.argv[1])) as service:
        documents = {f"{number}.txt": f"document number {number}" for number in range(int(sys.argv[2]))}
        documents["long.txt"] = "\\n\\n".join("word " * 230 for _ in range(5000))
        async for response in service.stub.Ingest(iter(ingest_requests(documents)), metadata=service.identity()):
            if response.HasField("result"):
                print(response.result.document_id, flush=True)
            elif response.HasField("progress"):
                print("progress", flush=True)

asyncio.run(main())
"""


async def test_survives_kill_9(tmp_path: Path) -> None:
    acknowledged = await ingest_until_killed(tmp_path)
    assert len(acknowledged) == DOCUMENTS
    async with served(tmp_path) as service:
        found: set[str] = set()
        request = pb.ListDocumentsRequest(collection="docs", page_size=1000)
        while True:
            page = await service.stub.ListDocuments(request, metadata=service.identity())
            found |= {document.id for document in page.documents}
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert found == acknowledged
        listed = await service.stub.ListCollections(pb.ListCollectionsRequest(), metadata=service.identity())
        assert listed.collections[0].passage_count == DOCUMENTS
        hits = (await service.search("number 1234", limit=1)).hits
        assert [hit.passage.document_id for hit in hits] == ["1234.txt"]


async def ingest_until_killed(folder: Path) -> set[str]:
    """The documents acknowledged before the process was killed, in the middle of a long one."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(folder), str(DOCUMENTS), stdout=asyncio.subprocess.PIPE, env=environment()
    )
    assert child.stdout
    acknowledged: set[str] = set()
    progress = 0
    async for line in child.stdout:
        word = line.decode().strip()
        if word != "progress":
            acknowledged.add(word)
            continue
        progress += 1
        if len(acknowledged) == DOCUMENTS and progress >= 3:
            break
    os.kill(child.pid, signal.SIGKILL)
    rest = {line.decode().strip() async for line in child.stdout}
    await child.wait()
    assert "long.txt" not in rest
    return acknowledged


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}

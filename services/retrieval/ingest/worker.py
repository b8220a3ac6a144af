"""The process that reads documents which may hang it or blow it up:
python -m services.retrieval.ingest.worker MEMORY_BYTES [OCR_LANGUAGES OCR_SECONDS].

It writes READY, then answers frames on its standard input with frames on its standard output until its input ends. A
frame is a JSON head and a body, each behind its length (u32, little-endian). Request: {"media_type", "max_chars",
"seconds", "wait"} and the document; SIGPROF ends the process after so many seconds of the processor. Response:
{"title", "pieces", "labels", "encoding", "warnings"} and the text in UTF-8, or {"reason", "message"} and nothing.
"""

import resource
import signal
import struct
import sys
from typing import BinaryIO

import orjson

from services.retrieval.errors import DocumentError
from services.retrieval.ingest.digest import Digest, digest
from services.retrieval.ingest.ocr import Ocr

LENGTHS = struct.Struct("<II")
READY = b"!"


def frame(head: object, body: bytes) -> bytes:
    """One frame."""
    packed = orjson.dumps(head)
    return LENGTHS.pack(len(packed), len(body)) + packed + body


def main(memory_bytes: int, source: BinaryIO, sink: BinaryIO, ocr: Ocr | None = None) -> None:
    """Serve until the input ends. SIGALRM kills a process that overstays, should nobody else do it."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sink.write(READY)
    sink.flush()
    while lengths := source.read(LENGTHS.size):
        head_length, body_length = LENGTHS.unpack(lengths)
        head = orjson.loads(source.read(head_length))
        signal.setitimer(signal.ITIMER_PROF, head["seconds"])
        signal.alarm(int(head["wait"]) + 5)
        sink.write(_answer(head["media_type"], source.read(body_length), head["max_chars"], ocr))
        sink.flush()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)


def _answer(media_type: str, data: bytes, max_chars: int, ocr: Ocr | None) -> bytes:
    try:
        found = digest(media_type, data, max_chars, ocr)
    except DocumentError as error:
        return frame({"reason": error.reason, "message": error.message}, b"")
    except (MemoryError, RecursionError):
        return frame({"reason": "DOCUMENT_UNREADABLE", "message": "reading it takes more memory than allowed"}, b"")
    head = {
        "title": found.title, "pieces": _packed(found), "labels": found.labels, "encoding": found.encoding,
        "warnings": found.warnings,
    }  # fmt: skip
    return frame(head, found.text.encode("utf-8", "replace"))


def _packed(found: Digest) -> list[object]:
    return [
        [piece.span, piece.headings, piece.sentences, piece.leads, piece.page, piece.kind] for piece in found.pieces
    ]


if __name__ == "__main__":
    given = Ocr(sys.argv[2], float(sys.argv[3])) if len(sys.argv) > 2 else None
    main(int(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer, given)

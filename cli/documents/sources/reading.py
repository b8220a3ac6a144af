"""Reading sources, with a sign of it on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cli.documents.scan import FileScan
from cli.documents.sources.source import BadSource, Source, SourceDocument
from cli.output import console, visible


def read_sources(
    sources: Sequence[tuple[str, Source]], known: Mapping[str, str], files: FileScan, workspace: Path, quiet: bool
) -> tuple[list[SourceDocument], dict[str, str]]:
    """The documents of the sources beside those of `files`, each id once, and what of them could not be read. What was
    skipped is counted there. `known` and `workspace` are as Source has them. Raises BadSource, naming the source."""
    found: list[SourceDocument] = []
    missed: dict[str, str] = {}
    taken = {file.id for file in files.files}
    for number, (name, source) in enumerate(sources):
        place = workspace / str(number)
        place.mkdir()
        try:
            with reading(name, quiet):
                scan = source.scan(known, place)
        except BadSource as error:
            raise BadSource(f"{name}: {error}") from error
        for document in scan.documents:
            if document.id in taken:
                files.skip("there twice", document.id)
            else:
                taken.add(document.id)
                found.append(document)
        files.add_skips(scan)
        missed |= dict(scan.failures)
    return found, missed


@contextmanager
def reading(name: str, quiet: bool) -> Iterator[None]:
    """A sign that a source is being read."""
    out = console(stderr=True)
    if quiet or not out.is_terminal:
        yield
        return
    with out.status(f"reading {visible(name)}"):
        yield

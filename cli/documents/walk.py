"""Which paths are below a folder, or match a pattern.

A symbolic link that leads out of the folder (of a pattern: out of its part before the first wildcard) is left, and
named, unless links are to be followed: whoever may write into a folder could otherwise have anything read. A link to a
folder within is left, for what is in there has its own name. No folder is looked into twice, so that loops end.
"""

import fnmatch
import glob
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ANY_DEPTH = "**"


@dataclass
class Walk:
    """Below one root. `unreadable` gets the errors of folders that cannot be read, `hidden` is called for each file
    and folder that is left for its name, and `refused` names the links that were left."""

    root: Path
    follow_links: bool
    unreadable: Callable[[OSError], None]
    hidden: Callable[[], None]
    refused: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._real = Path(os.path.realpath(self.root))
        # Folders that were looked into, by how much of the pattern was left.
        self._matched: dict[int, set[tuple[int, int]]] = defaultdict(set)

    def files(self, top: Path) -> Iterator[Path]:
        """The files below a folder."""
        for folder in self._folders(top, count_hidden=True):
            for entry in self._entries(folder):
                if not _is_folder(entry):
                    if entry.name.startswith("."):
                        self.hidden()
                    elif self._may_follow(entry):
                        yield Path(entry)

    def matching(self, base: Path, pattern: Sequence[str]) -> Iterator[Path]:
        """The files and folders that match the pattern, part by part, below a folder."""
        if not pattern:
            yield base
            return
        if not self._is_new(base, self._matched[len(pattern)]):
            return
        head, rest = pattern[0], pattern[1:]
        if head == ANY_DEPTH:
            for folder in self._folders(base, count_hidden=False):
                yield from self.matching(folder, rest)
            return
        for entry in sorted(self._entries(base), key=os.DirEntry.is_symlink):
            if _matches(entry.name, head) and (not rest or _is_folder(entry)) and self._may_follow(entry):
                yield from self.matching(Path(entry), rest)

    def _folders(self, top: Path, count_hidden: bool) -> Iterator[Path]:
        """The folder and all below it, each once, those that links lead to last."""
        visited: set[tuple[int, int]] = set()
        now, linked = [top], list[Path]()
        while now or linked:
            folder = now.pop() if now else linked.pop(0)
            if not self._is_new(folder, visited):
                continue
            yield folder
            below = [entry for entry in self._entries(folder) if _is_folder(entry)]
            for entry in reversed(below):
                if entry.name.startswith("."):
                    if count_hidden:
                        self.hidden()
                elif not entry.is_symlink():
                    now.append(Path(entry))
                elif self._may_follow(entry):
                    linked.append(Path(entry))

    def _is_new(self, folder: Path, visited: set[tuple[int, int]]) -> bool:
        try:
            status = folder.stat()
        except OSError as error:
            self.unreadable(error)
            return False
        identity = (status.st_dev, status.st_ino)
        new = identity not in visited
        visited.add(identity)
        return new

    def _entries(self, folder: Path) -> list["os.DirEntry[str]"]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.unreadable(error)
            return []

    def _may_follow(self, entry: "os.DirEntry[str]") -> bool:
        if not entry.is_symlink():
            return True
        try:
            real = Path(os.path.realpath(entry.path))
        except OSError as error:  # a link that may not be read, as those of other people's processes
            self.unreadable(error)
            return False
        if real.is_relative_to(self._real):
            return not _is_folder(entry)
        if not self.follow_links and Path(entry) not in self.refused:
            self.refused.append(Path(entry))
        return self.follow_links


def split_pattern(path: Path) -> tuple[Path, tuple[str, ...]]:
    """A pattern's folder, before the first part with a wildcard, and the parts from there on."""
    fixed = next((at for at, part in enumerate(path.parts) if glob.has_magic(part)), len(path.parts))
    return Path(*path.parts[:fixed]), path.parts[fixed:]


def _matches(name: str, pattern: str) -> bool:
    """As a shell does: a wildcard matches no leading dot."""
    if not glob.has_magic(pattern):
        return name == pattern
    return (pattern.startswith(".") or not name.startswith(".")) and fnmatch.fnmatchcase(name, pattern)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Links looked through; what cannot be looked at is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False

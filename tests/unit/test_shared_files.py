"""Files of tests that share what is dear to start are run by one process, and are where the list has them."""

import re
from pathlib import Path

from tests.fixtures.shared import MESH, SCOPES, SharingScheduling

ROOT = Path(__file__).parents[2]


def test_files_that_share_a_mesh_are_one_unit_of_work() -> None:
    scheduling = SharingScheduling.__new__(SharingScheduling)
    shared, own = "tests/e2e/test_openai.py::test_a[x::y]", "tests/e2e/test_gateway.py::test_b"
    assert scheduling._split_scope(shared) == MESH == scheduling._split_scope("tests/e2e/test_edge.py::test_c")
    assert scheduling._split_scope(own) == "tests/e2e/test_gateway.py"


def test_all_that_take_the_shared_mesh_are_listed() -> None:
    """A file that defines no mesh of its own, and takes one, shares it."""
    takes = re.compile(r"def (?:test|channel|client)\w*\(\s*mesh: Mesh|getfixturevalue\(\"mesh\"\)")
    texts = {path: path.read_text("utf-8") for path in (ROOT / "tests/e2e").glob("test_*.py")}
    takers = [path for path, text in texts.items() if takes.search(text) and "def mesh(" not in text]
    listed = [file for file, group in SCOPES.items() if group == MESH]
    assert sorted(str(path.relative_to(ROOT)) for path in takers) == sorted(listed)


def test_all_that_are_listed_exist() -> None:
    assert [file for file in SCOPES if not (ROOT / file).is_file()] == []

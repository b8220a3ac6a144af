"""A page of a PDF as what is drawn on it: pieces of text with their places, and the straight lines between them."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from pypdf import PageObject
from pypdf.generic import ContentStream, NameObject

from services.retrieval.ingest.rules import THICK, Rules

_CONTENTS = NameObject("/Contents")
# Operators of straight lines, in a page's content. A page with so few has no table, one with so many is a drawing.
_LINES = re.compile(rb"\d\s+(?:re|l)\b")
_FEWEST_LINES, MOST_LINES = 3, 20_000
_SHOWS = frozenset((b"Tj", b"TJ", b"'", b'"'))
_STROKES = frozenset((b"S", b"s", b"B", b"B*", b"b", b"b*"))
_FILLS = frozenset((b"f", b"F", b"f*"))
_FLUSH: tuple[list[Any], bytes] = ([], b"ET")
# Unknown to extraction, which passes it by: a form that the page shows has ended.
_FORM_ENDED: tuple[list[Any], bytes] = ([], b"EX")
_BOLD = re.compile(r"bold|black|heavy|demi|CMB|SFB|-B[dI]?\d*$", re.IGNORECASE)
_STRAIGHT = 0.5

Matrix = Sequence[float]
Point = tuple[float, float]


class Piece(NamedTuple):
    """What one operator shows: where its first letter stands, in points; how far it is turned, in quarters, counter-
    clockwise; the size of its letters; the least width that it can have. One without a place is never in a table."""

    text: str
    place: Point | None = None
    turn: int = 0
    size: float = 0.0
    width: float = 0.0
    bold: bool = False


class Content(NamedTuple):
    """The pieces of a page in order, which together are its text, and its lines."""

    pieces: list[Piece]
    rules: Rules


def has_rules(page: PageObject) -> bool:
    """Whether a page has as many lines as a table has, and no more; a look at its bytes, which reads nothing."""
    contents = page.get_contents()
    if contents is None:
        return False
    lines = 0
    for _ in _LINES.finditer(contents.get_data()):
        lines += 1
        if lines > MOST_LINES:
            return False
    return lines >= _FEWEST_LINES


def read_content(page: PageObject) -> Content:
    """What is drawn on a page. What a form within it shows is text without a place."""
    original = page[_CONTENTS]
    content = ContentStream(original.get_object(), page.pdf, "bytes")
    operations: list[tuple[Any, bytes]] = []
    for operation in content.operations:
        if operation[1] in _SHOWS:  # extraction reports a text where it ends
            operations += (_FLUSH, operation)
        elif operation[1] == b"Do":
            operations += (_FLUSH, operation, _FORM_ENDED)
        else:
            operations.append(operation)
    content.operations = operations
    reading = _Reading()
    page[_CONTENTS] = content
    try:
        page.extract_text(visitor_operand_before=reading.operator, visitor_text=reading.text)
    finally:
        page[_CONTENTS] = original
    return Content(reading.pieces, reading.rules)


class _Reading:
    """Takes what extraction comes by."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.rules = Rules()
        self._path: list[tuple[Point, Point]] = []
        self._boxes: list[tuple[Point, Point]] = []
        self._at = self._start = (0.0, 0.0)
        self._within_form = False
        self._gaps = 0.0

    def operator(self, operator: bytes, operands: Any, matrix: Matrix, _: Matrix) -> None:
        """Before each operator, with the matrix that its points go through."""
        if operator == b"Do":
            self._within_form = True
        elif operator == b"EX":
            self._within_form = False
        elif not self._within_form and operator in _OPERATORS:
            with suppress(TypeError, ValueError, OverflowError, IndexError):
                _OPERATORS[operator](self, operator, operands, matrix)

    def text(self, text: str, matrix: Matrix, text_matrix: Matrix, font: Any, size: float) -> None:
        """Behind each piece of text."""
        if not text:
            return
        if self._within_form or not text.strip():
            self.pieces.append(Piece(text))
            return
        a, b, x, y = _placed(text_matrix, matrix)
        turn = (0 if a > 0 else 2) if abs(a) >= abs(b) else (1 if b > 0 else 3)
        size = abs(size) * max(abs(a), abs(b))
        name = str(font.get("/BaseFont", "")) if font else ""
        width = size * (_LEAST_WIDTH * len(text.strip()) + self._gaps)
        self.pieces.append(Piece(text, (x, y), turn, size, width, bool(_BOLD.search(name))))

    def _show(self, _: bytes, operands: Any, __: Matrix) -> None:
        self._gaps = 0.0
        if operands and isinstance(operands[0], list):
            self._gaps = sum(-float(each) for each in operands[0] if isinstance(each, int | float) and each < 0) / 1000

    def _move(self, _: bytes, operands: Any, matrix: Matrix) -> None:
        self._at = self._start = _through(matrix, *map(float, operands[:2]))

    def _line(self, _: bytes, operands: Any, matrix: Matrix) -> None:
        end = _through(matrix, *map(float, operands[:2]))
        self._add(self._at, end)
        self._at = end

    def _close(self, _: bytes = b"", __: Any = None, ___: Matrix = ()) -> None:
        self._add(self._at, self._start)
        self._at = self._start

    def _curve(self, _: bytes, operands: Any, matrix: Matrix) -> None:
        self._at = _through(matrix, *map(float, operands[-2:]))

    def _box(self, _: bytes, operands: Any, matrix: Matrix) -> None:
        x, y, width, height = map(float, operands[:4])
        if len(self._boxes) <= MOST_LINES:
            self._boxes.append((_through(matrix, x, y), _through(matrix, x + width, y + height)))

    def _paint(self, operator: bytes, _: Any, __: Matrix) -> None:
        if operator in _STROKES:
            if operator in (b"s", b"b", b"b*"):
                self._close()
            for start, end in self._path:
                self._rule(start, end)
            for (left, bottom), (right, top) in self._boxes:
                self._stroked(left, bottom, right, top)
        elif operator in _FILLS:
            if len(self._path) >= _CORNERS:
                xs, ys = zip(*(start for start, _ in self._path), strict=True)
                self._filled(min(xs), min(ys), max(xs), max(ys))
            for (left, bottom), (right, top) in self._boxes:
                self._filled(left, bottom, right, top)
        self._path, self._boxes = [], []

    def _stroked(self, left: float, bottom: float, right: float, top: float) -> None:
        corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
        for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            self._rule(start, end)

    def _filled(self, left: float, bottom: float, right: float, top: float) -> None:
        """A thin area is a line."""
        if abs(top - bottom) <= THICK:
            self._rule((left, (bottom + top) / 2), (right, (bottom + top) / 2))
        elif abs(right - left) <= THICK:
            self._rule(((left + right) / 2, bottom), ((left + right) / 2, top))

    def _add(self, start: Point, end: Point) -> None:
        if len(self._path) <= MOST_LINES:
            self._path.append((start, end))

    def _rule(self, start: Point, end: Point) -> None:
        if abs(start[1] - end[1]) <= _STRAIGHT:
            self.rules.level(start[1], start[0], end[0])
        elif abs(start[0] - end[0]) <= _STRAIGHT:
            self.rules.upright(start[0], start[1], end[1])


# The narrowest letters that a text is made of, on average, beside its size.
_LEAST_WIDTH = 0.25
_CORNERS = 3
_OPERATORS: dict[bytes, Callable[[_Reading, bytes, Any, Matrix], None]] = {
    b"m": _Reading._move,
    b"l": _Reading._line,
    b"h": _Reading._close,
    b"re": _Reading._box,
    **dict.fromkeys((b"c", b"v", b"y"), _Reading._curve),
    **dict.fromkeys((*_STROKES, *_FILLS, b"n"), _Reading._paint),
    **dict.fromkeys(_SHOWS, _Reading._show),
}


def _through(matrix: Matrix, x: float, y: float) -> Point:
    return matrix[0] * x + matrix[2] * y + matrix[4], matrix[1] * x + matrix[3] * y + matrix[5]


def _placed(text: Matrix, matrix: Matrix) -> tuple[float, float, float, float]:
    """The direction in which a text runs, with its scale, and where it begins."""
    x, y = _through(matrix, text[4], text[5])
    a = text[0] * matrix[0] + text[1] * matrix[2]
    b = text[0] * matrix[1] + text[1] * matrix[3]
    return a, b, x, y

"""Markdown as it is read aloud: a table's row in words, without the marks of emphasis, code and links; but for code in
fences, which stays as it is."""

import re

FENCE = "```"
_ROW = re.compile(r"\|.*\|")
_RULE = re.compile(r"[\s|:-]+")
_CELL_END = re.compile(r"(?<!\\)\|")
_ITEM = re.compile(r"(?:[-*+•]|\d{1,4}[.)])[ \t]")
_FENCED = re.compile(r"^(`{3,})[^`\n]*\n.*?^\1`*[ \t]*$", re.DOTALL | re.MULTILINE)
_PAUSES = tuple(".:;,!?。：；，、！？")
_BLOCK = re.compile(r"(?:>[ \t]?)*(?:(?:#{1,6}|[-*+•]|\d{1,4}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?)?")
# Code, or a character that is escaped.
_CODE = re.compile(r"(?<![`\\])(`+)(?!`)(.+?)(?<!`)\1(?!`)|\\([!-/:-@\[-`{-~])")
_LINK = re.compile(
    r"!?\[((?:[^\[\]\\]|\\.)*)\](?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\])"
)
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]+)>")
_STRONG = re.compile(r"(?<!\*)(\*{1,3})(?=[^\s*])((?:[^*]|(?<=\s)\*(?=\s))+?)(?<=[^\s*])\1(?!\*)")
# One word between two underscores each is more often a name than emphasis: __init__.
_UNDERLINED = re.compile(
    r"(?<!\w)(?:(_)(?=[^\s_])([^_]+)(?<=[^\s_])_|(_{2,3})(?=[^\s_])([^_]*\s[^_]*)(?<=[^\s_])\3)(?!\w)"
)
_STRUCK = re.compile(r"~~(?=\S)(.+?)(?<=\S)~~")
_ASIDE = re.compile("\0(\\d+)\0")
_DEEPEST = 3  # emphasis within emphasis


def plain(text: str) -> str:
    """The text in one line, without Markdown's marks. What is code stays as it is, and so does what only looks like a
    mark. Code in fences keeps its lines, on lines of its own."""
    parts: list[str] = []
    at = 0
    for code in _FENCED.finditer(text) if FENCE in text else ():
        parts += (_line(text[at : code.start()]), code[0])
        at = code.end()
    return "\n".join(part for part in (*parts, _line(text[at:])) if part)


def _line(text: str) -> str:
    """Text without code in fences; between the items of a list is a pause."""
    parts: list[str] = []
    lines: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if _ROW.fullmatch(line):
            parts += [_inline(" ".join(lines)), _row(line)]
            lines = []
            continue
        if lines and _ITEM.match(line) and not lines[-1].endswith(_PAUSES):
            lines[-1] += ";"
        mark = _BLOCK.match(line)
        lines.append(line[mark.end() :] if mark else line)
    return " ".join(" ".join([*parts, _inline(" ".join(lines))]).split())


def _row(row: str) -> str:
    """`first: second; third` of a row's cells."""
    cells = [_inline(cell.strip()) for cell in _CELL_END.split(row)[1:-1]]
    first, *others = [cell for cell in cells if cell and not _RULE.fullmatch(cell)] or [""]
    return f"{first}: {'; '.join(others)}" if others else first


def _inline(text: str) -> str:
    """Code and what is escaped are set aside meanwhile, so that nothing in it is taken for a mark."""
    codes: list[str] = []

    def aside(code: re.Match[str]) -> str:
        codes.append(code[3] or code[2].strip() or code[2])
        return f"\0{len(codes) - 1}\0"

    text = _CODE.sub(aside, text.replace("\0", ""))
    text = _AUTOLINK.sub(r"\1", _LINK.sub(r"\1", text))
    for _ in range(_DEEPEST):
        text, changed = _strip(text)
        if not changed:
            break
    return _ASIDE.sub(lambda place: codes[int(place[1])], text)


def _strip(text: str) -> tuple[str, bool]:
    """The text without its outermost emphasis, and whether there was any."""
    stripped = _STRUCK.sub(r"\1", _UNDERLINED.sub(r"\2\4", _STRONG.sub(r"\2", text)))
    return stripped, stripped != text

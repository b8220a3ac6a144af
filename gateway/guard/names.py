"""Names of code and of files that end as those of hosts do."""

import re

# Endings that are words of code too.
_ENDING = re.compile(
    r"(?:.*\.)?(?:io|co|ai|app|dev|me|top|site|online|shop|club|link|click|page|live|space|store|zip|us|in|it|es|cc|to"
    r"|net|info)",
    re.IGNORECASE,
)
# A path or a port: such is a host's.
_ADDRESSED = re.compile(r"[/#]|\?(?!\.)|:\d")
# What belongs to the object that is spoken of, and how much a log tells.
_OWN = re.compile(r"(?:self|this|cls|super)\.|(?:log|logger|logging|level|loglevel|severity)\.info\Z", re.IGNORECASE)
# A longer name, a call, an index, an optional member, an import, an assignment. Not longer than what `Links` waits for.
_GOES_ON = re.compile(r"_{1,4}[A-Za-z0-9(]|[(\[]|\?\.| import(?= )| {0,2}(?:[-+*/%|&^@]|//|\*\*|\|\||&&|<<|>>)?=(?!=)")
_IMPORT = "import "
# What a build makes a file from.
_TEMPLATE = re.compile(
    r"(?:(?:gnu)?makefile|configure|(?:[\w-]+-)?config|manifest|requirements|doxyfile"
    r"|[\w.-]+\.(?:am|c|cc|cfg|conf|cpp|h|hpp|html|install|man|pc|pl|postinst|postrm|preinst|prerm|py|sh|spec|texi|xml))"
    r"\.in",
    re.IGNORECASE,
)


def is_code(text: str, start: int, end: int) -> bool:
    """Whether a name that stands there without a scheme is one of code, or of a file from which another is made."""
    name = text[start:end]
    if _ADDRESSED.match(text, end) or not _ENDING.fullmatch(name):
        return False
    return any(
        (_OWN.match(name), text.endswith(_IMPORT, 0, start), _TEMPLATE.fullmatch(name), _GOES_ON.match(text, end))
    )

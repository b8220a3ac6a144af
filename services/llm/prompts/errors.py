"""What can be wrong with a prompt, and with what it is given."""

from services.runtime.errors import DomainError, ErrorKind, InvalidArgument
from services.runtime.strict_yaml import Problem


class BadPrompt(InvalidArgument):
    """A prompt that is not valid; the message names every problem that was found."""

    reason = "BAD_PROMPT"

    def __init__(self, problems: list[Problem]) -> None:
        first = problems[0]
        super().__init__("; ".join(map(str, problems)), field=first.field, line=str(first.line))
        self.problems = problems


class BadVariables(InvalidArgument):
    """A value that a prompt cannot be rendered with."""

    reason = "BAD_VARIABLES"

    def __init__(self, prompt: str, message: str, variable: str = "") -> None:
        details = {"prompt": prompt} | ({"variable": variable} if variable else {})
        super().__init__(f"the prompt {prompt!r}: {message}", **details)


class PromptNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "PROMPT_NOT_FOUND"

    def __init__(self, name: str, version: int = 0) -> None:
        which = f"version {version} of the prompt {name[:100]!r}" if version else f"prompt {name[:100]!r}"
        super().__init__(f"there is no {which}", prompt=name[:100], version=str(version))

"""Numbers as callers write them: Python takes "１", "٣", "1_0" and " 1 " for numbers too."""


def numeral(text: str, digits: int = 18) -> int | None:
    """The number that `text` is, written in ASCII digits, `digits` at most, without a leading zero; None otherwise."""
    if not (text.isascii() and text.isdigit() and len(text) <= digits):
        return None
    return None if text[0] == "0" and len(text) > 1 else int(text)

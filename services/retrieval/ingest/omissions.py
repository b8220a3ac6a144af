"""What of a document is not read, counted, in words for people."""


def omissions(*counts: tuple[int, str]) -> list[str]:
    """The texts whose count is not 0, with the count for "{}" and "s" for "(s)" where it is not 1."""
    present = ((count, text.replace("(s)", "" if count == 1 else "s")) for count, text in counts if count)
    return [text.replace("{}", f"{count:,}") for count, text in present]

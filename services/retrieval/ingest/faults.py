"""What goes wrong in a reader's library, as a document's error."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.retrieval.errors import DocumentError, DocumentUnreadable, is_panic


@contextmanager
def reading(what: str, *broken: type[Exception]) -> Iterator[None]:
    """Any exception within as DocumentUnreadable: `what` is broken. What the library says of the `broken` ones is for
    people. Readers are handed whatever anybody sends: there is no other list of what they raise."""
    try:
        yield
    except DocumentError:
        raise
    except RecursionError as error:
        raise DocumentUnreadable(f"{what} is nested too deeply") from error
    except MemoryError as error:
        raise DocumentUnreadable(f"{what} unpacks to more than the reader may hold") from error
    except broken as error:
        raise DocumentUnreadable(f"{what} is broken: {str(error)[:200]}") from error
    except Exception as error:
        raise DocumentUnreadable(f"{what} is broken ({type(error).__name__})") from error
    except BaseException as error:
        if is_panic(error):
            raise DocumentUnreadable(f"{what} is broken: its library gave up") from error
        raise

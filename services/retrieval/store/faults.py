"""What an engine's failure means to a caller.

The engine raises plain exceptions, with the system's error number in their text, and panics, which are no Exceptions.
"""

import errno
import logging
import re

from services.retrieval.errors import CollectionBroken, StoreFull, StoreUnavailable, is_panic
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\(os error (\d+)\)")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_SCARCE = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)


def is_failure(error: BaseException) -> bool:
    """Whether it is the engine's: an Exception or a panic, and not somebody's wish to end."""
    return isinstance(error, Exception) or is_panic(error)


def fault(error: BaseException, collection: str = "") -> DomainError:
    """The domain's error for a failure, which is logged. One of a collection's data is CollectionBroken.

    What the machine is short of for now breaks nothing.
    """
    log.error("the store failed", extra={"collection": collection}, exc_info=error)
    number = error.errno if isinstance(error, OSError) else _number(str(error))
    if number in _FULL:
        return StoreFull("the store's disk is full. Free some space, or delete a collection")
    if number in _SCARCE or not collection:
        return StoreUnavailable("the store failed to carry out the request")
    return CollectionBroken(collection, "the engine fails to read or to write its data")


def _number(text: str) -> int | None:
    found = _NUMBER.search(text)
    return int(found[1]) if found else None

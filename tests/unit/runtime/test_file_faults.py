"""Why a file cannot be read or written, in words that say what to look at."""

import errno
import os

import pytest

from services.runtime.file_faults import FAULTS, fault, why


@pytest.mark.parametrize("number", FAULTS)
def test_a_fault_is_said_in_words(number: int) -> None:
    error = OSError(number, os.strerror(number), "/srv/x")
    assert fault(error) == FAULTS[number] != os.strerror(number)
    assert why(error) == f"{FAULTS[number]}: /srv/x"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOENT, "No such file or directory"), "No such file or directory"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError("the address is taken"), "the address is taken"),
    ],
)
def test_what_the_system_says_is_kept_where_there_is_no_better(error: OSError, said: str) -> None:
    assert (fault(error), why(error)) == (said, said)

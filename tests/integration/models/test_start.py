"""Triton's start on a busy machine."""

import os

import psutil
import pytest

from tests.integration.models.conftest import Server


def test_each_stubs_sign_of_life_goes_ahead_of_other_programs(triton: Server) -> None:
    """Else Triton aborts where a stub that loads gives none for a second."""
    if os.geteuid() != 0:
        pytest.skip("needs CAP_SYS_NICE")
    stubs = psutil.Process(triton.process.pid).children()
    assert len(stubs) == 4
    for stub in stubs:
        policies = [os.sched_getscheduler(thread.id) for thread in stub.threads()]
        assert policies.count(os.SCHED_RR) == 1
        assert os.sched_getscheduler(stub.pid) == os.SCHED_OTHER

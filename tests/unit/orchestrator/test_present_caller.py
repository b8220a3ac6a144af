"""Who the present caller is, as agents' filters know it."""

import contextvars

from services.orchestrator.adapters.present_caller import present_caller
from services.orchestrator.domain.caller import Caller
from services.runtime.call import Call, enter
from services.runtime.identity import Identity


def test_nobody_outside_of_a_call() -> None:
    assert contextvars.Context().run(present_caller) == Caller()


def test_the_caller_of_the_call_with_their_claims() -> None:
    def served() -> Caller:
        claims = (("department", ("hydro",)), ("groups", ("a", "b")))
        enter(Call("/x/Y", identity=Identity("acme", "ann", project="prj_1", claims=claims)))
        return present_caller()

    found = contextvars.copy_context().run(served)
    assert found == Caller("acme", "ann", "prj_1", {"department": ("hydro",), "groups": ("a", "b")})

"""The stream's state machine: what is answered to what."""

from collections.abc import Iterable

import pytest

from services.control.ads import MAX_NAMES, Request, Response, Stream
from services.control.resources import CDS, EDS, LDS, RDS, mesh_resources
from services.control.snapshot import Snapshot
from services.control.topology import SERVICES, Endpoint, Topology

ZERO = Endpoint("retrieval-0", "127.0.0.1", 9000)
ONE = Endpoint("retrieval-1", "127.0.0.1", 9001)


def snapshot(*endpoints: Endpoint) -> Snapshot:
    topology = Topology()
    for service in SERVICES:
        topology = topology.with_endpoints(service, endpoints if service == "retrieval" else [])
    return Snapshot(mesh_resources(topology))


def ask(stream: Stream, kind: str, names: Iterable[str] = (), to: Response | None = None) -> Response:
    """Send a request (an ACK of `to`) that must be answered."""
    verdict, response = stream.on_request(
        Request(kind, frozenset(names), to.nonce if to else "", to.version if to else "")
    )
    assert verdict == ("ack" if to else "subscribe")
    assert response is not None
    return response


def names(response: Response) -> list[str]:
    return [one.name for one in response.resources]


def test_no_names_at_first_means_all() -> None:
    assert names(ask(Stream(snapshot()), LDS)) == ["gateway", "orchestrator", "retrieval", "triton"]
    assert names(ask(Stream(snapshot()), CDS, ["*"])) == ["gateway", "orchestrator", "retrieval", "triton"]


def test_names_mean_those_and_what_does_not_exist_is_not_there() -> None:
    assert names(ask(Stream(snapshot()), LDS, ["retrieval", "billing"])) == ["retrieval"]
    assert names(ask(Stream(snapshot()), CDS, ["billing"])) == []


@pytest.mark.parametrize("kind", [EDS, RDS])
def test_of_the_partial_types_nothing_found_is_no_response(kind: str) -> None:
    assert Stream(snapshot()).on_request(Request(kind, frozenset({"billing"}))) == ("subscribe", None)


def test_an_ack_is_not_answered_and_is_remembered() -> None:
    stream = Stream(snapshot())
    response = ask(stream, LDS)
    assert stream.acked(LDS) == ""
    assert stream.on_request(Request(LDS, frozenset(), response.nonce, response.version)) == ("ack", None)
    assert stream.acked(LDS) == response.version
    assert stream.acked(CDS) == ""


def test_a_nack_is_not_answered_until_something_changes() -> None:
    stream = Stream(snapshot(ZERO))
    response = ask(stream, EDS, ["retrieval"])
    nack = Request(EDS, frozenset({"retrieval"}), response.nonce, "", "no such thing")
    assert stream.on_request(nack) == ("nack", None)
    assert stream.acked(EDS) == ""
    assert list(stream.on_snapshot(snapshot(ZERO))) == []
    [better] = stream.on_snapshot(snapshot(ZERO, ONE))
    assert stream.on_request(Request(EDS, frozenset({"retrieval"}), better.nonce, better.version)) == ("ack", None)
    assert stream.acked(EDS) == better.version


def test_a_nack_may_change_the_names() -> None:
    stream = Stream(snapshot(ZERO))
    response = ask(stream, EDS, ["retrieval"])
    verdict, answer = stream.on_request(Request(EDS, frozenset({"retrieval", "triton"}), response.nonce, "", "no"))
    assert verdict == "nack"
    assert answer is not None
    assert names(answer) == ["retrieval", "triton"]


def test_a_request_with_an_old_nonce_counts_for_nothing() -> None:
    stream = Stream(snapshot())
    old = ask(stream, EDS, ["retrieval"])
    [new] = stream.on_snapshot(snapshot(ZERO))
    late = Request(EDS, frozenset({"triton"}), old.nonce, old.version)
    assert stream.on_request(late) == ("stale", None)
    assert stream.on_request(Request(EDS, frozenset({"triton"}), old.nonce, "", "bad")) == ("stale", None)
    assert stream.acked(EDS) == ""
    assert stream.on_request(Request(EDS, frozenset({"retrieval"}), new.nonce, new.version)) == ("ack", None)


def test_nonces_are_never_used_twice() -> None:
    stream = Stream(snapshot())
    seen = [ask(stream, kind).nonce for kind in (LDS, CDS, RDS, EDS)]
    seen += [response.nonce for response in stream.on_snapshot(snapshot(ZERO))]
    assert len(seen) == len(set(seen)) > 4


def test_a_name_more_is_answered_and_a_name_less_is_not() -> None:
    stream = Stream(snapshot())
    first = ask(stream, EDS, ["retrieval"])
    second = ask(stream, EDS, ["retrieval", "triton"], to=first)
    assert names(second) == ["retrieval", "triton"]
    assert stream.on_request(Request(EDS, frozenset({"triton"}), second.nonce, second.version)) == ("ack", None)
    assert list(stream.on_snapshot(snapshot(ZERO))) == []


def test_a_name_less_and_more_again_is_answered_anew() -> None:
    stream = Stream(snapshot())
    first = ask(stream, LDS, ["retrieval", "triton"])
    second = ask(stream, LDS, ["retrieval"], to=first)
    assert names(second) == ["retrieval"]
    assert names(ask(stream, LDS, ["retrieval", "triton"], to=second)) == ["retrieval", "triton"]


def test_no_names_after_some_means_none() -> None:
    stream = Stream(snapshot())
    first = ask(stream, CDS, ["retrieval"])
    assert names(ask(stream, CDS, [], to=first)) == []


def test_no_names_after_none_still_means_all() -> None:
    stream = Stream(snapshot())
    first = ask(stream, CDS)
    assert stream.on_request(Request(CDS, frozenset(), first.nonce, first.version)) == ("ack", None)
    [second, _] = [*stream.on_snapshot(snapshot(ZERO)), None]
    assert second is not None
    assert "retrieval/retrieval-0" in names(second)


def test_a_change_is_sent_make_before_break_and_only_where_it_is_one() -> None:
    stream = Stream(snapshot())
    for kind in (RDS, LDS, EDS, CDS):
        ask(stream, kind)
    assert [response.type for response in stream.on_snapshot(snapshot(ZERO))] == [CDS, EDS, RDS]
    assert list(stream.on_snapshot(snapshot(ZERO))) == []


def test_a_change_elsewhere_is_not_this_client_s() -> None:
    stream = Stream(snapshot())
    ask(stream, CDS, ["triton"])
    ask(stream, EDS, ["triton"])
    assert list(stream.on_snapshot(snapshot(ZERO))) == []


def test_a_cluster_that_goes_is_told_and_its_endpoints_need_not_be() -> None:
    stream = Stream(snapshot(ZERO, ONE))
    ask(stream, CDS, ["retrieval", "retrieval/retrieval-1"])
    ask(stream, EDS, ["retrieval/retrieval-1"])
    [response] = stream.on_snapshot(snapshot(ZERO))
    assert (response.type, names(response)) == (CDS, ["retrieval"])


def test_a_cluster_that_comes_back_unchanged_is_sent_again() -> None:
    stream = Stream(snapshot(ZERO, ONE))
    ask(stream, CDS, ["retrieval/retrieval-1"])
    assert [names(one) for one in stream.on_snapshot(snapshot(ZERO))] == [[]]
    assert [names(one) for one in stream.on_snapshot(snapshot(ZERO, ONE))] == [["retrieval/retrieval-1"]]


def test_a_restarted_control_says_the_same_in_the_same_words() -> None:
    before, after = ask(Stream(snapshot(ZERO)), EDS), ask(Stream(snapshot(ZERO)), EDS)
    assert (before.version, before.resources) == (after.version, after.resources)


def test_types_that_nobody_serves_are_ignored() -> None:
    assert Stream(snapshot()).on_request(Request("type.googleapis.com/x.Secret")) == ("ignored", None)


def test_names_are_bounded() -> None:
    with pytest.raises(ValueError, match="names"):
        Stream(snapshot()).on_request(Request(EDS, frozenset(map(str, range(MAX_NAMES + 1)))))

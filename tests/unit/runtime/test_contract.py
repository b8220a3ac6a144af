"""What is retried is what the protos allow."""

import json

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from headworks.control.v1 import control_service_pb2
from headworks.orchestrator.v1 import agent_service_pb2, orchestrator_service_pb2, session_service_pb2
from headworks.retrieval.v1 import retrieval_service_pb2

from services.runtime.channels import service_config
from services.runtime.contract import may_retry, path, retryable_paths

SERVICES = [
    orchestrator_service_pb2.DESCRIPTOR.services_by_name["OrchestratorService"],
    agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"],
    session_service_pb2.DESCRIPTOR.services_by_name["SessionService"],
    retrieval_service_pb2.DESCRIPTOR.services_by_name["RetrievalService"],
    control_service_pb2.DESCRIPTOR.services_by_name["ControlService"],
]


@pytest.mark.parametrize(
    ("name", "retried"),
    [
        ("OrchestratorService", {"Attach", "Cancel", "GetRun", "ListRuns", "ListModels"}),
        ("AgentService", {"ApplyAgent", "GetAgent", "ListAgents", "DeleteAgent"}),
        ("SessionService", {"GetSession", "ListSessions", "DeleteSession"}),
        ("RetrievalService", {"Search", "GetDocument", "ListDocuments", "ListCollections"}),
        ("ControlService", {"GetTopology", "WatchTopology", "SetEndpoints"}),
    ],
)
def test_the_methods_that_may_be_retried(name: str, retried: set[str]) -> None:
    service = next(service for service in SERVICES if service.name == name)
    assert {method.name for method in service.methods if may_retry(method)} == retried


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service.name))
def test_the_service_config_names_them_and_no_others(service: ServiceDescriptor) -> None:
    (rule,) = json.loads(service_config(retryable_paths([service])))["methodConfig"]
    named = {f"/{name['service']}/{name['method']}" for name in rule["name"]}
    assert named == set(retryable_paths([service])) == {path(m) for m in service.methods if may_retry(m)}
    assert rule["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


def test_without_services_nothing_is_retried() -> None:
    assert json.loads(service_config([]))["methodConfig"] == []

"""Protobuf from the audit. Pure."""

from headworks.gateway.v1 import admin_pb2, admin_service_pb2

from gateway.audit.store import Recorded
from gateway.audit.walk import Report


def audit_record(one: Recorded) -> admin_pb2.AuditRecord:
    actor = one.actor or {}
    return admin_pb2.AuditRecord(
        sequence=one.sequence,
        hash=one.hash,
        record=one.record,
        subject=actor.get("subject", ""),
        key=actor.get("key", ""),
        address=actor.get("address", ""),
        chain=one.chain,
    )


def report(one: Report) -> admin_service_pb2.VerifyAuditResponse:
    return admin_service_pb2.VerifyAuditResponse(
        sound=one.sound,
        records=one.records,
        first=one.first,
        last=one.last,
        erased_actors=one.erased_actors,
        erased_contents=one.erased_contents,
        signed=one.signed,
        faults=one.faults,
        findings=[
            admin_pb2.AuditFault(
                fault=found.fault.value, sequence=found.sequence, message=found.message, chain=found.chain
            )
            for found in one.findings
        ],
        chains=[
            admin_pb2.AuditChain(chain=number, records=chain.records, first=chain.first, last=chain.last)
            for number, chain in sorted(one.chains.items())
        ],
    )

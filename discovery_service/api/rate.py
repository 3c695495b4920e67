"""How many creating requests a key may send in a minute. Budgets limit what a campaign costs; this limits accidents."""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from discovery_service.domain.access import Principal
from discovery_service.errors import TooManyRequests


class CreationRate:
    """Counts in this process's memory: with several API processes each grants the rate on its own."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def admit(self, principal: Principal) -> dict[str, str]:
        """The headers of an admitted request; too many are refused with the time to wait."""
        key = str(principal.api_key_id)
        is_admitted = self._limiter.hit(self._item, key)
        window = self._limiter.get_window_stats(self._item, key)
        wait_s = max(1, math.ceil(window.reset_time - time.time()))
        headers = {
            "RateLimit-Limit": str(self._item.amount),
            "RateLimit-Remaining": str(window.remaining),
            "RateLimit-Reset": str(wait_s),
        }
        if not is_admitted:
            detail = f"More than {self._item.amount} creating requests in a minute; wait {wait_s} s."
            raise TooManyRequests(detail, headers={**headers, "Retry-After": str(wait_s)})
        return headers

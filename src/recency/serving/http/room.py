"""Room: how much may be underway at once. What comes beyond is sent away at the door.

Each queue behind the door is bounded too, but a request costs time and memory before it reaches
one: its body is held and decoded. So requests are counted, and the bytes of the bodies that they
say they bring.
"""

from recency.serving.limits import RoomLimits


class Room:
    """Count what is underway.

    Args:
        limits: How much may be.
    """

    def __init__(self, limits: RoomLimits) -> None:
        self._limits = limits
        self.requests = self.body_bytes = 0

    def enter(self, body_bytes: int) -> str | None:
        """Let a request in, or say what there is too much of; who is in must `leave`."""
        if self.requests >= self._limits.requests:
            return f"{self._limits.requests:,} requests are underway"
        if self.body_bytes and self.body_bytes + body_bytes > self._limits.body_bytes:
            return f"requests of {self.body_bytes:,} bytes are underway"
        self.requests += 1
        self.body_bytes += body_bytes
        return None

    def leave(self, body_bytes: int) -> None:
        """Let a request out, with what it brought."""
        self.requests -= 1
        self.body_bytes -= body_bytes

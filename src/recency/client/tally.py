"""Tally: adds up what became of many events, request by request."""

from dataclasses import dataclass, field

from recency.client.answers import EventsAnswer, Rejection, Sent

_MOST_REJECTIONS = 1000


@dataclass
class Tally:
    """Add up answers to events."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    last_seq: int = 0
    sent: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def add(self, answer: EventsAnswer) -> None:
        """Add one answer."""
        self.accepted += answer.accepted
        self.duplicate += answer.duplicate
        self.rejected += answer.rejected
        for place, one in enumerate(answer.results, self.sent):
            if one.seq is not None:
                self.last_seq = max(self.last_seq, one.seq)
            if one.status == "rejected" and len(self.rejections) < _MOST_REJECTIONS:
                self.rejections.append(Rejection(index=place, error=one.error or ""))
        self.sent += len(answer.results)

    def summed(self) -> Sent:
        """Give the sum."""
        return Sent(
            accepted=self.accepted,
            duplicate=self.duplicate,
            rejected=self.rejected,
            rejections=self.rejections,
            last_seq=self.last_seq,
        )

    def told(self) -> str:
        """Say how far it came, for an error on the way."""
        return (
            f"{self.sent:,} events before were answered: {self.accepted:,} accepted, "
            f"{self.duplicate:,} duplicate, {self.rejected:,} rejected."
        )

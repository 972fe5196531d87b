"""The report of an ensemble: what each member is worth and costs, and what mixing them gains."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from recency.ensemble.weighing import Judgement
from recency.units import format_instant


@dataclass(frozen=True)
class MemberReport:
    """Tell of one member.

    Attributes:
        name: Apart from the others'.
        weight: In the mixture.
        fit_seconds: Of the fit on everything: what the member alone would take.
        n_parameters: Weights; None for a baseline.
    """

    name: str
    weight: float
    fit_seconds: float
    n_parameters: int | None


@dataclass(frozen=True)
class EnsembleReport:
    """Tell what an ensemble gains and costs; ``print`` shows a table.

    Attributes:
        fusion: ``"scores"`` or ``"ranks"``.
        members: As they were given.
        seconds: Of the whole fit, the fits for the weighing included.
        judgement: On targets that the weights did not see; None where there were too few.
        notes: What could not be done as asked for, in words.
    """

    fusion: str
    members: tuple[MemberReport, ...]
    seconds: float
    judgement: Judgement | None
    notes: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Rebuild from `to_dict`."""
        found, members = content["judgement"], content["members"]
        if found is not None:
            pairs = ("members", "interval", "answer_ms")
            found = Judgement(**found | {name: tuple(found[name]) for name in pairs})
        return cls(
            content["fusion"],
            tuple(MemberReport(**one) for one in members),
            content["seconds"],
            found,
            tuple(content["notes"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Give all as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join([self._heading(), _table(self._rows()), *self._verdict(), *self._told()])

    def _heading(self) -> str:
        j = self.judgement
        if j is None:
            return f"Ensemble, fusion of {self.fusion}; not judged."
        return (
            f"Ensemble, fusion of {self.fusion}. Weights learned on {j.n_learned:,} targets were "
            f"judged on {j.n_judged:,} later ones, {format_instant(j.start)} to "
            f"{format_instant(j.end)}; the weights kept were learned on both."
        )

    def _rows(self) -> list[list[str]]:
        j = self.judgement
        rows = [["member", "weight", "ndcg@10", "parameters", "fit s", "ms a question"]]
        for place, one in enumerate(self.members):
            rows.append(
                [
                    one.name,
                    f"{one.weight:.3f}",
                    "-" if j is None else f"{j.members[place]:.4f}",
                    "-" if one.n_parameters is None else f"{one.n_parameters:,}",
                    f"{one.fit_seconds:.1f}",
                    "-" if j is None else f"{j.answer_ms[place]:.3f}",
                ]
            )
        loud = [place for place, one in enumerate(self.members) if one.weight > 0]
        rows.append(
            [
                "ensemble",
                "",
                "-" if j is None else f"{j.mixture:.4f}",
                f"{sum(self.members[place].n_parameters or 0 for place in loud):,}",
                f"{self.seconds:.1f}",
                "-" if j is None else f"{sum(j.answer_ms[place] for place in loud):.3f}",
            ]
        )
        return rows

    def _verdict(self) -> list[str]:
        """Say in words what mixing gains over the best member, and at what price."""
        j = self.judgement
        if j is None:
            return []
        best, alone = self.members[j.best], j.members[j.best]
        name, (low, high) = best.name, j.interval
        span = f"{j.gain:+.4f} NDCG@10, 95 % between {low:+.4f} and {high:+.4f}"
        if j.gain <= 0:
            advice = (
                "Take it alone: it costs less." if best.n_parameters else "Mixing gains nothing."
            )
            return [
                f"The best member alone, {name}, is at least as good as the mixture: "
                f"{alone:.4f} against {j.mixture:.4f} ({span}). {advice}"
            ]
        doubt = " The interval holds 0: on so few targets the gain may be luck." if low <= 0 else ""
        return [f"Gain over the best member alone, {name}: {span}.{doubt} {self._price(j)}"]

    def _price(self, j: Judgement) -> str:
        one = self.members[j.best]
        spoken = sum(ms for ms, m in zip(j.answer_ms, self.members, strict=True) if m.weight > 0)
        return (
            f"Price: {self.seconds:.1f} s to fit against {one.fit_seconds:.1f} s, {spoken:.3f} ms "
            f"a question against {j.answer_ms[j.best]:.3f} ms."
        )

    def _told(self) -> list[str]:
        silent = [one.name for one in self.members if one.weight == 0]
        notes = list(self.notes)
        if silent:
            notes.append(f"of no weight, so not asked: {', '.join(silent)}.")
        return [f"Note: {note}" for note in notes]


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )

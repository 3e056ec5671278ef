"""One slip, with what shows it and the smallest thing to do."""

from __future__ import annotations

from dataclasses import dataclass

from trainwatch.probes import events as ev


@dataclass(frozen=True)
class Accident:
    rule: str
    summary: str
    do: str
    evidence: tuple[str, ...] = ()
    severity: str = "serious"
    kind: str = "shell"
    status: str = "established"
    """`established`, `likely` or `possible`."""

    def finding(self, *, ended: bool = False) -> ev.FindingRaised:
        """
        The event that tells it.

        Args:
            ended: it is why the run ended.
        """
        how = () if self.status == "established" else (f"{self.status}, not certain",)
        return ev.FindingRaised(
            rule=self.rule,
            severity=self.severity,
            kind=self.kind,
            summary=self.summary,
            evidence=[*self.evidence, *how],
            do=self.do,
            ended=ended,
        )

"""What the widget says of a prior, as HTML and in words. Knows weights and containers; nothing of widgets."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from arviz_resampler.containers import drawn_groups
from arviz_resampler.markup import COLORS, SIGNS
from arviz_resampler.weights.diagnostics import k_hat_text
from arviz_resampler.weights.verdict import missed
from arviz_resampler.weights.weights import Weights

_FACT = "display:inline-block;margin-right:1em"


@dataclass(frozen=True)
class Badge:
    """Verdict on a prior, with facts, advice and notes.

    Attributes
    ----------
    verdict : str
        Has color and sign.
    word : str
    facts : tuple of str
        Are said in a row.
    lines : tuple of str
        Follow below: advice and notes.
    """

    verdict: str
    word: str
    facts: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it in words."""
        said = f"{SIGNS[self.verdict]} {self.word}: {'; '.join(self.facts)}"
        return "\n".join([said, *self.lines])

    @property
    def html(self) -> str:
        """All of it with a color, as HTML."""
        color = COLORS[self.verdict]
        lines = [
            f'<b style="color:{color}">{SIGNS[self.verdict]} {self.word}</b>',
            " ".join(f'<span style="{_FACT}">{html.escape(fact)}</span>' for fact in self.facts),
            *map(html.escape, self.lines),
        ]
        return (
            f'<div style="border-left:6px solid {color};background:{color}1a;padding:4px 8px;'
            f'margin:4px 0;line-height:1.4;overflow-wrap:anywhere">{"<br>".join(lines)}</div>'
        )


def verdict_badge(prior: Any, weights: Weights, num_samples: int, notes: Iterable[str]) -> Badge:
    """Verdict, numbers and advice."""
    found = weights.diagnostics(num_samples)
    distinct = prior[drawn_groups(prior).stats].attrs["n_unique"]
    facts = [
        f"ESS {found.ess:,.0f} of {found.num_guide_samples:,}",
        f"{distinct:,} of {num_samples:,} draws distinct",
        f"k-hat {k_hat_text(found)}",
        missed(weights),
    ]
    if found.verdict == "good":
        facts.append(f"site {weights.costliest_site!r} costs most")
    advice = [] if found.verdict == "good" else [found.advice]
    return Badge(found.verdict, found.verdict, tuple(facts), (*advice, *_noted(notes)))


def failure_badge(error: Exception, last: str, notes: Iterable[str] = ()) -> Badge:
    """The reason why there is no picture."""
    still = [f"The picture is still that of {last}."] if last else []
    return Badge("failed", "no picture", (f"{type(error).__name__}: {error}",), (*still, *_noted(notes)))


def _noted(notes: Iterable[str]) -> list[str]:
    return [f"Note: {note}" for note in notes]

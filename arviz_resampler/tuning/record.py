"""Record of a widget in a saved notebook, for readers without its kernel. Knows IPython's display.

A live view cannot be renewed in the notebook without losing the focus and the drag that are in it. So what
it shows is kept in a second output, which the live view hides.
"""

from __future__ import annotations

import html
from base64 import b64encode
from typing import Any
from uuid import uuid4

from IPython.display import display, update_display

from arviz_resampler.tuning.badge import Badge

_WITHOUT_KERNEL = "Sliders need a running kernel. What they showed last:"


class Record:
    """An output with the last picture and what was said of it.

    Attributes
    ----------
    style : str
        HTML of the live view that hides this output.
    """

    def __init__(self) -> None:
        self._name = f"arviz-resampler-record-{uuid4().hex}"
        self._there = False
        self.style = f"<style>.{self._name} {{ display: none; }}</style>"

    def display(self, view: dict[str, Any], kept: dict[str, str]) -> None:
        """Display a live view and, hidden by it, what is kept."""
        display({**view, "text/plain": _WITHOUT_KERNEL}, raw=True)
        display(self._hidden(kept), raw=True, display_id=self._name)
        self._there = True

    def renew(self, kept: dict[str, str]) -> None:
        """Keep something newer, where anything is."""
        if self._there:
            update_display(self._hidden(kept), raw=True, display_id=self._name)

    def _hidden(self, kept: dict[str, str]) -> dict[str, str]:
        return {**kept, "text/html": f'<div class="{self._name}">{kept["text/html"]}</div>'}


def as_output(png: bytes, position: str, badge: Badge) -> dict[str, str]:
    """A picture and what is said of it, by MIME type.

    Parameters
    ----------
    png : bytes
        May be empty.
    position : str
        Where the sliders are.
    badge : Badge
    """
    text = f"{position}\n{badge.text}"
    words = {"text/plain": text, "text/html": f"<p>{html.escape(position)}</p>{badge.html}"}
    if not png:
        return words
    image = b64encode(png).decode()
    source = f"data:image/png;base64,{image}"
    shown = f'<img alt="{html.escape(text)}" style="max-width: 100%" src="{source}">'
    return {**words, "text/html": words["text/html"] + shown, "image/png": image}

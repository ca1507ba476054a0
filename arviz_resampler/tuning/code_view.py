"""Source to be copied. Knows ipywidgets alone."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

# Where a frontend takes the script away, the text can still be selected.
_COPY = (
    '<button type="button" class="jupyter-button" style="width:6.5em" onclick="'
    "const area = this.closest('.arviz-resampler-code').querySelector('textarea'); area.select(); "
    "if (navigator.clipboard) navigator.clipboard.writeText(area.value); else document.execCommand('copy'); "
    "this.textContent = 'Copied'; setTimeout(() => { this.textContent = 'Copy'; }, 1500)"
    '">Copy</button>'
)
_MOST_ROWS = 25


class CodeView(widgets.VBox):  # type: ignore[misc]
    """A text area with a button that copies it; hidden at first."""

    def __init__(self) -> None:
        self.text = widgets.Textarea(layout=widgets.Layout(width="auto"))
        super().__init__([widgets.HTML(_COPY), self.text], layout=widgets.Layout(display="none"))
        self.add_class("arviz-resampler-code")

    def show(self, write: Callable[[], str]) -> None:
        """Show the source that is written, or why there is none."""
        try:
            self.text.value = write()
        except Exception as error:
            self.text.value = f"# There is no source: {type(error).__name__}: {error}"
        self.text.rows = min(self.text.value.count("\n") + 2, _MOST_ROWS)

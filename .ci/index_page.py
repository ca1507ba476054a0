"""README.md as an index page shows it: links and pictures with the address of the repository.

Hatchling calls this when it builds, as ``pyproject.toml`` says.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


def absolute(text: str, repository: str, tag: str) -> str:
    """A page of Markdown with absolute addresses for what is relative in it."""

    def with_address(match: re.Match[str]) -> str:
        kind = "raw" if match["picture"] else "blob"
        return f"{match['picture']}[{match['text']}]({repository}/{kind}/{tag}/{match['path']})"

    link = r"(?P<picture>!?)\[(?P<text>[^][]*)\]\((?!https?:|#)(?P<path>[^)\s]+)\)"
    return re.sub(link, with_address, text)


class IndexPage(MetadataHookInterface):
    """The hook of hatchling."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the page."""
        page = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = absolute(page, metadata["urls"]["Repository"], f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}

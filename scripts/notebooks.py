"""Keep notebooks that ran, with their outputs, as files that a repository browser shows.

Run with ``python scripts/notebooks.py FOLDER NOTEBOOK...``. Warnings that a page leaves out are left out
here, too, and so are the times at which cells ran and the link to the notebook itself.
"""

import json
import sys
from pathlib import Path
from typing import Any


def kept(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell without what is of its page or of its run alone."""
    source = "".join(line for line in cell["source"] if not line.startswith("{nb-download}"))
    outputs = [shown for shown in cell.get("outputs", []) if shown.get("name") != "stderr"]
    own = {"metadata": {}, "source": source.splitlines(keepends=True)}
    return cell | own | ({"outputs": outputs} if "outputs" in cell else {})


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for path in map(Path, sys.argv[2:]):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["cells"] = [kept(cell) for cell in notebook["cells"]]
        text = json.dumps(notebook, ensure_ascii=False, indent=1)
        folder.joinpath(path.name).write_text(text + "\n", encoding="utf-8")

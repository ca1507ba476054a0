"""Runs the Python blocks of Markdown files, in order, each file in a namespace of its own."""

import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

for path in map(Path, sys.argv[1:]):
    text = path.read_text()
    namespace: dict[str, object] = {"__name__": path.name}
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        # Blank lines in front make tracebacks name the line of the Markdown file.
        exec(compile("\n" * line + block[1], str(path), "exec"), namespace)
    print(f"{path}: {len(blocks)} Python blocks ran")

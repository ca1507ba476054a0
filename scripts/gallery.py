"""Draw the pictures of a page with the code that the page shows.

Run with ``python scripts/gallery.py PAGE...``. The Python blocks of a page run in order, in one
namespace. After a block whose next line of text is a picture, the current figure is saved as that
picture. Blocks and pictures in a tab that is named for the other generation of ArviZ are passed over.
"""

import re
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import matplotlib
from matplotlib import pyplot as plt

PIECE = re.compile(
    r"^:+\{tab-item\} ArviZ (?P<tab>\d)\.x$"
    r"|^(?P<end>::::+)$"
    r"|^```python\n(?P<code>.*?)^```$(?:\n+!\[[^\]]*\]\((?P<picture>[^)]+)\)$)?",
    re.MULTILINE | re.DOTALL,
)
OWN = version("arviz").split(".")[0]


def draw(page: Path) -> int:
    """Run the blocks of a page, save its pictures, and count them."""
    text = page.read_text()
    namespace: dict[str, object] = {"__name__": page.name}
    tab, count = OWN, 0
    for piece in PIECE.finditer(text):
        if piece["tab"] or piece["end"]:
            tab = piece["tab"] or OWN
        elif tab == OWN:
            # Blank lines in front make tracebacks name the line of the page.
            code = "\n" * text.count("\n", 0, piece.start("code")) + piece["code"]
            exec(compile(code, str(page), "exec"), namespace)
            if piece["picture"]:
                path = page.parent / piece["picture"]
                path.parent.mkdir(exist_ok=True)
                plt.savefig(path, dpi=90, bbox_inches="tight")
                plt.close("all")
                count += 1
    return count


if __name__ == "__main__":
    matplotlib.use("Agg")
    warnings.simplefilter("error")
    # ArviZ 0.23 announces ArviZ 1.0, and calls matplotlib in ways that are about to end.
    warnings.filterwarnings("ignore", category=FutureWarning, module="arviz")
    warnings.simplefilter("ignore", DeprecationWarning)
    for page in map(Path, sys.argv[1:]):
        print(f"{page}: {draw(page)} pictures by ArviZ {version('arviz')}")

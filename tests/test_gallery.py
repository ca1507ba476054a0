"""The script that draws the pictures of a page."""

import importlib.util
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from arviz_resampler.containers.installed import major_version

SCRIPT = Path(__file__).parents[1] / "scripts" / "gallery.py"
PAGE = """
```python
import matplotlib.pyplot as plt
x = [1, 2]
```

::::{tab-set}
:::{tab-item} ArviZ 1.x

```python
plt.plot(x)
```

![a line](pictures/one.png)

:::
:::{tab-item} ArviZ 0.x

```python
plt.plot(x)
```

![a line](pictures/zero.png)

:::
::::

```python
plt.plot(x)
```

![a line](pictures/both.png)
"""


@pytest.fixture(scope="module")
def draw():
    spec = importlib.util.spec_from_file_location("gallery", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.draw


def test_pictures_are_drawn_by_the_blocks_above_them_for_this_generation_alone(draw, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert draw(page) == 2
    own = "one" if major_version() else "zero"
    assert {path.stem for path in (tmp_path / "pictures").glob("*.png")} == {own, "both"}
    assert not plt.get_fignums()


def test_an_error_names_the_line_of_the_page(draw, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("A page\n\n```python\n1 / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as caught:
        draw(page)
    frame = caught.traceback[-1]
    assert frame.path == page
    assert frame.lineno + 1 == 4

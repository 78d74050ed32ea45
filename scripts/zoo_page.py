"""Writes docs/zoo.md: the overview table's models as recipes, with their parameters counted.

python scripts/zoo_page.py
"""

from pathlib import Path

from mplug.interfaces.zoo_page import page

FILE = Path(__file__).parents[1] / "docs" / "zoo.md"

if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
    print(FILE)

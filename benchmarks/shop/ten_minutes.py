"""A stranger's first minutes: from `pip install` of a wheel to a page about one's own shop, on five layouts.

    python benchmarks/shop/ten_minutes.py [--quick] [--wheel WHEEL]

Prints JSON lines: figure, value, unit, data. Builds the wheel of this checkout, unless `--wheel` names one, installs it into
an empty environment, and there runs `promolift init` and `promolift run` on the files of five layouts of `mapping_layouts.tsv`,
as a person would type them; each must end in a report. `--quick` does so for one layout. The packages come from the index that
pip is set to, so that the time of the installation is that of its connection and cache.
"""

import argparse
import json
import subprocess
import sys
import time
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from mapping import draw_lines, load_layouts, values

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = {  # and what a person answers beside the file
    "uci_online_retail": ("--currency", "GBP"),
    "superstore": ("--currency", "USD"),
    "chinese_pos": (),
    "german_shopware": ("--currency", "EUR"),
    "bigcommerce_orders": (),
}


def tell(figure: str, value: float, data: str) -> None:
    print(json.dumps({"figure": figure, "value": round(value, 1), "unit": "s", "data": data}), flush=True)


def timed(*command: str | Path, folder: Path) -> float:
    begun = time.perf_counter()
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one layout")
    parser.add_argument("--wheel", type=Path, help="a wheel that is there")
    options = parser.parse_args()
    layouts = load_layouts()
    with TemporaryDirectory() as place:
        folder = Path(place)
        if options.wheel is None:
            build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
            tell("build the wheel", timed(*build, folder=folder), "this checkout")
        wheel = options.wheel.resolve() if options.wheel else next(folder.glob("*.whl"))
        begun = time.perf_counter()
        venv.create(folder / "env", with_pip=True)
        timed(folder / "env/bin/pip", "install", "--quiet", "--disable-pip-version-check", wheel, folder=folder)
        installed = time.perf_counter() - begun
        tell("environment and pip install", installed, wheel.name)
        program = folder / "env/bin/promolift"
        for layout in [*LAYOUTS][: 1 if options.quick else None]:
            shop, lines = folder / layout, draw_lines(layout)
            shop.mkdir()
            cells = {column.name: values(column.form, lines, layout) for column in layouts[layout]}
            pl.DataFrame(cells).write_csv(shop / "orders.csv")
            seconds = timed(
                program, "init", "--events", "orders.csv", "--consent", "yes", *LAYOUTS[layout], folder=shop
            )
            seconds += timed(program, "run", folder=shop)
            page = shop / "promolift-report/report.html"
            if not page.is_file():
                sys.exit(f"{layout}: no {page.name}")
            tell("init and run", seconds, layout)
            tell("from pip install to the page", installed + seconds, layout)


if __name__ == "__main__":
    main()

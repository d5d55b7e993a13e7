"""Drawn files of two trades: a bank's loans, and logged impressions."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy


def bank(folder: Path, size: int = 3000, seed: int = 0, **more: Any) -> Path:
    """A file of loans under Spanish names: take-up falls with the rate, default with income, `zona` tells the sex."""
    rng = np.random.default_rng(seed)
    income, sex = rng.gamma(6, 400, size), rng.choice(["h", "m"], size)
    rate = rng.choice([0.06, 0.09, 0.12], size)
    took = rng.random(size) < scipy.special.expit(0.8 - 12 * (rate - 0.09) + 0.4 * rng.normal(size=size))
    bad = rng.random(size) < scipy.special.expit(-1.6 - 0.0012 * (income - 2400) + 0.9 * (sex == "m"))
    frame = pl.DataFrame({
        "cliente": [f"c{n}" for n in range(size)], "edad": rng.integers(17, 80, size), "sexo": sex,
        "ingreso": income.round(0), "importe": rng.integers(10, 90, size) * 100.0,
        "plazo": rng.choice([12, 24, 36], size),
        "tasa": rate, "zona": np.where(rng.random(size) < 0.95, sex, "x"), "canal": rng.choice(["web", "tel"], size),
        "acepta": np.where(took, "si", "no"),
        "impago": pl.Series(np.where(bad, "si", "no")).set(pl.Series(~took), None),
    }).with_columns(**more)  # fmt: skip
    path = folder / "clientes.csv"
    frame.write_csv(path, separator=";")
    return path


def logged(folder: Path, size: int = 6000, rate: float = 0.1, seed: int = 0) -> Path:
    """Impressions drawn unevenly; creative c is clicked three times as often at the first place."""
    rng = np.random.default_rng(seed)
    prob = np.array([0.5, 0.3, 0.2])
    shown, place = rng.choice(3, size, p=prob), rng.choice(["top", "side"], size)
    click = rng.random(size) < rate * np.where((shown == 2) & (place == "top"), 3.0, 1.0)
    pl.DataFrame({
        "ts": np.arange(size), "banner": np.array(["a", "b", "c"])[shown], "slot": place, "click": click.astype(int),
        "pscore": prob[shown], "user_id": rng.integers(0, size // 3, size),
    }).write_csv(folder / "log.csv")  # fmt: skip
    return folder / "log.csv"

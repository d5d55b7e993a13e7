"""A world in; the customers table and habits out: names, ages, jobs, consents (now and then missing), visits, app."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.simulate.draws import uniform
from promolift.simulate.world import World
from promolift.tables import CUSTOMERS

FAMILY = ("王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴")
GIVEN = {"female": ("芳", "娜", "敏", "静", "秀英", "丽"), "male": ("伟", "强", "磊", "军", "洋", "勇")}
JOBS = ("teacher", "nurse", "engineer", "driver", "clerk", "shop owner", "student", "retired")


def customers_table(world: World) -> pl.DataFrame:
    """One row per customer. Ages are years as text; age is missing for one in ten, consent for one in seven."""
    unit = {
        name: uniform(world.key(name)) for name in ("sex", "family", "given", "job", "speech", "consent", "age known")
    }
    rows = [
        {
            "customer_id": who,
            "sex": (sex := "female" if unit["sex"][i] < 0.55 else "male"),
            "name": _pick(FAMILY, unit["family"][i]) + _pick(GIVEN[sex], unit["given"][i]),
            "age": str(age) if unit["age known"][i] < 0.9 else None,
            "occupation": _job(int(age), float(unit["job"][i])),
            "income": ("low", "middle", "high")[int(np.clip(1.5 + world.level_N[i], 0, 2.99))],
            "language": "zh" if unit["speech"][i] < 0.8 else "en",
            "consent": True if (yes := unit["consent"][i]) < 0.7 else False if yes < 0.86 else None,
        }
        for i, (who, age) in enumerate(zip(world.customer_ids, world.age_N.tolist(), strict=True))
    ]
    return pl.DataFrame(rows, schema=CUSTOMERS.schema)


def visits_N(world: World) -> NDArray[np.int64]:
    """Visits a week, one to three."""
    return np.floor(1 + 3 * uniform(world.key("visits"))).astype(np.int64)


def online_N(world: World) -> NDArray[np.bool_]:
    """True for the three in five who use the app."""
    online: NDArray[np.bool_] = uniform(world.key("online")) < 0.6
    return online


def _pick(words: tuple[str, ...], unit: float) -> str:
    return words[int(unit * len(words))]


def _job(age: int, unit: float) -> str:
    if age < 22:
        return "student"
    return "retired" if age > 62 else _pick(JOBS[:6], unit)

"""Every surface prints the same figure where it means the same, on drawn shops and on logs of strangers."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import layouts
import pytest
from figure_scanner import (
    Surface,
    contradictions,
    folder_surfaces,
    live_surfaces,
    read,
    scan,
    surfaces,
    unknown_messages,
)
from layouts import LAYOUTS
from own_shop import write_shop
from planned_shop import menu
from told_shop import told_shop

from promolift.cli.application import main
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import PlanSummary

BILINGUAL = {"name": "Shop", "zone": "UTC", "languages": ("en", "zh")}
LIMITS = ((), ("count[target=tea] <= 6",), ("return >= 0.5",), ("cost_share[menu_id=coupon-25] <= 40%",))
RUNS = {  # what a shop's settings say beside what `init` proposes
    "predicted and drawn": {},
    "drawn alone": {'min_evidence = "auto"': 'min_evidence = "randomised"'},
    "nothing drawn": {"test_share = 0.1 ": "test_share = 0.0 "},
    "Chinese": {'languages = ["en"]': 'languages = ["zh", "en"]', 'currency = "USD"': 'currency = "CNY"'},
    "a large test": {"test_share = 0.1 ": "test_share = 0.5 ", "window_days = 28": "window_days = 14"},
    "cautious, letters that cost": {"# send_cost_cents = 0 ": "send_cost_cents = 45 ",
                                    "test_share = 0.1 ": 'test_share = 0.0\nrisk = {rule = "lower"} '},
}  # fmt: skip
STRANGERS = (
    "UCI Online Retail",
    "Chinese till",
    "Ta-Feng",
    "Shopify orders",
    "Shopify with customers",
    "WooCommerce",
    "GA4 as JSON lines",
    "Olist",
    "H&M",
    "list and paid price",
)
PLANTS = (  # fields of the plan's summary, changed for one surface alone
    *((field, "cli run") for field in ("value_cents", "low_cents", "cost_cents", "treated", "held_out")),
    *((field, "report en") for field in ("value_cents", "high_cents", "budget_cents", "able", "promised_cents")),
    *((field, "report zh") for field in ("value_cents", "cost_cents")),
    *((field, "mcp plan") for field in ("customers", "evidence")),
    *((field, "en console /") for field in ("value_cents", "treated")),
    ("budget_cents", "zh console /plan"), ("cost_cents", "manifest.json"),
)  # fmt: skip


def drawn_parts(seed: int) -> dict[str, Any]:
    """Settings of a drawn shop: limits, caution, evidence, suppliers, currency and language."""
    plan: dict[str, Any] = {
        "limits": LIMITS[seed % 4], "category_share": [1.0, 0.3, 0.5][seed % 3], "seed": seed,
        "risk": {"rule": ["none", "lower"][seed % 2], "z": 0.5}, "budget_cents": 3000 + 1500 * (seed % 5),
    }  # fmt: skip
    parts: dict[str, Any] = {"plan": plan, "menu": menu([0.5, 0.5, 0.9][seed % 3])}
    if seed % 3 == 1:
        plan["min_evidence"] = "assumed"
    if seed % 5 == 2:
        parts["shop"] = {"name": "Shop", "currency": "JPY", "zone": "Asia/Tokyo"}
        plan["budget_cents"] *= 4
    if seed % 5 == 4:
        parts |= {"shop": BILINGUAL, "report": {"language": "zh"}}
    return parts


def drawn(folder: Path, seed: int, **parts: Any) -> Config:
    with Store(folder) as store:
        config: Config = told_shop(store, seed, **(parts or drawn_parts(seed))).config
    return config


def run(folder: Path, *init: str, changes: Mapping[str, str] | None = None) -> Config:
    """A shop read, planned and told by the commands."""
    file, places = folder / "promolift.toml", ["--work", str(folder / "work"), "--out", str(folder / "out")]
    command("init", *init, "--config", str(file))
    text = file.read_text("utf-8")
    for before, after in (changes or {}).items():
        assert before in text
        text = text.replace(before, after)
    file.write_text(text, "utf-8")
    command("run", "--config", str(file), *places)
    return load_config(file)


def command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert not stop.value.code


def agree(config: Config, folder: Path) -> None:
    found = surfaces(config, folder)
    assert len([each for one in found for each in read(one, config.shop.currency)]) >= 40
    assert scan(found, config.shop.currency) == {}


def test_the_scanner_reads_messages_that_the_catalogue_holds() -> None:
    from babel.messages.pofile import read_po

    file = Path(layouts.__file__).parents[2] / "src/promolift/foundation/i18n/locale/zh/LC_MESSAGES/promolift.po"
    with file.open("rb") as source:
        ids = [each.id if isinstance(each.id, str) else each.id[0] for each in read_po(source) if each.id]
    assert unknown_messages(ids) == []


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 16))])
def test_no_surface_of_a_drawn_shop_contradicts_another(seed: int, tmp_path: Path) -> None:
    agree(drawn(tmp_path, seed), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_no_surface_of_a_shop_that_draws_contradicts_another(name: str, tmp_path: Path) -> None:
    write_shop(tmp_path, seed=1 + list(RUNS).index(name))
    files = [
        part for each in ("events", "products", "customers") for part in (f"--{each}", str(tmp_path / f"{each}.csv"))
    ]
    agree(run(tmp_path, *files, changes=RUNS[name]), tmp_path / "work")


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGERS)
def test_no_surface_of_a_strangers_shop_contradicts_another(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts.lines, "__defaults__", (3600, 7, 200))  # more customers, and ten months
    layout = LAYOUTS[name]
    layout.write(tmp_path)
    files = "+".join(str(tmp_path / part) for part in layout.events.split("+"))
    given = [part for answer in layout.answers for part in ("--map", answer)]
    given += [part for role, file in layout.others.items() for part in (f"--{role}", str(tmp_path / file))]
    named = [*layout.inside.values(), layout.roles]
    consent = [] if any("consent" in roles for roles in named) else ["--consent", "yes"]
    config = run(tmp_path, "--events", files, *consent, *given)
    agree(config, tmp_path / "work")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path, list[Surface]]:
    """A shop, and its surfaces."""
    folder = tmp_path_factory.mktemp("honest")
    config = drawn(folder, 1, plan={"budget_cents": 9000}, shop=BILINGUAL)
    shutil.copytree(folder, folder.with_suffix(".plain"))
    return config, folder.with_suffix(".plain"), surfaces(config, folder)


def changed(summary: PlanSummary, field: str) -> PlanSummary:
    value = getattr(summary, field)
    return summary.model_copy(update={field: "assumed" if field == "evidence" else type(value)(1.02 * value + 3)})


@pytest.mark.slow
@pytest.mark.parametrize(("field", "name"), PLANTS)
def test_a_figure_that_one_surface_prints_otherwise_is_found(
    field: str, name: str, honest: tuple[Config, Path, list[Surface]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder, plain = honest
    assert scan(plain, "USD") == {}
    shutil.copytree(folder, tmp_path / "work")
    whole: Any = vars(Plan)["summary"]
    monkeypatch.setattr(Plan, "summary", property(lambda self: changed(whole.fget(self), field)))
    make = live_surfaces if "console" in name or "manifest" in name else folder_surfaces
    faulty = next(each for each in make(config, tmp_path / "work") if each.name == name)
    found = scan([faulty if each.name == name else each for each in plain], "USD")
    assert found
    assert all(name in {each for told in texts.values() for each in told} for texts in found.values())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "field"), [("plan.csv", "treated"), ("api", "last day")])
def test_a_row_or_an_answer_that_says_otherwise_is_found(
    name: str, field: str, honest: tuple[Config, Path, list[Surface]]
) -> None:
    plain = honest[2]
    at, one = next((n, each) for n, each in enumerate(plain) if each.name.startswith(name) and each.data
                   and any(key.endswith(field) for key in each.data))  # fmt: skip
    key = next(key for key in one.data if key.endswith(field))
    other = one._replace(data=one.data | {key: one.data[key] + 1 if name == "plan.csv" else "2031-01-01"})
    assert scan([*plain[:at], other, *plain[at + 1 :]], "USD")


def test_figures_of_one_meaning_that_agree_are_no_contradiction() -> None:
    one = Surface("a", "en", "Set aside $12.00")
    assert contradictions([*read(one, "USD"), *read(one._replace(name="b"), "USD")]) == {}
    other = Surface("b", "en", "Set aside $12.01")
    assert scan([one, other], "USD") == {"cost": {"$12.00": ["a"], "$12.01": ["b"]}}

"""The screens: each a module of handlers, what they may be opened by, and their place in the navigation."""

from promolift.console.screens import (
    account,
    customers,
    data,
    developer,
    experiments,
    live,
    offers,
    plan,
    results,
    today,
    trials,
    words,
)  # fmt: skip
from promolift.console.view import NavItem

_MODULES = (
    today, data, plan, words, customers, offers, experiments, live, results, trials, developer, account,
)  # fmt: skip
SCREENS = tuple(door for module in _MODULES for door in module.DOORS)
NAV = [
    NavItem("/", "Today", "今日"),
    NavItem("/data", "Data", "数据"),
    NavItem("/plan", "Plan", "计划"),
    NavItem("/words", "Words", "文案"),
    NavItem("/customers", "Customers", "客户"),
    NavItem("/offers", "Offers", "优惠"),
    NavItem("/tests", "Tests", "测试"),
    NavItem("/live", "Live", "实时"),
    NavItem("/results", "Results", "成效"),
    NavItem("/trials", "Trials", "试验"),
    NavItem("/developer", "Developer", "开发者"),
    NavItem("/people", "People", "人员"),
]

"""The screens: each a module of handlers, what they may be opened by, and their place in the navigation."""

from promolift.console.screens import account, customers, experiments, live, plan, results, today, words
from promolift.console.view import NavItem

SCREENS = (
    *today.DOORS,
    *plan.DOORS,
    *words.DOORS,
    *customers.DOORS,
    *experiments.DOORS,
    *live.DOORS,
    *results.DOORS,
    *account.DOORS,
)
NAV = [
    NavItem("/", "Today", "今日"),
    NavItem("/plan", "Plan", "计划"),
    NavItem("/words", "Words", "文案"),
    NavItem("/customers", "Customers", "客户"),
    NavItem("/tests", "Tests", "测试"),
    NavItem("/live", "Live", "实时"),
    NavItem("/results", "Results", "成效"),
    NavItem("/people", "People", "人员"),
]

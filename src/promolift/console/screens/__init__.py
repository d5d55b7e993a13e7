"""The screens: each a module of handlers, what they may be opened by, and their place in the navigation."""

from promolift.console.screens import account, customers, data, experiments, live, plan, results, today, trials, words
from promolift.console.view import NavItem

SCREENS = tuple(
    door
    for screen in (today, data, plan, words, customers, experiments, live, results, trials, account)
    for door in screen.DOORS
)
NAV = [
    NavItem("/", "Today", "今日"),
    NavItem("/data", "Data", "数据"),
    NavItem("/plan", "Plan", "计划"),
    NavItem("/words", "Words", "文案"),
    NavItem("/customers", "Customers", "客户"),
    NavItem("/tests", "Tests", "测试"),
    NavItem("/live", "Live", "实时"),
    NavItem("/results", "Results", "成效"),
    NavItem("/trials", "Trials", "试验"),
    NavItem("/people", "People", "人员"),
]

"""The screens: each a module of handlers, what they may be opened by, and their place in the navigation."""

from promolift.console.screens import account, customers, data, live, offers, plan, today, words
from promolift.console.view import NavItem

SCREENS = (
    *today.DOORS,
    *plan.DOORS,
    *words.DOORS,
    *customers.DOORS,
    *live.DOORS,
    *data.DOORS,
    *offers.DOORS,
    *account.DOORS,
)
NAV = [
    NavItem("/", "Today", "今日"),
    NavItem("/data", "Data", "数据"),
    NavItem("/plan", "Plan", "计划"),
    NavItem("/words", "Words", "文案"),
    NavItem("/customers", "Customers", "客户"),
    NavItem("/offers", "Offers", "优惠"),
    NavItem("/live", "Live", "实时"),
    NavItem("/people", "People", "人员"),
]

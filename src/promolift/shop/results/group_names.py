"""Names of customer groups in Chinese and English."""

import re

from promolift.core.customers.comparison_groups import LOYAL, LOYALTY, NEW, OTHER_GROUP, UNKNOWN_GROUP
from promolift.foundation.i18n.formatting import localize

COLUMNS_ZH = {
    "age": "年龄", "sex": "性别", "gender": "性别", "income": "收入", "region": "地区", "province": "省份",
    "city": "城市", LOYALTY: "新老客",
}  # fmt: skip
VALUES_ZH = {NEW: "新", LOYAL: "老", UNKNOWN_GROUP: "未提供", OTHER_GROUP: "其他"}
BANDS_ZH = ((r"below (\S+)", r"\1以下"), (r"(\S+) to below (\S+)", r"\1至\2（不含）"), (r"(\S+) and more", r"\1及以上"))


def group_label(group: str) -> str:
    """A group, `column=value`, as people read it: `sex: F`, `性别：F`; `loyal customers`, `老客`."""
    column, _, value = group.partition("=")
    if column == LOYALTY:
        return localize(f"{value} customers", f"{VALUES_ZH[value]}客")
    zh = VALUES_ZH.get(value, value)
    for english, chinese in BANDS_ZH:
        if re.fullmatch(english, value):
            zh = re.sub(english, chinese, value)
    return localize(f"{column}: {value}", f"{COLUMNS_ZH.get(column, column)}：{zh}")

"""The worked case: customer A viewed products 1 and 2, bought 1, and is offered 20 % off product 2."""

import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "customer_a.py"
ZH = "尊敬的用户A，您刚刚购买了商品1，现在购买商品2可以享受8折优惠！"
EN = "Dear Customer A, you just bought Product 1, and now you can enjoy 20% off Product 2!"


def test_the_example_script_prints_both_sentences(capsys):
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert capsys.readouterr().out.splitlines() == [ZH, EN]

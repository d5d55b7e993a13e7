"""Cues of invented claims, by kind, in both languages: words a true text about an offer has no use for.

A fair reading lets moods, scenes and questions pass in any words. What it must not let pass is a claim: the offer says
nothing of quality, origin, effects, praise, stock, gifts, delivery, past prices, or who may use it. Each kind is one
pattern per language, in `claim_cues_en.py` and `claim_cues_zh.py`; a new claim is met by widening its kind, not by
adding its sentence. In the patterns U+E000 stands for the offered name.
"""

import re

from promolift.message.reading import claim_cues_en, claim_cues_zh
from promolift.message.reading.patterns import any_of
from promolift.terms import Language

CUES: dict[Language, tuple[re.Pattern[str], ...]] = {"en": claim_cues_en.CUES, "zh": claim_cues_zh.CUES}
# What a clause says of the product when it only follows the terms: 'they get softer with every wash', 戴着睡觉也不疼.
REMARKS: dict[Language, re.Pattern[str]] = {
    "en": any_of(
        r"""
        (?:they|they're|they've|they'll|these|each one|every one|its|it (?!all|ends|runs|is|was|might|may|could|can
            |would|will be|won't|counts|works|applies|starts|takes|adds|covers
            |includes|expires|closes|lasts|stays open|stops
            |really|couldn't|doesn't (?:matter|get))[a-z]+)\b
        """,
        head=r"^\W*(?:(?:and|because|as|but|so|since|even)\W+)?",
    ),
    "zh": any_of(r"""
        也(?:不(?!用|必|错|迟|晚|是|急|贵)|没(?!关系)|能(?!用|享|买)|看不)|都(?:不(?!用|必|是|贵)|没)|一?整天|管(?:饱
            |用|够)|[好香软暖舒爽][^，。！]{0,3}得(?:很|不|像)
        不(?:疼|痛|累|困|犯困|闷|扎|湿|掉|滑|腻|晃|刺|痒|干|紧|卡|断|漏|坏|愁|烫|臭|腥|苦|粘|塌|皱|透|冷场|酸|涩)
            |[一二两三四五六七八九十几]+(?:年|天|个?小时)(?:不|内|都)|像[^，。！]{1,6}一样|站得住|扛得住|顶得住
    """),
}

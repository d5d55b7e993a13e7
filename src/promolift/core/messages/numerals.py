"""Read the numbers that people write: digits of any script and width, Chinese numerals and English number words."""

import re
import unicodedata
from decimal import Decimal

from promolift.core.offers.product_names import load_toml

# what is read as something else: a traditional character as its simplified form, signs and blanks as the plain ones
_PAIRS: str = load_toml("messages/fact_check.toml")["as_plain"]
_AS_PLAIN = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True)) | dict.fromkeys("\u00a0\u202f\u3000", " ")
_AS_PLAIN |= dict.fromkeys("’‘", "'") | dict.fromkeys("–—−‐‑", "-") | dict.fromkeys("〜～", "~") | {"￥": "¥"}
_FORMAL = re.compile("[壹贰叁肆伍陆柒捌玖拾佰仟]{2,}|[壹贰叁肆伍陆柒捌玖拾佰仟](?=[元圆折])")  # alone: family names
_FORMAL_DIGITS = str.maketrans("壹贰叁肆伍陆柒捌玖拾佰仟", "一二三四五六七八九十百千")


def normalise_text(text: str) -> str:
    """`text` with plain digits, Latin letters, signs and simplified characters, one character for one."""
    return "".join(map(_plain_character, _FORMAL.sub(lambda m: m.group().translate(_FORMAL_DIGITS), text)))


def _plain_character(c: str) -> str:
    if c < "\x7f":
        return c
    if c in _AS_PLAIN:
        return _AS_PLAIN[c]
    if "\ue000" <= c <= "\uf8ff":
        return "?"
    if "\uff01" <= c <= "\uff5e" and c not in "，！？；：":  # full width; Chinese punctuation keeps its meaning
        return chr(ord(c) - 0xFEE0)
    digit = unicodedata.digit(c, None)  # circled, superscript and other scripts' digits
    return str(digit) if digit is not None else c


DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
CHINESE_NUMERAL = r"[零〇一二两三四五六七八九十百千万]+(?:点[零〇一二三四五六七八九]+)?"
_ONES = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
""".split()  # noqa: SIM905
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
_WORDS = {word: at for at, word in enumerate(_ONES)} | {
    f"{ten}-{one}" if at else ten: 20 + 10 * tens + at
    for tens, ten in enumerate(_TENS) for at, one in enumerate(_ONES[:10])
}  # fmt: skip
_WORDS |= {f"{word} hundred": 100 * value for word, value in (_WORDS | {"a": 1}).items()} | {"a thousand": 1000}
ANY_WORD = "|".join(sorted((word.replace("-", "[ -]") for word in _WORDS), key=len, reverse=True))
_HAN_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_HAN_UNITS = {"十": 10, "百": 100, "千": 1000}


def parse_number(text: str) -> Decimal:
    """The value of digits ('1,234.5'), Chinese numerals ('两百五', '七点五') or English words ('twenty-five')."""
    text = text.strip()
    if text[0].isdigit():
        return Decimal(text.replace(",", ""))
    if text[0].isascii():
        words = text.lower()
        return Decimal(_WORDS[words] if words in _WORDS else _WORDS[words.replace(" ", "-", 1)])
    whole, _, fraction = text.partition("点")
    decimals = "".join(str(_HAN_DIGITS[c]) for c in fraction)
    if all(c in _HAN_DIGITS for c in whole):  # digits read one by one: 二〇二六, 七五
        return Decimal("".join(str(_HAN_DIGITS[c]) for c in whole) + (f".{decimals}" if decimals else ""))
    total, last, digit, unit = 0, 0, 0, 1
    for c in whole:
        if c in _HAN_DIGITS:
            digit = _HAN_DIGITS[c]
        elif c == "万":
            total, last, digit, unit = (total + digit) * 10_000, 10_000, 0, 10_000
        else:
            unit = _HAN_UNITS[c]
            total, last, digit = total + (digit or 1) * unit, unit, 0
    spoken = last > 10 and "零" not in whole and "〇" not in whole  # 两百五 is 250, 两百零五 is 205
    return Decimal(f"{total + (digit * (last // 10) if spoken else digit)}.{decimals or 0}").normalize()

"""The rules of Chinese, applied from the top down; wetext reads what is left."""

import re

from sparktts_ms.text.normalize_en import read_ordinal
from sparktts_ms.text.rules import (
    ADDRESS,
    NUMBER,
    Grammar,
    WetextReader,
    one_of,
    rule,
    spell_address,
)
from sparktts_ms.text.syllables import CJK

read = WetextReader("zh")

DIGITS = "零一二三四五六七八九"
ADDRESS_NAMES = {
    ".": "点", "@": "艾特", "/": "斜杠", ":": "冒号", "-": "杠", "_": "下划线", "+": "加",
    **{str(n): name for n, name in enumerate(DIGITS)}}
CURRENCIES = {
    "¥": "元", "$": "美元", "US$": "美元", "HK$": "港元", "NT$": "新台币", "€": "欧元", "£": "英镑",
    "₩": "韩元", "RMB": "元", "CNY": "元", "USD": "美元", "EUR": "欧元", "GBP": "英镑",
    "JPY": "日元", "HKD": "港元"}
UNITS = {
    "mL": "毫升", "g": "克", "kg": "公斤", "KG": "公斤", "KM": "公里", "W": "瓦", "V": "伏",
    "kWh": "千瓦时", "mAh": "毫安时", "Hz": "赫兹", "kHz": "千赫", "MHz": "兆赫", "GHz": "吉赫",
    "Pa": "帕", "kPa": "千帕", "dB": "分贝"}
# Measure words before which 2 is 两.
MEASURE_WORDS = (
    "次种倍点份件家款项套类趟遍回下枚颗粒台辆艘架栋座位名条本张只头匹个间样群组季局轮盘圈"
    "個種條張隻間樣組輪")
# What is followed by a number that is said digit by digit.
DIGITS_FOLLOW = "号码|编号|学号|工号|卡号|尾号|单号|账号|密码|验证码|邮编|房间号|房号|QQ号?|微信号?"
SIGN = one_of(CURRENCIES)
DASH = "[-~—–]"


def _digits(number: str, one: str = "幺") -> str:
    """Digit by digit; 1 is 幺 in telephone numbers and codes. Separators are left out."""
    names = DIGITS.replace("一", one)
    return "".join(names[int(c)] if c.isdigit() else c for c in number if c.isalnum())


def _cardinal(number: str) -> str:
    """A number that counts, read as an amount of money: a bare 110 is a hotline for wetext, and a
    bare 2 is 二."""
    return read(number.replace(",", "") + "元").removesuffix("元")


def _ordinal(number: str) -> str:
    """A number that orders, as in 第二 and 二月: never 两."""
    return _cardinal(number).replace("两", "二")


def _money(match: re.Match[str]) -> str:
    last = f"到{_cardinal(match['last'])}" if match["last"] else ""
    return _cardinal(match["first"]) + last + match["scale"] + CURRENCIES[match["sign"]]


def _percentage(match: re.Match[str]) -> str:
    unit = "千分之" if match["unit"] == "‰" else "百分之"
    sign = {"-": "负", "+": "正"}.get(match["sign"], "")
    last = f"到{unit}{_cardinal(match['last'])}" if match["last"] else ""
    return unit + sign + _cardinal(match["first"]) + last


def _range_or_score(match: re.Match[str]) -> str:
    """Two years, a range if it rises, else a score."""
    first, last = match.groups()
    if re.fullmatch("(?:(?:19|20)[0-9]{2}){2}", first + last):
        return f"{_digits(first, '一')}到{_digits(last, '一')}"
    return f"{first}到{last}" if float(first) < float(last) else f"{first}比{last}"


def _ordinal_range(match: re.Match[str]) -> str:
    return f"第{_ordinal(match[1])}" + (f"到{_ordinal(match[2])}" if match[2] else "")


RULES = (
    rule("写信到abc1@example.com -> 写信到abc一艾特example点com", ADDRESS,
         lambda m: spell_address(m[0], ADDRESS_NAMES, "")),
    rule("电话+86 138 1234 5678 -> 电话加八六幺三八幺二三四五六七八",
         r"\+(\d{1,3}[- ]?\d[\d -]{5,}\d)", lambda m: "加" + _digits(m[1])),
    rule("请拨010-12345678 -> 请拨零幺零幺二三四五六七八",
         r"(?<![\w.])(?:1[3-9]\d([- ]?)\d{4}\1\d{4}|0\d{2,3}-\d{7,8}"
         r"|[48]00-\d{3}-?\d{4}|[48]00-\d{4}-\d{3})(?!\d)", lambda m: _digits(m[0])),
    rule("房间号302 -> 房间号三零二",
         rf"((?:{DIGITS_FOLLOW})[是为:： ]{{0,2}})(\d+)(?![\d.])", lambda m: m[1] + _digits(m[2])),
    rule("身份证11010119900307888X -> 身份证幺幺零幺零幺幺九九零零三零七八八八X",
         r"(?<![\w.])(?:\d{11,}[Xx]?|(?:19|20)\d{6})(?![\d.])", lambda m: _digits(m[0])),
    rule("投资¥50-100万 -> 投资五十到一百万元",
         rf"(?P<sign>{SIGN}) ?(?P<first>{NUMBER})(?: ?[-~—–至到] ?(?:{SIGN})?(?P<last>{NUMBER}))?"
         r" ?(?P<scale>[百千万亿]*)(?:[美欧]?元)?", _money),
    rule("一共20万USD -> 一共二十万美元",
         rf"(?P<first>{NUMBER})(?P<last>) ?(?P<scale>[百千万亿]*)"
         r"(?P<sign>[$€£]|RMB|CNY|USD|EUR|GBP|JPY|HKD)(?![A-Za-z])", _money),
    rule("下降了-1.2% -> 下降了百分之负一点二",
         rf"(?:(?<![\w%])(?P<sign>[-+]))?(?P<first>{NUMBER})"
         rf"(?:[%‰]? ?[-~—–至到] ?(?P<last>{NUMBER}))? ?(?P<unit>[%‰])", _percentage),
    rule("一共1,234,567人 -> 一共一百二十三万四千五百六十七人",
         r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?(?! ?[A-Za-z°])",
         lambda m: _cardinal(m[0])),
    rule("1,200kg大米 -> 一千二百公斤大米", r"(?<=\d),(?=\d{3}(?!\d))", ""),
    rule("第1-3名 -> 第一到三名",
         rf"(?:第|\b[Nn][Oo]\. ?)(\d+)(?:{DASH}第?(\d+))?(?!\.?\d|/)", _ordinal_range),
    rule("2月22号 -> 二月二十二号", r"(?<![\d.])(\d{1,2})月(\d{1,2})(?=[日号])",
         lambda m: f"{_ordinal(m[1])}月{_ordinal(m[2])}"),
    rule("在2日 -> 在二日", r"(?<![\d.])2(?=日)", "二"),
    rule("500mL水 -> 五百毫升水", rf"(?<=\d) ?({one_of(UNITS)})(?![\w/²³])", lambda m: UNITS[m[1]]),
    rule("5-3获胜 -> 五比三获胜",
         r"(?<![\w.+×÷*/=-])([1-9]\d*(?:\.\d+)?)-([1-9]\d*(?:\.\d+)?)(?! ?[\w.+×÷*/=°-])",
         _range_or_score),
    rule("5月1日-7日 -> 五月一日到七日",
         rf"(?<=[年月日号点分]) ?{DASH} ?(?=\d)|(?<=[\d%°CF²³]) ?[~—–] ?(?=\d)", "到"),
    rule("大概~30个 -> 大概约三十个", r"~ ?(?=\d)", "约"),
    rule("2年，2次 -> 两年，两次", rf"(?<![\w.~/:-])2(?=[{MEASURE_WORDS}]|年(?!级))", "两"),
    rule("版本2.5.1 -> 版本二点五点一",
         r"(?<![\d.])(?!\d{4}\.)(?:\d+(?:\.\d+){2}|\d+(?:\.\d+){4,})(?!\.?\d)",
         lambda m: "点".join(map(_ordinal, m[0].split(".")))),
    rule("得1st -> 得first", r"(?<!\d)(\d{1,9})(?:st|nd|rd|th)\b", lambda m: read_ordinal(m[1])),
    rule("我用GPT-4 -> 我用GPT 四", r"(?<=[A-Za-z])-(?=\d)|(?<=\d)-(?=[A-Za-z])", " "),
    rule("病毒H1N1 -> 病毒H一N一", r"(?<=[A-Za-z])\d+(?=[A-Za-z])", lambda m: _digits(m[0], "一")),
    rule("京A12345 -> 京A幺二三四五", r"(?<=[A-Za-z])\d{3,}(?![\d.%:])", lambda m: _digits(m[0])),
    rule("在1208室 -> 在幺二零八室", r"(?<![\w.])\d{3,4}(?=[室房])", lambda m: _digits(m[0])),
    rule("凌晨0:30 -> 凌晨零点三十分", r"(?<![\d:.])0(?=:[0-5]\d)", "00"),
    rule("住#5 -> 住五号", r"#(\d+)", r"\1号"),
    rule("我&你 -> 我和你", rf"(?<=[{CJK}]) ?& ?(?=[{CJK}])", "和"),
    rule("做R&D -> 做R and D", " ?& ?", " and "),
    rule("学C++ -> 学C加加", r"(?<=[A-Za-z])\+\+", "加加"),
    rule("求3+5 -> 求三加五", r"(?<=[\w)]) ?\+ ?(?=[\w(])|(?<=\d)\+", "加"),
    rule("设a=3 -> 设a等于三", r"(?<=[\w)%]) ?= ?(?=[\w(-])", "等于"),
    rule("求10×2 -> 求十乘二", r"(?<=\d) ?[×*xX] ?(?=\d)", "乘"),
    rule("5元/个 -> 五元每个", rf"(?<=[元块分])/(?=[{CJK}])", "每"),
    rule("3个人 -> 三个人",
         r"(?:[-+±]?[$€£¥]?\d(?:[A-Za-z0-9.,:/%°²³+×÷=<>≥≤-]*[A-Za-z0-9%°²³])?"
         rf"(?: ?[{CJK}]{{1,3}})?)+", lambda m: read(m[0])),
)

TRIGGER = re.compile(r"[0-9０-９½⅓⅔¼¾&＆@＠+＋=＝]|www\.|://")
GRAMMAR = Grammar(RULES, TRIGGER, spaced=False)

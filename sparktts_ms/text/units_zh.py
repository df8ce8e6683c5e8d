"""Units and currencies in Chinese, by how they are written."""


def _names(table: str) -> dict[str, str]:
    """Lines of a name and the ways it is written, as a mapping from the latter."""
    names = {}
    for line in table.split("\n"):
        name, *written = line.split() or [""]
        names.update(dict.fromkeys(written, name))
    return names


CURRENCIES = _names("""
    元 ¥ RMB RMB¥ CN¥ CNY CNY¥
    美元 $ US$ USD USD$
    澳元 A$ AU$ AUD AUD$
    加元 C$ CA$ CAD CAD$
    港元 HK$ HKD HKD$
    新台币 NT$ TWD NTD
    新加坡元 S$ SG$ SGD
    新西兰元 NZ$ NZD
    澳门元 MOP MOP$
    雷亚尔 R$ BRL
    日元 JP¥ JPY JPY¥ 円
    欧元 € EUR EUR€
    英镑 £ GBP GBP£
    韩元 ₩ KRW
    印度卢比 ₹ INR
    卢布 ₽ RUB
    泰铢 ฿ THB
    越南盾 ₫ VND
    比索 ₱ PHP
    里拉 ₺ TRY
    瑞士法郎 CHF
    林吉特 MYR
    比特币 ₿ BTC""")
# A currency's name after an amount is not said twice.
CURRENCY_WORDS = "元|美元|美金|日元|欧元|英镑|港元|港币|澳元|加元|韩元|新台币|台币|人民币"

PREFIXES = {"k": "千", "M": "兆", "G": "吉", "m": "毫", "μ": "微", "u": "微", "n": "纳", "p": "皮",
            "c": "厘", "d": "分", "h": "百"}
BASES = {       # name, prefixes
    "Hz": ("赫兹", "kMG"), "W": ("瓦", "kMGm"), "Wh": ("瓦时", "kMG"), "V": ("伏", "kmμ"),
    "Ω": ("欧", "kMm"), "F": ("法", "μunp"), "Pa": ("帕", "kMGhm"), "J": ("焦", "kM"),
    "N": ("牛", "kM"), "Ah": ("安时", "m"), "mol": ("摩尔", "mμn"), "g": ("克", "mμun"),
    "L": ("升", "mμdc"), "l": ("升", "mμdc"), "m": ("米", "mμuncd"), "s": ("秒", "mμn"),
    "cal": ("卡", "k"), "Sv": ("西弗", "mμ"), "Bq": ("贝可", "kM"), "eV": ("电子伏", "kMG"),
    "A": ("安", "kmμ"), "H": ("亨", "mμ"), "T": ("特斯拉", "mμ")}
# Alone, these are also letters of a name: 10A and 5T are read as letters.
AMBIGUOUS = frozenset("AFHT")

UNITS = {prefix + unit: PREFIXES[prefix] + name
         for unit, (name, prefixes) in BASES.items() for prefix in prefixes}
UNITS |= {unit: name for unit, (name, _) in BASES.items() if unit not in AMBIGUOUS}
UNITS |= _names("""
    赫兹 hz HZ
    千赫 kHz KHz Khz
    兆赫 MHz Mhz
    吉赫 GHz Ghz
    公斤 kg KG Kg
    公里 km KM Km
    厘米 CM
    毫米 MM
    毫升 ML cc CC
    吨 t
    公顷 ha
    小时 h hr hrs
    分钟 min mins
    秒 sec secs
    千瓦 KW kw
    千伏 KV kv
    千瓦时 KWh kwh KWH
    毫安时 MAH mah
    欧姆 ohm
    千欧 KΩ
    分贝 dB db
    流明 lm
    勒克斯 lx lux
    坎德拉 cd
    千卡 Kcal
    英尺 ft
    英寸 in inch
    码 yd
    英里 mi mile
    磅 lb lbs
    盎司 oz
    加仑 gal
    毫米汞柱 mmHg
    厘米水柱 cmH2O
    国际单位 IU
    转每分钟 rpm RPM
    帧每秒 fps FPS
    像素 px
    比特每秒 bps
    千比特每秒 kbps Kbps
    兆比特每秒 Mbps
    吉比特每秒 Gbps
    英里每小时 mph
    公里每小时 kph
    摄氏度 ℃ °C
    华氏度 ℉ °F
    度 °""")
for _unit, _name in (("km", "公里"), ("m", "米"), ("cm", "厘米"), ("mm", "毫米"), ("dm", "分米"),
                     ("ft", "英尺"), ("in", "英寸")):
    UNITS |= dict.fromkeys((_unit + "²", _unit + "^2", _unit + "2"), "平方" + _name)
    UNITS |= dict.fromkeys((_unit + "³", _unit + "^3", _unit + "3"), "立方" + _name)

# What a unit is called after "per".
PER = _names("""
    小时 h hr
    二次方秒 s² s^2 s2
    天 d day
    月 month mo
    年 yr year""")

"""The rules of Chinese, applied from the first to the last.

They are written in Simplified characters; `traditional` serves the other script.
"""

import re
import unicodedata
from decimal import Decimal

from sparktts_ms.text.normalize_en import read_ordinal as read_english_ordinal
from sparktts_ms.text.numbers_zh import read_cardinal, read_count, read_digits, read_ordinal
from sparktts_ms.text.rules import ADDRESS, NUMBER, Grammar, one_of, rule, spell_address
from sparktts_ms.text.syllables import CJK
from sparktts_ms.text.units_zh import CURRENCIES, CURRENCY_WORDS, PER, UNITS

Match = re.Match[str]

ADDRESS_NAMES = {
    ".": "点", "@": "艾特", "/": "斜杠", ":": "冒号", "-": "杠", "_": "下划线", "+": "加",
    "~": "波浪号",
    **{str(n): name for n, name in enumerate("零一二三四五六七八九")}}
HOST = (r"(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,5}"
        r"(?:com|cn|net|org|edu|gov|io|ai|tv|cc|top|xyz|app|dev|me|info|co|jp|uk|hk|tw|us)"
        r"(?![A-Za-z0-9-])(?::\d{1,5})?(?:/[\w./~#-]{0,200}[\w/])?")
DASH = "[-~—–]{1,2}"
RANGE = f" ?{DASH} ?"
LIST = "、|，|,|/|或者?|和|与|及|跟"
LETTER_AFTER = "(?![A-Za-z])"
PLATE = "[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领港澳][A-Z]"

# Words that say what a number is; the number follows, or stands before.
TELEPHONE = (
    "电话号码|电话|手机号码?|手机|座机|热线|专线|传真|客服|致电|拨打|请拨|拨通|来电|短信|咨询"
    "|联系方式|联系人"
    "|分机号?|总机|号码|QQ号?码?|QQ群号?|微信号?|TEL|Tel|tel|Fax|FAX")
# Said digit by digit, and 1 is 幺.
SPELLED = (
    "分机号?|身份证号?码?|学号|工号|卡号|尾号|单号|账号|帐号|密码|验证码|校验码|动态码|邮编"
    "|邮政编码"
    "|房间号|房号|会议号"
    "|QQ号?码?|QQ群号?|微信号?|号码|会员号|会员卡号?|社保号|社保卡号?|医保号|医保卡号?|公积金号"
    "|账户|帐户|用户号|客户号|户号|保单号|学籍号|准考证号?|借书证号?|资产号|设备号|银行卡号?|工资卡号?")
# Said digit by digit.
CODE = (
    "编码|编号|代码|代号|型号|机型|车型|取件码|提取码|提货码|取货码|取餐[码号]|取票[码号]|兑换码"
    "|邀请码|激活码"
    "|优惠码|识别码|条形?码|批号|序列号|流水号|口令|PIN码?|房间|包间|包厢|柜号|门牌号?|案号|文号"
    "|货号|款号|版号"
    "|证号|护照号?码?|订单号?|ISBN|ID|车架号|发票号码?|合同号|档案号|区号|车位|机位|工位|考号"
    "|座位号|储物柜"
    "|教室|会议室|办公室|病房|宿舍|寝室|机房|料号|图号|货架号?|库位号?|仓位号?|刊号|运单号?"
    "|快递单号?")
FIGURE = (
    "图表|图|表|式|公式|附录|例题?|练习|习题|题|节|章节|课|实验|案例|专栏|算法|定理|附表|附图"
    "|单元")
DESIGNATION = (
    "(?:歼轰|歼|轰|运油|武直|强击|无侦|攻击|东风|长征|红旗|嫦娥|神舟|天宫|天舟|天问|鹰击|巨浪"
    "|长剑|霹雳|海鹰|米格"
    "|伊尔|雅克|彩虹|翼龙|快舟|力箭|北斗|风云|实践|梦舟|朱雀|波音|空客|麒麟|骁龙|天玑|联盟|阿波罗"
    "|双子座|旅行者"
    "|玉兔|奋斗者|猎鹰|枭龙|高分|遥感|中星|亚太|天链|谷神星|引力|捷龙|水手|先驱者|海红旗|标枪"
    "|爱国者)-?"
    "|(?:运|直|强|教|苏|米|图|安|攻|卡|轰|歼|直|号|星|鹰|龙|剑|箭|舰|型|式|代)-")
SCORE = (
    "战胜|击败|打败|负于|不敌|战平|打平|逼平|踢平|握手言和|获胜|取胜|大胜|完胜|险胜|小胜|惜败"
    "|落败|告负|战败"
    "|领先|落后|反超|逆转|淘汰|横扫|力克|力压|轻取|完败|惨败|绝杀|取得|拿下|赢|输|胜|负|平局|平"
    "|败给|败|晋级"
    "|反败|的?比分|的?大比分|的?总比分|结束|告捷|收官|告终|完场")
SCORE_BEFORE = re.compile(
    "比分|比例|比率|配比|之比|比值|比为|大胜|战胜|击败|不敌|负于|完胜|险胜|领先|落后|战平|赔率"
    "|胜率|宽高比|长宽比"
    "|画幅|以$|局$"
    "|(?<![收开])盘$|半场$|半场为$|节$|比[零一二三四五六七八九十百]{1,4}[、，, ]{1,2}$")
DURATION = re.compile("(?:时长|片长|配速|用时|耗时|成绩|全长|历时|倒计时|跑出"
         "|计时)[了为是约达到:： ]{0,2}$")
HOTLINE = (
    r"(?:11[0249]|12[02]|999|9999|1000[01]|10010|10086|10099|1111[0-9]|111[0-9]{2}|121[0-9]{2}"
    r"|123[0-9]{2}"
    r"|12580|9[56]\d{3,4})")
CALL = (
    "拨打|拨通|请拨|拨叫|致电|拨|呼叫|报警|急救|火警|匪警|热线|电话|客服|专线|短号|咨询|投诉|举报"
    "|查号|订票|抢险"
    "|发送到|发送至|发短信到|发至|编辑短信发送到|消防|求助|打|联系")
CALLED = (
    "热线|电话|报警|急救|客服|接警|出警|指挥|平台|救护|官网|网站|网址|服务热线|消防|火警|民警"
    "|警察|购票|订票"
    "|营业厅|网厅|掌厅|客户服务|人工|买票|抢票|候补|上?(?:订|购|买|抢|查|改签|退)|短信|查询|投诉|举报|中心|专线|app|APP|App|政务")
SPOKEN_DIGIT = "零幺一二三四五六七八九"

# Measure words before which 2 is 两, and what keeps it 二.
MEASURE = re.compile(
    "(?:个|只|条|张|位|名|次(?!元|函数|方|日)|件|家|款|项|套|类|趟|遍|回|下|枚|颗|粒|台|辆|艘|架"
    "|座|间|头|匹"
    "|样|群|局|轮|盘|圈|种|倍|点(?![零一二三四五六七八九])|份|杯|瓶|碗|盒|箱|袋|包|副|双|对"
    "|把(?!手)|根|支|枝|朵"
    "|棵|株|片|块|毛|角|分(?!之)|元(?![一二三]次|函数|方程|论)|岁|天|周(?!目)|年(?!级)|秒|夜|晚"
    "|句|段|篇|页|章"
    "|首|幅|封|门|节|场|届|批|排|行|列|串|堆|步|刀|枪|拳|口|顿|声|面|扇|堵|道|重|股|丝|滴|团|伙"
    "|帮|斤|里|米"
    "|尺|丈|升|克|吨|亩|顷|公斤|公里|公顷|公升|公尺|英里|英尺|英寸|英亩|毫|厘|微|纳|平|立方|千|百"
    "|万|亿|成"
    "|折|人(?!转|称)|者|国|省|市|县|镇|侧|边|端|方|岸|小时|分钟|刻钟|季(?!度)|度|本(?!院|线)|部"
    "|集|卷|册|席"
    "|艇|列|层楼|层小|层的|学期|学年|星期|礼拜|昼夜|世纪|周年|杆|针|剂|颗|发|炮|笔|单(?!元)|桌|锅"
    "|勺|匙|桶|罐"
    "|捆|卡车|伏|瓦|安培|赫兹|焦|牛|兆|两个|餐|身|棍|缕|束|摞|叠|沓|打(?!折)|筐|篮|听|支|梭|车|船"
    "|页|版面|居室"
    "|室[一二三四\\d]厅|厅|卫|胞胎|种|球|所|地(?!铁)|男|女|房[一二三四\\d]厅|代人|级台阶|组|隻|週"
    "|臺|名|美元|欧元|港元|澳元|加元|日元"
    "|英镑|港币|瓣|弯"
    "|点(?=[零一二三四五六七八九十]{1,3}分))")
# Of cars, telephones, cameras and the like; three or four digits after them are a model.
BRANDS = (
    "诺基亚|摩托罗拉|爱立信|索尼|佳能|尼康|富士|徕卡|松下|惠普|联想|戴尔|华硕|宏碁|三星|黑莓|奔驰|宝马|标致"
    "|雷克萨斯|马自达|沃尔沃|保时捷|法拉利|菲亚特|英特尔|酷睿|锐龙|卡西欧|罗技|爱普生|理光|雅马哈|川崎"
    "|铃木|杜卡迪|庞巴迪|塞斯纳|任天堂|雅达利")
# Counted, but said with 二 before them.
COUNTED = re.compile("(?:余|多)?(?:字|词|户|票|卡|大卡|千卡|分贝|步|股|床|座|转|毫|例|宗|单)")
NOT_A_CODE = (
    "(?!元|块|个|次|人|台|条|份|万|亿|千|年|月|小时|分钟|分|天|多|余|%|％|位|间|米|平|起|套|遍|种"
    "|项|秒|字|家"
    "|层|岁|户|单|名|克|公|辆|折|倍|以上|以下|以内|\\.\\d|,\\d{3})")


def _before(match: Match, length: int = 12) -> str:
    """The clause's characters before a match."""
    text = match.string[max(0, match.start() - length):match.start()]
    return re.split("[。！？；\n]", text)[-1]


def _after(match: Match, length: int = 8) -> str:
    return match.string[match.end():match.end() + length]


def _amount(number: str, after: str) -> str:
    """A number before the characters `after`."""
    if number == "2" and MEASURE.match(after.lstrip(" ")):
        return "两"
    return read_cardinal(number)


def _ip_address(match: Match) -> str:
    spoken = "点".join(map(read_digits, match[1].split(".")))
    port = f"冒号{read_digits(match[2])}" if match[2] else ""
    return spoken + port + (f"斜杠{read_cardinal(match[3])}" if match[3] else "")


def _sign(sign: str | None) -> str:
    return {"-": "负", "+": "正", "±": "正负"}.get((sign or "").strip(), "")


def _scaled(number: str, scale: str | None) -> tuple[str, str]:
    """1.2M -> ("1200000", ""), 1.5w -> ("1.5", "万"): the number and what is said after it."""
    factor = {"k": 3, "m": 6, "mn": 6, "b": 9, "bn": 9, "t": 12,
         "tn": 12}.get((scale or "").lower())
    if scale in ("w", "W"):
        return number, "万"
    if factor is None:
        return number, scale or ""
    value = Decimal(number.replace(",", "")) * 10 ** factor
    return (f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"), ""


def _date(year: str, month: str, day: str | None = None) -> str:
    spoken = f"{read_digits(year)}年" if year else ""
    spoken += f"{read_ordinal(str(int(month)))}月"
    return spoken + (f"{read_ordinal(str(int(day)))}日" if day else "")


def _time(hour: str, minute: str, second: str | None = None) -> str:
    spoken = f"{read_count(str(int(hour)))}点"
    has_second = second is not None and int(second) > 0
    if int(minute) or has_second:
        spoken += {"0": "零"}.get(minute[0], "") + read_cardinal(str(int(minute))) + "分"
    return spoken + (f"{read_count(str(int(second or 0)))}秒" if has_second else "")


def _iso_time(match: Match) -> str:
    zone = match["zone"] or ""
    spoken = _date(match["year"], match["month"], match["day"])
    spoken += _time(match["hour"], match["minute"], match["second"])
    hours = re.fullmatch(r"([+-])(\d\d):?(?:00)?", zone)
    if hours and int(hours[2]):
        spoken += f"{'东' if hours[1] == '+' else '西'}{read_ordinal(str(int(hours[2])))}区"
    return spoken


def _full_date(match: Match) -> str:
    return _date(match["year"], match["month"], match["day"])


def _american_date(match: Match) -> str:
    month, day = match[1], match[2]
    if int(month) > 12:
        month, day = day, month
    return _date(match[3], month, day) if 0 < int(month) < 13 else match[0]


def _clock(match: Match) -> str:
    """A time of day, unless the words around it tell of a score, a ratio or a duration."""
    hour, minute, second = match["hour"], match["minute"], match["second"]
    before, after = _before(match), _after(match)
    if DURATION.search(before):
        parts = [part for part in (hour, minute, second) if part]
        spoken = "".join(read_count(str(int(part))) + name
                         for part, name in zip(parts, ("小时", "分",
         "秒")[-len(parts):], strict=True))
        return spoken + (read_digits(match["fraction"]) if match["fraction"] else "")
    is_score = SCORE_BEFORE.search(before) or re.match(f"(?!结束)(?:{SCORE})", after)
    if not second and not match["half"] and is_score:
        return f"{read_cardinal(hour)}比{read_cardinal(minute)}"
    half = ""
    if match["half"] and not re.search("(?:上午|下午|早上|晚上|凌晨|中午|傍晚) ?$", before):
        half = "上午" if match["half"] in "aA" else "下午"
    return half + _time(hour, minute, second)


def _ratio(match: Match) -> str:
    return "比".join(read_cardinal(part) for part in match[0].split(":"))


def _spelled(match: Match) -> str:
    return match[1] + read_digits(match[2], "幺")


def _code(match: Match) -> str:
    """The groups of a code with 杠 between them; one or two digits alone are a number."""
    code = match[2]
    if re.fullmatch(r"[1-9]\d?", code):
        return match[1] + read_cardinal(code)
    return match[1] + _hyphenated(code)


def _hyphenated(code: str) -> str:
    groups = re.split(r"[-–—/]", code)
    return "杠".join(read_digits(group) if re.search(r"\d", group) else group for group in groups)


def _spell_all(match: Match, one: str = "幺") -> str:
    """All numbers of a match digit by digit; what separates the digits of one is left out."""
    text = re.sub(r"(?<=\d)[-–—. ()（）]{1,3}(?=\d)", "", match[0])
    text = re.sub(r"[(（](?=[+\d])|(?<=\d)[)）]", "", text).replace("+", "加")
    return re.sub(r"\d+", lambda m: read_digits(m[0], one), text)


def _more_numbers(match: Match) -> str:
    numbers = re.sub(r"\d[\d -]*\d", lambda m: read_digits(m[0], "幺"), match[0])
    return numbers.replace("/", "、")


def _hotline(match: Match) -> str:
    return re.sub(r"\d+", lambda m: read_digits(m[0], "幺"), match[0])


def _money(match: Match) -> str:
    currency = CURRENCIES[match["sign"]]
    minus = "负" if match["minus"] else ""
    chinese = match["chinese"] or ""
    first, first_scale = _scaled(match["first"], match["scale"])
    unit = currency
    spoken = ""
    if match["last"]:
        last, last_scale = _scaled(match["last"], match["last_scale"])
        if match["last_scale"] and not match["scale"]:
            first, first_scale = _scaled(match["first"], match["last_scale"])
            first_scale = "" if first_scale else first_scale
        spoken = f"到{_price(last, last_scale + chinese + unit)}{last_scale}"
    spoken = _price(first, first_scale + chinese + unit) + first_scale + spoken
    return minus + spoken + chinese + unit


def _price(number: str, after: str) -> str:
    whole, point, fraction = number.partition(".")
    if point and not fraction.strip("0"):
        number = whole
    return _amount(number, after)


def _amount_with_currency(match: Match) -> str:
    number, scale = _scaled(match["first"], match["scale"])
    after = scale + (match["chinese"] or "") + CURRENCIES[match["sign"]]
    last = f"{match['dash'] and '到'}{_price(match['last'], after)}" if match["last"] else ""
    return _price(number, after) + last + after


def _percentage(match: Match) -> str:
    unit = {"%": "百分之", "‰": "千分之", "‱": "万分之"}[match["unit"]]
    spoken = unit + _sign(match["sign"]) + read_cardinal(match["first"])
    if match["last"]:
        spoken += f"到{unit}{_sign(match['last_sign'])}{read_cardinal(match['last'])}"
    return spoken


def _quantity(match: Match) -> str:
    """5kg, 20-30℃, 3m/s: a number or two with a unit, and perhaps a unit after a slash."""
    unit = UNITS[match["unit"]]
    spoken = _sign(match["sign"]) + _amount(match["first"], unit)
    if match["last"]:
        between = UNITS[match["first_unit"]] if match["first_unit"] else ""
        spoken += f"{between}到{_sign(match['last_sign'])}{_amount(match['last'], unit)}"
    per = match["per"]
    if not per:
        return spoken + unit
    number, name = re.fullmatch(r"(\d*) ?(.+)", per).groups()   # type: ignore[union-attr]
    name = PER.get(name) or UNITS.get(name, name)
    if not number and name == "小时" and unit in ("公里", "米", "英里"):
        return f"每小时{spoken}{unit}"
    return spoken + unit + "每" + (_amount(number, name) if number else "") + name


def _amperes(match: Match) -> str:
    """A is a letter, unless the text is about electricity."""
    is_electric = re.search("[流伏V]|保险丝|额定|充电", _before(match))
    if is_electric or re.match("电|插座|空开|保险", _after(match)):
        return _amount(match[1], "安培") + "安"
    return match[0]


def _pair(match: Match) -> str:
    """Two numbers with a dash: a score, a number of a figure, years, a range if it rises."""
    first, last = match["first"], match["last"]
    before, after = _before(match), _after(match)
    if re.search(f"(?:{FIGURE})$", before):
        return f"{read_cardinal(first)}杠{read_cardinal(last)}"
    years = re.fullmatch("(?:(?:1[0-9]|20)[0-9]{2}){2}", first + last)
    if years and (after[:1] == "年" or not (MEASURE.match(after) or COUNTED.match(after))):
        return f"{read_digits(first)}到{read_digits(last)}"
    if "." not in first + last and (SCORE_BEFORE.search(before)
                                    or re.match(f" ?(?:{SCORE})", after)):
        return f"{read_cardinal(first)}比{read_cardinal(last)}"
    if re.match("0[0-9]", first) or re.match("0[0-9]", last):
        return f"{read_digits(first)}杠{read_digits(last)}"
    value, other = (Decimal(number.replace(",", "")) for number in (first, last))
    if value < other or match["dash"].strip() in ("~", "—", "–", "——", "--"):
        return f"{_amount(first, after)}到{_amount(last, after)}"
    return f"{read_cardinal(first)}比{read_cardinal(last)}"


def _year(match: Match) -> str:
    """1998年; but 3000年 of history."""
    year = match[1]
    before, after = _before(match, 4), _after(match)
    is_duration = year == "1000" or (year[1:] == "000" and (
        re.search("(?:近|约|达|过去|有着?|历经|长|了|这|满|每|距今)$", before)
        or re.match("年(?:前|以前|的?历史|以上|来|多|左右|的?文明|的时间)", after)))
    return read_cardinal(year) if is_duration else read_digits(year)


def _short_year(match: Match) -> str:
    before, after = _before(match, 4), _after(match)
    if re.search("(?:近|约|达|过去|了|这|满|每|整整|又|共|第)$", before):
        return match[0]
    if re.match("(?:年?多|年?来|年?前|年?后|年的?历史|年间|年以)", "年" + after):
        return match[0]
    return read_digits(match[1]) + "年"


ROMAN = {"I": 1, "V": 5, "X": 10}


def _roman(match: Match) -> str:
    """第III章, II型: up to 39."""
    numeral = unicodedata.normalize("NFKC", match["numeral"]).upper()
    total = 0
    for letter, following in zip(numeral, numeral[1:] + "I", strict=True):
        value = ROMAN[letter]
        total += -value if value < ROMAN[following] else value
    return read_ordinal(str(total))


SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


def _power(match: Match) -> str:
    exponent = (match[1] or match[2]).translate(SUPERSCRIPTS).strip("^{}()")
    if exponent == "2":
        return "的平方"
    sign = {"-": "负", "+": "正"}.get(exponent[0], "")
    digits = exponent.lstrip("+-")
    return f"的{sign}{read_cardinal(digits) if digits.isdecimal() else digits}次方"


DATE_BEFORE = re.compile("(?:日期|截止|截至|定于|将于|(?<![等大小高低])于|自)[到是为:： ]{0,2}$")
DATE_AFTER = re.compile(
    " ?(?:上午|下午|早上|晚上|中午|周[一二三四五六日]|星期|出发|开会|发售|上线|开业|放假|大促"
    "|购物节|活动|劳动节|愚人节|儿童节|妇女节|青年节|教师节|圣诞|国庆|元旦"
    "|情人节|截止|到货|返校|开学|之前|前|当天)|[(（]周"
    "|[是为][^，。！？；]{0,5}(?:节|[生念止款薪]日|诞辰|忌日|周[一二三四五六日]|星期|周末)")
FRACTION_AFTER = re.compile(
    " ?(?:[是为](?:一?个)?)?(?:[假真]|最简|带)?分数| ?(?:约?等于|[=≈]|大于|小于|化[成为简]|的倒数)")


def _fraction(match: Match) -> str:
    whole, over, under = match["whole"], match["over"], match["under"]
    before, after = _before(match), _after(match)
    date = not match["sign"] and 0 < int(over) <= 12 and 0 < int(under) <= 31
    date = date and not FRACTION_AFTER.match(after)
    zeros = match["over"][0] == "0" and len(under) == 2
    is_dated = DATE_BEFORE.search(before) or DATE_AFTER.match(after)
    if date and not whole and (zeros or int(over) > int(under) or is_dated):
        return _date("", over, under)
    if re.search("血压[是为约:： ]{0,2}$", before) or after.lstrip().startswith("毫米汞柱"):
        return f"{read_cardinal(over)}，{read_cardinal(under)}"
    spoken = f"{read_cardinal(under)}分之{read_cardinal(over)}"
    return _sign(match["sign"]) + (f"{read_cardinal(whole)}又{spoken}" if whole else spoken)


def _thousands(match: Match) -> str:
    number = re.sub("[ ,，]", "", match[0])
    return number


def _more_than(match: Match) -> str:
    number, scale = _scaled(match["number"], match["scale"])
    scale += match["chinese"] or ""
    after = _after(match)
    spoken = _amount(number, scale or after) + scale
    return spoken + ("多" if scale or number.endswith("0") else "加")


def _short_amount(match: Match) -> str:
    first, scale = _scaled(match[1], match[3])
    after = scale or _after(match)
    if not match[2]:
        return _amount(first, after) + scale
    last, _ = _scaled(match[2], match[3])
    return f"{_amount(first, after)}到{_amount(last, after)}{scale}"


def _ordinal_range(match: Match) -> str:
    return f"第{read_ordinal(match[1])}" + (f"到{read_ordinal(match[2])}" if match[2] else "")


def _order(match: Match) -> str:
    """2日, 2-3号: a number or two, never with 两; a 0 before them is not said."""
    numbers = [group for group in match.groups() if group]
    return "到".join(read_ordinal(re.sub("^0(?=[1-9]$)", "", number)) for number in numbers)


def _figure(match: Match) -> str:
    parts = re.split(r"([-–—.])", match[2])
    return match[1] + "".join(
        read_ordinal(part) if part.isdigit() else "点" if part == "." else "杠" for part in parts)


HEMISPHERES = {"N": "北纬", "S": "南纬", "E": "东经", "W": "西经"}


def _angle(match: Match) -> str:
    degrees, minutes, seconds, hemisphere = match.groups()
    spoken = f"{read_cardinal(degrees)}度{read_cardinal(minutes)}分"
    if seconds:
        spoken += f"{read_cardinal(seconds)}秒"
    return HEMISPHERES.get(hemisphere, "") + spoken


def _scores(match: Match) -> str:
    """Pairs in a row: scores, unless all of them rise."""
    pairs = [tuple(map(int, pair)) for pair in re.findall(r"(\d+)[-–](\d+)", match[0])]
    if all(first < last for first, last in pairs):
        return match[0]
    return re.sub(r"\d+[-–]\d+", lambda m: "比".join(
        read_cardinal(part) for part in re.split("[-–]", m[0])), match[0])


def _resolution(match: Match) -> str:
    return "乘".join(read_digits(part) for part in re.findall(r"\d+", match[0]))


def _model(match: Match) -> str:
    """歼-20, 波音737-800."""
    return match[1].rstrip("-") + "杠".join(map(_model_number, match[2].split("-")))


def _model_number(number: str) -> str:
    """Up to two digits, or hundreds, are a number."""
    if re.fullmatch("[1-9]00|0|[1-9][0-9]?", number):
        return read_ordinal(number)
    return read_digits(number)


def _list_number(match: Match) -> str:
    number = unicodedata.normalize("NFKC", match[0]).strip("().")
    return f"{read_cardinal(number) if number.isascii() else number}、"


def _plain_number(match: Match) -> str:
    number = match["number"]
    spoken = _amount(number, _after(match)) if number == "2" else read_cardinal(number)
    return _sign(match["sign"]) + spoken if match["sign"] else spoken


PIXELS = (
    "320|480|640|720|768|800|900|960|1024|1050|1080|1200|1280|1366|1440|1600|1920|2160|2560|3840"
    "|4096|4320|7680")
SAID = "零一二三四五六七八九十百千万亿两"
OPERAND = rf"[\w(.√∠{SAID}负-]"
SIGN_LETTERS = "".join(sorted({sign[0] for sign in CURRENCIES}))
SIGN = f"(?=[{SIGN_LETTERS}])(?:{one_of(CURRENCIES)})"
CODES = f"(?=[{SIGN_LETTERS}])(?:" + one_of(
    {code for code in CURRENCIES if code.isalpha() or code in "$€£₩"}) + ")"
UNIT_LETTERS = "A-Za-zμΩ°℃℉"
UNIT = f"(?=[{UNIT_LETTERS}])(?:{one_of(UNITS)})"
UNIT_AFTER_SLASH = one_of({*UNITS, *PER, "次"})
SCALE = f"(?:(?:[kKmMbBtTwW]|[mMbBtT]n){LETTER_AFTER})"
CHINESE_SCALE = "[十百千万亿]{1,3}"
VALUE = r"[A-Za-z0-9]{1,30}(?:[-–_][A-Za-z0-9]{1,30}){0,6}"
MEASURED = "个天年次人岁月元块倍米万亿页"
IS = "[是为：:=＝ ]{0,3}[“「\"]?"
LONG = r"\d[\d() \-–.]{1,22}\d"
YEAR = r"(?:1[0-9]|20|21)\d\d"

RULES = (
    rule("在10µm -> 在十微米", "[µΩ]", lambda m: unicodedata.normalize("NFKC", m[0]), "µΩ"),
    rule("共Ⅻ章 -> 共十二章", "(?P<numeral>[Ⅰ-Ⅻⅰ-ⅻ]{1,4})", _roman, "Ⅰ-Ⅻⅰ-ⅻ"),
    rule("写信到abc1@example.com -> 写信到abc一艾特example点com", ADDRESS,
         lambda m: spell_address(m[0], ADDRESS_NAMES, ""), "@hw"),
    rule("访问baidu.com/s1 -> 访问baidu点com斜杠s一", rf"(?<![\w.@-]){HOST}",
         lambda m: spell_address(m[0], ADDRESS_NAMES, ""), "."),
    rule("打开localhost:7860 -> 打开localhost冒号七八六零",
         r"\blocalhost:(\d{2,5})", lambda m: f"localhost冒号{read_digits(m[1])}", "l"),
    rule("地址192.168.1.1:80 -> 地址一九二点一六八点一点一冒号八零",
         r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(:\d{1,5})?(?:/(\d{1,2}))?(?![\d.])",
         _ip_address, "."),
    rule("见readme.md -> 见readme点md",
         r"(?<=[A-Za-z0-9])\.(?=(?:md|py|txt|pdf|docx?|xlsx?|pptx?|jpe?g|png|gif|mp[34]|zip|exe"
         r"|csv|json|html?|js"
         r"|wav|flac|apk|sh|cpp|java|go|ya?ml|ini|log|rar|7z|iso)(?![A-Za-z0-9]))", "点", "."),
    rule("见Vol.5 -> 见Vol 五", r"(?<=[a-z])(?<!\b[Nn]o)\.(?=\d)", " ", "."),
    rule("在周一～周五9点 -> 在周一到周五九点",
         "(?<=周[一二三四五六日天1-7]|期[一二三四五六日天1-7]) ?[-~～—–] ?"
         r"(?=(?:周|星期)[一二三四五六日天末1-7])", "到", "周期"),
    rule("于1998年～2003年 -> 于一九九八年到二零零三年",
         rf"(?<=[\d%‰℃°{MEASURED}日号点时分秒斤克米升瓦]) ?～ ?(?=[-+]?[\d.]|[$¥￥€£]\d)", "~",
         "～"),
    rule("长20mm±0.5mm -> 长二十毫米正负零点五毫米", r"(?<=[A-Za-z\d℃%°Ω²³]) ?± ?(?=[\d.])",
         "正负", "±"),
    rule("解2x-5=3 -> 解二x减五等于三",
         r"(?<![\w.])(\d{1,4})([a-cxyzn]) ?[-–] ?(?=\d{1,4}[a-cxyzn]?(?: ?[-+=]|²))",
         lambda m: f"{read_ordinal(m[1])}{m[2]}减", "a-cxyzn"),
    rule("速度100MB/s -> 速度一百MB每秒",
         r"(?<=\d)( ?[kKMGT]i?[Bb](?:it)?)/s(?![A-Za-z])", r"\1每秒",
         "Bb"),
    # Comparison
    rule("设x≥60 -> 设x大于等于六十", r" ?(?:≥|>=|⩾|≧) ?(?=[\w.(-])", "大于等于", ">≥≧⩾"),
    rule("设y≤100 -> 设y小于等于一百", r" ?(?:≤|<=|⩽|≦) ?(?=[\w.(-])", "小于等于", "<≤≦⩽"),
    rule("设a≠3 -> 设a不等于三", r" ?(?:≠|(?<!\d)!=) ?(?=[\w.(-])", "不等于", "!≠"),
    rule("取π≈3.14 -> 取π约等于三点一四", r" ?(?:≈|≒|≃) ?(?=[\w.(-])", "约等于", "≃≈≒"),
    rule("5>3，>60分 -> 五大于三，大于六十分", r"(?<=[\w)]) ?[>＞] ?(?=[\w.(-])(?![A-Za-z]{2,20}>)"
         r"|(?<![\w<>=-])[>＞] ?(?=\d)", "大于", ">＞"),
    rule("3<5，<18岁 -> 三小于五，小于十八岁", r"(?<=[\w)]) ?[<＜] ?(?=[\d.(-]|\w(?!\w))"
         r"|[<＜] ?(?=\d)", "小于", "<＜"),
    # Dates
    rule("于2024-05-06T14:30:00Z -> 于二零二四年五月六日十四点三十分",
         rf"(?<![\d.])(?P<year>{YEAR})-(?P<month>\d\d)-(?P<day>\d\d)T(?P<hour>\d\d):"
         rf"(?P<minute>\d\d)"
         r"(?::(?P<second>\d\d)(?:\.\d{1,9})?)?(?P<zone>Z|[+-]\d\d:?\d\d)?", _iso_time, r"\-"),
    rule("在2024-05-06 -> 在二零二四年五月六日",
         rf"(?<![\d.])(?P<year>{YEAR})([-/.])(?P<month>0?[1-9]|1[0-2])\2"
         r"(?P<day>0?[1-9]|[12]\d|3[01])(?![\d]|\.\d)日?", _full_date, r"\-./"),
    rule("在24/5/6 -> 在二四年五月六日",
         r"(?<![\d/.])(?P<year>[0-9]\d)/(?P<month>0?[1-9]|1[0-2])/(?P<day>0?[1-9]|[12]\d|3[01])"
         r"(?![\d/])", _full_date, "/"),
    rule("在5/6/2024 -> 在二零二四年五月六日",
         r"(?<![\d/.])(0?[1-9]|[12]\d|3[01])/(0?[1-9]|[12]\d|3[01])/((?:19|20)\d\d)(?![\d/])",
         _american_date, "/"),
    rule("于2024.5.6-5.8 -> 于二零二四年五月六日到五月八日",
         rf"(?<=日){RANGE}(0?[1-9]|1[0-2])[./](0?[1-9]|[12]\d|3[01])(?![\d.])日?",
         lambda m: f"到{_date('', m[1], m[2])}", "日"),
    rule("自2024.5.6至5.8 -> 自二零二四年五月六日至五月八日",
         r"(?<=日)([至到])(0?[1-9]|1[0-2])[./](0?[1-9]|[12]\d|3[01])(?![\d.%]|[折米元万亿度个倍分])日?",
         lambda m: f"{m[1]}{_date('', m[2], m[3])}", "日"),
    rule("放假5/1-5/3 -> 放假五月一日到五月三日",
         rf"(?<![\d/.])(1[0-2]|[1-9])/([12]\d|3[01]|[1-9]){RANGE}(1[0-2]|[1-9])/([12]\d|3[01]"
         rf"|[1-9])"
         r"(?![\d/])", lambda m: f"{_date('', m[1], m[2])}到{_date('', m[3], m[4])}", "/"),
    rule("自2019.09-2023.06 -> 自二零一九年九月到二零二三年六月",
         rf"(?<![\d.])({YEAR})[./-](0[1-9]|1[0-2]){RANGE}({YEAR})[./-](0[1-9]|1[0-2])(?![\d.])",
         lambda m: f"{_date(m[1], m[2])}到{_date(m[3], m[4])}", r"\-./"),
    rule("08-08开幕 -> 八月八日开幕",
         r"(?<![\w./:-])(0[1-9])-(0[1-9]|[12]\d|3[01])(?![\w./:-])"
         r"|(?<![\w./:-])(1[0-2])-(0[1-9])(?![\w./:-])",
         lambda m: _date("", m[1] or m[3], m[2] or m[4]), r"\-"),
    # Seasons, years
    rule("2024-25赛季 -> 二零二四到二五赛季",
         rf"(?<!\d)({YEAR}|\d\d)(?:{RANGE}|/)({YEAR}|\d\d)(?=赛季|学年|财年|年度|雪季|跨年|榨季"
         rf"|联赛|英超"
         "|西甲|德甲|意甲|法甲|欧冠|中超|NBA|CBA)",
         lambda m: f"{read_digits(m[1])}到{read_digits(m[2])}", r"\-/~–—"),
    rule("国发〔2024〕15号 -> 国发〔二零二四〕十五号",
         r"(?<=[〔［\[【(（])((?:19|20)\d\d)(?=[〕］\]】)）]第?\d{1,5}号)",
         lambda m: read_digits(m[1]), "号"),
    rule("2020-2024年 -> 二零二零到二零二四年", rf"(?<![\d.])({YEAR})(?:{RANGE}|至)({YEAR})(?=年)",
         lambda m: f"{read_digits(m[1])}到{read_digits(m[2])}", "年"),
    rule("于2024-05 -> 于二零二四年五月",
         r"(?<![\w.-])((?:19|20)\d\d)([-/])(0[1-9]|1[0-2])(?![\w./-])月?",
         lambda m: _date(m[1], m[3]), r"\-/"),
    rule("在2024/1 -> 在二零二四年一月", r"(?<![\w./-])((?:19|20)\d\d)/([1-9]"
         r"|1[0-2])(?![\w./-])月?",
         lambda m: _date(m[1], m[2]), "/"),
    rule("公元前221年 -> 公元前二二一年",
         rf"((?:公元前?|西元前?|(?<![之以年月日天时内])前|BC)) ?(\d{{1,4}})(?:{RANGE}(?:前"
         rf"|公元前)?(\d{{1,4}}))?(?=年)",
         lambda m: m[1] + read_digits(m[2]) + (f"到{read_digits(m[3])}" if m[3] else ""), "年"),
    rule("在'98年 -> 在九八年", r"['’‘](\d\d)(?=年|级|届)", lambda m: read_digits(m[1]), "'‘’"),
    rule("1998年 -> 一九九八年", r"(?<![\d.,:])([1-9]\d{3})(?=年)", _year, "年"),
    rule("80-90年代 -> 八十到九十年代", rf"(?<!\d)(\d0)(?:{RANGE}(\d0))?(?=年代)",
         lambda m: read_cardinal(m[1]) + (f"到{read_cardinal(m[2])}" if m[2] else ""), "年"),
    rule("在1920s -> 在一九二零年代", r"(?<![\d.])(1[6-9]\d0|20\d0)s(?![A-Za-z])",
         lambda m: f"{read_digits(m[1])}年代", "s"),
    rule("95-00后 -> 九五到零零后", rf"(?<!\d)([0-9][05]){RANGE}([0-9][05])(?=后)",
         lambda m: f"{read_digits(m[1])}到{read_digits(m[2])}", "后"),
    rule("95后和00后 -> 九五后和零零后",
         r"(?<![\d.:年月日时分秒])([0-9][05])(?=后(?![天年周退卫半来面]))",
         lambda m: read_digits(m[1]), "后"),
    rule("98年，08年 -> 九八年，零八年",
         r"(?<![\d.,:/~—–零一二三四五六七八九十百千万亿-])(0\d|[6-9][1-9])年(?![龄级])",
         _short_year, "年"),
    rule("24年5月 -> 二四年五月", r"(?<![\d.,:/-])(\d\d)(?=年(?:度|底|初|末|春|夏|秋|冬"
         r"|\d{1,2}月))",
         lambda m: read_digits(m[1]), "年"),
    rule("2024届，2020级 -> 二零二四届，二零二零级",
         r"(?<![\d.,:$¥])((?:19|20)\d\d)(?=届|级|款|版|春|夏|秋|冬|赛季|学年|财年|考研|高考|中考"
         r"|国考|省考|奥运"
         r"|世界杯|欧洲杯|亚运|冬奥|春晚|上半年|下半年|新年|新款|全运|双|跨年|世博|Q[1-4]|H[12]"
         r"|第[一二三四]季度)",
         lambda m: read_digits(m[1])),
    rule("22级新生 -> 二二级新生",
         r"(?<!\d)([0-3]\d)(?=[级届](?:新生|学生|本科|毕业|同学|硕士|博士|研究生|校友|学弟|学妹"
         r"|应届))",
         lambda m: read_digits(m[1]), "届级"),
    rule("80、90后 -> 八零、九零后", r"(?<!\d)[0-9][05]"
         r"(?=[、和与/][0-9零一二五六七八九][05零五]后)",
         lambda m: read_digits(m[0]), "后"),
    rule("99A坦克 -> 九九A坦克", r"(?<![\w.])\d\d(?=[A-Z](?:坦克|式|主战))",
         lambda m: read_digits(m[0]), "主坦式"),
    rule("2008北京奥运会 -> 二零零八北京奥运会",
         rf"(?<![\d.,:$¥])((?:19|20)\d\d)(?=[{CJK}]{{1,4}}(?:奥运|冬奥|亚运|世界杯|欧洲杯|大运会"
         rf"|世博|马拉松|峰会"
         "|论坛|博览会|音乐节|电影节|车展))", lambda m: read_digits(m[1])),
    rule("迎接2024 -> 迎接二零二四",
         r"((?:你好|再见|告别|拥抱|迎接|展望|回顾|回望|欢迎|巴黎|东京|北京|伦敦|里约|里约热内卢"
         r"|致)[，, ]?)"
         r"((?:19|20)\d\d)(?![\d.年元个人]|[-/:]\d)", lambda m: m[1] + read_digits(m[2])),
    rule("315晚会，618大促 -> 三一五晚会，六一八大促",
         "(?<![\\d.])(315|618|520|521|1024|985|211|996|007|404|911|731|301|306|798|360|163|126"
         "|4399|58|36"
         "|1688|51|515|918|1314|119)"
         "(?=晚会|大促|购物|活动|年中|狂欢|促销|预售|告白|表白|情人节|程序员|高校|大学|院校|工程"
         "|、211|/211|和211|与211"
         "|工作制|加班|错误|页面|报错|事件|恐怖|部队|医院|艺术区|安全卫士|软件|浏览器|杀毒|邮箱"
         "|小游戏|同城|氪|批发"
         "|纪念日|事变|打假|消防宣传|维权|国际消费者)",
         lambda m: read_digits(m[1])),
    rule("京东618，9·11事件 -> 京东六一八，九一一事件",
         r"(?<=京东|天猫)618|(?<=双1[12][和与、及或/])618"
         r"|(?<=双十[一二][和与、及或/])618"
         r"|(?<![\d.])618(?=[和与、及或/]双)|(?<=五、|五和|五/)211"
         r"|(?<![\d.])\d{1,2}[·•・‧]\d{1,2}(?!假期|长假|劳动节|国庆|黄金周|[\d.])"
         r"|(?<!\d)\d{1,2}\.\d{1,2}(?=晚会|事件|地震|运动|恐怖|袭击|纪念|购物|大促"
         r"|表白|告白|情人|电信日|青年节|护士节|建党节|建军节"
         r"|事变|惨案)",
         lambda m: read_digits(m[0])),
    rule("过3.8节 -> 过三八节", r"(?<![\d.])(?:3[.·]8|5[.·]1|6[.·]1|8[.·]1)(?=节)",
         lambda m: read_digits(m[0]), "节"),
    rule("38妇女节 -> 三八妇女节", r"(?<![\d.])\d\d(?=妇女节|劳动节|儿童节|青年节|建党节|建军节)",
         lambda m: read_digits(m[0]), "儿劳妇建青"),
    rule("5·1假期 -> 五一假期", r"(?<![\d.])(\d{1,2})[·•・.](\d{1,2})(?=假期|长假|劳动节|妇女节"
         r"|儿童节|国庆|黄金周)", lambda m: read_cardinal(m[1]) + read_cardinal(m[2]), ".·•・"),
    # Telephones, hotlines, codes
    rule("卡6222 0210 0112 3456 -> 卡六二二二零二幺零零幺幺二三四五六",
         r"(?<![\w.])\d{4}(?:[ -]\d{4}){3}(?:[ -]\d{1,4})?(?!\d)", _spell_all, r" \-"),
    rule("电话+86 138 1234 5678 -> 电话加八六幺三八幺二三四五六七八",
         r"[(（]?\+\d{1,3}[)）]?[- ]?(?:[(（]\d{1,4}[)）][- ]?)?\d[\d -]{5,16}\d(?![\d.])",
         _spell_all, "+"),
    rule("请拨010-12345678 -> 请拨零幺零幺二三四五六七八",
         r"(?<![\w.-])(?:(?:0086|86)[- ]?1[3-9]\d[- ]?\d{4}[- ]?\d{4}|1[3-9]\d([- .]?)\d{4}\1\d{4}"
         r"|1[3-9]\d{2}[- ]\d{3}[- ]\d{4}|1[3-9]\d{3}[- ]\d{6}"
         r"|[(（]0\d{2,3}[)）][- ]?\d{3,4}[- ]?\d{3,4}|0\d{2,3}[- ]\d{3,4}[- ]?\d{4}"
         r"|0\d{2,3}[-. ]\d{7,8}|[(（]\d{2,3}[)）] ?\d{2,3}-\d{7,8}|[48]00([- ]?)\d{3}\2\d{4}"
         r"|[48]00[- ]\d{4}[- ]\d{3}|[48]00[- ]\d{7}"
         r"|[48]00[- ]\d{2}[- ]\d{5})(?!\d)",
         _spell_all),
    rule("电话8888 6666 -> 电话八八八八六六六六",
         rf"(?:{TELEPHONE})[了是为:：至到 ]{{0,3}}(?=[\d() -]{{5,24}})(?!\d{{3,4}}年)[(（]?{LONG}"
         rf"(?!\d){NOT_A_CODE}",
         _spell_all),
    rule("电话0595-23865596或23880880 -> 电话零五九五二三八六五五九六或二三八八零八八零",
         rf"(?<=[{SPOKEN_DIGIT}])(?: ?(?:{LIST}|；"
         rf"|;) ?(?:\d{{3,4}}[- ])?\d{{3,4}}[- ]?\d{{4}}(?!\d)){{1,8}}"
         rf"{NOT_A_CODE}", _more_numbers),
    rule("电话010-12345678转801 -> 电话零幺零幺二三四五六七八转八零幺",
         rf"(?<=[{SPOKEN_DIGIT}])([ ,，(（-]{{0,2}}(?:转接?|分机号?"
         rf"|ext\.?)(?:分机)?号?[:： ]?)(\d{{1,6}})"
         rf"(?![\d.]){NOT_A_CODE}", _spelled, "e分转"),
    rule("传真0755-26770000-803 -> 传真零七五五二六七七零零零零转八零三",
         rf"(?<=[{SPOKEN_DIGIT}]{{7}})-(\d{{2,5}})(?![\d-])",
         lambda m: f"转{read_digits(m[1], '幺')}", r"\-"),
    rule("请拨110、120 -> 请拨幺幺零、幺二零",
         rf"(?:{CALL})(?:电话|热线|客服)?[了过是为到至:：“\" ]{{0,3}}{HOTLINE}(?!\d)"
         rf"(?:(?:{LIST}) ?{HOTLINE}(?!\d)){{0,6}}(?![.:]\d|[A-Za-z]|,\d{{3}}|-){NOT_A_CODE}",
         _hotline),
    rule("发送CX到10086 -> 发送CX到幺零零八六", rf"((?:发送?[A-Za-z0-9一-龥]{{0,8}}[到至]"
         rf"|[给向])({HOTLINE}))(?=[发打，。；]|$)",
         lambda m: m[1][:-len(m[2])] + read_digits(m[2], "幺")),
    rule("96110是反诈专线 -> 九六幺幺零是反诈专线", rf"(?<![\d.])(?:{HOTLINE})"
         rf"(?=[是为][{CJK}]{{0,8}}(?:热线|专线|电话|号码))",
         _hotline, "为是"),
    rule("找12345热线 -> 找幺二三四五热线",
         rf"(?<![\d.])(?:{HOTLINE}(?:{LIST})){{0,3}}{HOTLINE}(?={CALLED})", _hotline),
    rule("招商银行95555 -> 招商银行九五五五五",
         r"((?:银行|信用卡|保险|人寿|平安|太保|移动|联通|电信|顺丰|邮政|快递|铁路|航空)[：: ]?)"
         rf"((?:95\d{{3}}|100(?:00|10|86|99)|11183|12306))(?![\d.,-]){NOT_A_CODE}",
         _spelled),
    rule("微信号abc_123 -> 微信号abc下划线一二三",
         rf"((?:微信号?|账号|帐号|用户名|昵称|密码|口令|ID){IS})(?=\w{{0,30}}_)(\w{{2,40}})",
         lambda m: m[1] + re.sub(r"\d+", lambda n: read_digits(n[0]), m[2].replace("_", "下划线")),
         "_"),
    rule("身份证11010119900307888X -> 身份证幺幺零幺零幺幺九九零零三零七八八八X",
         rf"((?:{SPELLED})(?:后四位|后六位|末四位)?{IS})(\d{{3,40}}[Xx]?|[A-Za-z]{{1,10}}\d{{3,30}}"
         rf"|0\d)(?![\d.-])"
         rf"{NOT_A_CODE}", _spelled),
    rule("密码是8848，房间号3 -> 密码是八八四八，房间号三",
         rf"((?:{SPELLED}){IS})(\d+)(?![\d.]|[{CJK}]|-\d)",
         _spelled),
    rule("车牌京A·12345 -> 车牌京A幺二三四五", rf"({PLATE}[·•. -]?)([A-Z0-9]{{5,6}}"
         rf"|[A-Z0-9]{{4}}(?=[港澳学警领挂试]))(?![A-Za-z0-9])",
         lambda m: m[1][:2] + read_digits(m[2], "幺")),
    rule("G1234次 -> G幺二三四次",
         r"(?<![A-Za-z])([GDCKTZSYL])(\d{3,4})(?=次|列车|高铁|动车|号列车|/)", _spelled),
    rule("航班CA1501 -> 航班CA幺五零幺",
         r"((?:航班|班机|飞机|乘坐|搭乘|航空|国航|东航|南航|海航|川航|厦航"
         r"|深航)号?[是为:： ]{0,2}[A-Z0-9][A-Z])(\d{3,4})"
         r"(?![\dA-Z])", _spelled),
    rule("坐MU5101航班 -> 坐MU五幺零幺航班", r"(?<![A-Za-z])([A-Z]{2})(\d{3,4})(?=航班|次航班"
         r"|班机)", _spelled, "次班航"),
    rule("取件码8-2-3045 -> 取件码八杠二杠三零四五",
         rf"((?:{CODE})(?:号|代码|编号)?{IS})(?=[A-Za-z_–-]{{0,30}}\d)({VALUE})(?![A-Za-z0-9.:]"
         rf"|-\d){NOT_A_CODE}", _code),
    rule("贵州茅台(600519) -> 贵州茅台(六零零五一九)", r"(?<=[(（])([036]0\d{4}|68\d{4})(?=[)）.])",
         lambda m: read_digits(m[1]), "(（"),
    rule("股票600519.SH -> 股票六零零五一九点SH", r"(?<![\w.])(\d{5,6})\.(SH|SZ|BJ|HK|SS)\b",
         lambda m: f"{read_digits(m[1])}点{m[2]}", "."),
    # Rooms
    rule("3栋2单元502室 -> 三栋二单元五零二室",
         r"(?<=单元)(\d{3,4})(?![\d.])|(?<=号楼)(\d{3,4})(?![\d.])"
         r"|(?<=[栋幢座层楼])(\d{3,4})(?![\d.]|[元个人米家户平间台套])",
         lambda m: read_digits(m[0])),
    rule("在1208室 -> 在幺二零八室",
         r"(?<![\w.~—–-])\d{3,4}(?=室|房(?!价|贷|产|东)|教室|会议室|病房|宿舍|寝室|包厢|包间"
         r"|办公室|号房|号病房"
         r"|号教室|号会议室|号包|机房)", lambda m: read_digits(m[0], "幺")),
    rule("坐302路，走318国道 -> 坐三零二路，走三一八国道",
         r"(?<![\w.])\d{3}(?=路(?!程|人|口|径)|[国省县]道)",
         lambda m: read_digits(m[0]), "路道"),
    # Times and scores
    rule("在10:30-11:45 -> 在十点三十分到十一点四十五分",
         r"(?<=\d:\d\d)(?<![\d:]\d:\d\d:\d\d:\d\d) ?[-~—–]{1,2} ?(?=\d{1,2}:[0-5]\d)", "到", ":"),
    rule("下午3:15:20 -> 下午三点十五分二十秒",
         r"(?<![\d:.])(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?"
         r"(?:\.(?P<fraction>\d{1,3}))?(?![\d:]|\.\d)(?: ?(?P<half>[AaPp])\.?[Mm]\.?(?![A-Za-z]))?",
         _clock, ":"),
    rule("有3:2，1:2.5 -> 有三比二，一比二点五",
         r"(?<![\d:.])\d{1,6}(?:\.\d{1,4})?(?::\d{1,9}(?:\.\d{1,4})?){1,8}(?![\d:])", _ratio, ":"),
    # Money
    rule("投资¥50-100万 -> 投资五十到一百万元",
         rf"(?P<minus>(?<![\w%])-)?(?P<sign>{SIGN}) ?(?P<first>{NUMBER}) ?(?P<scale>{SCALE})?"
         rf"(?: ?[-~—–至到] ?(?:{SIGN})? ?(?P<last>{NUMBER})(?P<last_scale>{SCALE})?)?"
         rf" ?(?P<chinese>{CHINESE_SCALE})?(?:{CURRENCY_WORDS})?", _money, SIGN_LETTERS),
    rule("一共20万USD -> 一共二十万美元",
         rf"(?<![\d.])(?P<first>{NUMBER})(?P<scale>{SCALE})?(?:(?P<dash>{DASH})(?P<last>{NUMBER}))?"
         rf" ?(?P<chinese>{CHINESE_SCALE})? ?(?P<sign>{CODES})(?![A-Za-z])", _amount_with_currency,
         SIGN_LETTERS),
    rule("卖99¢ -> 卖九十九美分", rf"({NUMBER})¢", lambda m: f"{read_cardinal(m[1])}美分", "¢"),
    rule("5.00元 -> 五元", r"(?<=\d)\.00?(?=元|块)", "", "."),
    # Per cent
    rule("下降了-1.2% -> 下降了百分之负一点二",
         rf"(?:(?<![\w%])(?P<sign>[-+±]))?(?<![\d.])(?P<first>{NUMBER})"
         rf"(?:[%‰]?(?:{RANGE}|[至到])(?P<last_sign>[-+])?(?P<last>{NUMBER}))? ?(?P<unit>[%‰‱])",
         _percentage, "%‰‱"),
    # Thousands
    rule("一共1,234,567人 -> 一共一百二十三万四千五百六十七人",
         r"(?<![\d,.])\d{1,3}(?:,\d{3}){1,6}(?![\d,])", _thousands, ","),
    rule("共3 000元 -> 共三千元",
         rf"(?<![\w.] )(?<![\w.])\d{{1,3}}(?:[ \u00a0\u202f\u2009]\d{{3}}){{1,5}}(?! ?\d)"
         rf"(?=[{CJK}，。；、！？.]|$)", _thousands, "    "),
    # Models
    rule("用诺基亚3310 -> 用诺基亚三三一零",
         rf"((?:{BRANDS}) ?)(?!(?:19|20)\d\d)([1-9]\d{{2,3}})(?![\d.,:%~～—–-])"
         rf"(?![到至亿部只张枚股店点来余款升瓦])"
         rf"{NOT_A_CODE}", lambda m: m[1] + _model_number(m[2])),
    rule("歼-20，东风-41 -> 歼二十，东风四十一",
         rf"({DESIGNATION})(\d{{1,4}}(?:-\d{{1,4}})?)(?![\d.:]|[年月日路元个人岁])", _model),
    rule("空客A350-900 -> 空客A三五零杠九百", r"(?<=[A-Z])(\d{2,4})-(\d{1,4})(?![\w-])",
         lambda m: f"{_model_number(m[1])}杠{_model_number(m[2])}", r"\-"),
    rule("89式步枪 -> 八九式步枪", r"(?<![\d.])\d\d(?=式(?:步枪|手枪|机枪|冲锋枪|狙击|坦克|主战"
         r"|火箭|自行|迫击|军))",
         lambda m: read_digits(m[0]), "式"),
    rule("显卡RTX 4090 -> 显卡RTX 四零九零",
         r"(?<![A-Za-z])((?!TOP|Top|VIP)[A-Z]{1,5}[ -])(\d{3,5})(?![\d.,:%]|元|人|个)",
         lambda m: m[1].replace(
         "-", " ") + read_digits(m[2]), r" \-"),
    rule("芯片i7-12700K -> 芯片i七 一二七零零K", r"\b(i[3579])-(\d{4,5})(?!\d)",
         lambda m: f"{m[1][0]}{read_cardinal(m[1][1])} {read_digits(m[2])}", "i"),
    rule("显卡5090D -> 显卡五零九零D", r"(?<![\w.,$-])(\d{3,5})(?=[ABCDEFHPQRSTUXYZ](?![A-Za-z\d]))"
         r"(?!\d+A电流)", lambda m: read_digits(m[1])),
    rule("画质1080p -> 画质一零八零p", r"(?<![\w.])(\d{3,4})(?=p(?![A-Za-z]))",
         lambda m: read_digits(m[1]), "p"),
    # Units
    rule("播放100W+ -> 播放一百万多", r"(?<![\w.,])(\d{1,6}(?:\.\d{1,3})?)W(?=\+|字|套|件|辆|台"
         r"|名|粉|播放|次|人|元"
         r"|用户|阅读|点赞|销量)",
         lambda m: f"{m[1]}万", "W"),
    rule("用5V/2A -> 用五伏二安", r"(?<![\w.])(\d{1,3}(?:\.\d{1,2})?)V[/ ]?(\d{1,3}"
         r"(?:\.\d{1,2})?)A(?![A-Za-z0-9])",
         lambda m: f"{read_cardinal(m[1])}伏{read_cardinal(m[2])}安", "V"),
    rule("用220V/50Hz -> 用两百二十伏，五十赫兹", r"(?<=\dV)[/ ](?=\d{2}(?:[-/]\d{2})?Hz)", "，",
         "V"),
    rule("北纬39°54′26″ -> 北纬三十九度五十四分二十六秒",
         r"(\d{1,3})° ?(\d{1,2})[′'’] ?(?:(\d{1,2}(?:\.\d{1,4})?)(?:[″\"”]|′′"
         r"|''))?([NSEW](?![A-Za-z]))?", _angle, "°"),
    rule("配速5'30\" -> 配速五分三十秒", r"(?<![\w.])(\d{1,2})[′'’](\d{2})[″\"”]",
         lambda m: f"{read_count(m[1])}分{read_count(str(int(m[2])))}秒", "'’′"),
    rule("65″电视 -> 六十五英寸电视", r"(?<=\d)″", "英寸", "″"),
    rule("高5'8\" -> 高五英尺八英寸", r"(?<![\w.])(\d)['′’] ?(\d)[\"″”]",
         lambda m: f"{read_count(m[1])}英尺{read_count(m[2])}英寸", "'′’"),
    rule("高1m75 -> 高一米七五", r"(?<![\w.])([12])m(\d\d)(?![\w.])",
         lambda m: f"{read_count(m[1])}米{read_digits(m[2])}", "m"),
    rule("在39.9°N -> 在北纬三十九点九度", r"(\d{1,3}(?:\.\d{1,8})?)°([NSEW])(?![A-Za-z])",
         lambda m: f"{HEMISPHERES[m[2]]}{read_cardinal(m[1])}度", "°"),
    rule("分辨率1920x1080 -> 分辨率一九二零乘一零八零",
         rf"(?<!\d)(?:{PIXELS}) ?[×xX*] ?(?:{PIXELS})(?!\d)", _resolution, "*Xx×"),
    rule("100M宽带 -> 一百兆宽带", r"(?<=\d)M(?=宽带|带宽|流量|光纤|网速|内存|每秒)", "兆", "M"),
    rule("单位m² -> 单位平方米", r"(?<![\w/])([kcm]?m)([²³])", lambda m: UNITS[m[0]], "m"),
    rule("有3m/s，10g/100ml -> 有三米每秒，十克每一百毫升",
         rf"(?:(?<![\w)])(?P<sign>[-+±] ?))?(?<![\w.])(?<![A-Za-z] )(?P<first>{NUMBER}) ?"
         rf"(?:(?P<first_unit>{UNIT})?(?:{RANGE}|[至到])(?P<last_sign>-)?(?P<last>{NUMBER}) ?)?"
         rf"(?P<unit>{UNIT})(?:/(?P<per>\d{{0,4}} ?(?:{UNIT_AFTER_SLASH}))(?![\w²³]))?"
         rf"(?![A-Za-z0-9²³Ωμ/])",
         _quantity, UNIT_LETTERS),
    rule("片长1h30min -> 片长一小时三十分钟",
         r"(?<![\w.])(\d{1,3}) ?(?:h|hr|hrs) ?(\d{1,2}) ?(?:min|mins"
         r"|m)(?: ?(\d{1,2}) ?s(?:ec)?)?(?![A-Za-z])",
         lambda m: f"{read_count(m[1])}小时{read_count(m[2])}分钟"
         + (f"{read_count(m[3])}秒" if m[3] else ""), "h"),
    rule("共5m30s -> 共五分钟三十秒", r"(?<![\w.])(\d{1,3}) ?(?:m"
         r"|min) ?(\d{1,2}) ?s(?:ec)?(?![A-Za-z])",
         lambda m: f"{read_count(m[1])}分钟{read_count(m[2])}秒", "m"),
    rule("12V电流5A -> 十二伏电流五安", r"(?<![\w.])(\d{1,4}(?:\.\d{1,3})?) ?A(?![A-Za-z0-9])",
         _amperes, "A"),
    rule("99元/月 -> 九十九元每月", rf"(?<=[元块角分次克斤升米度天件个人里吨瓦])/(?=[{CJK}])",
         "每", "/"),
    rule("5元/kg -> 五元每公斤", rf"(?<=[{CJK}])/({UNIT})(?![A-Za-z0-9])",
         lambda m: f"每{PER.get(m[1]) or UNITS[m[1]]}", "/"),
    # Large numbers in short
    rule("播放1.5w次，20-30k -> 播放一点五万次，两万到三万",
         rf"(?<![\w.,])({NUMBER})(?:[kw]?{DASH}({NUMBER}))?([kw])(?![A-Za-z0-9+])(?!视频|电视|屏"
         rf"|分辨率"
         rf"|画质|高清|超清|录)",
         _short_amount, "kw"),
    rule("报名10w+，60+岁 -> 报名十万多，六十多岁",
         rf"(?<![\w.,+×÷*/=-])(?P<number>{NUMBER})(?P<scale>[kw])?(?P<chinese>{CHINESE_SCALE})?\+"
         rf"(?![\w+(])", _more_than, "+"),
    rule("粉丝1.2M -> 粉丝一百二十万",
         rf"(?<=粉丝|用户|下载|播放|浏览|阅读|营收|收入|融资|估值|点赞"
         rf"|薪资)({NUMBER})([KMB])(?![A-Za-z0-9])",
         lambda m: read_cardinal(_scaled(m[1], m[2])[0]), "BKM"),
    rule("85折 -> 八五折", r"(?<![\d.])[1-9][1-9](?=折)", lambda m: read_digits(m[0]), "折"),
    rule("3#楼，住#5 -> 三号楼，住五号", r"(?<![\d.])(\d{1,4})#|#(\d{1,6})(?!\d)号?",
         lambda m: read_ordinal(m[1] or m[2]) + "号", "#"),
    # Ordinals and figures
    rule("第1-3名 -> 第一到三名",
         rf"(?:第 ?|№ ?|\b[Nn][Oo]\. ?)(\d+)(?:{RANGE}第?(\d+))?(?![\d/]|\.\d)", _ordinal_range,
         ".第№"),
    rule("第III章，II型 -> 第三章，二型",
         r"(?:(?<=第)|(?<![A-Za-z]))(?![VX]型)(?P<numeral>X{0,3}(?:IX|IV|VI{0,3}|I{1,3})"
         r"|X{2,3}(?=[级期世]))(?![A-Za-z])(?:(?<=第.)|(?<=第..)|(?<=第...)|(?<=第....)"
         r"|(?=[型级期类章节卷世部度区组册]))", _roman,
         "IVX"),
    rule("亨利VIII -> 亨利八世",
         r"(?:(?<=亨利|查理|乔治|威廉|腓力)|(?<=爱德华|詹姆斯|弗朗茨))(?P<numeral>I{1,3}|I?VI{0,3}"
         r"|I?X)(?![A-Za-z]|世)",
         lambda m: _roman(m) + "世", "IVX"),
    rule("路易XIV -> 路易十四",
         rf"(?<=[{CJK}])(?P<numeral>X{{0,3}}(?:IX|IV|VI{{1,3}}|I{{2,3}})"
         rf"|X{{1,2}}V(?:I{{0,3}}))(?![A-Za-z])", _roman, "IVX"),
    rule("图2-1，表3-2 -> 图二杠一，表三杠二",
         rf"((?:{FIGURE}) ?[(（]?)(\d{{1,3}}(?:[-–—.]\d{{1,3}}){{1,3}})(?![\d.%]|[{MEASURED}])",
         _figure, r"\-.–—"),
    rule("表4-1至4-3 -> 表四杠一至四杠三", r"(?<=杠[一二三四五六七八九十])([至到和、~])"
         r"(\d{1,2}[-–]\d{1,2})(?![\d-])",
         _figure, "杠"),
    rule("2-3月，05月06日 -> 二到三月，五月六日",
         rf"(?<![\d.])0?(\d{{1,2}})(?:{RANGE}0?(\d{{1,2}}))?(?=月(?!饼))", _order, "月"),
    rule("在-2楼 -> 在负二楼", r"(?<![\w)])-(?=\d{1,2}[楼层])", "负", "-"),
    rule("2日，2-3号 -> 二日，二到三号",
         rf"(?<![\w.:])(\d{{1,4}})(?:{RANGE}(\d{{1,4}}))?(?=[日号楼])", _order, "号日楼"),
    rule("2点30分 -> 两点三十分", r"(?<![\d.:])(\d{1,2})点(?=\d{1,2}分|半|钟|整|多|左右|到"
         r"|[，。、]|$)",
         lambda m: read_count(str(int(m[1]))) + "点", "点"),
    rule("8点05 -> 八点零五", r"(?<=[点时])0(\d)(?!\d)",
         lambda m: f"零{read_cardinal(m[1])}", "时点"),
    # Pairs of numbers
    rule("去7-11买 -> 去七十一买", r"(?<![\d-])7-11(?=便利|店|买|门|吃|$)", "七十一", r"\-"),
    rule("满300-50 -> 满三百减五十", r"(?<=满)(\d{1,6})-(\d{1,6})(?!\d)", r"\1减\2", "满"),
    rule("21-19、19-21险胜 -> 二十一比十九、十九比二十一险胜",
         r"(?<![\w.-])\d{1,3}[-–]\d{1,3}(?:[、，,；;] ?\d{1,3}[-–]\d{1,3}){1,6}(?![\w.%℃°-])",
         _scores, r"\-–"),
    rule("5-3获胜 -> 五比三获胜",
         rf"(?<![\w.+×÷*/=-])(?P<first>{NUMBER})(?P<dash>{RANGE})(?P<last>{NUMBER})"
         rf"(?! ?[\w.+×÷*/=°-]|\.\d| ?{DASH} ?\d)",
         _pair, r"\-~–—"),
    rule("4-4-2阵型 -> 四四二阵型", r"(?<![\w-])\d(?:-\d){2,3}(?=阵|打法|的阵|站位|首发)"
         r"|(?<=阵型)\d(?:-\d){2,3}(?![\d-])|(?<=阵型为)\d(?:-\d){2,3}(?![\d-])"
         r"|(?<=排出)\d(?:-\d){2,3}(?![\d-])", lambda m: read_digits(m[0]), r"\-排阵"),
    rule("到1-2-3 -> 到一杠二杠三", r"(?<![\w.-])\d{1,6}(?:-\d{1,6}){2,8}(?![\w-])",
         lambda m: _hyphenated(m[0]), r"\-"),
    rule("2班2组 -> 二班二组", r"(?<=班)\d{1,2}(?=小?组|[排号])",
         lambda m: read_ordinal(m[0]), "班"),
    rule("有2班地铁 -> 有两班地铁",
         r"(?<![\d.])2(?=班(?:地铁|公交|飞机|航班|高铁|火车|列车|大巴|轮渡|车|[倒制]|岗))", "两",
         "班"),
    rule("3、4个 -> 三、四个", r"(?<![\d.])(\d)、(?=\d[个天年次人岁])",
         lambda m: f"{read_cardinal(m[1])}、", "、"),
    rule("5月1日-7日 -> 五月一日到七日",
         rf"(?<=[年月日号点分时周岁元块度%℃米斤天个人万亿千百]) ?{DASH} ?"
         rf"(?=[\d零一二三四五六七八九十两第]|公元|前|早|上午|中午|下午|晚|次日|凌晨|今|明)"
         rf"|(?<=[\d%°CF²³]) ?[~—–]{{1,2}} ?(?=\d)", "到", r"\-~–—"),
    rule("大概~30个 -> 大概约三十个", r"~ ?(?=\d)|(?<![^\s（(，。：])≈ ?(?=\d)", "约", "~≈"),
    # Mathematics
    rule("求10³，x² -> 求十的三次方，x的平方",
         r"(?<=[\w)\]Α-ω])([⁺⁻]?[⁰¹²³⁴-⁹ⁿ]{1,6})|(?<=[a-z\d)])(\^[({]?[-+]?(?:\d{1,6}"
         r"|[nxykmt](?![A-Za-z]))[)}]?)", _power),
    rule("约10⁸m/s -> 约十的八次方米每秒", rf"(?<=次方) ?({UNIT})(?:/({UNIT_AFTER_SLASH}))?"
         rf"(?![A-Za-z0-9])",
         lambda m: UNITS[m[1]] + (f"每{PER.get(m[2]) or UNITS.get(m[2], m[2])}" if m[2] else ""),
         "方"),
    rule("气体CO₂ -> 气体CO二", "[₀-₉]{1,6}", lambda m: read_digits(m[0].translate(SUBSCRIPTS))),
    rule("求△ABC -> 求三角形ABC", "△(?=[A-Z])", "三角形", "△"),
    rule("到∞ -> 到无穷大", "∞", "无穷大", "∞"),
    rule("已知∠A -> 已知角A", "∠ ?(?=[\\w])", "角", "∠"),
    rule("求√2 -> 求根号二", "√ ?(?=[\\w(])", "根号", "√"),
    rule("约±3 -> 约正负三", r"± ?(?=[\d.])", "正负", "±"),
    rule("求5 - 3 = 2 -> 求五减三等于二", r"(?<=[\w)]) ?[-–] ?(?=\d{1,15}(?:\.\d{1,9})? ?=)"
         r"|(?<=\d) - (?=\d)|(?<==\d) ?- ?(?=\d)", "减", " ="),
    rule("求10×2 -> 求十乘二", rf"(?<=[\d){SAID}米]) ?[×*✕] ?(?=[\d({SAID}])"
         rf"|(?<=[\d米]) ?[xX] ?(?=\d{{1,6}}(?![A-Za-z\d])|[{SAID}])", "乘", "*Xx×✕"),
    rule("提速3x -> 提速三倍", rf"(?<![\w.=+(*/-])({NUMBER})[xX×](?=[{CJK}，。！？、；）]|$)",
         lambda m: f"{read_count(m[1])}倍", "Xx×"),
    rule("求6÷3 -> 求六除以三", r"(?<=[\w)]) ?÷ ?(?=[\w(])", "除以", "÷"),
    rule("得A+ -> 得A加", r"(?<![A-Za-z])([A-FS])\+(?![\w+(=])", r"\1加", "+"),
    rule("学C++ -> 学C加加", r"(?<=[A-Za-z])\+\+", "加加", "+"),
    rule("算5!=120 -> 算五的阶乘等于一百二十", r"(?<=\d)! ?(?=[=＝])", "的阶乘", "!"),
    rule("算a²-b² -> 算a的平方减b的平方", r"(?<=方) ?- ?(?=[\w(])|(?<=\([a-z])-(?=[a-z\d]\))", "减",
         "-"),
    rule("设x∈A -> 设x属于A", " ?∈ ?", "属于", "∈"),
    rule("求sin30° -> 求sin三十度", r"(?<=sin|cos|tan)(\d{1,3})°",
         lambda m: f"{read_cardinal(m[1])}度", "°"),
    rule("求3+5 -> 求三加五", rf"(?<=[\w)方度]) ?\+ ?(?={OPERAND})|(?<=\d)\+", "加", "+"),
    rule("设a=3 -> 设a等于三", rf"(?<=[\w)%{CJK}Α-ω]) ?= ?(?={OPERAND})", "等于", "="),
    rule("我&你 -> 我和你", rf"(?<=[{CJK}]) ?& ?(?=[{CJK}])", "和", "&"),
    rule("做R&D -> 做R and D", " ?& ?", " and ", "&"),
    # Names
    rule("用H.264 -> 用H点二六四", r"(?<![A-Za-z])([A-Z])\.(\d{1,6})(?![\d.])",
         lambda m: f"{m[1]}点{read_digits(m[2])}", "."),
    rule("看S01E02 -> 看第一季第二集", r"(?<![A-Za-z])S(\d{1,2})E(\d{1,3})(?![A-Za-z\d])",
         lambda m: f"第{read_ordinal(str(int(m[1])))}季第{read_ordinal(str(int(m[2])))}集", "S"),
    rule("版本2.5.1 -> 版本二点五点一",
         r"(?<![\d.])(?!\d{4}\.)(?:\d{1,6}(?:\.\d{1,6}){2}|\d{1,6}(?:\.\d{1,6}){4,8})(?!\.?\d)",
         lambda m: "点".join(map(read_ordinal, m[0].split("."))), "."),
    rule("得1st -> 得first", r"(?<!\d)(\d{1,9})(?:st|nd|rd|th)\b",
         lambda m: read_english_ordinal(m[1]), "nrst"),
    rule("我用GPT-4 -> 我用GPT 四", r"(?<=[A-Za-z])-(?=\d)|(?<=\d)-(?=[A-Za-z])", " ", r"\-"),
    rule("病毒H1N1 -> 病毒H一N一", r"(?<=[A-Za-z])\d{1,30}(?=[A-Za-z])",
         lambda m: read_digits(m[0])),
    rule("空客A320 -> 空客A三二零", r"(?<=[A-Za-z])\d{3,30}(?![\d.%:])",
         lambda m: read_digits(m[0])),
    # Numbers
    rule("有2 1/2，1/2 -> 有二又二分之一，二分之一",
         r"(?:(?<![\w)])(?P<sign>[-+]))?(?<![\d/.])(?:(?P<whole>\d{1,3}) )?(?P<over>\d{1,6})/"
         r"(?P<under>\d{1,6})(?![\d/]|\.\d)",
         _fraction, "/"),
    rule("共123456789012元 -> 共一千二百三十四亿五千六百七十八万九千零一十二元",
         r"(?<![\d.])[1-9]\d{8,15}(?=\.\d\d?元|元|美元|人|个|次|日元|韩元|吨|公里)",
         lambda m: read_cardinal(m[0])),
    rule("号12345678901 -> 号幺二三四五六七八九零幺",
         r"(?<![\w.])(?:\d{11,}[Xx]?|(?:19|20)\d{6})(?![\d.])",
         lambda m: read_digits(m[0], "幺")),
    rule("①打开⑵㈢ -> 一、打开二、三、", "[①-⑳⑴-⒛㈠-㈩]", _list_number, "①-⑳⑴-⒛㈠-㈩"),
    rule("2、3个人，-5 -> 二、三个人，负五",
         rf"(?:(?<![\w)])(?P<sign>[-+±]) ?)?(?P<number>{NUMBER}|\.\d{{1,15}})", _plain_number),
)

GRAMMAR = Grammar(RULES, spaced=False)

"""The words that are said for numbers and symbols. The tables are what a person reads aloud."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparktts_ms.text import normalize as normalize_module
from sparktts_ms.text import normalize_en, normalize_zh, rules
from sparktts_ms.text.normalize import MAX_PIECE, explain, normalize
from tools.normalizer_report import read_cases

CHINESE = """
dates
    今天是2024年5月6日。 = 今天是二零二四年五月六日。
    会议在2024-05-06举行 = 会议在二零二四年五月六日举行
    会议在2024/5/6举行 = 会议在二零二四年五月六日举行
    生于1990.05.06 = 生于一九九零年五月六日
    2月2日，2月22号 = 二月二日，二月二十二号
    5月1日-7日放假 = 五月一日到七日放假
    20世纪90年代，80后 = 二十世纪九十年代，八零后
    1998年-2008年 = 一九九八年到二零零八年
    2020-2024年 = 二零二零到二零二四年
times
    现在是14:30。 = 现在是十四点三十分。
    早上8:05出发 = 早上八点零五分出发
    凌晨0:30 = 凌晨零点三十分
    下午3:15:20 = 下午三点十五分二十秒
    下午2点半 = 下午两点半
    周一至周五9:00-18:00 = 周一至周五九点到十八点
numbers
    圆周率是3.14159。 = 圆周率是三点一四一五九。
    一共1,234,567人 = 一共一百二十三万四千五百六十七人
    大约10,000步 = 大约一万步
    全角１２３个 = 全角一百二十三个
    气温-5℃，零下3.5度 = 气温负五摄氏度，零下三点五度
    1万5千，1.5亿，3万 = 一万五千，一点五亿，三万
    2个人，2次，200只，2000块 = 两个人，两次，两百只，两千块
    2年，2年级，2班 = 两年，二年级，二班
    1/2的人，3/4 = 二分之一的人，四分之三
    3、4个，10几个，20多岁 = 三、四个，十几个，二十多岁
per cent
    增长了12.5%。 = 增长了百分之十二点五。
    占50%到60%，占50%-60% = 占百分之五十到百分之六十，占百分之五十到百分之六十
    下降了-1.2％ = 下降了百分之负一点二
    同比增长3‰ = 同比增长千分之三
money
    价格￥99.8。 = 价格九十九点八元。
    价格¥1,234.5元 = 价格一千二百三十四点五元
    投资¥3000万 = 投资三千万元
    投资$1.5亿 = 投资一点五亿美元
    卖$5.99，€30，£20，HK$50 = 卖五点九九美元，三十欧元，二十英镑，五十港元
    ¥50-100，5元/个 = 五十到一百元，五元每个
units
    5kg大米，500g面，500mL水 = 五公斤大米，五百克面，五百毫升水
    速度60km/h，长180cm，1.8m = 速度每小时六十公里，长一百八十厘米，一点八米
    100m²，25㎡，25°C，220V = 一百平方米，二十五平方米，二十五摄氏度，两百二十伏
    身高1米75，体重65.5kg = 身高一米七十五，体重六十五点五公斤
    20-30kg，60-70km/h = 二十到三十公斤，每小时六十到七十公里
telephone
    电话13812345678。 = 电话幺三八幺二三四五六七八。
    电话138-1234-5678 = 电话幺三八幺二三四五六七八
    电话+86 138 1234 5678 = 电话加八六幺三八幺二三四五六七八
    请拨010-12345678或400-820-8820 = 请拨零幺零幺二三四五六七八或四零零八二零八八二零
    拨打110、120或12306 = 拨打幺幺零、幺二零或幺二三零六
    身份证110101199003078888 = 身份证幺幺零幺零幺幺九九零零三零七八八八八
    密码：8848，房间号302 = 密码：八八四八，房间号三零二
ordinals
    第2名，第23届，第200章 = 第二名，第二十三届，第二百章
    第1-3名，第2次，No.1 = 第一到三名，第二次，第一
ranges and scores
    5~10个，10-20岁，3-5天，3—5次 = 五到十个，十到二十岁，三到五天，三到五次
    1-2次，1.5-2.5米，20℃~25℃ = 一到两次，一点五到二点五米，二十摄氏度到二十五摄氏度
    比分是3:2，5-3获胜 = 比分是三比二，五比三获胜
signs
    3+5=8，10×2=20，6÷3=2，5-3=2 = 三加五等于八，十乘二等于二十，六除以三等于二，五减三等于二
    ±3，~30，5>3，a=3 = 正负三，约三十，五大于三，a等于三
    版本2.5.1，IP是192.168.1.1 = 版本二点五点一，IP是一九二点一六八点一点一
    邮箱abc1@example.com = 邮箱abc一艾特example点com
names
    COVID-19，MP3，PM2.5，A4纸，H1N1 = COVID 十九，MP三，PM二点五，A四纸，H一N一
    G1234次列车，京A12345，1208室 = G幺二三四次列车，京A幺二三四五，幺二零八室
    我用iPhone 15 Pro，Windows 11 = 我用iPhone 十五 Pro，Windows 十一
scores in a row, formations
    21-19、19-21、21-18险胜 = 二十一比十九、十九比二十一、二十一比十八险胜
    打4-4-2阵型，小组赛0-1负于日本队 = 打四四二阵型，小组赛零比一负于日本队
    满300-50，比例是1:50000 = 满三百减五十，比例是一比五万
codes and their pauses
    提取码：8x2k，货架号A-3-12 = 提取码：八x二k，货架号A杠三杠一二
    文号：国办发〔2023〕12号 = 文号：国办发〔二零二三〕十二号
    贵州茅台(600519)，腾讯(00700.HK) = 贵州茅台(六零零五一九)，腾讯(零零七零零点HK)
    密码6位，房间3间，订单100单，验证码4位 = 密码六位，房间三间，订单一百单，验证码四位
hotlines and numbers that are none
    给10086发短信，96110是反诈专线 = 给幺零零八六发短信，九六幺幺零是反诈专线
    第110号，110米栏，10086元 = 第一百一十号，一百一十米栏，一万零八十六元
models
    波音787-9，空客A350-900 = 波音七八七杠九，空客A三五零杠九百
    神舟-18号，89式步枪，99A坦克 = 神舟十八号，八九式步枪，九九A坦克
    iPhone 5s，i9-14900K处理器 = iPhone 五s，i九 一四九零零K处理器
years and events
    80-90年代，95-00后，1920s，08年 = 八十到九十年代，九五到零零后，一九二零年代，零八年
    2008北京奥运会，5.12地震，过3.8节 = 二零零八北京奥运会，五一二地震，过三八节
    有2000年历史，公元25年，1000年 = 有两千年历史，公元二五年，一千年
dates and durations
    2024年05月06日，截止到3/15，6/18大促 = 二零二四年五月六日，截止到三月十五日，六月十八日大促
    时长3:45，配速5'30"，用时12:35 = 时长三分四十五秒，配速五分三十秒，用时十二分三十五秒
    早上8:30-晚上9:30，17:00后 = 早上八点三十分到晚上九点三十分，十七点后
    2024-05-06T14:30:00+08:00的会 = 二零二四年五月六日十四点三十分东八区的会
mathematics
    1/2+1/3=5/6，sin30°=0.5 = 二分之一加三分之一等于六分之五，sin三十度等于零点五
    a²-b²=(a+b)(a-b)，0<x<1 = a的平方减b的平方等于(a加b)(a减b)，零小于x小于一
    3.0×10⁸m/s，5!=120，σ²=2 = 三点零乘十的八次方米每秒，五的阶乘等于一百二十，σ的平方等于二
units and angles
    用5V/2A，220V/50Hz，9.8m/s² = 用五伏二安，两百二十伏，五十赫兹，九点八米每二次方秒
    北纬39°54′26″，39.9°N，100M宽带 = 北纬三十九度五十四分二十六秒，北纬三十九点九度，一百兆宽带
    分辨率1920x1080，7×24小时 = 分辨率一九二零乘一零八零，七乘二十四小时
counted numbers that look like years
    写1500-2000字，约1800~2000词 = 写一千五百到两千字，约一千八百到两千词
    1937-1945抗战，1998-2003年 = 一九三七到一九四五抗战，一九九八到二零零三年
full-width tildes
    1998年～2003年，5月1日～5月3日 = 一九九八年到二零零三年，五月一日到五月三日
    涨-0.5%～1.2%，占５％～１０％ = 涨百分之负零点五到百分之一点二，占百分之五到百分之十
    周一～周五，9:00～18:00，你好～ = 周一到周五，九点到十八点，你好～
cards and accounts
    社保号1234567，会员卡号：9988 = 社保号幺二三四五六七，会员卡号：九九八八
    银行账户62220211，账户余额500元，账户3个 = 银行账户六二二二零二幺幺，账户余额五百元，账户三个
brands
    用诺基亚3310，标致408，奔驰300 = 用诺基亚三三一零，标致四零八，奔驰三百
    宝马2024款，联想2000元，三星500部 = 宝马二零二四款，联想两千元，三星五百部
algebra
    2x-5=3，3a-2b=1，3x+2y=7 = 二x减五等于三，三a减二b等于一，三x加二y等于七
fractions and days
    3/2是假分数，7/4是分数，5/3等于1.67 = 二分之三是假分数，四分之七是分数，三分之五等于一点六七
    12/25是圣诞节，10/1国庆节 = 十二月二十五日是圣诞节，十月一日国庆节
    12/25是截止日 = 十二月二十五日是截止日
    2/3是女生 = 三分之二是女生
tolerances and rates
    500mL±10mL，25℃±2℃ = 五百毫升正负十毫升，二十五摄氏度正负二摄氏度
    传输100MB/s，输入5V/2A = 传输一百MB每秒，输入五伏二安
days of one year
    2024.5.6至5.8，2024/5/6到5/8 = 二零二四年五月六日至五月八日，二零二四年五月六日到五月八日
    5月6日到5.8折 = 五月六日到五点八折
times that end
    20:00开播，23:30结束，以21:19结束 = 二十点开播，二十三点三十分结束，以二十一比十九结束
sales and days with a name
    双11和618，618和双12，5.20表白日 = 双十一和六一八，六一八和双十二，五二零表白日
    双十二与618，5.4青年节，5.12护士节 = 双十二与六一八，五四青年节，五一二护士节
hotlines before their names
    10086营业厅，打10010热线，95588客服 = 幺零零八六营业厅，打幺零零幺零热线，九五五八八客服
marks
    学C++和A+，得了B+，维C+锌 = 学C加加和A加，得了B加，维C加锌
sections and classes
    第12.5节，第3.2.1节 = 第十二点五节，第三点二点一节
    2班2组，有2班地铁，分2组，2班倒 = 二班二组，有两班地铁，分两组，两班倒
    3班5组，实行2班制 = 三班五组，实行两班制
of markets and weeks
    收盘2000-2100点，本局21-19 = 收盘两千到两千一百点，本局二十一比十九
    周1-周5，周一—周三9点 = 周一到周五，周一到周三九点
other characters
    ①打开，Ⅳ级，№5，ＡＢ１２ = 一、打开，四级，第五，AB十二
    共１，２３４元，第X章，XX公司，V型 = 共一千二百三十四元，第X章，XX公司，V型
"""

MIXED = """
by clause
    今天是5月6日，The date is May 6, 2024. = 今天是五月六日，The date is May sixth, twenty twenty four.
    I have 3 apples. 我有3个苹果。He has 2 dogs. = I have three apples. 我有三个苹果。He has two dogs.
names and quotations
    The word 你好 has 2 characters. = The word 你好 has two characters.
    OpenAI 发布了 GPT-4，价格 $20。 = OpenAI 发布了 GPT 四，价格 二十美元。
other scripts stay
    안녕하세요 5월 6일 = 안녕하세요 5월 6일
    Привет, 5 яблок. I have 5 apples. = Привет, 5 яблок. I have five apples.
nothing but a number
    5 = five
    ￥5，6 = 五元，六
white space and quotes
    He said "100 men"  and \\100. = He said "one hundred men"  and \\one hundred.
    他说"100个"， \t 100。 = 他说"一百个"， \t 一百。
"""  # noqa: E501


def cases(table):
    """Lines `written = spoken`, indented below the name of their kind."""
    kind = ""
    for line in filter(None, table.splitlines()):
        if line.startswith(" "):
            written, spoken = re.fullmatch(r" {4}(.*\S) = (.*)", line).groups()
            yield pytest.param(written, spoken, id=f"{kind}: {written}")
        else:
            kind = line


CASES = [*cases(CHINESE), *cases(MIXED)]
ALL_RULES = (*rules.PLAIN_CHARACTERS, *normalize_zh.RULES, *normalize_en.RULES)
EXAMPLES = [rule.example for rule in ALL_RULES]


@pytest.mark.parametrize("written, spoken", CASES)
def test_normalize(written, spoken):
    assert normalize(written) == spoken


@pytest.mark.parametrize("written, spoken", CASES)
def test_normalize_is_idempotent(written, spoken):
    assert normalize(spoken) == spoken


@pytest.mark.parametrize("example", EXAMPLES)
def test_rule_examples(example):
    written, spoken = example.split(" -> ")
    assert normalize(written) == spoken


@pytest.mark.parametrize("example", EXAMPLES)
def test_rule_examples_show_their_rule(example):
    written = example.split(" -> ")[0]
    assert example in [step.rule.example for step in explain(written)]


def test_explain_in_the_order_of_the_text():
    text = "全角１２３个，3只。The $5 is 5."
    steps = explain(text)
    assert [step.position for step in steps] == sorted(step.position for step in steps)
    assert {text[step.position] for step in steps} == set("１3$5")
    assert [step.spoken for step in steps if step.matched == "１２３"] == ["123"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["我有5个", "I have 5 of 7 ", "$5 ", "１２", "x", "。", " "])))
def test_explain_begins_with_what_is_written(tokens):
    text = "".join(tokens)
    steps = explain(text)
    assert bool(steps) == (normalize(text) != text)
    written = [step for step in steps if text.startswith(step.matched, step.position)]
    assert bool(steps) == bool(written)


def test_language_of_all_of_a_text():
    assert normalize("5个 5", "zh") == "五个 五"
    assert normalize("5 of 我", "en") == "five of 我"


@pytest.mark.parametrize("word", ["我有5个，", "I have 5 of 7 cups, ", "5只", "5 cups "])
def test_pieces_of_a_long_text_are_cut_between_words(word):
    count = 5 * MAX_PIECE // len(word)
    assert normalize(word * count) == normalize(word) * count


def test_plain_text_is_unchanged():
    quotes = "Don't worry - isn't it fine?\n\n\"Yes...\""
    for text in ("", "今天天气很好，我们去公园吧。", quotes, "#tag *bold* <b> 二〇二四"):
        assert normalize(text) == text
        assert explain(text) == []


WORDS = """the of cats Alice went Mr. London when red don't is sun second fine is, (it) so.
    你好 我们 世界。""".split()
NUMBERS = """0 2 110 1999 12345 1,234 12,345,678 3.14 -5 50% 1/2 3:30 2024-05-06 5/6 $5.99 ¥100 5kg
    20km/h 25°C 1st 13812345678 555-1234 2.5.1 192.168.0.1 v1.0 #5 A4 B2B 5-10 20~30 +86 ±3 7 3D ½
    2,5 1: 5. (7) 9?""".split()
PLAIN = st.characters(
    exclude_categories=("Nd", "No"),
    exclude_characters="αβγδεζηθικλμνξπρσςτυφχψωΓΔΘΛΞΠΣΦΨΩ"
    "&＆@＠#＃+＋=＝:.°∞√π÷±≈≃≠≤≥⩽⩾‰©⁺⁻²³¹")
FREQUENT = st.sampled_from("0123456789.,:-/%$¥+=&@~ amk天年月日第个\"'\\\n")
ANY = st.text(st.one_of(FREQUENT, st.characters()), max_size=60)


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.sampled_from(NUMBERS), max_size=12))
def test_words_are_kept_and_digits_are_replaced(tokens):
    spoken = normalize(" ".join(tokens))
    assert not re.search("[0-9]", spoken)
    position = 0
    for word in (token for token in tokens if token in WORDS):
        position = spoken.index(word, position) + len(word)


@given(st.text(PLAIN))
def test_text_without_numbers_and_symbols_is_unchanged(text):
    assert normalize(text) == text


@settings(deadline=None)
@given(ANY)
def test_normalize_accepts_any_text(text):
    spoken = normalize(text)
    assert re.findall("[天第个]", spoken) == re.findall("[天第个]", text)


def test_normalize_long_text():
    assert normalize("我有5个苹果，" * 500).count("五") == 500
    assert normalize("1:" * 2000).count("one") == 2000


REPEATED = ["1", "1-", "1,", "1:", ".", "$", "我有5个", "a1 ", "1 ", "5μg", "电话1", "x²+",
            "\u202e1\u0301"]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("repeated", REPEATED)
def test_time_grows_as_the_length(repeated, language):
    """Of anything that is repeated; the ratio, as machines differ."""
    assert_linear_time(repeated, language)


def assert_linear_time(repeated, language, turns=10):
    """The least of several turns counts: other programs only add to the time."""
    seconds = {2_000: [], 16_000: []}
    for _ in range(turns):
        for length, times in seconds.items():
            text = (repeated * length)[:length]
            begin = time.process_time()
            normalize(text, language)
            times.append(time.process_time() - begin)
        short, long = (min(times) for times in seconds.values())
        if long < 20 * short:                   # linear: 8, quadratic: 64
            return
    pytest.fail(f"{long / short:.0f} times the time for 8 times the length")


def test_quadratic_time_is_found(monkeypatch):
    """A pattern that is tried at each character to the end, in text that is not cut."""
    slow = rules.rule("", "[0-9]+x", "")
    grammar = normalize_module.GRAMMARS["en"]._replace(rules=(slow,))
    monkeypatch.setitem(normalize_module.GRAMMARS, "en", grammar)
    monkeypatch.setattr(normalize_module, "MAX_PIECE", 10**9)
    with pytest.raises(pytest.fail.Exception):
        assert_linear_time("1", "en", turns=1)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_rule_is_left_out_for_what_it_needs(monkeypatch, language):
    texts = [case.text for case in read_cases()]
    said = [normalize(text, language) for text in texts]
    grammar = normalize_module.GRAMMARS[language]
    all_rules = tuple(rule._replace(needs=None) for rule in grammar.rules)
    monkeypatch.setitem(normalize_module.GRAMMARS, language, grammar._replace(rules=all_rules))
    assert said == [normalize(text, language) for text in texts]


@pytest.mark.parametrize(
    "template", ["{}", "${}-", "{}st", "第{}", "¥{}.", "{}%", "{}元a", "May {}", "{}-{}个"])
def test_normalize_number_of_any_length(template):
    assert normalize(template.replace("{}", "1" * 5000))

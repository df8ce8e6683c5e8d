"""Traditional Chinese: rules are written in Simplified characters, and read what they say back.

Only the characters that stand in the rules are converted, one for one, so that a text comes back
as it was but for what the rules said.
"""

# Simplified and Traditional, of the characters in the rules whose conversion is not ambiguous.
PAIRS = """
两兩 点點 万萬 亿億 负負 号號 杠槓 划劃 线線 减減 约約 摄攝 欧歐 镑鎊 韩韓 卢盧 铢銖 币幣 兹茲
贝貝 尔爾 时時 纳納 吨噸 仑侖 亩畝 顷頃 钟鐘 转轉 节節 纬緯 经經 东東 个個 条條 张張 间間 种種
样樣 组組 轮輪 双雙 对對 盘盤 层層 楼樓 岁歲 颗顆 辆輛 项項 类類 届屆 级級 队隊 单單 栋棟 环環
区區 进進 审審 战戰 电電 话話 机機 传傳 热熱 编編 码碼 证證 订訂 账賬 帐帳 验驗 邮郵 银銀 护護
车車 铁鐵 动動 飞飛 图圖 题題 课課 册冊 页頁 开開 会會 议議 场場 宾賓 馆館 办辦 医醫 厅廳 厢廂
头頭 胜勝 击擊 败敗 领領 输輸 赢贏 让讓 险險 轰轟 运運 强強 红紅 鹰鷹 长長 剑劍 苏蘇 龙龍 云雲
实實 践踐 骁驍 玑璣 显顯 华華 为為 产產 风風 马馬 温溫 气氣 标標 准準 价價 钱錢 块塊 余餘 几幾
补補 优優 赛賽 学學 财財 应應 从從 过過 这這 说說 们們 来來 没沒 还還 给給 吗嗎 发發 报報 员員
总總 额額 达達 较較 与與 乐樂 书書 门門 问問 视視 频頻 网網 络絡 联聯 预預 测測 试試 体體 积積
数數 据據 质質 压壓 宽寬 径徑 纸紙 毕畢 业業 历歷 寿壽 龄齡 连連 续續 结結 录錄 处處 备備 轨軌
导導 弹彈 舰艦 枪槍 绝絕 满滿 销銷 团團 购購 抢搶 拨撥 询詢 诉訴 举舉 专專 务務 锅鍋 笔筆 听聽
针針 阵陣 笼籠 滩灘 帧幀 顿頓 声聲 扫掃 剂劑 伞傘 阶階 绳繩 缕縷 觉覺 贯貫 纪紀 国國 兰蘭 卖賣
买買 亚亞 独獨 换換 称稱 鸟鳥 鱼魚 猫貓 职職 汤湯 伤傷 乌烏 军軍 闪閃 岭嶺 坛壇 灯燈 铺鋪 灵靈
岛島 爱愛 纯純 阳陽 阴陰 带帶 师師 陆陸 滨濱 宁寧 冯馮 吕呂 邓鄧 刘劉 陈陳 饭飯
"""
_PAIRS = {pair[0]: pair[1] for pair in PAIRS.split()}
_PRIVATE = 0x100000      # stands for a Simplified character that the text already has
_TO_SIMPLIFIED = {ord(old): new for new, old in _PAIRS.items()}
_TO_TRADITIONAL = {ord(old): new for old, new in _PAIRS.items()}
for _number, _character in enumerate(_PAIRS):
    _TO_SIMPLIFIED[ord(_character)] = chr(_PRIVATE + _number)
    _TO_TRADITIONAL[_PRIVATE + _number] = _character


def is_traditional(text: str) -> bool:
    """Whether most of its characters that tell are Traditional: those of Big5 that GB 2312 lacks,
    against the other way round."""
    if any(ord(character) in _TO_TRADITIONAL for character in text if character >= chr(_PRIVATE)):
        return False
    balance = 0
    for character in set(text):
        if "\u4e00" <= character <= "\u9fff":
            balance += _has(character, "big5") - _has(character, "gb2312")
    return balance > 0


def to_simplified(text: str) -> str:
    """For the rules; of the same length, and undone by `to_traditional`."""
    return text.translate(_TO_SIMPLIFIED)


def to_traditional(text: str) -> str:
    return text.translate(_TO_TRADITIONAL)


def _has(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True

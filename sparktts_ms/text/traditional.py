"""Traditional Chinese: rules are written in Simplified characters, and read what they say back.

Only the characters that stand in the rules are converted, one for one, so that a text comes back
as it was but for what the rules said.
"""

# Simplified and Traditional, of the characters in the rules whose conversion is not ambiguous.
PAIRS = """
万萬 与與 专專 业業 东東 丝絲 两兩 个個 为為 举舉 乐樂 乔喬 习習 买買 于於 云雲 亚亞 产產 亩畝
亿億 仑侖 仓倉 价價 优優 会會 传傳 伦倫 体體 余餘 侦偵 侧側 储儲 儿兒 兑兌 党黨 兰蘭 兹茲 内內
册冊 写寫 军軍 冲衝 减減 击擊 划劃 别別 剂劑 剑劍 办辦 务務 动動 劳勞 区區 医醫 华華 单單 卖賣
卢盧 卫衛 厅廳 历歷 压壓 厢廂 厦廈 县縣 双雙 发發 变變 叠疊 号號 后後 吨噸 听聽 员員 咨諮 团團
国國 图圖 圣聖 场場 块塊 坛壇 声聲 头頭 奋奮 奥奧 妇婦 学學 宁寧 实實 宫宮 宽寬 寝寢 对對 寿壽
将將 尔爾 层層 届屆 属屬 岁歲 币幣 帐帳 带帶 帧幀 帮幫 庆慶 库庫 应應 开開 张張 弯彎 强強 当當
录錄 径徑 态態 总總 惨慘 戏戲 战戰 户戶 扫掃 抢搶 护護 报報 拥擁 拨撥 挂掛 挥揮 换換 摄攝 敌敵
数數 无無 时時 昼晝 显顯 晋晉 术術 机機 杀殺 权權 杠槓 条條 来來 枪槍 枭梟 柜櫃 标標 栋棟 栏欄
样樣 档檔 梦夢 楼樓 横橫 欢歡 欧歐 歼殲 毕畢 气氣 沪滬 浏瀏 满滿 点點 热熱 爱愛 猎獵 猫貓 玑璣
琼瓊 电電 画畫 盘盤 码碼 硕碩 礼禮 种種 称稱 穷窮 笔筆 签籤 篮籃 类類 粤粵 红紅 纤纖 约約 级級
纪紀 纬緯 纳納 线線 练練 组組 终終 经經 结結 给給 绝絕 绩績 维維 缕縷 编編 网網 罗羅 联聯 胜勝
舰艦 艺藝 节節 苏蘇 获獲 营營 补補 袭襲 见見 视視 览覽 计計 订訂 议議 论論 设設 访訪 证證 识識
诈詐 诉訴 试試 话話 诞誕 询詢 误誤 请請 读讀 课課 贝貝 负負 财財 败敗 账賬 货貨 质質 购購 贵貴
贷貸 费費 资資 赔賠 赛賽 赞贊 赢贏 赣贛 践踐 车車 转轉 轮輪 软軟 轰轟 轻輕 载載 辆輛 辑輯 输輸
边邊 辽遼 达達 过過 运運 这這 递遞 遥遙 邮郵 针針 钟鐘 铁鐵 铢銖 银銀 链鏈 销銷 锅鍋 锋鋒 错錯
镇鎮 镑鎊 长長 门門 问問 间間 闽閩 阅閱 队隊 阵陣 阶階 际際 陕陝 险險 雳靂 韩韓 页頁 顷頃 项項
顺順 顾顧 顿頓 预預 领領 频頻 颗顆 题題 额額 风風 飞飛 饼餅 马馬 驱驅 骁驍 验驗 鲁魯 鹰鷹 黄黃
龄齡 龙龍
"""
_PAIRS = {pair[0]: pair[1] for pair in PAIRS.split()}
_TRADITIONAL = frozenset(_PAIRS.values())       # GB 2312 has some of them: 後, 於
_PRIVATE = 0x100000     # stands for a Simplified character that the text already has
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
            is_simplified = _has(character, "gb2312") and character not in _TRADITIONAL
            balance += _has(character, "big5") - is_simplified
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

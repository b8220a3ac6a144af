"""Words by which two questions differ however alike they look, in English and Chinese."""

import re
from collections.abc import Iterable, Mapping

NEGATIONS = frozenset(
    ("not", "no", "never", "without", "cannot", "none", "neither", "nor", "except", "unless", "n't",
     "不", "没", "無", "无", "非", "未", "别", "勿", "莫")
)  # fmt: skip

# Each side against the other. Behind "|" stands what is said on purpose: who does not say it means something else.
_ANTONYMS = """
on enable activate start|off disable deactivate stop
enable activate|disable deactivate
open~close closed shut
start begin launch~stop end kill terminate finish
increase raise enlarge bigger larger more grow|decrease reduce lower smaller less shrink
add put~remove delete drop
create make new~delete remove destroy
import~export
upload~download
install|uninstall
include included includes|exclude excluded excludes
allow allowed permit permitted legal|forbid forbidden prohibit prohibited ban banned illegal
safe|unsafe dangerous
maximum max most largest biggest longest highest|minimum min least smallest shortest lowest
first~last
connect|disconnect
win won winner|lose lost loser
buy|sell
lend~borrow
send|receive
encode|decode
encrypt|decrypt
lock|unlock
show|hide
push|pull
join~leave split
merge~split rebase
before~after
above over~below under
left~right
up~down
fast faster speed~slow slower
hot~cold
boiling boil boils~freezing freeze melting melt
subscribe|unsubscribe
mute|unmute
accept approve|reject decline
approve~submit
limited|unlimited
renew~cancel
upgrade|downgrade
join~cancel
backup back~restore
restart reboot~reset
benefits advantages~side disadvantages drawbacks
online|offline
public|private
internal|external
arrival arrive|departure depart
enter~exit
expand~collapse
schedule~cancel reschedule
开启 打开 启用 开|关闭 禁用 停用 关
增大 增加 提高 调大 变大 放大|减小 减少 降低 调小 变小 缩小
加入 添加 加到|移出 移除 删除
导入|导出
上传|下载
安装 装|卸载
允许 可以|禁止
包括 包含|不包括 不含
最大 最高 最长 最多|最小 最低 最短 最少
开门|关门
开始~结束 截止
沸点 沸腾|冰点 熔点
赢 夺冠|输
备份|恢复 还原
取消~续订
以前 之前~以后 之后
好处~副作用 坏处
登录|退出
买|卖
左~右
上升|下降
锁定|解锁
显示|隐藏
订阅|退订
内~后
continue|stop 停止
pause~resume
继续|停止
undo~redo
mute|unmute
ascending|descending
above|below
first~last
arrive~depart
win~lose
lost~stolen
show~hide
"""

_NUMBERS = {
    "zero": "0", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "twenty": "20", "thirty": "30", "hundred": "100",
    "thousand": "1000", "million": "1000000", "both": "2", "twice": "2", "double": "2", "half": "0.5",
    "两": "2", "二": "2", "三": "3", "四": "4", "五": "5", "六": "6", "七": "7", "八": "8", "九": "9", "十": "10",
}  # fmt: skip
# Of units the name that all of their spellings have.
_UNITS = """
kilometer kilometers kilometre kilometres km 公里 千米
mile miles 英里
meter meters metre metres 米
foot feet ft 英尺
inch inches 英寸
centimeter centimeters cm 厘米
kilogram kilograms kg kilos 公斤 千克
pound pounds lb lbs 磅
gram grams 克
ounce ounces oz 盎司
celsius centigrade 摄氏
fahrenheit 华氏
kelvin 开尔文
second seconds 秒
minute minutes 分钟
hour hours hourly 小时
week weeks weekly 周 星期
month months monthly 月
year years annual annually yearly 年
dollar dollars usd 美元
euro euros eur 欧元
yuan rmb cny 元 人民币
gb gigabyte gigabytes
mb megabyte megabytes
kb kilobyte kilobytes
tb terabyte terabytes
percent percentage
forenoon 早上 上午
afternoon 下午
evening 晚上
night 夜里
liter liters litre litres 升
gallon gallons 加仑
"""
WEEKDAYS = {
    "monday": "mon", "tuesday": "tue", "wednesday": "wed", "thursday": "thu", "friday": "fri", "saturday": "sat",
    "sunday": "sun", "星期一": "mon", "周一": "mon", "星期二": "tue", "周二": "tue", "星期三": "wed", "周三": "wed",
    "星期四": "thu", "周四": "thu", "星期五": "fri", "周五": "fri", "星期六": "sat", "周六": "sat", "星期天": "sun",
    "星期日": "sun", "周日": "sun",
}  # fmt: skip
PAST = frozenset(
    ("did", "was", "were", "had", "previously", "formerly", "former", "ago", "yesterday", "wrote", "written", "won",
     "took", "happened", "founded", "built", "born", "died", "invented", "discovered", "started", "ended", "lost",
     "made", "went", "came", "began", "created", "published", "translated", "directed", "rejected", "called off",
     "last year", "last month", "last week", "used to", "以前", "之前", "去年", "昨天", "曾经", "曾", "上个月", "上周",
     "过去", "当时")
)  # fmt: skip
FUTURE = frozenset(
    ("will", "tomorrow", "next", "upcoming", "going to", "将来", "明年", "明天", "下一", "下个月", "将会", "以后")
)
# Why, and what one asks for so.
_KINDS = """
why|why|what makes|reason|cause|为什么|为何|怎么会|原因
where|where|which place|which city|what city|哪里|哪儿|在哪|何处|什么地方|城市
when|when|what time|which day|until when|by when|what date|deadline|什么时候|何时|几点|哪天|日期|截止
who|who|whom|whose|which author|which team|which country won|which person|谁|哪位|作者|哪支|哪个国家
long|how long|length of|delivery time|多久|多长时间|有多长
often|how often|frequency|多久一次|频率
price|how much is|how much does|how much do i pay|what do i pay|price|pay each|expensive|fee|多少钱|价格|费用|月费
meaning|mean|meaning|means|stand for|explain|意思|含义|代表|解释
count|多少个|几个
"""
AUXILIARIES = frozenset(
    ("is", "are", "was", "were", "do", "does", "did", "can", "could", "may", "must", "will", "would", "should", "shall",
     "has", "have", "am")
)  # fmt: skip
# Words in -ed that are no past.
NO_PAST = frozenset(
    ("limited", "unlimited", "need", "speed", "feed", "bleed", "seed", "breed", "weed", "indeed", "hundred")
)
ASKING = frozenset(("what", "which", "who", "whom", "whose", "how", "when", "where", "why"))
YES_NO = ("吗", "能不能", "是否", "是不是", "让不让", "可不可以", "有没有", "会不会")
DONE = re.compile(r"(?<![忘为除过])了(?![解?。!]|$)")
TEMPORAL = frozenset(
    ("before", "after", "last", "next", "previous", "yesterday", "today", "tomorrow", "former", "current", "ago",
     "以前", "之前", "以后", "之后", "去年", "今年", "明年", "昨天", "今天", "明天", "上个", "下个", "下一")
)  # fmt: skip
# What stands in a question whatever it is about.
_EMPTY = """
the of and to in a an is was for that it as with what which who whom whose how many much when where why did does do
are were be by on at from this has have had can could would should may might if or its their there then than my your i
you we me us please tell explain show know want need get got way ways thing things one somebody someone people possible
able use using them they he she his her about into out up so such any some let will shall must am been being give given
steps step process mean exactly just also like
"""
_EMPTY_ZH = (
    "的了吗呢啊吧么请问我你您他她它们一下个在是有会能要可以怎么如何怎样什么哪些多少哪里为什么什么时候"
    "是不是请把被给和与就都也还想做让这那"
)
_SYNONYMS = """
price cost costs costing pay paid expensive charge charges fee
height tall high
size large big
baggage luggage
restart reboot
author write wrote written writer
delivery deliver shipping ship shipped
vacation holiday holidays leave
phone telephone call dial
need require required requirement necessary
document paper papers
fast faster quick quickly speed
computer machine pc laptop
convert conversion converted
submit hand file
win won winner winning
allow allowed permit permitted bring
year yearly annual annually
remove delete erase
fix repair solve resolve
buy purchase
error fault
change modify edit alter
show display view see
begin start
vaccine vaccination vaccinations
doctor physician
city town
job position role
salary pay wage
company firm business employer
send mail post
find locate
choose select pick
picture image photo
car vehicle
child children kid kids
movie film
mean meaning stand stands
include included includes contain contains content cover covered come comes comprise
limit maximum max largest most
arrange schedule organize plan
several multiple many
abroad country
safe safely
deadline until
open opening hours
back backup copy
export save
permit possible
reach contact
near close nearby around
connect connection
capital seat
"""
# Of Chinese phrases that say the same, the first in place of the others.
_PHRASES = """
开启 打开 启用 开通
关闭 停用 禁用 关掉
价格 多少钱 费用 月费 付多少
高度 海拔 多高 高多少
换算 转换 换成
作者 谁写 写的
字体 字号 字
加入 添加到 添加 加到
哪里 什么地方 何处
附近 周围
文件 材料
截止 最晚
寄到 发货到 寄往
开银行账户 开立银行账户 银行开户 办理银行开户
含 含有 含量
冠军 夺冠 赢得
允许 可以 能 让
星期 周
修改 更改 改变
意思 含义 代表
步骤 流程 做法 操作
购买 买
申请 报名
如何 怎样 怎么
"""


def _sides() -> tuple[tuple[frozenset[str], frozenset[str], bool], ...]:
    """One side, the other, and whether the other is marked."""
    pairs = [(line.replace("~", "|").split("|"), "|" in line) for line in _ANTONYMS.strip().splitlines()]
    return tuple((frozenset(one.split()), frozenset(other.split()), marked) for (one, other), marked in pairs)


def _spellings(lines: str) -> Mapping[str, str]:
    return {word: line.split()[0] for line in lines.strip().splitlines() for word in line.split()}


def _kinds() -> Iterable[tuple[str, tuple[str, ...]]]:
    for line in _KINDS.strip().splitlines():
        name, *words = line.split("|")
        yield name, tuple(words)


def _phrases() -> tuple[tuple[str, str], ...]:
    listed = [(word, line.split()[0]) for line in _PHRASES.strip().splitlines() for word in line.split()[1:]]
    return tuple(sorted(listed, key=lambda each: -len(each[0])))


ANTONYMS = _sides()
SYNONYMS = _spellings(_SYNONYMS)
PHRASES = _phrases()
NUMBERS = _NUMBERS
UNITS = _spellings(_UNITS)
KINDS = tuple(_kinds())
EMPTY = frozenset(_EMPTY.split())
EMPTY_CHARACTERS = frozenset(_EMPTY_ZH)
CJK = re.compile(r"[\u3400-\u9fff]")

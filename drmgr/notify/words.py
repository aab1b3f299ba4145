"""What an alarm says: systems, kinds of trouble, figures. Nothing that a source holds, no address, no path."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Literal

from drmgr.model import Text
from drmgr.trouble import Alarm, Delivery, News

Language = Literal["zh", "en"]

LONGEST = 3500
"""Bytes of one message, title and all, where nothing is known of the service: few take less, and nobody reads more."""

_PHRASES: Mapping[str, tuple[str, str]] = {
    "rpo-missed": ("备份超时:最新数据距今 {age},承诺 {rpo}", "RPO missed: newest data {age} old, promised {rpo}"),
    "run-failed": ("{subject} 任务失败({error})", "the last {subject} failed ({error})"),
    "run-overlong": ("任务 {subject} 已运行 {age},疑似卡住", "{subject} has been running for {age}: it may hang"),
    "spool-full": (
        "日志暂存区 {subject} 已满,其余留在数据库服务器上",
        "the spool of {subject} is full: its server keeps the rest",
    ),
    "restore-unfinished": ("恢复尚未完成,旧文件未到位", "a restore is not finished: older files are missing"),
    "swap-unfinished": ("原址恢复未完成,请立即处理", "a restore in its own place was not ended: see to it now"),
    "drill-failed": ("恢复演练 {subject} 未通过", "drill {subject} did not pass"),
    "drill-overdue": ("恢复演练逾期 {subject}", "a restore drill is overdue {subject}"),
    "no-point": ("没有可用的恢复点", "there is no complete recovery point"),
    "point-damaged": ("{count} 处恢复点损坏或丢失", "{count} damaged or lost parts of recovery points"),
    "point-incomplete": ("最新备份不完整", "the newest backup is incomplete"),
    "point-suspicious": ("恢复点可疑,请立即核查", "a recovery point looks suspicious"),
    "source-unprotected": ("有数据源尚无任何备份", "a source has no backup yet"),
    "kit-missing": ("恢复工具包缺失或无法打开", "the recovery kit is missing or does not open"),
    "undeclared": ("系统 {subject} 已无任务定义,不再备份", "no job names the system {subject} any more"),
    "check-failed": ("备份仓库核查发现损坏 {subject}", "damage was found in the repository {subject}"),
    "copy-behind": ("异地副本 {subject} 滞后", "the copy {subject} is behind"),
    "copy-damaged": ("异地副本 {subject} 损坏", "the copy {subject} is damaged"),
    "copy-unreachable": ("异地副本 {subject} 无法访问", "the copy {subject} cannot be asked"),
    "rto-missed": ("恢复时间超出承诺 {subject}", "the last drill took longer than promised {subject}"),
    "unprotected": ("备份对象失去锁定保护 {subject}", "stored objects are not locked as they should be {subject}"),
    "clock": ("时钟异常,时间不可信", "the clock is wrong"),
    "evidence-broken": ("演练证据异常 {subject}", "evidence of drill {subject} does not hold"),
    "audit-broken": ("审计日志异常,请立即核查", "the audit log does not hold: see to it now"),
    "repository-unreachable": ("备份存储无法访问", "the object store cannot be reached"),
    "repository-missing": ("备份仓库不存在", "the repository is not there"),
    "repository-access": ("备份存储拒绝访问", "the store refuses access"),
    "repository-damaged": ("备份仓库损坏", "the repository is damaged"),
    "notify-failed": ("通知未送达 {subject}", "alarms do not reach {subject}"),
}
_SITE = Text("站点", "site")


def title(deliveries: Sequence[Delivery], site: Text, lang: Language) -> str:
    """One line: how much is new, how much is over."""
    raised = sum(each.news is News.RAISED for each in deliveries)
    recovered = len(deliveries) - raised
    if lang == "zh":
        parts = [f"{raised} 项告警" if raised else "", f"{recovered} 项恢复" if recovered else ""]
    else:
        parts = [f"{raised} in trouble" if raised else "", f"{recovered} recovered" if recovered else ""]
    return f"[drmgr] {getattr(site, lang)}: {', '.join(part for part in parts if part)}"


def body(
    deliveries: Sequence[Delivery],
    titles: Mapping[str, Text],
    at: datetime,
    zone: tzinfo,
    lang: Language,
    *,
    room: int = LONGEST,
) -> str:
    """A line for each piece of news, as many as fit into ``room`` bytes of UTF-8, and how many did not."""
    ordered = sorted(deliveries, key=lambda each: each.news is News.RECOVERED)
    lines = [_line(each, titles, zone, lang) for each in ordered]
    end = f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S} ({zone})"
    more = "另有 {} 项,见 drmgr status" if lang == "zh" else "{} more, see drmgr status"
    for left in range(len(lines) + 1):
        text = "\n".join([*lines[: len(lines) - left], *([more.format(left)] if left else []), end])
        if len(text.encode()) <= room:
            return text
    return shortened(text, room)


def shortened(text: str, room: int) -> str:
    """What of it fits into so many bytes of UTF-8, in whole characters."""
    encoded = text.encode()
    return text if len(encoded) <= room else encoded[: max(0, room)].decode(errors="ignore")


def test_words(site: Text, at: datetime, zone: tzinfo, lang: Language) -> tuple[str, str]:
    """Title and body of a message that only tries whether it arrives."""
    when = f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S} ({zone})"
    if lang == "zh":
        return f"[drmgr] {site.zh}: 测试通知", f"这是一条测试消息,无需处理。\n{when}"
    return f"[drmgr] {site.en}: test", f"This is a test. Nothing is wrong.\n{when}"


def _line(each: Delivery, titles: Mapping[str, Text], zone: tzinfo, lang: Language) -> str:
    alarm = each.alarm
    name = getattr(titles.get(alarm.system) or (_SITE if not alarm.system else Text(alarm.system, alarm.system)), lang)
    since = f"{alarm.raised_at.astimezone(zone):%m-%d %H:%M}"
    words = _phrase(alarm, lang)
    if each.news is News.RAISED:
        return f"✗ {name}: {words}"
    over = "已恢复,始于" if lang == "zh" else "recovered, was so since"
    return f"✓ {name}: {words} ({over} {since})"


def _phrase(alarm: Alarm, lang: Language) -> str:
    phrases = _PHRASES.get(alarm.code)
    if phrases is None:
        return f"异常({alarm.code})" if lang == "zh" else f"trouble ({alarm.code})"
    figures: dict[str, Any] = {"subject": alarm.subject, "error": "", "count": "", "age": "", "rpo": ""}
    for name, value in alarm.figures.items():
        show: Callable[[Any], str] = _duration if name in {"age", "rpo", "late"} else str
        figures[name] = show(value)
    return phrases[lang == "en"].format(**figures).replace(" ()", "").replace("()", "").strip()


def _duration(seconds: float) -> str:
    minutes = int(seconds) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min"

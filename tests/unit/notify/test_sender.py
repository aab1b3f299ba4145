"""Messages by apprise to an HTTP server of the test, which answers as robots do."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from drmgr.errors import ConfigError, NotifyError
from drmgr.model import Text
from drmgr.notify import words
from drmgr.notify.sender import AppriseNotifier
from drmgr.system.secret import Secret
from drmgr.trouble import Alarm, Delivery, News

AT = datetime(2026, 1, 5, 6, 3, 22, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
SITE = Text("示例精神专科医院", "Demo Psychiatric Hospital")
TITLES = {"his": Text("医院信息系统 HIS", "HIS"), "pacs": Text("影像系统", "PACS")}


@dataclass
class Robot:
    """Keeps what it was sent; ``status`` and ``answer`` are what it says, and before that each of ``refusals`` once."""

    port: int
    status: int = 200
    answer: bytes = b'{"errcode": 0, "errmsg": "ok"}'
    refusals: list[bytes] = field(default_factory=list)
    heard: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def robot() -> Iterator[Robot]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(told.status)
            self.end_headers()
            self.wfile.write(told.refusals.pop(0) if told.refusals else told.answer)

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        told = Robot(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield told
        server.shutdown()
        thread.join()


def notifier(url: str, language: words.Language = "zh") -> AppriseNotifier:
    return AppriseNotifier("duty", lambda: Secret(url), site=SITE, titles=TITLES, zone=SHANGHAI, language=language)


def news(code: str, kind: News = News.RAISED, system: str = "his", subject: str = "", **figures: object) -> Delivery:
    return Delivery(Alarm("A", f"{system}:{code}", system, code, subject, figures, AT), kind, "duty")


def test_a_service_hears_whether_it_is_trouble_or_its_end(robot: Robot) -> None:
    duty = notifier(f"json://127.0.0.1:{robot.port}")
    over = news("drill-failed", News.RECOVERED)
    duty.send([over, news("rpo-missed", age=11400.0, rpo=300.0)], AT)
    duty.send([over], AT)
    duty.test(AT)
    assert [message["type"] for message in robot.heard] == ["failure", "success", "info"]


def test_a_message_arrives_with_names_and_figures(robot: Robot) -> None:
    told = [
        news("drill-failed", News.RECOVERED, "pacs", "pacs-restore"),
        news("rpo-missed", age=11400.0, rpo=300.0),
    ]
    notifier(f"json://127.0.0.1:{robot.port}").send(told, AT)
    (message,) = robot.heard
    assert message["title"] == "[drmgr] 示例精神专科医院: 1 项告警, 1 项恢复"
    assert message["message"].splitlines() == [
        "✗ 医院信息系统 HIS: 备份超时:最新数据距今 3 h 10 min,承诺 5 min",
        "✓ 影像系统: 恢复演练 pacs-restore 未通过 (已恢复,始于 01-05 14:03)",
        "2026-01-05 14:03:22 (Asia/Shanghai)",
    ]
    notifier(f"json://127.0.0.1:{robot.port}", "en").test(AT)
    assert robot.heard[1]["title"] == "[drmgr] Demo Psychiatric Hospital: test"


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        (200, b'{"errcode": 93000, "errmsg": "invalid webhook url"}', "errcode 93000"),
        (200, b'{"code": 19024, "msg": "Key Words Not Found"}', "code 19024"),
        (200, b'{"errcode": 45009}', "errcode 45009"),
        (500, b"{}", ""),
        (404, b"not json", ""),
    ],
)
def test_what_a_robot_refuses_has_not_arrived(robot: Robot, status: int, answer: bytes, why: str) -> None:
    robot.status, robot.answer = status, answer
    with pytest.raises(NotifyError, match=f"did not reach duty.*{why}$"):
        notifier(f"json://127.0.0.1:{robot.port}").send([news("clock")], AT)


WECOM, DINGTALK = "wecombot://secret-word", "dingtalk://secretword"
FEISHU, LARK = "feishu://secret-word", "lark://secret-word"


@pytest.fixture
def robots(robot: Robot, monkeypatch: pytest.MonkeyPatch) -> Robot:
    """One robot that speaks for all services: their addresses lead to it."""
    from apprise.plugins import base, dingtalk, feishu, lark, wecombot

    here = f"http://127.0.0.1:{robot.port}/"
    monkeypatch.setattr(wecombot.NotifyWeComBot, "notify_url", here + "{key}")
    monkeypatch.setattr(dingtalk.NotifyDingTalk, "notify_url", here + "{token}")
    monkeypatch.setattr(feishu.NotifyFeishu, "notify_url", here + "{token}")
    monkeypatch.setattr(lark.NotifyLark, "notify_url", here)
    # apprise waits seconds between two messages of one address
    monkeypatch.setattr(base.NotifyBase, "request_rate_per_sec", 0)
    return robot


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        (WECOM, b'{"errcode": 0, "errmsg": "ok"}'),
        (DINGTALK, b'{"errmsg": "ok", "errcode": 0}'),
        (FEISHU, b'{"code": 0, "data": {}, "msg": "success"}'),
        (FEISHU, b'{"Extra": null, "StatusCode": 0, "StatusMessage": "success"}'),
        (LARK, b'{"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}'),
    ],
)
def test_what_a_robot_takes_in_its_own_words_has_arrived(robots: Robot, url: str, answer: bytes) -> None:
    robots.answer = answer
    notifier(url).test(AT)
    assert len(robots.heard) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"<html>please log in as secret-word</html>", "something that is no JSON"),
        (b"", "something that is no JSON"),
        (b"[" * 60_000, "something that is no JSON"),
        ('{"errcode": 0, "errmsg": "成功"}'.encode("gbk"), "something that is no JSON"),
        (b'{"errcode": 0, "code": 0, "errmsg": "' + b"x" * 70_000 + b'"}', "something that is no JSON"),
        (b"[0]", "no {field} 0"),
        (b"0", "no {field} 0"),
        (b"{}", "no {field} 0"),
        (b'{"errcode": "45009", "code": "19024"}', "no {field} 0"),
        (b'{"errcode": "0", "code": "0"}', "no {field} 0"),
        (b'{"errcode": false, "code": false, "StatusCode": null}', "no {field} 0"),
        (b'{"errcode": 200, "code": 200}', "no {field} 0"),
        (b'{"success": false, "error": "secret-word"}', "no {field} 0"),
    ],
)
@pytest.mark.parametrize(
    ("url", "field"), [(WECOM, "errcode"), (DINGTALK, "errcode"), (FEISHU, "code"), (LARK, "code")]
)
def test_any_other_answer_of_a_robot_is_a_message_that_did_not_arrive(
    robots: Robot, url: str, field: str, answer: bytes, why: str
) -> None:
    robots.answer = answer
    with pytest.raises(NotifyError) as caught:
        notifier(url).test(AT)
    assert caught.value.message == f"the message did not reach duty: it answered {why.format(field=field)}"


@pytest.mark.parametrize(
    ("url", "answer", "why"),
    [
        (WECOM, b'{"code": 0}', "no errcode 0"),
        (DINGTALK, b'{"StatusCode": 0}', "no errcode 0"),
        (FEISHU, b'{"errcode": 0}', "no code 0"),
        (FEISHU, b'{"StatusCode": 0, "code": 19024}', "code 19024"),
        (FEISHU, b'{"StatusCode": 19024, "code": 0}', "StatusCode 19024"),
    ],
)
def test_the_good_word_of_another_service_is_none(robots: Robot, url: str, answer: bytes, why: str) -> None:
    robots.answer = answer
    with pytest.raises(NotifyError, match=f"it answered {why}$"):
        notifier(url).test(AT)


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        (502, b"<html>", "HTTP 502"),
        (500, b'{"errcode": 0}', "HTTP 500"),
        (400, b'{"errcode": 93000}', "errcode 93000"),
    ],
)
def test_a_robots_status_is_told_where_it_gives_no_number(robots: Robot, status: int, answer: bytes, why: str) -> None:
    robots.status, robots.answer = status, answer
    with pytest.raises(NotifyError, match=f"it answered {why}$"):
        notifier(WECOM).test(AT)


def test_each_part_of_a_long_message_must_be_taken(robots: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer than a service takes goes in parts where the address says so."""
    from apprise.plugins.wecombot import NotifyWeComBot

    monkeypatch.setattr(NotifyWeComBot, "body_maxlen", 60)
    robots.refusals = [b"<html>"]
    with pytest.raises(NotifyError, match=r"no JSON$"):
        notifier(f"{WECOM}?overflow=split").test(AT)
    assert len(robots.heard) > 1


def test_several_addresses_are_each_judged_by_their_own_words(robots: Robot) -> None:
    robots.answer = b"thank you"
    notifier(f"json://127.0.0.1:{robots.port}").test(AT)
    with pytest.raises(NotifyError, match=r"no JSON$"):
        notifier(f"json://127.0.0.1:{robots.port}, {WECOM}").test(AT)
    assert len(robots.heard) == 3


def test_an_answer_that_was_not_seen_proves_nothing(robots: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    """apprise may one day send by other means than requests."""
    from apprise.plugins.wecombot import NotifyWeComBot

    monkeypatch.setattr(NotifyWeComBot, "send", lambda *_arguments, **_named: True)
    with pytest.raises(NotifyError, match=r"nothing that could be read$"):
        notifier(WECOM).test(AT)
    assert robots.heard == []


def test_an_address_that_nobody_answers_is_told_without_being_shown() -> None:
    with pytest.raises(NotifyError) as caught:
        notifier("json://user:secret-word@127.0.0.1:9/path").send([news("clock")], AT)
    assert "secret-word" not in caught.value.message + caught.value.hint
    with pytest.raises(NotifyError, match="none that apprise knows"):
        notifier("nosuch://secret-word").test(AT)


def test_an_address_that_cannot_be_looked_up_is_a_message_that_did_not_arrive() -> None:
    def missing() -> Secret:
        raise ConfigError("the file of the secret file:x is not there")

    sender = AppriseNotifier("duty", missing, site=SITE, titles=TITLES, zone=SHANGHAI, language="zh")
    with pytest.raises(NotifyError, match="not to be had"):
        sender.test(AT)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_kind_of_trouble_has_words_that_fit_a_robots_message(language: words.Language) -> None:
    for code in (*words._PHRASES, "something-new"):
        text = words.body([news(code, count=3, error="source", late=5.0)], TITLES, AT, SHANGHAI, language)
        assert "{" not in text
        assert "()" not in text


@pytest.mark.parametrize(("url", "takes"), [(WECOM, 2048), (DINGTALK, words.LONGEST), (FEISHU, words.LONGEST)])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_message_is_as_long_as_its_robot_takes_and_says_how_much_was_left_out(
    robots: Robot, language: words.Language, url: str, takes: int
) -> None:
    robots.answer = b'{"errcode": 0, "code": 0}'
    # of different lengths, so that the limit falls into each byte of a character
    for count in (500, 501, 502):
        many = [news("point-damaged", subject="x" * (count - 500), count=number) for number in range(count)]
        notifier(url, language).send(many, AT)
        text = _text_of(robots.heard[-1])
        # one line more would have been too long
        assert takes - 100 < len(text.encode()) <= takes
        *_, last, _ = text.splitlines()
        (left,) = (int(word) for word in last.split() if word.isdigit())
        assert sum(line.startswith("✗") for line in text.splitlines()) + left == count


def test_what_does_not_fit_at_all_is_cut_between_two_characters(robots: Robot) -> None:
    long = Text("医" * 3000, "H" * 9000)
    sender = AppriseNotifier(
        "duty", lambda: Secret(WECOM), site=long, titles={"his": long}, zone=SHANGHAI, language="zh"
    )
    sender.send([news("no-point"), news("clock")], AT)
    text = _text_of(robots.heard[-1])
    assert len(text.encode()) <= 2048
    assert "另有 2 项" in text
    assert [words.shortened("医院", room) for room in (-1, 0, 2, 3, 5, 6)] == ["", "", "", "医", "医", "医院"]


def _text_of(heard: Any) -> str:
    """What a robot was sent, whatever its notation."""
    inner = heard.get("text") or heard["content"]
    return str(inner["content"] if "content" in inner else inner["text"])

"""Alarms by apprise: one message to one address, and the honest answer whether it arrived."""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from http import HTTPStatus
from typing import Any

from drmgr.errors import DrmgrError, NotifyError
from drmgr.model import Text
from drmgr.notify import words
from drmgr.system.secret import Secret
from drmgr.trouble import Delivery, News

ANSWER_FIELDS = ("errcode", "StatusCode", "code")
"""Robots of WeCom, DingTalk and Feishu refuse with HTTP 200 and one of these other than 0 in a JSON answer."""

GOOD_FIELDS: Mapping[str, tuple[str, ...]] = {
    "wecombot": ("errcode",),
    "dingtalk": ("errcode",),
    "feishu": ("code", "StatusCode"),
    "lark": ("code", "StatusCode"),
}
"""Robots by apprise's name for them: what they took they answer with the number 0 in one of these, as JSON."""

TAKES: Mapping[str, int] = {"wecombot": 2048}
"""Bytes of UTF-8 of one message by apprise's name for the service, where it takes less than words.LONGEST: WeCom's robots are
sent texts, which are shorter than their markdown may be. Those of DingTalk and Feishu take 20,000."""

BETWEEN = 2
"""Bytes by which apprise parts title and body in a message that has no title of its own."""

LARGEST_ANSWER = 64 * 1024

_PATCHING = threading.Lock()


class AppriseNotifier:
    """One recipient of the site file; implements trouble.Notifier. ``titles`` are the systems' names."""

    def __init__(
        self,
        name: str,
        url: Callable[[], Secret],
        *,
        site: Text,
        titles: Mapping[str, Text],
        zone: tzinfo,
        language: words.Language,
    ) -> None:
        self.name = name
        self._url = url
        self._site = site
        self._titles = titles
        self._zone = zone
        self._language = language

    def send(self, deliveries: Sequence[Delivery], at: datetime) -> None:
        """One message with all the news. Raises NotifyError."""
        title = words.title(deliveries, self._site, self._language)
        raised = any(each.news is News.RAISED for each in deliveries)

        def body(room: int) -> str:
            return words.body(deliveries, self._titles, at, self._zone, self._language, room=room)

        self._post(title, body, "failure" if raised else "success")

    def test(self, at: datetime) -> None:
        """A message that says it is a test. Raises as ``send``."""
        title, text = words.test_words(self._site, at, self._zone, self._language)
        self._post(title, lambda room: words.shortened(text, room), "info")

    def _post(self, title: str, body: Callable[[int], str], kind: str) -> None:
        """``body`` gives the text that fits into so many bytes.

        ``kind`` is one of apprise's: services show it by a colour or a sign, and some only wake people for a failure.
        """
        import apprise

        # its warnings would name the address, which is a secret
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        sender = apprise.Apprise()
        try:
            url = self._url()
        except DrmgrError as error:
            raise NotifyError(
                f"the address of {self.name} is not to be had: {error.message}", hint=error.hint
            ) from error
        if not sender.add(url.reveal()):
            raise NotifyError(
                f"the address of {self.name} is none that apprise knows",
                hint="write it in apprise's notation, such as wecombot://KEY; try it with: drmgr notify test",
            )
        refused: list[str] = []
        for server in sender:
            takes = TAKES.get(str(server.secure_protocol), words.LONGEST)
            head = words.shortened(title, takes // 4)
            room = takes - len(head.encode()) - BETWEEN
            refused += _refusals(server, head, body(room), kind)
        if refused:
            why = ", ".join(filter(None, dict.fromkeys(refused)))
            raise NotifyError(f"the message did not reach {self.name}{f': it answered {why}' if why else ''}")


def _refusals(server: Any, title: str, body: str, kind: str) -> list[str]:
    """Sends by one service of apprise. What it answered instead of taking the message, empty text where nobody knows."""
    import apprise

    sender = apprise.Apprise()
    sender.add(server)
    good = GOOD_FIELDS.get(str(server.secure_protocol), ())
    with _answers(good) as answers:
        arrived = sender.notify(title=title, body=body, notify_type=kind)
    if refused := [why for why in answers if why]:
        return refused
    if not arrived:
        return [""]
    return ["nothing that could be read"] if good and not answers else []


@contextmanager
def _answers(good: Sequence[str]) -> Iterator[list[str]]:
    """Gathers for each HTTP answer why it is a refusal, empty text if it is none. apprise looks at the status alone."""
    import requests

    answers: list[str] = []
    send = requests.Session.send

    def watched(session: requests.Session, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        response = send(session, request, **kwargs)
        answers.append(_refusal(response.status_code, response.content[:LARGEST_ANSWER], good))
        return response

    with _PATCHING:
        requests.Session.send = watched  # type: ignore[method-assign, assignment]
        try:
            yield answers
        finally:
            requests.Session.send = send  # type: ignore[method-assign]


def _refusal(status: int, content: bytes, good: Sequence[str]) -> str:
    """Why an answer is a refusal, without any text of it: a proxy's page may repeat the address. ``good``: GOOD_FIELDS."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    found = answer if isinstance(answer, dict) else {}
    numbers = {field: value for field, value in found.items() if type(value) is int}
    for field in ANSWER_FIELDS:
        # other services put words or HTTP's own 200 there
        if numbers.get(field, 0) not in {0, 200}:
            return f"{field} {numbers[field]}"
    if not good or (status == HTTPStatus.OK and any(numbers.get(field) == 0 for field in good)):
        return ""
    if status != HTTPStatus.OK:
        return f"HTTP {status}"
    return "something that is no JSON" if answer is None else f"no {good[0]} 0"

"""Alarms by apprise: one message to one address, and the honest answer whether it arrived."""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import Any

from drmgr.errors import DrmgrError, NotifyError
from drmgr.model import Text
from drmgr.notify import words
from drmgr.system.secret import Secret
from drmgr.trouble import Delivery

ANSWER_FIELDS = ("errcode", "StatusCode", "code")
"""Robots of WeCom, DingTalk and Feishu refuse with HTTP 200 and one of these other than 0 in a JSON answer."""

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
        self._post(title, words.body(deliveries, self._titles, at, self._zone, self._language))

    def test(self, at: datetime) -> None:
        """A message that says it is a test. Raises as ``send``."""
        self._post(*words.test_words(self._site, at, self._zone, self._language))

    def _post(self, title: str, body: str) -> None:
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
        with _refusals() as refused:
            arrived = sender.notify(title=title, body=body)
        if not arrived or refused:
            why = f": it answered {', '.join(refused)}" if refused else ""
            raise NotifyError(f"the message did not reach {self.name}{why}")


@contextmanager
def _refusals() -> Iterator[list[str]]:
    """Gathers what robots say in the body of a good HTTP answer. apprise looks at the status alone."""
    import requests

    refused: list[str] = []
    send = requests.Session.send

    def watched(session: requests.Session, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        response = send(session, request, **kwargs)
        found = _refusal(response.content[:LARGEST_ANSWER])
        if found:
            refused.append(found)
        return response

    with _PATCHING:
        requests.Session.send = watched  # type: ignore[method-assign, assignment]
        try:
            yield refused
        finally:
            requests.Session.send = send  # type: ignore[method-assign]


def _refusal(content: bytes) -> str:
    try:
        answer = json.loads(content)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    for field in ANSWER_FIELDS:
        value = answer.get(field)
        # other services put words or HTTP's own 200 there
        if isinstance(value, int) and not isinstance(value, bool) and value not in {0, 200}:
            return f"{field} {value}"
    return ""

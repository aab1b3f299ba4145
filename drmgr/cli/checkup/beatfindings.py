"""What ``drmgr doctor`` says of schedules: declared, started by somebody, and looked at lately."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from drmgr.errors import DrmgrError

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site

LATEST = timedelta(minutes=15)
"""A scheduler that has not looked for longer than this, beyond its own pace, does not run."""

Line = tuple[str, str, str, str]
"""Name, state, detail and hint."""


def schedule_findings(opened: "Site") -> Iterator[Line]:
    """One line on who starts drmgr, one on each kind that is looked at, one on who hears of trouble."""
    from drmgr.cli.scheduling.install import Installer, wanted_beats

    wanted = wanted_beats(opened)
    if not wanted:
        yield "schedule", "warn", "no job declares a schedule", "add schedule to the files in jobs/ and drills/"
        return
    beats, now = opened.schedule_book.beats(), opened.clock.now()
    fresh = all(
        beat.name in beats and now - beats[beat.name] <= timedelta(minutes=beat.minutes) + LATEST for beat in wanted
    )
    try:
        how = Installer(opened).installed()
    except DrmgrError as error:
        yield "schedule", "fail", error.message, error.hint
        return
    install = "run: drmgr schedule install --cron (or --systemd)"
    if how is None and not fresh:
        # a site that is being set up is not there yet; one that ran before has stopped
        yield "schedule", "fail" if beats else "warn", "schedules are declared, and nobody starts them", install
        return
    yield "schedule", "ok", f"started by {how or 'drmgr schedule run'}", ""
    for beat in wanted:
        last = beats.get(beat.name)
        if last is None:
            yield f"schedule: {beat.name}", "warn", "was not looked at yet", "does cron or systemd run? see its log"
            continue
        late = now - last > timedelta(minutes=beat.minutes) + LATEST
        ago = f"looked {max(0, int((now - last).total_seconds()))} s ago"
        hint = "does cron or systemd run? see its log" if late else ""
        yield f"schedule: {beat.name}", "fail" if late else "ok", ago, hint
    if not opened.config.notify.to:
        yield "alarms", "warn", "nobody is told of trouble", "name somebody under notify.to in the site file"

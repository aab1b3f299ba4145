"""What the configuration says of schedules, alarms and metrics, as pydantic models."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from drmgr.config.part import Part
from drmgr.config.values import AnyPath, CronText, Duration, Id, SecretRef, TimeOfDay, Whole


class JobSchedule(Part):
    """When a system is backed up. Cron expressions in the site's time zone; null means only by hand."""

    backup: CronText | None = Field(default=None, description="when recovery points are made, for instance 30 1 * * *")
    ship: CronText | None = Field(default=None, description="when logs are shipped, for instance */5 * * * *")


class Quiet(Part):
    """A daily window, in the site's time zone, in which no missed run is made up."""

    begin: TimeOfDay = Field(default="07:30", description="when the window opens")
    end: TimeOfDay = Field(default="11:30", description="when it closes; earlier than begin means the next day")

    @model_validator(mode="after")
    def _lasts(self) -> "Quiet":
        if self.begin == self.end:
            raise ValueError("begin and end must differ; quiet: null means no window")
        return self


class ScheduleRules(Part):
    """What scheduled runs may do."""

    parallel: Whole = Field(default=2, ge=1, le=64, description="backups and drills at the same time on this host")
    quiet: Quiet | None = Field(default=Quiet(), description="window in which no missed run is made up; null for none")
    drill_within: Duration = Field(
        default=timedelta(days=92), description="a system whose last passed drill is older than this is in trouble"
    )


class Recipient(Part):
    """Somebody, or a group, that alarms go to."""

    name: Id = Field(description="short name, as status shows it")
    url: SecretRef = Field(description="reference to the address, in the notation of apprise: wecombot://, mailtos://")


class Notify(Part):
    """Who hears of trouble."""

    to: tuple[Recipient, ...] = Field(default=(), description="where alarms go; empty means nowhere")
    language: Literal["zh", "en"] = Field(default="zh", description="language of the alarms")

    @model_validator(mode="after")
    def _unique(self) -> "Notify":
        names = [each.name for each in self.to]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each recipient has a name of its own, but {twice[0]} is there twice")
        return self


class Metrics(Part):
    """Figures for monitoring that are written again and again."""

    textfile: AnyPath | None = Field(
        default=None, description="file for a collector of text files, written every five minutes; null for none"
    )

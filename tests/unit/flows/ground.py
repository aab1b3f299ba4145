"""A site whose folders were spoilt after their backup, to be restored in its own place."""

from collections.abc import Callable
from dataclasses import dataclass

from drmgr.errors import DrmgrError, Interrupted
from drmgr.flows.backup import backup
from drmgr.flows.finish import finish
from drmgr.flows.original import ToOriginal
from drmgr.flows.restore import RestoreDone, restore
from drmgr.flows.restoreplan import RestorePlan
from drmgr.flows.swap import undo
from drmgr.model import (
    NOTHING_TOLD,
    OccasionKind,
    Swap,
    Told,
)
from drmgr.state.swap_book import FileSwapBook
from tests.support.fake_place import FakePlace
from tests.unit.flows.conftest import Site

SPOILT, GOOD = ("spoilt", "spoilt"), ("main", "images")


def allowed() -> None:
    return


@dataclass
class Ground:
    """A site whose two folders were spoilt after their backup, and their places."""

    site: Site
    target: ToOriginal
    places: dict[str, FakePlace]

    def plan(self, *sources: str) -> RestorePlan:
        return RestorePlan("latest", self.target, sources, "spoilt", OccasionKind.INCIDENT)

    def restore(self, *sources: str) -> RestoreDone:
        return restore(self.site.bench, self.site.wired, self.plan(*sources))

    def content(self, name: str) -> str:
        return (self.places[name].root / "deep" / "a.txt").read_text()

    def both(self) -> tuple[str, str]:
        return self.content("main"), self.content("images")

    def swap(self) -> Swap:
        return self.target.book.all()[-1]

    def undo(self, *, force: bool = False) -> Swap:
        way = {"reason": "back", "permit": allowed, "force": force}
        return undo(self.site.bench, self.target.book, self.swap(), self.target.places, **way)  # type: ignore[arg-type]

    def finish(self, told: Told = NOTHING_TOLD) -> RestoreDone:
        return finish(self.site.bench, self.site.wired, self.target, self.swap(), "end", told=told)

    def kept(self) -> list[str]:
        """The folders beside the two, without their run."""
        return sorted(
            path.name.rpartition("-")[0]
            for path in self.site.folder.iterdir()
            if ".re" in path.name or ".be" in path.name
        )


def spoilt_site(site: Site) -> Ground:
    backup(site.bench, site.wired)
    places = {name: FakePlace(engine, site.folder / name) for name, engine in site.engines.items()}
    for name in places:
        (site.folder / name / "deep" / "a.txt").write_text("spoilt")
    return Ground(site, ToOriginal(places, FileSwapBook(site.folder / "state"), allowed), places)


def moving_into(place: FakePlace, ground: Ground, which: int, failure: DrmgrError | Interrupted) -> None:
    """The rename of that number of the place raises: its name is known only when the run is."""
    plain: Callable[..., object] = place.rename

    def rename(move: object, *, end_sessions: bool) -> None:
        if place.moves(ground.swap().run, "x")[which].new == move.new:  # type: ignore[attr-defined]
            place.raises[move.new] = failure  # type: ignore[attr-defined]
            setattr(place, "rename", plain)  # noqa: B010 - what is a method to mypy cannot be set
        plain(move, end_sessions=end_sessions)

    place.rename = rename  # type: ignore[method-assign]

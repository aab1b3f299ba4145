"""What looks like an encryption or a lost table is doubted, and what only looks busy is not; on synthetic histories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drmgr.flows.suspicion import History, Sensitivity, judge
from drmgr.model import Change, Doubt, DoubtKind, Facts, Member, Part, PointStatus, RecoveryPoint

MIB = 1024 * 1024
START = datetime(2026, 1, 1, tzinfo=UTC)


def tree(
    files: int, size: int, *, new: int = 0, changed: int = 0, unmodified: int = 0, added: int = 0, ratio: float = 0.5
) -> Member:
    change = Change(new, changed, unmodified, added)
    part = Part("files", "s", files, size, int(added * ratio), change=change)
    return Member("main", "files", START, (part,), Facts("files", START, {}))


def quiet(files: int = 1000, size: int = 1000 * MIB) -> Member:
    return tree(files, size, unmodified=files)


def busy(files: int = 1000, size: int = 1000 * MIB, *, share: float = 0.02, ratio: float = 0.5) -> Member:
    touched = int(files * share)
    return tree(files, size, changed=touched, unmodified=files - touched, added=int(size * share), ratio=ratio)


def first(files: int = 1000, size: int = 1000 * MIB, ratio: float = 0.5) -> Member:
    return tree(files, size, new=files, added=size, ratio=ratio)


def dump(size: int, *, share: float = 0.02, ratio: float = 0.3, rows: Mapping[str, int] | None = None) -> Member:
    added = int(size * share)
    part = Part("dump", "s", 1, size, int(added * ratio), change=Change(0, 1, 0, added))
    tables = {name: {"rows": count} for name, count in (rows or {}).items()}
    return Member("main", "postgresql", START, (part,), Facts("postgresql", START, {"tables": tables}))


@dataclass
class Story:
    """One system, night after night."""

    rules: Sensitivity = field(default_factory=Sensitivity)
    points: list[RecoveryPoint] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)

    def night(self, member: Member, *, canary: bool | None = None) -> tuple[Doubt, ...]:
        """What is doubted of the point that is made of it."""
        name, history = f"P{len(self.points)}", History(list(self.points), frozenset(self.accepted))
        canaries = {} if canary is None else {"main": canary}
        judgement = judge(name, [member], history, self.rules, canaries)
        at = START + timedelta(days=len(self.points))
        complete = PointStatus.COMPLETE
        point = RecoveryPoint(name, "his", "R", at, at, complete, (member,), {}, "h", judgement=judgement)
        self.points.append(point)
        return judgement.doubts

    def of_sources(self, *names: str, complete: bool = True) -> list[tuple[str, DoubtKind, str]]:
        """The same of several quiet sources; source, kind and since of each doubt."""
        name, history = f"P{len(self.points)}", History(list(self.points), frozenset(self.accepted))
        members = tuple(replace(quiet(), source=source) for source in names)
        judgement = judge(name, members, history, self.rules, {})
        at = START + timedelta(days=len(self.points))
        status = PointStatus.COMPLETE if complete else PointStatus.INCOMPLETE
        self.points.append(RecoveryPoint(name, "his", "R", at, at, status, members, {}, "h", judgement=judgement))
        return [(doubt.source, doubt.kind, doubt.since) for doubt in judgement.doubts]

    def kinds(self, member: Member, *, canary: bool | None = None) -> list[DoubtKind]:
        return [doubt.kind for doubt in self.night(member, canary=canary)]

    def nights(self, members: Sequence[Member]) -> None:
        for member in members:
            assert self.kinds(member) == []


def test_an_encrypted_tree_is_doubted_until_its_content_is_back() -> None:
    story = Story()
    story.nights([first(), *[busy()] * 5])
    encrypted = tree(1000, 1000 * MIB, new=1000, added=1000 * MIB, ratio=1.0)
    assert story.kinds(encrypted) == [DoubtKind.ENCRYPTED]
    # nothing happens on the next night, and that makes nothing well
    (doubt,) = story.night(quiet())
    assert (doubt.kind, doubt.since) == (DoubtKind.ENCRYPTED, "P6")
    assert story.kinds(busy()) == [DoubtKind.ENCRYPTED]
    # half of it is restored: still not
    assert story.kinds(tree(1000, 1000 * MIB, new=500, unmodified=500)) == [DoubtKind.ENCRYPTED]
    assert story.kinds(tree(1000, 1000 * MIB, new=1000, added=MIB)) == []
    assert story.kinds(busy()) == []


def test_a_tenth_of_a_tree_is_enough_when_it_cannot_be_compressed_any_more() -> None:
    story = Story()
    story.nights([first(), *[busy(share=0.01)] * 5])
    assert story.kinds(busy(share=0.3, ratio=1.0)) == [DoubtKind.ENCRYPTED]


def test_images_that_never_could_be_compressed_are_doubted_when_all_are_replaced() -> None:
    story = Story()
    story.nights([first(ratio=0.99), *[busy(ratio=0.99)] * 5])
    assert story.kinds(busy(share=0.9, ratio=1.0)) == [DoubtKind.REWRITTEN]


def test_a_dump_that_nothing_compresses_any_more_is_doubted_until_a_person_says_otherwise() -> None:
    story = Story()
    story.nights([dump(500 * MIB, share=1.0), *[dump(500 * MIB)] * 5])
    assert story.kinds(dump(500 * MIB, share=0.9, ratio=1.0)) == [DoubtKind.ENCRYPTED]
    assert story.kinds(dump(500 * MIB)) == [DoubtKind.ENCRYPTED]
    story.accepted.add("P6")
    assert story.kinds(dump(500 * MIB)) == []


@pytest.mark.parametrize(("table", "left"), [("visit", 0), ("visit", 400), ("gone", None)])
def test_a_table_that_lost_most_of_its_rows_is_doubted_until_they_are_back(table: str, left: int | None) -> None:
    story = Story()
    whole = {"visit": 1000, "gone": 300, "small": 10}
    story.nights([dump(MIB, rows={name: count + night for name, count in whole.items()}) for night in range(5)])
    lost = {name: count for name, count in {**whole, "small": 0, table: left}.items() if count is not None}
    (doubt,) = story.night(dump(MIB, rows=lost))
    assert (doubt.kind, doubt.subject, doubt.since) == (DoubtKind.EMPTIED, table, "P5")
    (still,) = story.night(dump(MIB, rows=lost))
    assert still.since == "P5"
    assert story.kinds(dump(MIB, rows=whole)) == []


def test_worse_is_another_doubt_than_what_was_accepted() -> None:
    story = Story()
    story.nights([dump(MIB, rows={"visit": 1000})] * 4)
    assert story.kinds(dump(MIB, rows={"visit": 400})) == [DoubtKind.EMPTIED]
    (worse,) = story.night(dump(MIB, rows={"visit": 0}))
    assert worse.since == "P5"
    story.accepted.add("P4")
    assert story.kinds(dump(MIB, rows={"visit": 400})) == []
    # by now 400 are usual, and as large a loss as the accepted one is not: none are left
    assert story.kinds(dump(MIB, rows={"visit": 0})) == [DoubtKind.EMPTIED]


def test_what_is_accepted_becomes_usual_and_the_same_again_is_no_news() -> None:
    story = Story()
    story.nights([dump(MIB, rows={"staging": 1000})] * 5)
    assert story.kinds(dump(MIB, rows={"staging": 0})) == [DoubtKind.EMPTIED]
    story.accepted.add("P5")
    story.nights([dump(MIB, rows={"staging": count}) for count in (0, 0, 1000, 0, 1000, 3)])


def test_a_table_cleared_every_night_is_learned_from_the_first_points() -> None:
    story = Story()
    story.nights([dump(MIB, rows={"today": count}) for count in (500, 0, 450, 30, 510, 0, 480)])


def test_tables_with_a_date_in_their_name_go_when_others_like_them_have_come() -> None:
    story = Story()
    months = [{f"log_2026{month:02}": 1000 for month in range(start, start + 3)} for start in range(1, 9)]
    story.nights([dump(MIB, rows=rows) for rows in months])
    assert {doubt.subject for doubt in story.night(dump(MIB, rows={}))} == {"log_202608", "log_202609", "log_202610"}


def test_a_table_whose_rows_could_not_be_counted_is_not_missed() -> None:
    story = Story()
    story.nights([dump(MIB, rows={"busy": 1000})] * 4)
    member = dump(MIB)
    assert story.kinds(replace(member, facts=replace(member.facts, groups={"moving": {"busy": {"there": True}}}))) == []


def test_a_tree_that_lost_its_files_is_doubted() -> None:
    story = Story()
    story.nights([first(), *[busy()] * 4])
    assert story.kinds(tree(100, 100 * MIB, unmodified=100)) == [DoubtKind.SHRUNK, DoubtKind.EMPTIED]


@pytest.mark.parametrize(
    ("bad", "canary", "kind"),
    [
        (dump(100 * MIB, rows={"a": 10}), True, DoubtKind.EMPTIED),
        (dump(MIB, rows={"a": 1000}), True, DoubtKind.SHRUNK),
        (dump(100 * MIB, share=0.9, ratio=1.0, rows={"a": 1000}), True, DoubtKind.ENCRYPTED),
        (dump(100 * MIB, rows={"a": 1000}), False, DoubtKind.CANARY),
    ],
)
def test_another_method_of_backup_makes_nothing_well(bad: Member, canary: bool, kind: DoubtKind) -> None:
    story = Story()
    for _ in range(5):
        assert story.kinds(dump(100 * MIB, rows={"a": 1000}), canary=True) == []
    assert story.kinds(bad, canary=canary) == [kind]
    for _ in range(5):
        (doubt,) = story.night(replace(bad, engine="postgresql-physical"), canary=canary)
        assert (doubt.kind, doubt.since) == (kind, "P5")
    story.accepted.add("P5")
    assert story.kinds(replace(bad, engine="postgresql-physical"), canary=canary) == []


def test_a_canary_is_missed_only_where_it_was_seen() -> None:
    story = Story()
    assert story.kinds(quiet(), canary=False) == []
    assert story.kinds(quiet(), canary=True) == []
    (doubt,) = story.night(quiet(), canary=False)
    assert doubt.kind is DoubtKind.CANARY
    assert story.night(quiet(), canary=False)[0].since == doubt.since
    assert story.kinds(quiet(), canary=True) == []


def test_a_source_that_has_gone_is_doubted_until_it_is_back_however_short_the_history() -> None:
    story = Story()
    assert story.of_sources("main", "images") == []
    assert story.of_sources("main") == [("images", DoubtKind.SOURCE_GONE, "P1")]
    # the point before has not held it either by now, and that makes nothing well
    assert story.of_sources("main", complete=False) == [("images", DoubtKind.SOURCE_GONE, "P1")]
    assert story.of_sources("main", "images", "letters") == []
    assert story.of_sources("images") == [
        ("letters", DoubtKind.SOURCE_GONE, "P4"),
        ("main", DoubtKind.SOURCE_GONE, "P4"),
    ]
    # one of them is back
    assert story.of_sources("images", "main") == [("letters", DoubtKind.SOURCE_GONE, "P4")]


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("accepted", ["P1", "P2"])
def test_a_source_that_was_given_up_on_purpose_is_not_asked_about_again(accepted: str, complete: bool) -> None:
    story = Story()
    story.of_sources("main", "images")
    for _ in range(2):
        assert len(story.of_sources("main", complete=complete)) == 1
    story.accepted.add(accepted)
    assert [story.of_sources("main") for _ in range(3)] == [[], [], []]
    # another one is another matter
    assert story.of_sources("other") == [("main", DoubtKind.SOURCE_GONE, "P6")]


# --- no false alarm ---


def test_the_first_backups_are_not_judged_and_say_so() -> None:
    story = Story()
    story.nights([first(), tree(1000, 1000 * MIB, new=1000, added=1000 * MIB, ratio=1.0), dump(MIB), quiet(20, MIB)])
    assert story.points[1].judgement is not None
    assert story.points[1].judgement.short
    assert story.points[3].judgement is not None
    assert story.points[3].judgement.compared == {"main": 2}


def test_a_quiet_system_a_monthly_import_and_a_move_of_all_files_are_no_attack() -> None:
    story = Story()
    story.nights([first(), *[quiet()] * 10])
    # the archive of a month comes in at once, in a form that nothing compresses
    story.nights([tree(2500, 2500 * MIB, new=1500, unmodified=1000, added=1500 * MIB, ratio=1.0)])
    story.nights([quiet(2500, 2500 * MIB)] * 3)
    # all files get another folder: other paths, the same content
    story.nights([tree(2500, 2500 * MIB, new=2500, added=20 * MIB)])


def test_weekly_fulls_after_differentials_are_no_attack() -> None:
    def full(ratio: float = 0.4) -> Member:
        return tree(1, 1000 * MIB, new=1, added=1000 * MIB, ratio=ratio)

    def differential(day: int) -> Member:
        return tree(2, (1000 + 20 * day) * MIB, new=1, unmodified=1, added=20 * day * MIB, ratio=0.4)

    story = Story()
    story.nights([each for _ in range(4) for each in (full(), *map(differential, range(1, 7)))])
    # differentials alone, where the full one lies elsewhere
    alone = [
        replace(full(), source="main"),
        *[tree(1, 20 * day * MIB, new=1, added=20 * day * MIB) for day in (1, 2, 3)],
    ]
    Story().nights(alone * 5)


shares = st.floats(0.0, 0.3)


@given(st.lists(st.tuples(st.floats(1.0, 3.0), shares, st.floats(0.2, 0.8)), min_size=1, max_size=25))
def test_a_growing_system_is_never_doubted(nights: list[tuple[float, float, float]]) -> None:
    """However fast it grows, and whatever share of its files is worked on: what was there stays in use."""
    story, files, rows = Story(), 100, 100
    for growth, share, ratio in nights:
        before, files, rows = files, min(10**9, int(files * growth)), min(10**9, int(rows * growth))
        touched = int(before * share)
        added = (files - before + touched) * MIB
        member = tree(
            files,
            files * MIB,
            new=files - before,
            changed=touched,
            unmodified=before - touched,
            added=added,
            ratio=ratio,
        )
        facts = replace(member.facts, groups={"tables": {"visit": {"rows": rows}}})
        assert story.kinds(replace(member, facts=facts)) == []


@given(
    st.lists(st.tuples(shares, st.floats(0.2, 0.7)), min_size=3, max_size=25),
    st.floats(0.8, 1.0),
    st.integers(0, 3),
)
def test_whatever_the_history_a_tree_encrypted_whole_is_doubted(
    nights: list[tuple[float, float]], share: float, quiet_after: int
) -> None:
    story = Story()
    story.nights([first(), *(busy(share=touched, ratio=ratio) for touched, ratio in nights)])
    assert story.kinds(busy(share=share, ratio=1.0)) in ([DoubtKind.ENCRYPTED], [DoubtKind.REWRITTEN])
    for _ in range(quiet_after):
        assert len(story.kinds(quiet())) == 1


@given(st.lists(st.integers(100, 10**6), min_size=3, max_size=25).map(sorted))
def test_whatever_the_history_an_emptied_table_is_doubted_and_a_refilled_one_is_not(counts: list[int]) -> None:
    story = Story()
    story.nights([dump(MIB, rows={"visit": count}) for count in counts])
    assert story.kinds(dump(MIB, rows={"visit": 0})) == [DoubtKind.EMPTIED]
    assert story.kinds(dump(MIB, rows={"visit": counts[-1]})) == []

"""Damage is found, told by the points it touches, and mended from a copy."""

from tests.support.site import Site, flip_byte


def test_damage_is_named_and_mended_from_a_copy(site: Site) -> None:
    site.edit(lambda document: document.update(copies={"fire": {"kind": "folder", "path": "fire"}}))
    site.edit(lambda document: document.update(verify={"period": "2d"}))
    (site.directory / "documents/2026/new.txt").write_text("新")
    (first,), second = site.points("docs"), site.json("backup", "docs")["runs"][0]["recovery_point"]
    site.json("repo", "copy", "docs")
    (row,) = site.json("repo", "check", "docs", "--rotate")["repositories"]
    assert (row["coverage"]["groups"], row["coverage"]["read"], row["coverage"]["all_read_since"]) == (2, 1, None)

    largest = max(site.repository_files("docs", "data"), key=lambda path: path.stat().st_size)
    flip_byte(largest)
    lost = site.repository_files("docs", "snapshots")[-1]
    flip_byte(lost)
    (row,) = site.json("repo", "check", "docs", "--read-data", code=21)["repositories"]
    assert row["broken_packs"] == [largest.name]
    assert row["points"] == sorted([first, second])
    assert site.run("repo", "expire", "docs").code == 2
    site.refused(2, "repo", "check", "docs", "--repair-from", "nosuch")
    shown = site.run("repo", "check", "docs", "--repair-from", "fire")
    assert (shown.code, shown.out.count("was mended")) == (0, 2)
    assert site.json("repo", "check", "docs", "--read-data")["repositories"][0]["points"] == []
    assert site.points("docs") == [first, second]
    played = site.json("drill", "run", "docs-restore")["drills"][0]
    assert (played["verdict"], played["systems"][0]["point"]) == ("passed", second)
    # and what was mended is still the same to the copy
    assert site.json("repo", "copy", "docs")["copies"][0]["copied"] == []

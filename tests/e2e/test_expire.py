"""Points expire by rule, told in words before; what stays still restores."""

from tests.support.site import Site


def with_rules(site: Site) -> None:
    rules = {"within": "1s", "daily": 1, "weekly": 0, "monthly": 0, "yearly": 1}
    site.edit(lambda document: document.update(retention=rules))


def test_points_expire_and_the_rest_restores(site: Site) -> None:
    site.refused(2, "repo", "expire", "docs")
    with_rules(site)
    first = site.points("docs")[0]
    site.json("drill", "run", "docs-restore")
    # an old scan makes room: what only the points that go need is freed
    (site.directory / "documents/scan.bin").write_bytes(bytes(1000))
    second, third = (site.json("backup", "docs")["runs"][0]["recovery_point"] for _ in range(2))
    shown = site.run("repo", "expire", "docs", "--dry-run")
    assert shown.code == 0
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    (row,) = site.json("repo", "expire", "docs", "--dry-run")["systems"]
    assert [kept["point"] for kept in row["kept"]] == [first, third]
    assert row["kept"][0]["reasons"] == ["the last point that a drill or restore proved"]
    assert row["expired"] == [second]
    assert site.points("docs") == [first, second, third]

    site.json("drill", "run", "docs-restore")
    before = sum(path.stat().st_size for path in site.repository_files("docs", "data"))
    (row,) = site.json("repo", "expire", "docs", "--prune")["systems"]
    assert (row["expired"], row["pruned"]) == ([first, second], True)
    assert site.points("docs") == [third]
    assert sum(path.stat().st_size for path in site.repository_files("docs", "data")) < before - 200_000
    assert site.json("drill", "run", "docs-restore")["drills"][0]["verdict"] == "passed"
    assert [run.kind for run in site.runs() if run.status == "ok"].count("expire") == 1


def test_nothing_expires_from_a_repository_with_problems(site: Site) -> None:
    with_rules(site)
    site.json("backup", "docs")
    site.repository_files("docs", "snapshots")[0].unlink()
    (row,) = site.json("repo", "expire", "docs", code=11)["systems"]
    assert (row["error"]["code"], row["expired"]) == ("expire-refused", [])

"""A right configuration loads as it is meant; a wrong one gets every mistake named, with its file and line."""

from datetime import timedelta
from pathlib import Path

import pytest

from drmgr.config.load import load_site
from drmgr.config.models import DatabaseSource, PostgresqlConnection, SqlCheck, system_of
from drmgr.config.values import SecretRef
from drmgr.errors import ConfigError, UsageError
from drmgr.model import Objectives, System, Text
from tests.unit.config.conftest import DRILL, JOB, SITE, Write


def problems(path: str = "drmgr.yaml") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_site(Path(path))
    return list(caught.value.problems)


def test_a_right_configuration_is_read_whole(write: Write, tmp_path: Path) -> None:
    loaded = load_site(Path("drmgr.yaml"))

    connection, job = loaded.site.connections["his-main"], loaded.job("his")
    assert isinstance(connection, PostgresqlConnection)
    assert (connection.port, connection.password) == (5432, SecretRef("file", "secrets/his"))
    assert isinstance(job.sources[0], DatabaseSource)
    assert job.sources[0].facts == "full"
    assert isinstance(job.checks[0], SqlCheck)
    assert (job.checks[0].expect.rule, job.checks[0].expect.value) == ("at_least", 1)
    assert loaded.drill("his-restore").level == 3
    assert loaded.files == {"his": tmp_path / "jobs/his.yaml"}
    assert loaded.drill_files == {"his-restore": tmp_path / "drills/his-restore.yaml"}
    assert system_of(job) == System(
        "his", Text("医院信息系统", "HIS"), 1, Objectives(timedelta(hours=1), timedelta(hours=4))
    )


def test_paths_are_relative_to_the_site_file(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = load_site(Path("../drmgr.yaml"))
    assert loaded.resolve(loaded.site.state) == tmp_path / "state"
    assert loaded.resolve("../x") == tmp_path.parent / "x"
    assert loaded.resolve("/srv") == Path("/srv")
    assert list(loaded.jobs) == ["his"]


WRONG_SITE = """\
site: {id: demo, name: {zh: 示例, en: }, timezone: Asia/Nowhere}
kyes: {}
store:
  kind: folder
  paht: repositories
connections:
  his-main:
    engine: postgresql
    host: /run/his
    prot: 5433
    port: 99999
    database: 7
    user: drmgr
    password: hunter2
  his-main: {}
  pacs-images: {engine: flies, root: /srv}
  old-lis: {engine: mysql, host: lis-db}
restore: {allow: {connections: [his-mian]}}
"""

WRONG_JOB = """\
system: his
title: {zh: 他}
tier: 4
objectives:
  rpo: 60
  rto: 1 hour
sources:
  - {name: main, kind: database, connection: his-mian, facts: sampled}
  - name: main
    kind: files
    connection: his-main
    one_file_system: yes
checks:
  - {name: a, kind: sql, title: {zh: a, en: b}, source: mian, sql: "", expect: {equals: 0, at_most: 1}}
"""

DURATION = "must be a duration such as 90s, 5m, 2h, 1d or 1h30m"
SCENARIOS = (
    "'server-lost', 'storage-lost', 'ransomware', 'rows-changed-by-mistake', 'database-corrupted', 'site-lost', "
    "'keys-lost', 'drmgr-host-lost' or 'chain-broken'"
)

ALL_PROBLEMS = [
    "drmgr.yaml:1: keys: is missing",
    "drmgr.yaml:1: site.name.en: has no value; it must be text",
    "drmgr.yaml:1: site.timezone: must be a time zone that this machine knows, such as Asia/Shanghai",
    "drmgr.yaml:2: kyes: is not a known key; did you mean keys?",
    "drmgr.yaml:3: store.path: is missing",
    "drmgr.yaml:5: store.paht: is not a known key; did you mean path?",
    "drmgr.yaml:10: connections.his-main.prot: is not a known key; did you mean port?",
    "drmgr.yaml:11: connections.his-main.port: must be at most 65535",
    "drmgr.yaml:12: connections.his-main.database: must be text; put it in quotes",
    "drmgr.yaml:14: connections.his-main.password: must be a reference to a secret (env:NAME, file:PATH or "
    "keystore:NAME), never the secret itself",
    "drmgr.yaml:15: connections.his-main: is there twice; first on line 7",
    "drmgr.yaml:16: connections.pacs-images.engine: must be 'postgresql' or 'mariadb' or 'sqlserver' or 'sqlite' or 'files'",
    "drmgr.yaml:17: connections.old-lis.engine: must be 'postgresql' or 'mariadb' or 'sqlserver' or 'sqlite' or 'files'; "
    "MySQL is none of them, for it was never run with drmgr",
    "drmgr.yaml:18: restore.allow.connections[0]: names the connection his-mian, which is not there; "
    "did you mean his-main?",
    "jobs/his.yaml:2: title.en: is missing",
    "jobs/his.yaml:3: tier: must be at most 3",
    f"jobs/his.yaml:5: objectives.rpo: {DURATION}",
    f"jobs/his.yaml:6: objectives.rto: {DURATION}",
    "jobs/his.yaml:8: sources[0].connection: names the connection his-mian, which is not in the site file; "
    "did you mean his-main?",
    "jobs/his.yaml:8: sources[0].facts: must be 'full' or 'counts'",
    "jobs/his.yaml:9: sources[1].name: is main for a second time; names in sources are unique",
    "jobs/his.yaml:11: sources[1].connection: names the connection his-main, whose engine postgresql is not for "
    "a source of kind files",
    "jobs/his.yaml:12: sources[1].one_file_system: must be true or false",
    "jobs/his.yaml:14: checks[0].expect: must hold exactly one of equals, at_least, at_most, equals_sql, "
    "not equals and at_most",
    "jobs/his.yaml:14: checks[0].source: names the source mian, which this job does not have; did you mean main?",
    "jobs/his.yaml:14: checks[0].sql: must not be blank",
    "jobs/lis.yaml:2: is not valid YAML: expected the node content, but found '<stream end>'",
    f"drills/his-restore.yaml:3: scenario: must be {SCENARIOS}",
    "drills/his-restore.yaml:4: systems[1]: names the system hsi, which has no job; did you mean his?",
]


def test_all_mistakes_of_all_files_come_at_once_with_their_lines(write: Write) -> None:
    write("drmgr.yaml", WRONG_SITE)
    write("jobs/his.yaml", WRONG_JOB)
    write("jobs/lis.yaml", "system: [\n")
    write("drills/his-restore.yaml", DRILL.replace("[his]", "[his, hsi, lis]").replace("server-lost", "fire"))
    assert problems() == ALL_PROBLEMS


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("drmgr.yaml", "pacs-images:", "Pacs:", "11: connections.Pacs: must be a name of at most 41"),
        ("drmgr.yaml", "env:DRMGR", "keystore:a", "2: keys.passphrase: must be env:NAME or file:PATH"),
        ("drmgr.yaml", "kind: folder, path", "path", "3: store.kind: is missing; it is 'folder' or 's3'"),
        ("drmgr.yaml", "kind: folder", "kind: folder, secret_key: x", "3: store.secret_key: is not a known key"),
        ("drmgr.yaml", "/srv/pacs", "~/pacs", "11: connections.pacs-images.root: must be a whole path"),
        ("drmgr.yaml", "site: {id: demo", "site: {id: -x", "1: site.id: must be a name"),
        ("drmgr.yaml", "store:", "jobs: jbos\nstore:", "3: jobs: names the folder jbos, which cannot be read"),
        ("drmgr.yaml", "    host: /run/his", "    host: &a [*a]", "7: connections.his-main.host[0]: holds itself"),
        (
            "drmgr.yaml",
            "host: /run/his",
            "host: !!python/name:os.system x",
            "7: connections.his-main.host: has a tag",
        ),
        ("drmgr.yaml", "host: /run/his", "host: !!int x", "7: connections.his-main.host: does not fit its tag"),
        ("drmgr.yaml", "host: /run/his", "host: ''", "7: connections.his-main.host: must be one line of text"),
        (
            "drmgr.yaml",
            "[his-main]",
            "[his-main, x]",
            "13: restore.allow.connections[1]: names the connection x, which",
        ),
        ("jobs/his.yaml", "rpo: 1h", "rpo: 60", "4: objectives.rpo: must be a duration"),
        ("jobs/his.yaml", "connection: his-main", "connection: x", "6: sources[0].connection: names the connection x"),
        ("jobs/his.yaml", "source: main, table", "source: x, table", "15: checks[1].source: names the source x, which"),
        ("jobs/his.yaml", "{at_least: 1}", "{equals: [1]}", "14: checks[0].expect.equals: must be one value"),
        ("jobs/his.yaml", "{at_least: 1}", "{equals: .nan}", "14: checks[0].expect.equals: must be a finite number"),
        ("drmgr.yaml", "host: /run/his", "<<: {a: b}", "7: connections.his-main: has a merge key"),
        ("drmgr.yaml", "host: /run/his", "7: x", "7: connections.his-main: has a key that is not text"),
        ("drmgr.yaml", "host: /run/his", "host: a: b", "7: is not valid YAML: mapping values are not allowed"),
        ("jobs/his.yaml", "system: his", "system: lis", "1: system: is lis, so the file must be named lis.yaml"),
        ("jobs/his.yaml", "rpo: 1h", "rpo: 0s", "4: objectives.rpo: must be longer than zero"),
        ("jobs/his.yaml", "tier: 1", 'tier: "1"', "3: tier: must be a whole number"),
        ("jobs/his.yaml", "files: scans", "files: main", "20: checks[2].files: names the source main of kind database"),
        (
            "jobs/his.yaml",
            "{source: main",
            "{source: scans",
            "19: checks[2].index.source: names the source scans of kind",
        ),
        ("jobs/his.yaml", "name: fresh", "name: visits", "15: checks[1].name: is visits for a second time"),
        ("jobs/his.yaml", "{at_least: 1}", "{at_least: .inf}", "14: checks[0].expect.at_least: must be a number"),
        ("jobs/his.yaml", "{at_least: 1}", "{}", "14: checks[0].expect: must hold exactly one of"),
        ("jobs/his.yaml", "exclude: [", "exclude: [3, ", "7: sources[1].exclude[0]: must be text; put it in quotes"),
        (
            "jobs/his.yaml",
            "tier: 1",
            "tier: 1\ndepends_on: [lis]",
            "4: depends_on[0]: names the system lis, which has no job",
        ),
        (
            "jobs/his.yaml",
            "tier: 1",
            "tier: 1\ndepends_on: [his]",
            "4: depends_on[0]: names the system his, which is this",
        ),
        ("drmgr.yaml", "restore:", "scratch: {memory: 8GB}\nrestore:", "12: scratch.memory: must be a size such as"),
        ("drmgr.yaml", "restore:", "scratch: {parallel: 0}\nrestore:", "12: scratch.parallel: must be at least 1"),
        ("drills/his-restore.yaml", "[his]", "[]", "4: systems: must hold at least 1 item"),
        ("drills/his-restore.yaml", "[his]", "[his, his]", "4: systems[1]: names the system his twice"),
        ("drills/his-restore.yaml", "[his]", "[his]\npoint: newest", "5: point: must be latest or the id"),
        ("drills/his-restore.yaml", "[his]", "[his]\nlevel: 7", "5: level: must be at most 6"),
    ],
)
def test_a_mistake_is_named_with_its_line(write: Write, name: str, old: str, new: str, problem: str) -> None:
    right = {"drmgr.yaml": SITE, "jobs/his.yaml": JOB, "drills/his-restore.yaml": DRILL}[name]
    assert right.count(old) >= 1
    write(name, right.replace(old, new, 1))
    found = [line for line in problems() if line.startswith(f"{name}:")]
    assert any(line.startswith(f"{name}:{problem}") for line in found), found


def test_dependencies_that_go_round_are_named_where_they_stand(write: Write) -> None:
    for system, needs in (("his", "lis"), ("lis", "pacs"), ("pacs", "his"), ("emr", "his, mri")):
        text = JOB.replace("system: his", f"system: {system}").replace("tier: 1", f"tier: 1\ndepends_on: [{needs}]")
        write(f"jobs/{system}.yaml", text)
    assert problems() == [
        "jobs/emr.yaml:4: depends_on[1]: names the system mri, which has no job; did you mean emr?",
        "jobs/his.yaml:4: depends_on[0]: names the system lis, which itself depends on this one: his → lis → pacs → his",
        "jobs/lis.yaml:4: depends_on[0]: names the system pacs, which itself depends on this one: lis → pacs → his → lis",
        "jobs/pacs.yaml:4: depends_on[0]: names the system his, which itself depends on this one: pacs → his → lis → pacs",
    ]


def test_limits_of_a_drill_are_sizes(write: Write) -> None:
    write("drmgr.yaml", SITE + "scratch: {parallel: 3, memory: 8GiB, disk: 512MiB}\n")
    scratch = load_site(Path("drmgr.yaml")).site.scratch
    assert (scratch.parallel, scratch.memory, scratch.disk) == (3, 8 * 1024**3, 512 * 1024**2)


def test_a_value_that_yaml_got_wrong_is_named_once(write: Write) -> None:
    write("drmgr.yaml", SITE.replace("/run/his", "!!int x").replace("root: /srv/pacs", "root: !other /srv"))
    assert problems() == [
        "drmgr.yaml:7: connections.his-main.host: does not fit its tag",
        "drmgr.yaml:11: connections.pacs-images.root: has a tag (!) that means nothing here",
    ]


def test_names_belong_to_one_file(write: Write) -> None:
    write("jobs/his.yml", JOB)
    write("drills/other.yaml", DRILL)
    assert problems() == [
        "jobs/his.yml:1: system: is his, which jobs/his.yaml has already",
        "drills/other.yaml:1: drill: is his-restore, which drills/his-restore.yaml has already",
    ]


def test_files_that_are_not_text_or_empty_or_a_folder(write: Write, tmp_path: Path) -> None:
    (tmp_path / "jobs/a.yaml").write_bytes(b"system: a\ntitle: \xff\n")
    (tmp_path / "jobs/b.yaml").write_bytes(b"# nothing\n")
    (tmp_path / "jobs/c.yaml").mkdir()
    (tmp_path / "jobs/d.yaml").write_bytes(b"system: d\ntitle: \x07\n")
    (tmp_path / "jobs/e.yaml").write_bytes(b"- x\n")
    (tmp_path / "jobs/.f.yaml").write_bytes(b"not looked at: [")
    (tmp_path / "jobs/g.txt").write_bytes(b"not looked at: [")
    assert problems() == [
        "jobs/a.yaml:2: is not UTF-8 text",
        "jobs/b.yaml:1: is empty",
        "jobs/c.yaml:1: cannot be read: is a directory",
        "jobs/d.yaml:2: holds a character that YAML does not allow",
        "jobs/e.yaml:1: must be a mapping of keys to values",
    ]


def test_no_problem_ever_repeats_a_value_that_could_be_a_secret(write: Write) -> None:
    secret = "hunter2-hunter2"
    write(
        "drmgr.yaml",
        SITE.replace('"file:secrets/his"', secret)
        .replace("env:DRMGR_PASSPHRASE", secret)
        .replace("path: repositories}", f"path: [{secret}], path: {secret}}}")
        .replace("host: /run/his", f"host: [{secret}]")
        .replace("user: drmgr", f"user: {{{secret}: {secret}}}")
        + f"catalog: postgresql://drmgr:{secret}@db/catalog\n",
    )
    found = problems()
    assert len(found) >= 6
    assert secret not in "\n".join(found)


@pytest.mark.parametrize("sign", ["*", "!", "%", "@", "`", "|", "[", "{", '"', ">"])
def test_a_password_that_yaml_takes_for_something_else_is_not_repeated(write: Write, sign: str) -> None:
    write("drmgr.yaml", SITE.replace('"file:secrets/his"', f"{sign}hunter2"))
    found = problems()
    assert found
    assert "hunter2" not in "\n".join(found)


def test_an_endpoint_with_keys_in_it_is_refused(write: Write) -> None:
    store = "{kind: s3, endpoint: 'https://key:hunter2@s3.example.org', bucket: b1b, access_key: 'env:A', secret_key: 'env:B'}"
    write("drmgr.yaml", SITE.replace("{kind: folder, path: repositories}", store))
    (problem,) = problems()
    assert problem.startswith("drmgr.yaml:3: store.endpoint: must be http:// or https://")
    assert "hunter2" not in problem


def test_missing_folders_matter_only_when_they_are_named(write: Write, tmp_path: Path) -> None:
    for name in ("jobs/his.yaml", "drills/his-restore.yaml"):
        (tmp_path / name).unlink()
        (tmp_path / name).parent.rmdir()
    loaded = load_site(Path("drmgr.yaml"))
    assert (loaded.jobs, loaded.drills) == ({}, {})


def test_no_site_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no site file drmgr\.yaml") as caught:
        load_site(Path("drmgr.yaml"))
    assert "drmgr init" in caught.value.hint
    # after the loss of the host a new site is the wrong way
    assert "drmgr recover" in caught.value.hint
    assert "--config" in caught.value.hint


def test_an_unknown_system_is_a_usage_error_that_helps(write: Write) -> None:
    loaded = load_site(Path("drmgr.yaml"))
    with pytest.raises(UsageError, match=r"no system hsi; did you mean his\?"):
        loaded.job("hsi")
    with pytest.raises(UsageError, match="no drill x; known: his-restore"):
        loaded.drill("x")

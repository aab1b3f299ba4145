"""Where the files of a restored database go."""

from drmgr.engines.sqlserver.load import _place

SERVER = {"data_path": "C:\\data\\", "log_path": "C:\\log"}


def row(logical: str, kind: str, number: int) -> dict[str, object]:
    return {"LogicalName": logical, "Type": kind, "FileId": number, "Size": 8192}


def test_a_file_goes_where_the_server_knows_it_or_into_the_servers_own_folders() -> None:
    known = {"his": "E:\\big\\"}
    assert _place("his_restored_1", row("his", "D", 1), SERVER, known).path == "E:\\big\\his_restored_1_1.mdf"
    assert _place("his_restored_1", row("his_log", "L ", 2), SERVER, known).path == "C:\\log\\his_restored_1_2.ldf"
    assert _place("his_restored_1", row("docs", "S", 3), SERVER, known).path == "C:\\data\\his_restored_1_3.dir"


def test_names_that_are_made_plain_do_not_meet() -> None:
    paths = {
        _place(name, row("his", "D", 1), SERVER, {}).path
        for name in ("医院_restored_1", "检验_restored_1", "___restored_1")
    }
    assert len(paths) == 3

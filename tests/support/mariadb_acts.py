"""Acts on a MariaDB server that several tests share: a backup into a folder, and money that moves all the while."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from drmgr.engines.mariadb import MariadbEngine
from drmgr.model import Facts
from drmgr.scratch import mariadb as private
from tests.support.folder_sink import FolderSink
from tests.support.mariadb import MariadbServer

Make = Callable[..., MariadbEngine]

BIG = (
    "CREATE TABLE a (id int PRIMARY KEY, note varchar(700)); CREATE TABLE z (id int PRIMARY KEY, note varchar(70));"
    "INSERT INTO a SELECT seq, repeat(md5(seq), 20) FROM seq_1_to_20000; INSERT INTO z VALUES (1, 'z')"
)


def quiet(share: float, what: str) -> None:
    pass


def back_up(engine: MariadbEngine, folder: Path) -> Facts:
    with engine.capture() as capture:
        capture.store(FolderSink(folder))
        return capture.facts()


MONEY = """
CREATE TABLE a (id int PRIMARY KEY, amount int NOT NULL); CREATE TABLE b LIKE a;
CREATE TABLE log (id bigint AUTO_INCREMENT PRIMARY KEY, n int);
INSERT INTO a SELECT seq, 100 FROM seq_1_to_200; INSERT INTO b SELECT seq, 100 FROM seq_1_to_200;
"""


@contextmanager
def moving_money(server: MariadbServer, database: str) -> Iterator[None]:
    """Three sessions move money between two tables as fast as they can; the sum is the same in every true view."""
    stop, failed = threading.Event(), []
    started = threading.Barrier(4)

    def move(number: int) -> None:
        try:
            with (
                pymysql.connect(
                    unix_socket=f"{server.socket}/{private.SOCKET_NAME}",
                    user=f"mover{number}",
                    password="m",
                    database=database,
                ) as session,
                session.cursor() as cursor,
            ):
                started.wait(30)
                while not stop.is_set():
                    row = 1 + number * 50
                    cursor.execute(f"UPDATE a SET amount = amount - 1 WHERE id = {row}")
                    cursor.execute(f"UPDATE b SET amount = amount + 1 WHERE id = {row}")
                    cursor.execute(f"INSERT INTO log (n) VALUES ({number})")
                    session.commit()
        except (pymysql.Error, threading.BrokenBarrierError) as error:
            failed.append(error)

    for number in range(3):
        server.execute(
            "",
            f"CREATE OR REPLACE USER mover{number}@localhost IDENTIFIED BY 'm';"
            f"GRANT ALL ON {database}.* TO mover{number}@localhost",
        )
    threads = [threading.Thread(target=move, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        started.wait(30)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []

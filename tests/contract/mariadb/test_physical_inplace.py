"""A MariaDB server's files in their own place: proven on scratch, then put where the server finds them."""

import pytest

from drmgr.errors import PreflightError
from drmgr.flows.finish import finish
from drmgr.flows.original import ToOriginal
from drmgr.flows.restore import restore
from drmgr.flows.restoreplan import RestorePlan
from drmgr.flows.swap import undo
from drmgr.model import Verdict
from drmgr.scratch.closing import ClosingMariadb
from drmgr.scratch.inplace import ServerFilesPlace, ServerHome
from drmgr.scratch.processes import processes_in
from drmgr.state.swap_book import FileSwapBook
from tests.support.folders import passable_directory
from tests.support.mariadb import LOG_RIGHTS, LOGGED, mariadb_server
from tests.support.mariadb_physical import MariadbPlace


def test_a_stopped_server_gets_its_files_back_to_one_transaction_and_can_go_back() -> None:
    with mariadb_server(**LOGGED) as server, passable_directory() as folder:
        server.execute("", LOG_RIGHTS)
        place, data = MariadbPlace(folder, server), server.private.data
        home = ServerHome(data, lambda: bool(processes_in(data)))
        files = ServerFilesPlace(place.engine, home, ClosingMariadb(), place.clock)
        target = ToOriginal({"main": files}, FileSwapBook(folder / "restores"), lambda: None)
        place.back_up()
        place.sql("INSERT INTO note (text) VALUES ('二')")
        at = place.gtid()
        place.sql("INSERT INTO note (text) VALUES ('mistake')")
        place.ship()
        plan = RestorePlan("latest", target, reason="lost", at=at)
        with pytest.raises(PreflightError, match="is up"):
            restore(place.bench, place.wired, plan)
        server.stop()
        done = restore(place.bench, place.wired, plan)
        assert done.outcome.verdict is Verdict.PASSED
        assert done.by_hand and str(data) in done.by_hand[0]
        assert not list(data.glob("drmgr-*"))
        server.start()
        assert place.sql("SELECT text FROM note ORDER BY id") == (("一",), ("二",))
        assert server.execute("", "SELECT count(*) FROM mysql.global_priv WHERE user = 'drmgr_scratch'") == ((0,),)
        swap = target.book.all()[-1]
        checked = finish(place.bench, place.wired, target, swap, "it runs")
        assert checked.outcome.verdict is Verdict.PASSED
        server.stop()
        undo(place.bench, target.book, swap, target.places, reason="back", permit=target.permit, force=False)
        server.start()
        assert place.sql("SELECT text FROM note ORDER BY id") == (("一",), ("二",), ("mistake",))

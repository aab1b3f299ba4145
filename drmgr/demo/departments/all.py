"""The departments, by the system that each writes."""

from collections.abc import Mapping

from drmgr.demo.departments.department import Department
from drmgr.demo.departments.emr import EmrDepartment
from drmgr.demo.departments.lis import LisDepartment
from drmgr.demo.departments.mi import MiDepartment
from drmgr.demo.departments.mrm import MrmDepartment
from drmgr.demo.departments.nis import NisDepartment
from drmgr.demo.departments.opd_emr import OpdEmrDepartment
from drmgr.demo.departments.phr import PhrDepartment
from drmgr.demo.departments.queue import QueueDepartment

DEPARTMENTS: Mapping[str, type[Department]] = {
    department.SYSTEM: department
    for department in (
        EmrDepartment,
        LisDepartment,
        MiDepartment,
        OpdEmrDepartment,
        PhrDepartment,
        NisDepartment,
        QueueDepartment,
        MrmDepartment,
    )
}

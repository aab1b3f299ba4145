"""One row type per table of the PACS index, columns in the order of sql/pacs.sql."""

from datetime import date, datetime
from typing import NamedTuple


class ImagingOrder(NamedTuple):
    """What the HIS sends over: one examination ordered for one patient."""

    order_id: int
    record_no: str
    name: str
    sex: str
    birth_date: date
    content: str
    ordered_at: datetime


class ImagingRequest(NamedTuple):
    id: int
    accession_no: str
    his_order_id: int
    patient_record_no: str
    patient_name: str
    examination: str
    status: str
    requested_at: datetime
    updated_at: datetime


class Study(NamedTuple):
    id: int
    request_id: int
    study_uid: str
    modality: str
    description: str
    series_count: int
    image_count: int
    studied_at: datetime
    updated_at: datetime


class Series(NamedTuple):
    id: int
    study_id: int
    series_uid: str
    number: int
    modality: str
    image_count: int
    started_at: datetime


class Image(NamedTuple):
    id: int
    series_id: int
    sop_instance_uid: str
    number: int
    path: str
    size: int
    sha256: str
    acquired_at: datetime


class Report(NamedTuple):
    id: int
    study_id: int
    findings: str
    conclusion: str
    reported_by: str
    reported_at: datetime
    updated_at: datetime


TABLES: dict[type[tuple[object, ...]], str] = {
    ImagingRequest: "imaging_request",
    Study: "study",
    Series: "series",
    Image: "image",
    Report: "report",
}
"""Row types in an order in which every reference points backwards."""

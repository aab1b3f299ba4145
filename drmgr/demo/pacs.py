"""The synthetic PACS: for each examination the HIS ordered, a request, a study with its images on disk, and a report."""

import random
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from drmgr.demo import vocabulary as words
from drmgr.demo.dicom import Picture, uid, write_picture
from drmgr.demo.his import LOCAL, Sink
from drmgr.demo.pacs_rows import Image, ImagingOrder, ImagingRequest, Report, Series, Study

IMAGES_PER_SERIES = (2, 4)
LONGEST_STEP = timedelta(minutes=15)
KINDS = {content: (modality, series) for modality, content, _, series in words.EXAMINATIONS}


class Radiology:
    """Writes index rows into a sink and DICOM files below ``root``. The same seed and orders give the same bytes."""

    def __init__(
        self, sink: Sink, root: Path, now: datetime, *, seed: int, last_ids: Mapping[type, int] | None = None
    ) -> None:
        self._sink = sink
        self._root = root
        self._now = now.astimezone(LOCAL).replace(microsecond=0)
        self._rng = random.Random(seed)  # noqa: S311 - the same data each time is the point
        self._ids: dict[type, int] = defaultdict(int, last_ids or {})
        self.files = 0

    def examine(self, order: ImagingOrder) -> None:
        """The whole way of one order: requested, then images, then a report, all before the present instant."""
        requested = order.ordered_at.astimezone(LOCAL)
        # an order of a moment ago is worked through faster, so that it too ends before now
        step = min(LONGEST_STEP, (self._now - requested) / 3)
        request = self._next(ImagingRequest)
        accession = f"A{order.order_id:010d}"
        studied, reported = requested + step, requested + 2 * step
        self._sink.add(
            ImagingRequest(
                request,
                accession,
                order.order_id,
                order.record_no,
                order.name,
                order.content,
                "reported",
                requested,
                reported,
            )
        )
        study = self._study(order, request, accession, studied, step)
        findings, conclusion = self._rng.choice(words.FINDINGS), self._rng.choice(words.CONCLUSIONS)
        doctor = self._rng.choice(words.SURNAMES) + self._rng.choice(words.GIVEN_NAMES)
        self._sink.add(Report(self._next(Report), study, findings, conclusion, doctor, reported, reported))

    def _study(self, order: ImagingOrder, request: int, accession: str, studied: datetime, step: timedelta) -> int:
        modality, series_count = KINDS[order.content]
        study, study_uid = self._next(Study), uid(f"study {accession}")
        counts = [self._rng.randint(*IMAGES_PER_SERIES) for _ in range(series_count)]
        description = order.content
        self._sink.add(
            Study(study, request, study_uid, modality, description, series_count, sum(counts), studied, studied + step)
        )
        for number, count in enumerate(counts, 1):
            series, series_uid = self._next(Series), uid(f"series {accession} {number}")
            self._sink.add(Series(series, study, series_uid, number, modality, count, studied))
            for image in range(1, count + 1):
                acquired = studied + step * (image / (count + 1))
                picture = Picture(
                    order=order,
                    accession=accession,
                    modality=modality,
                    study_uid=study_uid,
                    series_uid=series_uid,
                    sop_uid=uid(f"image {accession} {number} {image}"),
                    series_number=number,
                    number=image,
                    studied_at=studied,
                    acquired_at=acquired.replace(microsecond=0),
                )
                self._image(series, picture)
        return study

    def _image(self, series: int, picture: Picture) -> None:
        path, size, sha256 = write_picture(self._root, picture)
        row = Image(self._next(Image), series, picture.sop_uid, picture.number, path, size, sha256, picture.acquired_at)
        self._sink.add(row)
        self.files += 1

    def _next(self, row: type) -> int:
        self._ids[row] += 1
        return self._ids[row]

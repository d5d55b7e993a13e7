"""Notes on days of the shop, such as an outage or a fair; excluded days count in no result."""

from datetime import date
from secrets import token_hex
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, StringConstraints, model_validator
from sqlalchemy import Connection

from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.admin_responses import AnnotationForgotten, answers
from promolift.server.api.routes import IdempotentRoute, Route
from promolift.server.ledger.audit_log import HttpResponse, delete_record
from promolift.server.ledger.field_types import PRINTABLE_PATTERN, Body, Slug, StrictBool
from promolift.server.ledger.records import Annotation
from promolift.server.ledger.schema import Refused

router = APIRouter(tags=["admin"])


class AnnotationIn(Body):
    """A note on days, first to last, in the shop's time zone. Decisions and orders of `excluded` days count in neither
    group, from the next run of learning on."""

    first: date
    last: date
    text: Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=PRINTABLE_PATTERN)]
    excluded: StrictBool = False

    @model_validator(mode="after")
    def _in_order(self) -> "AnnotationIn":
        if self.last < self.first:
            raise ValueError(gettext_lazy("the last day lies before the first"))
        return self


class AnnotationShown(BaseModel):
    """A note with its id and who made it."""

    annotation_id: str
    first: date
    last: date
    text: str
    excluded: bool
    by: str


class AnnotationList(BaseModel):
    """All notes, the latest days first."""

    data: list[AnnotationShown]


@router.get("/v1/annotations")
def annotations(asked: Route) -> AnnotationList:
    """What was noted of the shop's days, and which of them count in no result."""
    with asked.read() as db:
        kept = Annotation.all(db)
    rows = [AnnotationShown(annotation_id=id_, **each.model_dump()) for id_, each in kept.items()]
    return AnnotationList(data=sorted(rows, key=lambda each: (each.first, each.annotation_id), reverse=True))


@router.post("/v1/annotations", status_code=201, **answers(AnnotationShown, 201))
def annotate(asked: IdempotentRoute, body: AnnotationIn) -> Response:
    """Note something of some days."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        id_ = f"ann_{token_hex(6)}"
        kept = Annotation(**body.model_dump(), by=asked.who).save(db, id_, now_ms)
        asked.append_audit(db, now_ms, "annotation.add", id_, None, kept.to_json())
        return HttpResponse(201, {"annotation_id": id_} | kept.to_json())

    return asked.change(do, body)


@router.delete("/v1/annotations/{annotation_id}", **answers(AnnotationForgotten))
def forget_annotation(asked: Route, annotation_id: Slug) -> Response:
    """Take a note back; days that it excluded count again from the next run of learning on."""

    def do(db: Connection, now_ms: int) -> HttpResponse:
        old = Annotation.find(db, annotation_id)
        if old is None:
            raise Refused(
                "annotation_unknown", gettext_lazy("no annotation {annotation_id}", annotation_id=annotation_id)
            )
        delete_record(db, Annotation.KIND, annotation_id)
        asked.append_audit(db, now_ms, "annotation.drop", annotation_id, old.to_json(), None)
        return HttpResponse(200, {"annotation_id": annotation_id})

    return asked.change(do)

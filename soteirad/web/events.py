"""Events out of the journal, which the daemon writes meanwhile."""

from __future__ import annotations

from typing import Any

from soteirad.archive import Archive, NoJournalError, Wanted
from soteirad.web.items import event_item
from soteirad.web.models import EventsQuery, moment
from soteirad.web.routes import Asked
from soteirad.web.site import Site


def events(site: Site, asked: Asked) -> dict[str, Any]:
    """Return events, newest first, a `recorded` only if it is asked for; none while there is no journal.

    Raises StorageError.
    """
    query: EventsQuery = asked.query
    wanted = Wanted(query.camera, query.label, query.type, query.zone, since=_epoch(query.since),
                    until=_epoch(query.until), before=query.before, limit=query.limit + 1)  # fmt: skip
    try:
        with Archive(site.box.journal) as archive:
            rows = archive.find(wanted)
            more, rows = len(rows) > query.limit, rows[: query.limit]
            answers = archive.answers([row.event.id for row in rows])
            recorded = archive.recorded([row.event for row in rows])
    except NoJournalError:
        return {"events": [], "next": None}
    items = [event_item(row, answers.get(row.event.id, ()), site.box.pictures, site.box.clips,
                        recorded.get(row.event.id)) for row in rows]  # fmt: skip
    return {"events": items, "next": rows[-1].seq if more else None}


def _epoch(text: str | None) -> float | None:
    return None if text is None else moment(text)

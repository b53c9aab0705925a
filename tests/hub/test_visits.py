"""Which visits are open: the same answers as the journal's, of which these events are not yet a part."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from soteirad.event import Event, iso_time, new_id
from soteirad.hub.journal import Journal
from soteirad.hub.visits import OpenVisits

T0 = 1_800_000_000.0
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where nobody waits for a disk."""
KINDS = st.sampled_from(["entered", "present", "left", "scene_changed", "source_lost", "recorded"])
EVENTS = st.lists(
    st.tuples(KINDS, st.sampled_from([1, 2, None]), st.sampled_from(["porch", "yard"])), max_size=25
)


def make(kind: str, track: int | None, camera: str) -> Event:
    return Event(new_id(T0), kind, camera, iso_time(T0), track_id=track)  # type: ignore[arg-type]


@given(EVENTS, st.integers(0, 25))
def test_it_agrees_with_the_journal_after_any_events_whatever_part_of_them_the_journal_has(
    what: list[tuple[str, int | None, str]], known: int
) -> None:
    events = [make(*fields) for fields in what]
    with TemporaryDirectory() as folder, closing(Journal(Path(folder) / "journal")) as journal:
        journal.open()
        journal.append(events[:known])
        visits = OpenVisits(journal.open_visits())
        closed = {event.id: visits.take(event) for event in events[known:]}
        journal.append(events[known:])
        for camera in ("porch", "yard"):
            assert visits.of(camera) == journal.open_visits(camera)
        for event_id, openings in closed.items():
            assert openings == journal.openings(event_id)

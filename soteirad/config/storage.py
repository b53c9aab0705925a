"""The storage section: where events and pictures are kept, for how long, and how much room they may take."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from soteirad.config.section import Section
from soteirad.config.values import Bytes, Float, Int, Switch

GB = 1_000_000_000


class OutboxConfig(Section):
    """How long events wait for a broker that cannot be reached; beyond either limit the oldest go."""

    days: Float = Field(default=7, gt=0, le=3650, description="Longest wait of an event, in days.")
    events: Int = Field(default=100_000, ge=1, description="Largest number of waiting events.")


class StorageConfig(Section):
    """Where events and pictures are kept, and for how long."""

    path: Path = Field(
        default=Path("/var/lib/soteira"), description="The folder for the journal, the pictures and the event log."
    )
    snapshots: Switch = Field(default=True, description="Whether to keep a picture of each confirmed object.")
    retain_days: Float = Field(
        default=10, gt=0, le=3650, description="How long events, their pictures and the event log are kept, in days."
    )
    max_size: Bytes = Field(
        default=5 * GB,
        description="Most room for pictures and the event log, such as 500MB or 5GB; the oldest go first."
    )
    csv: Switch = Field(default=True, description="Whether to keep a log of the events as CSV files, one for each day.")
    outbox: OutboxConfig = Field(default=OutboxConfig(), description="Limits for events not yet published.")

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / "journal.sqlite3"

    @property
    def pictures(self) -> Path:
        """The folder of the pictures of events."""
        return self.path / "snapshots"

    @property
    def clips(self) -> Path:
        """The folder of the videos of visits."""
        return self.path / "clips"

    @property
    def log(self) -> Path:
        """The folder of the event log."""
        return self.path / "log"

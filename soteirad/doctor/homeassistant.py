"""Home Assistant: does it say that it is there, and may we announce our cameras to it?"""

from __future__ import annotations

from collections.abc import Iterator

from soteirad import __version__
from soteirad.config import Config
from soteirad.doctor.finding import Finding, doubt, fault, well
from soteirad.doctor.patient import Patient
from soteirad.errors import BrokerError
from soteirad.mqtt.homeassistant import announcements, birth_topic
from soteirad.mqtt.round_trip import Trip, travel
from soteirad.mqtt.topics import Topics
from soteirad.mqtt.visit import Visit, visitor


def check(patient: Patient) -> Iterator[Finding]:
    """Yield what the broker knows of Home Assistant and of our devices there."""
    config = patient.configured
    birth = birth_topic(config)
    if birth is None:
        yield well("discovery", "off: Home Assistant is told nothing")
        return
    broker, prefix = visitor(config.mqtt), config.homeassistant.discovery_prefix
    ours = [found.topic for found in announcements(config, Topics(config.mqtt.topic_prefix), __version__)]
    # No announcement: Home Assistant looks only at what ends in /config.
    probe = f"{prefix}/{config.mqtt.topic_prefix}/doctor"
    try:
        with Visit(broker, [probe, birth, *ours]) as visit:
            trip = travel(visit, broker, probe)
    except BrokerError as error:
        why = str(error).partition(": ")[0]
        yield doubt(birth, f"not seen, since the broker cannot be asked ({why})", "see MQTT broker above")
        return
    if not trip.refused or trip.retained(birth) is not None:
        yield _birth(birth, trip.retained(birth))
    yield _announced(patient, config, trip, ours)


def _birth(topic: str, said: str | None) -> Finding:
    if said == "online":
        return well(topic, "Home Assistant says online")
    if said == "offline":
        return doubt(topic, "Home Assistant says offline", "start it, or see whether its MQTT integration is connected")
    if said is None:
        return well(topic, "nothing is kept there, as is usual: whether Home Assistant runs cannot be seen from here")
    return doubt(topic, f"it says {said[:40]!r} instead of online",
                 "set Home Assistant's birth message back to online (MQTT integration, options)")  # fmt: skip


def _announced(patient: Patient, config: Config, trip: Trip, ours: list[str]) -> Finding:
    """Say whether our devices are announced, or could be."""
    prefix = config.homeassistant.discovery_prefix
    user = f"the user '{config.mqtt.user}'" if config.mqtt.user is not None else "our user"
    allow = f"allow {user} to write {prefix}/# at the broker (mosquitto: acl_file)"
    there = sum(any(m.topic == topic and m.retain and m.size for m in trip.heard) for topic in ours)
    what = f"{prefix}/..."
    if there == len(ours):
        return well(what, f"all {there} announcements for Home Assistant are there")
    if trip.refused:
        why = f"the broker does not pass it on ({trip.refused.lower()})"
        return fault(what, f"we may not announce our cameras: {why}", allow)
    if there:
        return doubt(what, f"only {there} of {len(ours)} announcements are there", "sudo systemctl restart soteirad")
    if not trip.back and trip.refused is None:
        return doubt(what, "it cannot be seen whether we may announce our cameras", f"{allow}, and to read it")
    if patient.daemon:
        return doubt(what, "our cameras are not announced, although the daemon works",
                     "sudo systemctl restart soteirad")  # fmt: skip
    return well(what, "we may announce our cameras there; the daemon does so when it starts")

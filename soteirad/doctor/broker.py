"""The MQTT broker: connects as the daemon does, under another name, and sends a message to itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

from soteirad.doctor.finding import Finding, doubt, fault, told, well
from soteirad.doctor.patient import Patient
from soteirad.errors import BrokerError
from soteirad.mqtt.broker import Broker
from soteirad.mqtt.round_trip import Trip, travel
from soteirad.mqtt.topics import Topics
from soteirad.mqtt.visit import Visit, visitor

CHECK_IT = "is the broker running, and are mqtt.host and mqtt.port right?"


def check(patient: Patient) -> Iterator[Finding]:
    """Yield whether the broker takes us and passes our messages, and who else has our topic prefix."""
    config = patient.configured
    broker, topics = visitor(config.mqtt), Topics(config.mqtt.topic_prefix)
    place = f"{broker.host}:{broker.port}"
    probe = f"{topics.prefix}/doctor"  # the daemon hears only what ends in set/...
    began = time.monotonic()
    try:
        with Visit(broker, [probe, topics.status()]) as visit:
            yield well(place, f"takes us as {_who(broker)}", ms=(time.monotonic() - began) * 1000)
            trip = travel(visit, broker, probe)
    except BrokerError as error:
        yield told(place, error, CHECK_IT)
        return
    yield _passes(place, broker, topics, probe, trip)
    if broker.tls is not None and broker.tls.insecure:
        yield doubt(place, "anybody can pretend to be the broker: mqtt.tls.insecure is on", "give mqtt.tls.ca instead")
    status = trip.retained(topics.status())
    if trip.back or status is not None:
        yield _prefix(patient, topics, status)


def _who(broker: Broker) -> str:
    user = f"the user '{broker.user}'" if broker.user is not None else "anybody (no user is set)"
    return f"{user}; {'encrypted' if broker.tls is not None else 'not encrypted'}, MQTT {broker.version}"


def _passes(place: str, broker: Broker, topics: Topics, probe: str, trip: Trip) -> Finding:
    """Say whether our messages pass."""
    allow = f"allow {_user(broker)} to write and read {topics.prefix}/# at the broker (mosquitto: acl_file)"
    if trip.back:
        return well(place, f"a message to {probe} came back after {trip.ms:.0f} ms")
    if trip.refused:
        return fault(place, f"it does not pass our messages on ({trip.refused.lower()})", allow)
    if trip.refused == "":
        return doubt(place, f"we may write {probe} and not read it: whether commands reach us cannot be seen",
                     f"allow {_user(broker)} to read {topics.prefix}/#, too")  # fmt: skip
    return doubt(place, f"a message to {probe} did not come back: we may not read that topic, or not write it", allow)


def _user(broker: Broker) -> str:
    return f"the user '{broker.user}'" if broker.user is not None else "everybody, or a user that you set in mqtt.user,"


def _prefix(patient: Patient, topics: Topics, status: str | None) -> Finding:
    """Say what is told under our prefix, and whether that is this machine."""
    what = topics.status()
    if status != "online":
        if patient.daemon:
            return doubt(what, f"it says {status or 'nothing'}, although a daemon works on this machine",
                         "wait a minute; if it stays so: sudo systemctl restart soteirad")  # fmt: skip
        return well(what, "it says offline: the daemon is stopped" if status else "nothing is there yet")
    if patient.daemon is False:
        return doubt(what, "it says online, and on this machine no daemon works with this configuration",
                     "if it is another machine, give each its own mqtt.topic_prefix; if there is none any more: "
                     "soteirad forget --force")  # fmt: skip
    return well(what, "it says online")

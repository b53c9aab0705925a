"""MQTT: topics, the client (the only importer of paho), discovery."""

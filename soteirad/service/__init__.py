"""The daemon as a service: logging, systemd notifications, signals."""

"""Soteira: three gates of rising cost between cameras and trustworthy MQTT events."""

__version__ = "0.1.0"

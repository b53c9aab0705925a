"""The configuration: one schema, a loader that reports every problem at once, and secrets."""

from soteirad.config.broker import FrigateConfig, HomeAssistantConfig, MqttConfig, TlsConfig, WebhookConfig, WebhookWhen
from soteirad.config.detector import DetectorConfig
from soteirad.config.loader import load_config
from soteirad.config.schema import (
    CameraConfig,
    Config,
    FilterConfig,
    MotionConfig,
    ObjectsConfig,
    OutboxConfig,
    SceneConfig,
    StorageConfig,
    ZoneConfig,
    json_schema,
)
from soteirad.config.secrets import known_secrets, redact, redact_url, take_secrets

__all__ = [
    "CameraConfig",
    "Config",
    "DetectorConfig",
    "FilterConfig",
    "FrigateConfig",
    "HomeAssistantConfig",
    "MotionConfig",
    "MqttConfig",
    "ObjectsConfig",
    "OutboxConfig",
    "SceneConfig",
    "StorageConfig",
    "TlsConfig",
    "WebhookConfig",
    "WebhookWhen",
    "ZoneConfig",
    "json_schema",
    "known_secrets",
    "load_config",
    "redact",
    "redact_url",
    "take_secrets",
]

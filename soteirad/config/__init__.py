"""The configuration: one schema, a loader that reports every problem at once, and secrets."""

from soteirad.config.broker import FrigateConfig, HomeAssistantConfig, MqttConfig, TlsConfig, WebhookConfig, WebhookWhen
from soteirad.config.detector import DetectorConfig
from soteirad.config.llm import BudgetConfig, DuplicatesConfig, LlmConfig, ProviderConfig
from soteirad.config.loader import load_config
from soteirad.config.question import AnswerType, QuestionConfig, WhenConfig
from soteirad.config.schema import (
    CameraConfig,
    Config,
    FilterConfig,
    MotionConfig,
    ObjectsConfig,
    SceneConfig,
    ZoneConfig,
    json_schema,
)
from soteirad.config.secrets import known_secrets, redact, redact_url
from soteirad.config.storage import OutboxConfig, StorageConfig
from soteirad.config.web import WebConfig

__all__ = [
    "AnswerType",
    "BudgetConfig",
    "CameraConfig",
    "Config",
    "DetectorConfig",
    "DuplicatesConfig",
    "FilterConfig",
    "FrigateConfig",
    "HomeAssistantConfig",
    "LlmConfig",
    "MotionConfig",
    "MqttConfig",
    "ObjectsConfig",
    "OutboxConfig",
    "ProviderConfig",
    "QuestionConfig",
    "SceneConfig",
    "StorageConfig",
    "TlsConfig",
    "WebConfig",
    "WebhookConfig",
    "WebhookWhen",
    "WhenConfig",
    "ZoneConfig",
    "json_schema",
    "known_secrets",
    "load_config",
    "redact",
    "redact_url",
]

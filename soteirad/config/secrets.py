"""Secrets: where they come from (environment, systemd credentials, root's files) and how they stay out of logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from soteirad.config.address import encode
from soteirad.service.environment import SECRET
from soteirad.service.layout import Layout

if TYPE_CHECKING:
    from soteirad.config.schema import Config

VARIABLE = re.compile(rf"\{{({SECRET.pattern})\}}")
HIDDEN = "***"
FOLDER = Layout().secrets
"""Where the owner puts them; the service gets them as credentials, and root's own commands read them here."""

_USER_INFO = re.compile(r"[A-Za-z]+://([^/]*)@")
_PASSWORD_WORDS = re.compile(r"pas|pwd|pw$|secret|token|key|auth|cred|sig|sess", re.IGNORECASE)
_USER_WORDS = re.compile(r"user|usr|login", re.IGNORECASE)
_KEY_STARTS = re.compile(r"[?;#/]")


class MissingSecretsError(LookupError):
    """A text names variables that are set nowhere; `reasons` holds one sentence for each."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reasons))


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` with every `{SOTEIRA_X}` replaced, other braces untouched.

    `lookup` says where from. What was put in is not searched again. In an address's user info odd characters are
    percent-encoded. Raises `MissingSecretsError`.
    """
    reasons: list[str] = []
    user_info = _USER_INFO.match(text)

    def value(match: re.Match[str]) -> str:
        try:
            found = lookup(match[1], environ)
            if user_info is None or match.end() > user_info.end(1):
                return found
            # One variable may hold both: user:password.
            user, colon, password = found.partition(":") if match[0] == user_info[1] else (found, "", "")
            return encode(user) + colon + encode(password)
        except MissingSecretsError as error:
            reasons.extend(reason for reason in error.reasons if reason not in reasons)
            return match[0]

    result = VARIABLE.sub(value, text)
    if reasons:
        raise MissingSecretsError(reasons)
    return result


def lookup(name: str, environ: Mapping[str, str]) -> str:
    """Return the value of one variable from the first place that has it: the environment, the credentials directory,
    and the folder of secrets. A file loses its trailing newline.

    Raises `MissingSecretsError` when it is nowhere, or its file cannot be read as UTF-8 text.
    """
    if name in environ:
        found = environ[name]
        if any("\ud800" <= char <= "\udfff" for char in found):  # how Python keeps bytes that are no text
            raise MissingSecretsError([f"the environment variable {name} is not UTF-8 text: set it to text"])
        return found
    ours = FOLDER / name
    places = (f"put it in the file {ours} and run `sudo soteirad install`, or set {name} in the daemon's environment "
              f"or in the file $CREDENTIALS_DIRECTORY/{name}")  # fmt: skip
    directory = environ.get("CREDENTIALS_DIRECTORY")
    reason = f"{name} is not set: {places}"
    for file in (*([Path(directory, name)] if directory else []), ours):
        try:
            return file.read_bytes().decode("utf-8").rstrip("\r\n")
        except FileNotFoundError:
            continue
        except PermissionError:
            if file == ours:  # its folder is root's: who is not root does not even learn whether it is there
                reason = (f"{name} is not handed to the service: {places}" if directory else
                          f"{name} is not set, and {ours} may only be read by root: use sudo, or {places}")  # fmt: skip
                continue
            reason = f"the credential file {name} cannot be read: {places}"
        except UnicodeDecodeError:
            reason = f"the credential file {name} is not UTF-8 text: {places}"
        except (OSError, ValueError):
            reason = f"the credential file {name} cannot be read: {places}"
        break
    raise MissingSecretsError([reason])


def looks_secret(key: str) -> bool:
    """Tell whether a key's name suggests that its value is a credential (password, token, user ...)."""
    name = unquote(key)
    return bool(_PASSWORD_WORDS.search(name) or _USER_WORDS.search(name))


def redact_url(url: str) -> str:
    """Return `url` fit for a log: user info and values of secret-looking keys become `***`.

    Errs on the side of hiding. Cameras' passwords often hold an unescaped `/`, `?`, `#` or `@`, so user info
    reaches to the last `@` of the whole text. Keys count in the path too, since some cameras want
    `/user=x&password=y`. Never raises.
    """
    return _hide_values(_hide_user_info(url))


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every occurrence of a known secret replaced by `***`; empty secrets are ignored."""
    known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    if not known:
        return text
    return re.sub("|".join(map(re.escape, known)), HIDDEN, text)


def without_addresses(text: str, addresses: Iterable[str]) -> str:
    """Return `text` with each of these addresses, and what is secret in it, as a log may show it.

    Without its scheme an address is known, too, and its password as it was before it was percent-encoded.
    """
    for address in filter(None, addresses):
        shown = redact_url(address)
        text = text.replace(address, shown).replace(address.partition("://")[2] or address, shown)
        text = redact(text, (form for value in _secrets_of(address) for form in (value, unquote(value))))
    return text


def known_secrets(config: Config) -> frozenset[str]:
    """Return what `redact` should hide for this configuration.

    The passwords of MQTT and of the page, the keys of vision models, and from each source and vision model's address
    the password and the values of password-like keys, as written and percent-decoded. User names are left out: hiding a
    word such as `admin` would spoil every log line.
    """
    values: set[str] = set()
    if config.mqtt.password is not None:
        values.add(config.mqtt.password.get_secret_value())
    if config.web.password is not None:
        values.add(config.web.password.get_secret_value())
    addresses = [address for camera in config.cameras.values() for address in (camera.source, camera.detail or "")]
    for provider in config.llm.providers if config.llm is not None else ():
        addresses.append(provider.base_url)
        if provider.api_key is not None:
            values.add(provider.api_key.get_secret_value())
    for address in addresses:
        values |= _secrets_of(address)
    return frozenset(form for value in values if value for form in (value, unquote(value)))


def _secrets_of(address: str) -> set[str]:
    """Return the password of an address and the values of its password-like keys, as they are written there."""
    parts = urlsplit(address)
    pairs = (pair.partition("=") for pair in re.split("[&;]", parts.query))
    # A flag such as auth=1 is no secret, and hiding each "1" would spoil the logs.
    values = {value for key, _, value in pairs if len(value) > 3 and _PASSWORD_WORDS.search(key)}
    return values | ({parts.password} if parts.password else set())


def _hide_user_info(url: str) -> str:
    at = url.rfind("@")
    if at < 0:
        return url
    slashes = url.find("//")
    start = slashes + 2 if 0 <= slashes < at else 0
    authority = re.split("[/?#]", url[start:], maxsplit=1)[0]
    # A path may hold an @ (clips@home.mp4); a password is only there if a colon or the authority says so.
    if ":" in url[start:at] or (start and "@" in authority):
        return f"{url[:start]}{HIDDEN}{url[at:]}"
    return url


def _hide_values(url: str) -> str:
    pieces = []
    for piece in url.split("&"):
        parts = piece.split("=")
        for index, part in enumerate(parts[:-1]):
            if looks_secret(_KEY_STARTS.split(part)[-1]):
                parts = [*parts[: index + 1], HIDDEN]
                break
        pieces.append("=".join(parts))
    return "&".join(pieces)

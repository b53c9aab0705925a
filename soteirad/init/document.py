"""A plan as the text of a configuration file, and the secrets that do not stand in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from soteirad.config import emit
from soteirad.config.secrets import HIDDEN, redact_url
from soteirad.init.addresses import as_secret, has_own_secrets, takes_account, with_account, with_password
from soteirad.init.plan import Plan, PlannedCamera
from soteirad.service.layout import SECRET_PREFIX

HEAD = """\
# Soteira's configuration, begun by "soteirad init".
#
# What is not in here has a good default. All settings, each explained, are in the example
#   {example}
# After a change: "sudo soteirad check" names mistakes, "sudo systemctl reload soteirad" puts it in force.
"""


@dataclass(frozen=True)
class Composed:
    """The file's text, the same without secrets for a terminal, and the secrets by name."""

    text: str
    fit_to_show: str
    secrets: dict[str, str] = field(repr=False)


def compose(plan: Plan, example: str, folder: str | None) -> Composed:
    """Return the configuration of a plan.

    With the folder of secrets the file only refers to them; without it (None) they stand in the file. `example` is
    where the explained one lies.
    """
    keeper = _Apart() if folder is not None else _Inside()
    text = "\n".join(_lines(plan, example, folder, keeper)) + "\n"
    if folder is not None:
        return Composed(text, text, keeper.kept)
    return Composed(text, "\n".join(_lines(plan, example, folder, _Hidden())) + "\n", {})


class _Inside:
    """Writes each secret where it is needed."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def password(self, _name: str, password: str) -> str:
        return password

    def address(self, _name: str, url: str, camera: PlannedCamera) -> str:
        return with_account(url, camera.account) if takes_account(url) else url


class _Hidden(_Inside):
    """Writes that there is one."""

    def password(self, _name: str, password: str) -> str:
        return HIDDEN

    def address(self, name: str, url: str, camera: PlannedCamera) -> str:
        return redact_url(super().address(name, url, camera))


class _Apart(_Inside):
    """Writes a reference, and keeps the secret."""

    def password(self, name: str, password: str) -> str:
        return self._keep(f"{name}_PASSWORD", password)

    def address(self, name: str, url: str, camera: PlannedCamera) -> str:
        account = camera.account
        if has_own_secrets(url):  # some makers have the password in the path
            whole = super().address(name, url, camera)
            return self._keep(f"{name}_{'DETAIL' if url == camera.detail else 'SOURCE'}", whole)
        if account is None or not takes_account(url):
            return url
        if not account.password:
            return with_account(url, account)
        return with_password(url, account.user, self._keep(f"{name}_PASSWORD", as_secret(account.password)))

    def _keep(self, wanted: str, secret: str) -> str:
        name, number = f"{SECRET_PREFIX}{wanted}", 2
        while self.kept.get(name, secret) != secret:
            name, number = f"{SECRET_PREFIX}{wanted}_{number}", number + 1
        self.kept[name] = secret
        return f"{{{name}}}"


def _lines(plan: Plan, example: str, folder: str | None, keeper: _Inside) -> Iterator[str]:
    yield from HEAD.format(example=example).splitlines()
    if folder is not None:
        yield '# "{SOTEIRA_X}" stands for the content of the file SOTEIRA_X in ' + folder + "."
        yield '# After a change there: "sudo soteirad install" gives it to the service.'
    yield from ("", "# The MQTT broker that hears about events: the one Home Assistant uses.", "mqtt:")
    account = plan.broker.account
    password = keeper.password("MQTT", account.password) if account is not None and account.password else None
    yield from emit.lines(plan.broker.section(password), 2, 2)
    yield from ("", "# What counts as an object. The model knows 80 words: person, car, dog, cat ...", "objects:")
    yield f"  track: {emit.flow(list(plan.labels))}"
    yield from ("", "# Your cameras. The name is the one in events and in Home Assistant.", "cameras:")
    for camera in plan.cameras:
        yield from _camera(camera, keeper)


def _camera(camera: PlannedCamera, keeper: _Inside) -> Iterator[str]:
    name = camera.name.upper().replace("-", "_")
    yield f"  {emit.name(camera.name)}:"
    if camera.note:
        yield f"    # {camera.note}"
    if camera.title is not None:
        yield _line("name", camera.title)
    yield _line("source", keeper.address(name, camera.source, camera))
    if camera.detail is not None:
        yield "    # The large stream: only opened for a better picture of an object that was confirmed."
        yield _line("detail", keeper.address(name, camera.detail, camera))


def _line(key: str, value: Any) -> str:
    return f"    {key}: {emit.flow(value)}"

"""Permissions: may the service read and write what it needs, and nobody else what is private?"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from soteirad.doctor.finding import Finding, doubt, fault, well
from soteirad.doctor.patient import Account, Patient
from soteirad.service.layout import SECRET_PREFIX
from soteirad.web.token import token_file

FOR_OTHERS = 0o007
FOR_GROUP = 0o070
MOST_TOLD = 3
_CREDENTIAL = re.compile(rf"^\s*LoadCredential\s*=\s*({SECRET_PREFIX}\w+)\s*:", re.MULTILINE)


def check(patient: Patient) -> Iterator[Finding]:
    """Yield what is wrong with owners and modes, a line for each place that is well."""
    yield from _configuration(patient)
    yield from _secrets(patient)
    yield from _state(patient)


def allows(path: Path, account: Account, wanted: int) -> bool:
    """Say whether an account may do `wanted` (4 read, 2 write, 1 enter) with a path, by owner and mode. Raises OSError.

    The folders above are looked at, too; access lists are not.
    """
    real = path.resolve()
    return all(mode_allows(folder.stat(), account, 1) for folder in real.parents) and mode_allows(
        real.stat(), account, wanted
    )


def mode_allows(found: os.stat_result, account: Account, wanted: int) -> bool:
    """Say whether owner and mode alone let an account do `wanted`: the first of owner, group and others decides."""
    if account.uid == 0:
        return True
    shift = 6 if found.st_uid == account.uid else 3 if found.st_gid in account.groups else 0
    return found.st_mode >> shift & wanted == wanted


def _configuration(patient: Patient) -> Iterator[Finding]:
    path = patient.path
    try:
        found = path.stat()
    except OSError:
        return  # told as a problem of the configuration
    account, mode = patient.account, stat.S_IMODE(found.st_mode)
    if mode & 0o002:
        yield fault(str(path), "everybody on this machine may change it", f"sudo chmod 640 {quote(str(path))}")
    elif mode & 0o004:
        close = f"chmod 600 {quote(str(path))}" if account is None else _close(path, account)
        yield doubt(str(path), "everybody on this machine may read it, and what passwords it holds", close)
    if account is not None and not allows(path, account, 4):
        yield fault(str(path), f"the service's user {account.name} may not read it", _close(path, account))
    elif not mode & 0o006:
        readers = f"the service's user {account.name} reads it, others do not" if account else "not for everybody"
        yield well(str(path), readers)


def _close(path: Path, account: Account) -> str:
    where = quote(str(path))
    return f"sudo chgrp {account.name} {where} && sudo chmod 640 {where}"


def _secrets(patient: Patient) -> Iterator[Finding]:
    folder = patient.layout.secrets
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
        files = sorted(file for file in folder.iterdir() if file.name.startswith(SECRET_PREFIX))
    except FileNotFoundError:
        return
    except OSError:
        yield well(str(folder), "closed to this user, as it should be")
        return
    if mode & (FOR_GROUP | FOR_OTHERS):
        yield fault(str(folder), "others than root may look into it", f"sudo chmod 700 {quote(str(folder))}")
    for file in files:
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
        except OSError as error:
            yield fault(str(file), f"it cannot be read ({error.strerror}): is it a link that leads nowhere?",
                        "put the secret there again, or delete it: soteirad install then leaves it out")  # fmt: skip
            continue
        if mode & (FOR_GROUP | FOR_OTHERS):
            yield fault(str(file), "others than root may read it", f"sudo chmod 600 {quote(str(file))}")
    yield from _handed_over(patient, [file.name for file in files])


def _handed_over(patient: Patient, names: list[str]) -> Iterator[Finding]:
    """Yield whether systemd gives each secret to the service."""
    if patient.system != "Linux" or not patient.layout.unit.exists():
        return
    given: set[str] = set()
    for drop_in in (patient.layout.unit, *sorted(patient.layout.drop_ins.glob("*.conf"))):
        try:
            given.update(_CREDENTIAL.findall(drop_in.read_text(encoding="utf-8", errors="replace")))
        except OSError:
            yield doubt(str(drop_in), "this user may not read it, nor see which secrets are given",
                        patient.as_root)  # fmt: skip
            return
    missing = [name for name in names if name not in given]
    gone = sorted(given.difference(names))
    if missing:
        yield fault("secrets", f"the service is not given {', '.join(missing)}",
                    "sudo soteirad install, then: sudo systemctl restart soteirad")  # fmt: skip
    if gone:
        yield fault("secrets", f"the service is to be given {', '.join(gone)}, and there is no such file: it does not "
                    "start", "put the file back, or: sudo soteirad install")  # fmt: skip
    if names and not missing and not gone:
        yield well("secrets", f"{len(names)} of root's alone, given to the service")


def _state(patient: Patient) -> Iterator[Finding]:
    folder = patient.config.storage.path if patient.config is not None else patient.layout.state
    account = patient.account
    try:
        found = folder.stat()
        inside = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError:
        yield fault(str(folder), "this is no folder", "move it away, or set storage.path to another one")
        return
    except OSError:
        yield doubt(str(folder), "closed to this user", patient.as_root)
        return
    if stat.S_IMODE(found.st_mode) & FOR_OTHERS:
        yield doubt(str(folder), "everybody on this machine may look into it, at pictures too",
                    f"sudo chmod 750 {quote(str(folder))}")  # fmt: skip
    if account is None:
        return
    give = f"sudo chown -R {account.name}: {quote(str(folder))}"
    if not allows(folder, account, 7):
        yield fault(str(folder), f"the service's user {account.name} may not write there", give)
        return
    strangers = [path for path in inside if _is_strange(path, account)]
    if strangers:
        named = ", ".join(path.name for path in strangers[:MOST_TOLD])
        more = f" and {len(strangers) - MOST_TOLD} more" if len(strangers) > MOST_TOLD else ""
        yield fault(str(folder), f"{named}{more} belong to somebody else than the service's user {account.name}", give)
    else:
        yield well(str(folder), f"all of it belongs to the service's user {account.name}")
    token = token_file(folder)
    if token.is_file() and stat.S_IMODE(token.stat().st_mode) & (FOR_GROUP | FOR_OTHERS):
        yield doubt(str(token), "others may read it: it opens the page", f"sudo chmod 600 {quote(str(token))}")


def _is_strange(path: Path, account: Account) -> bool:
    """Say whether a file is somebody else's; what a daemon that works has taken away meanwhile is nobody's."""
    try:
        return path.lstat().st_uid != account.uid and not path.name.endswith(".tmp")
    except FileNotFoundError:
        return False

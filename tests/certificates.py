"""Certificates for tests, made by openssl in a folder of the test."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


def _openssl(*words: str | Path) -> None:
    if shutil.which("openssl") is None:
        reason = "openssl is not installed: no encrypted connection was tested (apt install openssl)"
        print(f"SKIPPED: {reason}")
        pytest.skip(reason)
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Authority:
    """Somebody who signs certificates; `ca` is the file with their own."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.ca = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                 "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.ca)  # fmt: skip

    def sign(self, name: str, alt: str = "DNS:localhost,IP:127.0.0.1", expired: bool = False) -> Pair:
        """Return a certificate for the names `alt`; an expired one ended in the year 2020."""
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request = self._folder / f"{name}.csr"
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                 "-keyout", pair.key, "-out", request)  # fmt: skip
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alt}\n", encoding="utf-8")
        if not expired:
            _openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-days",
                     "30", "-extfile", extensions, "-out", pair.certificate)  # fmt: skip
            return pair
        # Only `openssl ca` can sign for a time that is over, in every version of openssl.
        (self._folder / "index.txt").touch()
        settings = self._folder / "ca.cnf"
        settings.write_text(
            f"[ca]\ndefault_ca=a\n[a]\ndatabase={self._folder}/index.txt\nnew_certs_dir={self._folder}\n"
            "default_md=sha256\nrand_serial=yes\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n",
            encoding="utf-8",
        )
        _openssl("ca", "-batch", "-config", settings, "-in", request, "-cert", self.ca, "-keyfile", self._key,
                 "-startdate", "20190101000000Z", "-enddate", "20200101000000Z", "-extfile", extensions, "-notext",
                 "-out", pair.certificate)  # fmt: skip
        return pair

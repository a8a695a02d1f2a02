"""A key that only the parts of one Flink cluster have: who cannot show it is refused by all of them (mutual TLS)."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from pipeline.errors import CorpusmillError

_NAME = "cluster.p12"
_ALIAS = "flink.internal"
_PASSWORD = "CORPUSMILL_KEY_PASSWORD"  # by the environment: command lines are for everybody to read
_DAYS = 400
_BITS = 256  # of an elliptic curve


def make_key(folder: Path, java: str) -> dict[str, str]:
    """Makes a key in `folder`, with a password that nobody chose; returns the configuration that has Flink demand it everywhere.

    Remote calls, the server of classes and all data between task managers then go through TLS 1.3, and both ends of every
    connection must show a certificate for this key. The configuration holds the password: keep it where the key is.

    Raises:
        CorpusmillError: Java's keytool is missing or fails.
    """
    folder.mkdir(mode=0o700)
    place, password = folder / _NAME, secrets.token_urlsafe(32)
    command = [
        _keytool(java), "-genkeypair", "-keystore", str(place), "-storetype", "PKCS12", "-storepass:env", _PASSWORD,
        "-alias", _ALIAS, "-dname", f"CN={_ALIAS}", "-keyalg", "EC", "-keysize", str(_BITS), "-validity", str(_DAYS),
    ]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, _PASSWORD: password})
    if made.returncode:
        raise CorpusmillError(f"keytool made no key: {(made.stdout + made.stderr).strip()[-300:]}")
    place.chmod(0o600)
    return {
        "security.ssl.internal.enabled": "true",
        "security.ssl.internal.keystore": str(place),
        "security.ssl.internal.keystore-password": password,
        "security.ssl.internal.key-password": password,
        # The key is its own authority: no other certificate is trusted.
        "security.ssl.internal.truststore": str(place),
        "security.ssl.internal.truststore-password": password,
        "security.ssl.protocol": "TLSv1.3",
        "security.ssl.algorithms": "TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384",
    }


def _keytool(java: str) -> str:
    beside = Path(java).resolve().with_name("keytool")
    found = shutil.which(beside) or shutil.which("keytool")
    if found is None:
        raise CorpusmillError(f"{beside} is missing, which comes with Java and makes keys")
    return found

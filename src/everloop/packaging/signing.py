"""Signatures after the OpenSSF's model signing, with the platform's own key: anybody checks them offline.

What is signed is the package as it is handed out, so `model_signing verify key` checks it without Everloop as well.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from pathlib import Path
from types import ModuleType

from everloop.catalog.keyring import write_once
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, Misconfigured, NotFound
from everloop.packaging.entities import PublicKey

SIGNATURE = "signature.json"
_KEY = Path("keys") / "packages.pem"


def create_key(session: Session) -> PublicKey:
    """Make the key that packages are signed with; it stays in the home, readable by its owner only.

    Raises:
        Conflict: there is one already.
    """
    _library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    path = session.home / _KEY
    secret = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        write_once(path, secret)
    except FileExistsError:
        raise Conflict(
            "There is a key already.", hint=f"Signatures of before need it; move {path} away first."
        ) from None
    return public_key(session)


def has_key(session: Session) -> bool:
    """Whether packages are signed here."""
    return (session.home / _KEY).exists()


def public_key(session: Session) -> PublicKey:
    """The key's public half.

    Raises:
        NotFound: there is none.
        Misconfigured: its file holds something else.
    """
    _library()
    from cryptography.hazmat.primitives import serialization

    try:
        private = serialization.load_pem_private_key((session.home / _KEY).read_bytes(), None)
    except FileNotFoundError:
        raise NotFound(
            "There is no key to sign packages with.", hint="everloop packages create-key makes one."
        ) from None
    except (ValueError, TypeError) as error:
        raise Misconfigured(
            f"{session.home / _KEY} is no private key ({error}).", hint="Put back the one of before."
        ) from None
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return described(pem.decode())


def described(pem: str) -> PublicKey:
    """A public key with what it is recognised by."""
    return PublicKey(pem, hashlib.sha256("".join(pem.split()).encode()).hexdigest()[:32])


def signature_of(session: Session, content: Path) -> bytes:
    """The signature over a file or folder: a Sigstore bundle as JSON."""
    from model_signing import signing

    with tempfile.TemporaryDirectory(prefix="everloop-sign-") as folder:
        out = Path(folder) / SIGNATURE
        config = signing.Config().use_elliptic_key_signer(private_key=session.home / _KEY)  # type: ignore[no-untyped-call]  # theirs
        config.sign(content, out)
        return out.read_bytes()


def problem_with(content: Path, signature: bytes, key: PublicKey) -> str:
    """Why a file or folder is not what the holder of the key signed; nothing if it is."""
    _library()
    from model_signing import verifying

    with tempfile.TemporaryDirectory(prefix="everloop-sign-") as folder:
        bundle, public = Path(folder) / SIGNATURE, Path(folder) / "public.pem"
        bundle.write_bytes(signature)
        public.write_text(key.pem)
        try:
            config = verifying.Config().use_elliptic_key_verifier(public_key=public)  # type: ignore[no-untyped-call]  # theirs
            config.verify(content, bundle)
        except Exception as error:  # noqa: BLE001  # The library raises what its parts do, for any byte that is wrong.
            return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ""


def _library() -> ModuleType:
    try:
        import model_signing
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"Signing needs {error.name}, which is not installed.", hint="pip install 'everloop[signing]'"
        ) from None
    logging.getLogger("model_signing").setLevel(logging.ERROR)
    return model_signing

"""Signatures: of this platform's key, over every byte, checked without a network and without Everloop."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, Misconfigured, NotFound
from everloop.packaging import signing
from everloop.packaging.entities import Package
from everloop.packaging.handing import handed_out
from tests.packaging.conftest import built

pytestmark = pytest.mark.slow


def other_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_package_is_signed_when_it_is_built(workshop: Platform) -> None:
    package = built(workshop, "wheel")
    found = workshop.call("packages.check_signature", {"model": "delay", "form": "wheel"})
    assert (found.passed, found.reason, found.package) == (True, "", package.digest)
    assert found.fingerprint == workshop.call("packages.key", {}).fingerprint


def test_an_image_is_signed_as_a_whole_layout(workshop: Platform) -> None:
    built(workshop, "image")
    assert workshop.call("packages.check_signature", {"model": "delay", "form": "image"}).passed


def test_the_signature_of_another_key_does_not_pass(workshop: Platform) -> None:
    built(workshop, "wheel")
    asked = {"model": "delay", "form": "wheel", "public_key": other_key()}
    found = workshop.call("packages.check_signature", asked)
    assert not found.passed
    assert found.reason


@pytest.mark.parametrize("key", ["no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_does_not_pass(workshop: Platform, key: str) -> None:
    built(workshop, "wheel")
    asked = {"model": "delay", "form": "wheel", "public_key": key}
    assert not workshop.call("packages.check_signature", asked).passed


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_one_changed_byte_does_not_pass(workshop: Platform, tmp_path: Path, share: float) -> None:
    package = built(workshop, "wheel")
    with handed_out(workshop.session(), package) as path:
        data = bytearray(path.read_bytes())
        data[int(len(data) * share)] ^= 1
        path.write_bytes(bytes(data))
        signature = workshop.resources.store.get(package.parts[signing.SIGNATURE])
        assert signing.problem_with(path, signature, workshop.call("packages.key", {}))


def test_an_added_file_does_not_pass(workshop: Platform) -> None:
    package = built(workshop, "image")
    with handed_out(workshop.session(), package) as path:
        (path / "added").write_text("more")
        signature = workshop.resources.store.get(package.parts[signing.SIGNATURE])
        assert signing.problem_with(path, signature, workshop.call("packages.key", {}))


def test_others_check_it_with_the_tool_of_the_openssf(workshop: Platform, tmp_path: Path) -> None:
    package = built(workshop, "wheel")
    (tmp_path / "key.pem").write_text(workshop.call("packages.key", {}).pem)
    (tmp_path / "signature.json").write_bytes(workshop.resources.store.get(package.parts[signing.SIGNATURE]))
    words = ["verify", "key", "--signature", tmp_path / "signature.json", "--public_key", tmp_path / "key.pem"]
    with handed_out(workshop.session(), package) as path:
        program = [sys.executable, "-m", "model_signing", *words, path]
        assert subprocess.run(program, capture_output=True, check=False).returncode == 0


def test_the_private_key_stays_with_its_owner(workshop: Platform) -> None:
    path = workshop.resources.home / "keys" / "packages.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PRIVATE" not in workshop.call("packages.key", {}).pem


def test_a_key_is_never_written_over(workshop: Platform) -> None:
    before = workshop.call("packages.key", {})
    with pytest.raises(Conflict, match="There is a key already"):
        workshop.call("packages.create_key", {})
    assert workshop.call("packages.key", {}) == before


def test_without_a_key_packages_are_not_signed(registered: Platform, package: Package) -> None:
    assert signing.SIGNATURE not in package.parts
    with pytest.raises(NotFound, match="create-key"):
        registered.call("packages.sign", {"model": "delay"})
    with pytest.raises(NotFound, match="not signed"):
        registered.call("packages.check_signature", {"model": "delay"})


def test_a_package_of_before_is_signed_later(registered: Platform, package: Package) -> None:
    made = registered.call("packages.create_key", {})
    signed = registered.call("packages.sign", {"model": "delay"})
    assert signed.digest == package.digest
    assert registered.call("packages.get", {"model": "delay"}) == signed
    assert registered.call("packages.check_signature", {"model": "delay"}).fingerprint == made.fingerprint
    kinds = [entry.kind for entry in registered.call("audit.entries", {})]
    assert {"packages.key_created", "packages.signed"} <= set(kinds)


def test_two_that_build_at_once_have_the_same_signature(registered: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    registered.call("packages.create_key", {})
    sign, beside = signing.signature_of, []

    def interrupted(session: Session, content: Path) -> bytes:
        monkeypatch.setattr(signing, "signature_of", sign)
        beside.append(registered.call("packages.build", {"model": "delay"}))
        return sign(session, content)

    monkeypatch.setattr(signing, "signature_of", interrupted)
    assert registered.call("packages.build", {"model": "delay"}) == beside[0]
    assert registered.call("packages.check_signature", {"model": "delay"}).passed


def test_a_broken_key_is_told(registered: Platform) -> None:
    registered.call("packages.create_key", {})
    (registered.resources.home / "keys" / "packages.pem").write_text("nothing")
    with pytest.raises(Misconfigured, match="no private key"):
        registered.call("packages.key", {})


def test_without_the_library_it_is_said_how_to_get_it(registered: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(Misconfigured, match=r"pip install 'everloop\[signing\]'"):
        registered.call("packages.create_key", {})


def test_a_key_is_there_whole_or_not_at_all(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            signing.create_key(platform.session())
    assert list((platform.resources.home / "keys").iterdir()) == []
    assert not signing.has_key(platform.session())
    signing.create_key(platform.session())
    assert stat.S_IMODE((platform.resources.home / "keys" / "packages.pem").stat().st_mode) == 0o600

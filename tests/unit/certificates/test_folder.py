"""What the files of a mesh's certificates hold, and when they are made anew."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from cli import program
from infra.certificates import EDGE, OPERATOR, Folder, MissingCertificates, NotACertificate, ensure, show
from infra.certificates.folder import SERVICES
from infra.certificates.shown import read
from services.runtime.tls import BadCertificates

ALL = {"ca", EDGE, OPERATOR, *SERVICES}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "certs")
    assert set(ensure(made, ["mesh.example", "192.0.2.7"])) == ALL
    return made


def certificate(folder: Folder, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(folder.certificate(name).read_bytes())


def contents(folder: Folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.root.iterdir()}


def serials(folder: Folder) -> dict[str, str]:
    return {one.name: one.serial for one in show(folder.root)}


@pytest.mark.parametrize("name", sorted(ALL - {"ca"}))
def test_every_holder_is_one_that_a_verifier_accepts(folder: Folder, name: str) -> None:
    store = Store([certificate(folder, "ca")])
    host = x509.DNSName("mesh.example" if name == EDGE else name)
    PolicyBuilder().store(store).build_server_verifier(host).verify(certificate(folder, name), [])
    uses = certificate(folder, name).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (ExtendedKeyUsageOID.CLIENT_AUTH in uses) == (name != EDGE)
    key = certificate(folder, name).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_a_certificate_is_for_one_service(folder: Folder) -> None:
    verifier = PolicyBuilder().store(Store([certificate(folder, "ca")])).build_server_verifier(x509.DNSName("gateway"))
    with pytest.raises(VerificationError):
        verifier.verify(certificate(folder, "retrieval"), [])


def test_keys_are_their_owners_alone(folder: Folder) -> None:
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.root.glob("*.key")} == {0o600}
    assert not list(folder.root.glob(".*"))


def test_what_is_good_stays(folder: Folder) -> None:
    before = contents(folder)
    assert ensure(folder) == []
    assert ensure(folder, ["mesh.example"]) == []
    assert contents(folder) == before


def test_a_further_host_is_added_to_those_there_are(folder: Folder) -> None:
    assert ensure(folder, ["other.example"]) == [EDGE]
    assert {"mesh.example", "other.example", "192.0.2.7", "localhost"} <= set(read(folder.certificate(EDGE)).hosts)


def test_force_makes_all_anew_of_the_same_authority(folder: Folder) -> None:
    before = serials(folder)
    assert set(ensure(folder, force=True)) == ALL - {"ca"}
    assert {name for name, serial in serials(folder).items() if serial == before[name]} == {"ca"}


def test_what_ends_soon_is_made_anew(folder: Folder) -> None:
    ensure(folder, days=1, force=True)
    one = read(folder.certificate("gateway"))
    assert one.ends - datetime.now(UTC) < timedelta(days=1)
    assert one.share_left(one.ends) == 0
    assert one.share_left(one.begins) == 1
    assert 0.9 < one.share_left() < 1
    later = one.begins + (one.ends - one.begins) * 0.7
    assert ensure(folder, now=later - timedelta(hours=2)) == []
    assert set(ensure(folder, now=later)) == ALL - {"ca"}


@pytest.mark.parametrize("harm", ["lost key", "other key", "garbage", "other authority"])
def test_what_is_harmed_is_made_anew(folder: Folder, harm: str, tmp_path: Path) -> None:
    match harm:
        case "lost key":
            folder.private_key("triton").unlink()
        case "other key":
            folder.private_key("triton").write_bytes(folder.private_key("envoy").read_bytes())
        case "garbage":
            folder.certificate("triton").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        case _:
            other = Folder(tmp_path / "other")
            ensure(other)
            for kind in ("crt", "key"):
                (folder.root / f"triton.{kind}").write_bytes((other.root / f"triton.{kind}").read_bytes())
    assert ensure(folder) == ["triton"]
    folder.check()


def test_a_new_authority_signs_everybody_anew(folder: Folder) -> None:
    folder.private_key("ca").unlink()
    assert set(ensure(folder)) == ALL


@pytest.mark.parametrize("host", ["", "a b", "-.", "a..b", "http://a", "a/b", "é", "*", "x" * 64])
def test_a_host_that_cannot_be_changes_nothing(folder: Folder, host: str) -> None:
    before = contents(folder)
    with pytest.raises(ValueError, match="neither a host name nor an address"):
        ensure(folder, [host])
    assert contents(folder) == before


def test_a_folder_that_lacks_something_is_refused(folder: Folder) -> None:
    folder.check()
    folder.private_key("gateway").write_text("no key")
    with pytest.raises(BadCertificates, match=r"gateway\.key is no PEM private key"):
        folder.check()
    folder.private_key("gateway").unlink()
    with pytest.raises(MissingCertificates, match=r"gateway\.key is missing"):
        folder.check()


def test_show_names_the_file_that_is_no_certificate(folder: Folder) -> None:
    (folder.root / "bad.crt").write_text("no")
    with pytest.raises(NotACertificate, match=r"bad\.crt"):
        show(folder.root)


def test_the_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "c")
    assert program.run(["certs", "show", out]) == 1
    assert "no certificate" in capsys.readouterr().err
    assert program.run(["certs", "make", "--out", out, "--host", "mesh.example", "--days", "2", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["made"]) == ALL
    assert program.run(["certs", "show", out, "--json"]) == 0
    shown = {one["name"]: one for one in json.loads(capsys.readouterr().out)["certificates"]}
    assert "mesh.example" in shown[EDGE]["hosts"]
    assert 1.9 < shown[EDGE]["days_left"] <= 2
    assert program.run(["certs", "show", out]) == 0
    assert "mesh.example" in capsys.readouterr().out
    assert program.run(["certs", "make", "--out", out, "--host", "a b"]) == 2
    assert program.run(["certs", "make", "--out", "/dev/null/x"]) == 1

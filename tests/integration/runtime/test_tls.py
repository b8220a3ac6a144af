"""Mutual TLS between a client and a server, and files that are replaced while both go on."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.certificates import Folder, ensure
from services.runtime.channels import open_channel
from services.runtime.health import Readiness
from services.runtime.interceptors.certificates import callers_of, dns_names
from services.runtime.server import bind, build
from services.runtime.settings import ServerSettings
from services.runtime.tls import BadCertificates, TlsFiles
from tests.fakes.certificates import certificates, shown_at
from tests.fakes.serving import generic

CALL = "/test.Echo/Call"


async def who(_: bytes, context: Any) -> bytes:
    """The names in the caller's certificate."""
    return b" ".join(context.auth_context().get("x509_subject_alternative_name", ()))


ECHO = {"Call": grpc.unary_unary_rpc_method_handler(who)}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return certificates(tmp_path / "tls")


@asynccontextmanager
async def served(files: TlsFiles) -> AsyncIterator[int]:
    settings = ServerSettings(tls_certificate=files.certificate, tls_private_key=files.private_key, tls_ca=files.ca)
    app = replace(generic("test.Echo", ECHO), callers={"/": ("gateway",), "/test.Other/": ("retrieval",)})
    server = build(settings, app, Readiness([], {}), None)
    address = bind(server, settings)
    await server.start()
    try:
        yield int(address.rpartition(":")[2])
    finally:
        await server.stop(None)


async def ask(channel: Any) -> bytes:
    answer: bytes = await channel.unary_unary(CALL)(b"", timeout=10)
    return answer


async def call(channel: grpc.aio.Channel) -> bytes:
    async with channel:
        return await ask(channel)


async def refused(channel: grpc.aio.Channel) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call(channel)
    assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
    return str(failure.value.details())


async def test_both_sides_know_each_other(folder: Folder) -> None:
    async with served(folder.files("retrieval")) as port:
        channel = open_channel(f"dns:///localhost:{port}", tls=folder.files("gateway"))
        assert b"gateway" in (await call(channel)).split()


async def test_the_holder_of_another_certificate_of_the_mesh_may_not_call(folder: Folder) -> None:
    async with served(folder.files("retrieval")) as port:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(open_channel(f"dns:///localhost:{port}", tls=folder.files("retrieval")))
    assert refusal.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_only_dns_names_are_names() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "operator")])
    others = [x509.UniformResourceIdentifier("operator"), x509.RFC822Name("operator"), x509.DNSName("retrieval")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(others), critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    assert dns_names(made.public_bytes(serialization.Encoding.PEM)) == {"retrieval"}


@pytest.mark.parametrize(
    ("method", "names"),
    [("/a.B/C", {"x"}), ("/a.BC/D", {"x"}), ("/a.B.D/E", {"y"}), ("/z.Z/Z", {"x"}), ("z", set())],
)
def test_the_longest_beginning_that_fits_says_who_may_call(method: str, names: set[str]) -> None:
    assert callers_of(method, {"/": ("x",), "/a.B.": ("y",)}) == names


async def test_who_shows_no_certificate_of_the_mesh_is_refused(folder: Folder, tmp_path: Path) -> None:
    other = certificates(tmp_path / "other")
    mixed = Folder(tmp_path / "mixed")
    shutil.copytree(other.root, mixed.root)
    shutil.copy(folder.ca, mixed.ca)
    async with served(folder.files("retrieval")) as port:
        target = f"127.0.0.1:{port}"  # of `localhost` the last error may be that nobody listens at ::1
        await refused(open_channel(target))
        roots = grpc.ssl_channel_credentials(folder.ca.read_bytes())
        await refused(grpc.aio.secure_channel(target, roots))
        assert "CERTIFICATE_VERIFY_FAILED" in await refused(open_channel(target, tls=other.files("gateway")))
        await refused(open_channel(target, tls=mixed.files("gateway")))
        await call(open_channel(target, tls=folder.files("gateway")))


async def test_a_server_that_is_somebody_else_is_refused(folder: Folder) -> None:
    async with served(folder.files("retrieval")) as port:
        options = [("grpc.ssl_target_name_override", "orchestrator")]
        channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", folder.files("gateway").client(), options=options)
        assert "Hostname Verification" in await refused(channel)


async def test_new_files_are_shown_from_the_next_handshake_on(folder: Folder) -> None:
    files = folder.files("retrieval")
    async with served(files) as port, open_channel(f"localhost:{port}", tls=folder.files("gateway")) as old:
        await ask(old)
        assert await asyncio.to_thread(shown_at, port) == files.certificate.read_text()
        ensure(folder, force=True)
        assert await asyncio.to_thread(shown_at, port) == files.certificate.read_text()
        await ask(old)
        assert b"gateway" in (await call(open_channel(f"localhost:{port}", tls=folder.files("gateway")))).split()


@pytest.mark.parametrize("harm", ["gone", "garbage", "half"])
async def test_bad_new_files_leave_the_old_ones_at_work(
    folder: Folder, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = folder.files("retrieval")
    before = files.certificate.read_text()
    key = files.private_key.read_bytes()
    async with served(files) as port:
        match harm:
            case "gone":
                files.private_key.unlink()
            case "garbage":
                files.private_key.write_text("-----BEGIN")
            case _:
                ensure(folder, force=True)
                after = files.private_key.read_bytes()
                files.private_key.write_bytes(key)
        for _ in range(3):
            assert await asyncio.to_thread(shown_at, port) == before
        assert len([record for record in caplog.records if "new certificates" in record.message]) == 1
        await call(open_channel(f"localhost:{port}", tls=folder.files("gateway")))
        files.private_key.write_bytes(after if harm == "half" else key)
        assert await asyncio.to_thread(shown_at, port) == files.certificate.read_text()


async def test_a_new_authority_beside_the_old_one_cuts_nobody_off(folder: Folder, tmp_path: Path) -> None:
    """Two authorities in one file are both trusted."""
    new = certificates(tmp_path / "new")
    both = folder.ca.read_bytes() + new.ca.read_bytes()
    async with served(folder.files("retrieval")) as port:
        await refused(open_channel(f"localhost:{port}", tls=new.files("gateway")))
        for one in (folder, new):
            replacement = one.root / "both"
            replacement.write_bytes(both)
            replacement.replace(one.ca)
        await call(open_channel(f"localhost:{port}", tls=new.files("gateway")))
        await call(open_channel(f"localhost:{port}", tls=folder.files("gateway")))


def test_files_that_cannot_be_used_are_named(folder: Folder) -> None:
    files = folder.files("gateway")
    files.read()
    files.ca.write_text("")
    with pytest.raises(BadCertificates, match=r"ca\.crt is no PEM certificate"):
        files.read()
    files.ca.unlink()
    with pytest.raises(BadCertificates, match=r"ca\.crt cannot be read"):
        files.read()

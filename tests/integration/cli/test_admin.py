"""The verbs of administrators, against their services over real records."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cli import program
from gateway.cache.entry import CachedAnswer, Used
from gateway.usage.record import Spent, usage_of
from gateway.usage.writing import write_usage
from infra.local.layout import Layout
from tests.fakes.administration import PEOPLE, ROOT, Administration, administration
from tests.fakes.identity import Keys
from tests.fakes.serving import serving

Capture = pytest.CaptureFixture[str]
Run = Callable[..., Awaitable[int]]
Told = Callable[..., Awaitable[Any]]
GROUPS = (
    "tenants", "projects", "users", "accounts", "keys", "roles", "budgets", "limits", "guards", "usage", "audit",
    "data",
)  # fmt: skip


@pytest.fixture
async def office(tmp_path: Path, keys: Keys) -> AsyncIterator[Administration]:
    async with administration(f"sqlite:///{tmp_path}/records.db", keys) as opened:
        yield opened


@pytest.fixture
async def run(office: Administration) -> AsyncIterator[Run]:
    """Runs a command line; gives its exit code."""
    async with serving(office.app) as address:

        async def call(*arguments: str, key: str = ROOT) -> int:
            return await asyncio.to_thread(program.run, [*arguments, "--edge", address, "--key", key])

        yield call


@pytest.fixture
def told(run: Run, capsys: Capture) -> Told:
    """Runs a command line that succeeds; gives what it prints with --json."""

    async def call(*arguments: str, key: str = ROOT) -> Any:
        capsys.readouterr()
        assert await run(*arguments, "--json", key=key) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize("group", GROUPS)
def test_every_verb_has_help_with_an_example(group: str, capsys: Capture) -> None:
    assert program.run([group, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"headworks {group} " in text
    verbs = [line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line.strip()]
    for verb in verbs:
        assert program.run([group, verb, "--help"]) == 0
        text = capsys.readouterr().out
        assert f"headworks {group} {verb}" in text.partition("Example")[2], verb
        assert "--json" in text, verb


async def test_from_a_tenant_to_a_key(told: Told, run: Run, capsys: Capture) -> None:
    assert (await told("tenants", "create", "lab", "--name", "The lab"))["state"] == "active"
    assert [one["id"] for one in (await told("tenants", "list"))["tenants"]] == ["acme", "lab", "other"]
    project = await told("projects", "create", "search", "--tenant", "lab")
    account = await told("accounts", "create", "ci", "--tenant", "lab", "--role", "user")
    assert (account["kind"], account["roles"]) == ("service_account", ["user"])
    at = ("--tenant", "lab")
    key = await told("keys", "create", account["id"], *at, "--scope", "models.call:rag", "--expires", "90d",
                     "--project", project["id"])  # fmt: skip
    assert key["secret"].startswith("hw_")
    assert key["expire_time"] > key["create_time"]
    rotated = await told("keys", "rotate", key["id"], *at, "--overlap", "1h")
    await told("keys", "revoke", rotated["id"], *at)
    states = {one["id"]: one["state"] for one in (await told("keys", "list", *at))["keys"]}
    assert states == {key["id"]: "replaced", rotated["id"]: "revoked"}
    assert [one["role"] for one in (await told("roles", "bindings", account["id"], *at))["bindings"]] == ["user"]
    assert await run("keys", "list", *at) == 0
    out = capsys.readouterr().out
    assert key["secret"] not in out
    assert key["prefix"] in out
    assert await run("keys", "create", account["id"], *at) == 0
    shown = capsys.readouterr()
    assert "hw_" in shown.out
    assert "shown this once" in shown.err
    await told("tenants", "suspend", "lab")
    assert (await told("tenants", "resume", "lab"))["state"] == "active"
    assert await told("tenants", "delete", "lab", "--yes") == {"deleted": "lab"}


async def test_roles(told: Told, run: Run, capsys: Capture) -> None:
    user = await told("users", "create", "ada@example.com")
    await told("roles", "put", "reader", "--permission", "models.call:rag", "--permission", "collections.read:*")
    await told("roles", "bind", "reader", user["id"])
    assert [one["role"] for one in (await told("roles", "bindings", user["id"]))["bindings"]] == ["reader"]
    await told("roles", "unbind", "reader", user["id"])
    assert "reader" in {one["name"] for one in (await told("roles", "list"))["roles"]}
    await told("roles", "delete", "reader", "--yes")
    assert await run("roles", "bind", "reader", user["id"]) == 1
    assert "headworks roles list" in capsys.readouterr().err
    assert (await told("users", "suspend", user["id"]))["state"] == "suspended"
    await told("users", "delete", user["id"], "--yes")
    assert (await told("users", "list"))["users"] == []


async def test_budgets(told: Told, run: Run, capsys: Capture) -> None:
    budget = await told("budgets", "create", "--per", "month", "--money", "12.50")
    assert (budget["scope"], budget["unit"], budget["amount"]) == ("tenant", "money", 12_500_000_000)
    agent = await told("budgets", "create", "--per", "day", "--tokens", "1000", "--agent", "rag")
    assert (agent["scope"], agent["scope_id"], agent["period"]) == ("agent", "rag", "day")
    assert (await told("budgets", "set", agent["id"], "--tokens", "2000"))["amount"] == 2000
    assert await run("budgets", "list") == 0
    out = capsys.readouterr().out
    assert " 12.5 " in out
    assert " 2,000 " in out
    assert (await told("budgets", "alerts"))["alerts"] == []
    await told("budgets", "delete", agent["id"], "--yes")
    assert len((await told("budgets", "list"))["budgets"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("budgets", "create", "--per", "day"), "--tokens or --money"),
        (("budgets", "create", "--per", "day", "--tokens", "1", "--money", "1"), "--tokens or --money"),
        (("budgets", "create", "--per", "day", "--money", "lots"), "12.50"),
        (("budgets", "create", "--per", "day", "--money", "NaN"), "9 decimals"),
        (("budgets", "create", "--per", "day", "--money", "-1"), "9 decimals"),
        (("budgets", "create", "--per", "day", "--money", "0.0000000001"), "9 decimals"),
        (("budgets", "create", "--per", "day", "--tokens", "1", "--agent", "a", "--project", "p"), "one thing"),
        (("keys", "create", "svc_1", "--expires", "soon"), "90d"),
        (("usage", "list", "--since", "yesterday"), "2026-11-20"),
        (("data", "erase"), "--subject"),
        (("data", "erase", "--subject", "a", "--everything"), "--subject"),
        (("data", "retention", "--keep", "runs"), "runs=30"),
    ],
)
async def test_wrong_usage(run: Run, capsys: Capture, arguments: tuple[str, ...], said: str) -> None:
    assert await run(*arguments) == 2
    assert said in capsys.readouterr().err


async def test_limits(told: Told) -> None:
    limit = await told("limits", "create", "--requests", "60", "--caller", "*", "--model", "rag")
    assert (limit["tenant"], limit["caller"], limit["requests_per_minute"]) == ("acme", "*", 60)
    await told("limits", "create", "--together", "--streams", "100")
    assert len((await told("limits", "list"))["limits"]) == 1
    assert len((await told("limits", "list", "--every-tenant"))["limits"]) == 2
    assert (await told("limits", "set", limit["id"], "--tokens", "9"))["requests_per_minute"] == 0
    await told("limits", "delete", limit["id"], "--yes")


async def test_guards(told: Told, run: Run, capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("guards:\n- {guard: length, characters: 100}\n")
    await told("guards", "put", str(file), "--dry-run")
    assert (await told("guards", "list"))["policies"] == []
    await told("guards", "put", str(file), "--agent", "rag")
    assert await run("guards", "get", "--agent", "rag") == 0
    assert capsys.readouterr().out == file.read_text()
    assert await run("guards", "get") == 1
    file.write_text("guards: [{guard: nothing}]")
    assert await run("guards", "put", str(file)) == 1
    assert "guards" in capsys.readouterr().err
    await told("guards", "delete", "--agent", "rag", "--yes")


async def test_cache(office: Administration, told: Told, run: Run, capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("charge: 0.1\n")
    await told("cache", "put", str(file), "--dry-run")
    assert (await told("cache", "list"))["policies"] == []
    await told("cache", "put", str(file), "--agent", "rag")
    assert await run("cache", "get", "--agent", "rag") == 0
    assert capsys.readouterr().out == file.read_text()
    file.write_text("shared_by: tenants\n")
    assert await run("cache", "put", str(file)) == 1
    assert "never gives an answer to another tenant" in capsys.readouterr().err
    await told("cache", "delete", "--agent", "rag", "--yes")
    for number, tenant in enumerate(("acme", "acme", "other")):
        made = CachedAnswer(f"k{number}", "p", tenant, "ann", "rag", "run", number, 1e10, Used(3, 4, 10**8), b"{}")
        await office.answers.put(made, 0)
    assert [one["key"] for one in (await told("cache", "inspect"))["answers"]] == ["k1", "k0"]
    assert (await told("cache", "purge", "--answer", "k2", "--yes"))["purged"] == 0
    assert (await told("cache", "purge", "--answer", "k1", "--yes"))["purged"] == 1
    assert (await told("cache", "stats"))["stats"] == []
    assert (await told("cache", "purge", "--yes"))["purged"] == 1


async def test_usage(office: Administration, told: Told, run: Run, capsys: Capture, tmp_path: Path) -> None:
    rows = [
        usage_of(PEOPLE[ROOT], Spent("rag", prompt_tokens=10, completion_tokens=n, cost_nanos=10**8)) for n in (1, 2)
    ]
    async with office.database.write() as connection:
        await write_usage(connection, rows)
    assert [one["completion_tokens"] for one in (await told("usage", "list"))["calls"]] == [2, 1]
    assert len((await told("usage", "list", "--most", "1"))["calls"]) == 1
    assert len((await told("usage", "list", "--of-key", PEOPLE[ROOT].key))["calls"]) == 2
    assert (await told("usage", "list", "--of-key", "key_other"))["calls"] == []
    [one] = (await told("usage", "sum", "--by", "agent", "--since", "2020-01-01"))["sums"]
    assert (one["agent"], one["calls"], one["prompt_tokens"], one["cost"]) == ("rag", 2, 20, "0.2")
    assert await run("usage", "sum", "--by", "day") == 0
    assert "0.2" in capsys.readouterr().out
    file = tmp_path / "all.csv"
    assert await run("usage", "export", "--csv", str(file)) == 0
    with file.open() as lines:
        assert [row["completion_tokens"] for row in csv.DictReader(lines)] == ["1", "2"]
    assert await run("usage", "export", "--csv", str(tmp_path / "no" / "all.csv")) == 1
    assert "cannot be written" in capsys.readouterr().err


async def test_audit(told: Told, run: Run, capsys: Capture, tmp_path: Path, keys: Keys) -> None:
    for name in ("a", "b", "c"):
        await told("projects", "create", name)
    found = (await told("audit", "list"))["records"]
    assert [(one["subject"], one["record"]["details"]["name"]) for one in found] == [("root", name) for name in "abc"]
    assert await run("audit", "list", "--most", "1") == 0
    assert (await told("audit", "verify"))["sound"] is True
    file, public = tmp_path / "audit.jsonl", tmp_path / "public.pem"
    public.write_bytes(keys.public_pem)
    assert await run("audit", "export", str(file)) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    check = ("audit", "verify", str(file), "--public-key", str(public))
    assert (await told(*check))["signed"] is True
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0].replace('"name":"a"', '"name":"x"'), *lines[1:]]))
    capsys.readouterr()
    assert await run(*check) == 1
    out = capsys.readouterr().out
    assert "record 1 was changed" in out
    assert "not sound" in out


async def test_anchors(told: Told, run: Run, capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "anchors.jsonl"
    assert await run("audit", "anchor", str(file)) == 1
    assert "no record in the audit yet" in capsys.readouterr().err
    assert not file.exists()
    for name, anchored in (("a", "1 record in 1 chain is"), ("b", "records in 1 chain are")):
        await told("projects", "create", name)
        assert await run("audit", "anchor", str(file)) == 0
        assert f"{anchored} anchored in {file}" in capsys.readouterr().out
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text().splitlines()) == 2
    assert int((await told("audit", "verify", "--anchor", str(file)))["anchors"]) == 2
    assert await run("audit", "anchor", "-") == 0
    assert json.loads(capsys.readouterr().out)["number"] >= 2
    assert await run("audit", "verify", "--anchor", str(file)) == 0
    assert "beside 2 anchors: sound" in capsys.readouterr().out
    file.write_text(file.read_text().replace('"number":1,', '"number":7,'))
    assert await run("audit", "verify", "--anchor", str(file)) == 1
    assert "the anchor number 7 is not signed by this gateway's key" in capsys.readouterr().out
    for text in ("", "garbage\n"):
        file.write_text(text)
        assert await run("audit", "verify", "--anchor", str(file)) == 1
        assert str(file) in capsys.readouterr().err
    assert await run("audit", "anchor", str(tmp_path / "no" / "anchors.jsonl")) == 1
    assert "cannot be written" in capsys.readouterr().err


async def test_an_export_of_the_local_mesh_is_checked_with_its_key(
    told: Told, run: Run, capsys: Capture, tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path / ".headworks")
    layout.identity_public_key.parent.mkdir(parents=True)
    layout.identity_public_key.write_bytes(keys.public_pem)
    layout.dev_key.write_text("hw_local")
    monkeypatch.chdir(tmp_path)
    await told("projects", "create", "a")
    assert await run("audit", "export", "audit.jsonl") == 0
    # Of the mesh that --edge names: not the one whose folder this is.
    assert (await told("audit", "verify", "audit.jsonl"))["signed"] is None
    assert (await told("audit", "verify", "audit.jsonl", "--data", ".headworks"))["signed"] is True
    capsys.readouterr()
    assert await asyncio.to_thread(program.run, ["audit", "verify", "audit.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signed"] is True


async def test_what_is_not_signed_yet_is_told(run: Run, told: Told, capsys: Capture) -> None:
    await told("projects", "create", "a")
    assert await run("audit", "verify") == 0
    assert "has signed no record" in capsys.readouterr().err


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob("*audit*"))


async def test_a_broken_export_leaves_no_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    assert await run("audit", "export", str(file), key="hw_nobody") == 1
    assert not leftovers(tmp_path)


async def test_data(told: Told, run: Run, capsys: Capture, tmp_path: Path) -> None:
    await told("users", "create", "ada@example.com")
    file = tmp_path / "ada.jsonl"
    assert await run("data", "export", str(file), "--subject", "ada@example.com") == 0
    assert [json.loads(line)["kind"] for line in file.read_text().splitlines()] == ["principal"]
    erased = await told("data", "erase", "--subject", "ada@example.com", "--yes")
    assert erased["erased"]["principals"] == 1
    assert (await told("users", "list"))["users"] == []
    assert (await told("data", "retention", "--keep", "runs=30", "--content"))["days"] == {"runs": 30}
    found = await told("data", "retention", "--keep", "usage=400")
    assert (found["keep_content"], found["days"]) == (True, {"runs": 30, "usage": 400})
    assert await run("data", "retention") == 0
    assert "runs 30" in capsys.readouterr().out


async def test_what_is_missing_is_named(run: Run, capsys: Capture) -> None:
    assert await run("keys", "list", key="hw_nobody") == 1
    assert "admin.keys:read" in capsys.readouterr().err
    assert await run("keys", "list", "--tenant", "acme", key="hw_other") == 1
    assert "admin.tenants:read" in capsys.readouterr().err

"""`host`: opening, the lock, the admin key, ports, reloading, serving."""

import asyncio
import gc
import json
import os
import socket
import stat
import subprocess
import sys
import textwrap
import time
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from pyconvex.errors import LoadFailed, Remedy, StartFailed
from pyconvex.host import Host, HostOptions, Running, bind_sockets, running_server
from pyconvex.host.lock import announced, deployment_lock
from pyconvex.host.ports import holder_of
from pyconvex.settings import Limits
from support.ports import free_port
from support.served import run, served, write_modules


def hosted(project: Path, story: Callable[[Host], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with Host.open(HostOptions(project=project, **options)) as host:
            await story(host)

    run(whole)


def module(text: str) -> dict[str, str]:
    return {"http": "from pyconvex.server import Response, http_router\nhttp = http_router()\n" + textwrap.dedent(text)}


def answering(version: object) -> dict[str, str]:
    return module(f'''
        @http.route(path="/", method="GET")
        async def handler(ctx, request):
            return Response("{version}")

        default = http
    ''')


# --- the lock


def test_a_second_host_names_the_first(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        with pytest.raises(StartFailed) as caught:
            async with Host.open(HostOptions(project=tmp_path)):
                pass
        assert caught.value.code == "DeploymentInUse"
        assert f"process {os.getpid()}" in str(caught.value)

    hosted(tmp_path, story)
    hosted(tmp_path, _nothing)


def test_a_folder_may_be_shared_by_those_who_keep_no_documents_in_it(tmp_path: Path) -> None:
    with deployment_lock(tmp_path, shared=True), deployment_lock(tmp_path, shared=True):
        with pytest.raises(StartFailed) as caught, deployment_lock(tmp_path):
            pass
        assert caught.value.code == "DeploymentInUse"
    with deployment_lock(tmp_path), pytest.raises(StartFailed), deployment_lock(tmp_path, shared=True):
        pass


def test_the_file_that_says_where_it_answers_is_the_last_ones(tmp_path: Path) -> None:
    mine, other = (Running(pid, f"http://127.0.0.1:{pid}", "", "1") for pid in (os.getpid(), os.getppid()))
    with announced(tmp_path, other):
        with announced(tmp_path, mine):
            assert running_server(tmp_path) == mine
        assert running_server(tmp_path) is None
        with announced(tmp_path, mine):
            (tmp_path / "server.json").write_text(json.dumps(asdict(other)))
        assert running_server(tmp_path) == other


def test_a_second_process_names_the_address_of_the_first(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, answering(1), memory=False) as server:
            data = tmp_path / ".pyconvex"
            await server.until(lambda: running_server(data) is not None)
            running = running_server(data)
            assert running is not None
            assert (running.pid, running.url) == (os.getpid(), f"http://127.0.0.1:{server.sockets.port}")
            program = f"""
                import asyncio
                from pathlib import Path
                from pyconvex.host import Host, HostOptions

                async def main():
                    async with Host.open(HostOptions(project=Path({str(tmp_path)!r}))):
                        pass

                asyncio.run(main())
            """
            second = await asyncio.create_subprocess_exec(
                sys.executable, "-c", textwrap.dedent(program), stderr=subprocess.PIPE
            )
            _, error = await second.communicate()
            assert f"process {os.getpid()} at {running.url}".encode() in error
        assert running_server(tmp_path / ".pyconvex") is None

    run(story)


def test_server_json_of_a_process_that_died(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    data = tmp_path / ".pyconvex"
    data.mkdir()
    for text in (json.dumps({"pid": gone.pid, "url": "u", "site_url": "s", "version": "1"}), "{", "[]", ""):
        (data / "server.json").write_text(text)
        assert running_server(data) is None
    hosted(tmp_path, _nothing)


def test_a_data_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / ".pyconvex").write_text("a file")
    with pytest.raises(StartFailed) as caught:
        hosted(tmp_path, _nothing)
    assert caught.value.code == "DiskUnusable"
    assert ".pyconvex" in str(caught.value)


async def _nothing(host: Host) -> None:
    pass


# --- the admin key


def test_the_admin_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    keys: list[str] = []

    async def story(host: Host) -> None:
        keys.append(host.admin_key)

    project = tmp_path / "my chat!"
    project.mkdir()
    hosted(project, story)
    hosted(project, story)
    file = project / ".pyconvex" / "admin_key"
    assert keys[0] == keys[1] == file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    name, bar, token = keys[0].partition("|")
    assert (name, bar) == ("my-chat", "|")
    assert len(token) == 64
    assert ":" not in token


@pytest.mark.parametrize("text", ["", "nonsense", "a|b", "a:b|" + "0" * 64])
def test_an_admin_key_that_is_none_is_made_anew(tmp_path: Path, text: str) -> None:
    data = tmp_path / ".pyconvex"
    data.mkdir()
    (data / "admin_key").write_text(text)

    async def story(host: Host) -> None:
        assert host.admin_key != text
        assert (data / "admin_key").read_text().strip() == host.admin_key

    hosted(tmp_path, story)


# --- ports


def test_ports_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = free_port(), free_port()
    monkeypatch.setattr("pyconvex.host.ports.API_PORT", ports[0])
    monkeypatch.setattr("pyconvex.host.ports.SITE_PORT", ports[1])
    remembered = tmp_path / "data" / "ports.json"
    first = bind_sockets(remembered=remembered)
    assert (first.port, first.site_port) == ports
    assert json.loads(remembered.read_text()) == {"api": ports[0], "site": ports[1]}
    first.close()
    second = bind_sockets(remembered=remembered)
    assert (second.port, second.site_port) == ports
    third = bind_sockets(remembered=remembered)
    assert not {third.port, third.site_port} & set(ports)
    for sockets in (second, third):
        sockets.close()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"api": "x", "site": -1}', '{"api": 99999999}', '{"api": true}'])
def test_damaged_memories_of_ports_are_forgotten(tmp_path: Path, text: str) -> None:
    remembered = tmp_path / "ports.json"
    remembered.write_text(text)
    bind_sockets(remembered=remembered).close()


def test_a_busy_port_that_was_asked_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for api, site in ((port, None), (0, port)):
            with pytest.raises(StartFailed) as caught:
                bind_sockets(port=api, site_port=site)
            assert caught.value.code == "PortInUse"
            assert f"port {port} is in use" in str(caught.value)
        if sys.platform == "linux":
            assert f"(pid {os.getpid()})" in str(caught.value)
            assert str(holder_of(port)).endswith(f"(pid {os.getpid()})")


def test_both_ports_the_same() -> None:
    port = free_port()
    with pytest.raises(StartFailed, match="cannot both have port"):
        bind_sockets(port=port, site_port=port)
    bind_sockets(port=port, site_port=0).close()


@pytest.mark.parametrize("host", ["203.0.113.7", "not a host", "::zz"])
def test_hosts_that_are_not_ours(host: str) -> None:
    with pytest.raises(StartFailed) as caught:
        bind_sockets(host, 0, 0)
    assert caught.value.code == "BadHost"


def test_ipv6() -> None:
    try:
        sockets = bind_sockets("::1", 0, 0)
    except StartFailed:
        pytest.skip("this machine has no IPv6")
    assert sockets.api_url == f"http://[::1]:{sockets.port}"
    sockets.close()


def test_the_addresses_are_known_before_the_functions_are_loaded(tmp_path: Path) -> None:
    write_modules(tmp_path, {"messages": 'import os\nfound = os.environ["CONVEX_SITE_URL"]\n'})

    async def story(host: Host) -> None:
        sockets = host.bind(port=0, site_port=0)
        await host.reload()
        assert host.registry.modules["messages"].found == sockets.site_url
        sockets.close()

    hosted(tmp_path, story)


# --- reloading


def test_a_reload_swaps_and_says_what_changed(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, answering(1)) as server:
            assert (await server.send("/")).text == "1"
            write_modules(tmp_path, answering(2))
            reloaded = await server.host.reload()
            assert (await server.send("/")).text == "2"
            assert reloaded.changes.routes.changed == ("GET /",)
            assert reloaded.registry is server.host.registry
            assert reloaded.took_ms > 0
            assert "api.py" in reloaded.generated

    run(story)


def test_a_bad_save_leaves_the_good_version(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, answering(1)) as server:
            for text in ("default = (\n", "import nowhere\n", "raise ValueError('at import')\n", "default = None\n"):
                (tmp_path / "convex" / "http.py").write_text(text)
                with pytest.raises(LoadFailed) as caught:
                    await server.host.reload()
                assert caught.value.problems[0].place is not None
                assert (await server.send("/")).text == "1"

    run(story)


def test_data_that_does_not_match_a_new_schema_keeps_the_old_version(tmp_path: Path) -> None:
    schema = """
        from pyconvex.server import define_schema, define_table
        from pyconvex.values import v

        default = define_schema({"messages": define_table({"body": v.string()})})
    """
    messages = """
        from pyconvex.server import mutation

        @mutation
        async def send(ctx, body):
            await ctx.db.insert("messages", {"body": body})
    """

    async def story() -> None:
        async with served(tmp_path, {"messages": messages, **answering(1)}) as server:
            await server.call("/api/mutation", {"path": "messages:send", "args": {"body": 5}})
            write_modules(tmp_path, {"schema": schema, **answering(2)})
            with pytest.raises(LoadFailed) as caught:
                await server.host.reload()
            (problem,) = caught.value.problems
            assert (problem.code, problem.remedy) == ("SchemaViolation", Remedy.CHANGE_DATA)
            assert (await server.send("/")).text == "1"

    run(story)


def test_requests_in_flight_end_on_their_version(tmp_path: Path) -> None:
    waiting = module("""
        import asyncio
        started, go = asyncio.Event(), asyncio.Event()

        @http.route(path="/", method="GET")
        async def handler(ctx, request):
            started.set()
            await go.wait()
            from . import late
            return Response(late.text)

        default = http
    """)

    async def story() -> None:
        async with served(tmp_path, {**waiting, "late": "text = 'old'\n"}) as server:
            old = server.host.registry.modules["http"]
            request = asyncio.ensure_future(server.send("/"))
            await old.started.wait()
            write_modules(tmp_path, {**answering("new"), "late": "text = 'new'\n"})
            await server.host.reload()
            assert (await server.send("/")).text == "new"
            old.go.set()
            assert (await request).text == "old"

    run(story)


def test_retired_versions_are_freed(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        old: list[weakref.ref[object]] = []
        for version in range(5):
            write_modules(tmp_path, answering(version))
            await host.reload()
            old.append(weakref.ref(host.registry.modules["http"]))
        gc.collect()
        assert [each() is None for each in old] == [True, True, True, True, False]

    write_modules(tmp_path, answering(0))
    hosted(tmp_path, story)


def test_reloads_asked_for_at_once_become_few_and_the_newest_wins(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        first = asyncio.ensure_future(host.reload())
        await asyncio.sleep(0)
        write_modules(tmp_path, answering("newest"))
        later = await asyncio.gather(*(host.reload() for _ in range(10)))
        await first
        assert len({each.registry.version for each in later}) == 1
        assert host.registry is later[0].registry
        assert "newest" in host.registry.sources["convex/http.py"]

    write_modules(tmp_path, answering("first"))
    hosted(tmp_path, story)


def test_a_load_that_hangs_ends_and_requests_go_on_meanwhile(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, answering(1), limits=Limits(load_seconds=0.5)) as server:
            (tmp_path / "convex" / "http.py").write_text("while True:\n    pass\n")
            reload = asyncio.ensure_future(server.host.reload())
            answers = 0
            while not reload.done():
                assert (await server.send("/")).text == "1"
                answers += 1
            with pytest.raises(LoadFailed) as caught:
                await reload
            assert str(caught.value.place).startswith("convex/http.py:")
            assert answers > 3

    run(story)


def test_the_end_does_not_wait_for_a_load_that_hangs(tmp_path: Path) -> None:
    write_modules(tmp_path, {"messages": "import time\ntime.sleep(20)\n"})

    async def story(host: Host) -> None:
        reload = asyncio.ensure_future(host.reload())
        await asyncio.sleep(0)
        assert not reload.done()

    began = time.perf_counter()
    hosted(tmp_path, story)
    assert time.perf_counter() - began < 2


def test_data_outlives_the_process(tmp_path: Path) -> None:
    messages = {
        "messages": """
            from pyconvex.server import mutation, query

            @mutation
            async def send(ctx):
                return await ctx.db.insert("messages", {})

            @query
            async def count(ctx):
                return len(await ctx.db.query("messages").collect())
        """
    }

    async def first() -> None:
        async with served(tmp_path, messages, memory=False) as server:
            await server.call("/api/mutation", {"path": "messages:send", "args": {}})
            await server.host.environment.set_many({"A": "kept"})

    async def second() -> None:
        async with served(tmp_path, messages, memory=False) as server:
            reply = await server.call("/api/query", {"path": "messages:count", "args": {}})
            assert reply.json["value"] == 1
            assert server.host.environment.variables == {"A": "kept"}

    run(first)
    run(second)


def test_nothing_is_left_in_memory_hosts_folders(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        await host.reload()

    write_modules(tmp_path, answering(1))
    hosted(tmp_path, story, memory=True)
    assert not (tmp_path / ".pyconvex").exists()


# --- serving


def test_it_runs_under_uvicorn_too(tmp_path: Path) -> None:
    uvicorn = pytest.importorskip("uvicorn")
    write_modules(tmp_path, answering("hello"))

    async def story(host: Host) -> None:
        await host.reload()
        sockets = bind_sockets(port=0, site_port=0)
        host.app.site_port = sockets.site_port
        config = uvicorn.Config(host.app, log_level="critical")
        server = uvicorn.Server(config)
        running = asyncio.ensure_future(server.serve(sockets=[sockets.api, sockets.site]))
        while not server.started:
            await asyncio.sleep(0.005)
        api, site = sockets.port, sockets.site_port
        for port, path, text in ((site, "/", b"hello"), (api, "/version", b"0."), (api, "/http/", b"hello")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.partition(b"\r\n\r\n")[2].startswith(text)
            writer.close()
        server.should_exit = True
        await running

    hosted(tmp_path, story, memory=True)


def test_hypercorn_is_imported_only_to_serve() -> None:
    program = (
        "import sys, pyconvex.host; print([name for name in ('hypercorn', 'jwt', 'psycopg') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

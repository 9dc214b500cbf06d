"""Live queries: sessions get views, share results, and hear when these do not hold any more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pyconvex.clock import ManualClock
from pyconvex.engine.auth.identity import ADMIN, ANONYMOUS
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.live.queries import View
from pyconvex.engine.live.table import IDLE_MAX, IDLE_SECONDS
from pyconvex.errors import RequestRefused
from support.live import Live, body_of, live, quiet, until

MODULE = """
@mutation
async def send(ctx, body: str, to: str = "all"):
    return await ctx.db.insert("messages", {"body": body, "to": to})

@mutation
async def edit(ctx, id: str, body: str):
    await ctx.db.patch(id, {"body": body})

@mutation
async def note(ctx, text: str):
    await ctx.db.insert("notes", {"text": text})

@query
async def texts(ctx):
    return [message["body"] for message in await ctx.db.query("messages").collect()]

@query
async def sent_to(ctx, to: str):
    found = ctx.db.query("messages").with_index("by_to", lambda q: q.eq("to", to))
    return [message["body"] for message in await found.collect()]

@query
async def one(ctx, id: str):
    message = await ctx.db.get(id)
    return message and message["body"]

@query
async def notes(ctx):
    return len(await ctx.db.query("notes").collect())

@query
async def says(ctx):
    print("seen", len(await ctx.db.query("messages").collect()))
    return None

@query
async def fails(ctx):
    count = len(await ctx.db.query("messages").collect())
    print("counted")
    if count < 2:
        raise ConvexError({"count": count})
    return count

@query
async def half(ctx):
    print("half a \\ud83d")
    return 1

@internal_query
async def secret(ctx):
    return "secret"
"""
SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v
default = define_schema({
    "messages": define_table({"body": v.string(), "to": v.string()}).index("by_to", ["to"]),
    "notes": define_table({"text": v.string()}),
})
"""
MODULES = {"m": MODULE, "schema": SCHEMA}


def test_a_session_gets_its_views_and_hears_of_changes(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            await it.value("send", body="a")
            session = it.watcher("texts", eager=False)
            view = await session.view()
            assert session.value() == ["a"]
            assert view.results[0].ok
            assert body_of(view.results[0]) == {"value": ["a"], "logLines": [], "journal": None}
            assert session.told == 0

            await it.value("send", body="b")
            await until(lambda: session.told == 1)
            await it.value("send", body="c")
            await quiet()
            assert session.told == 1, "once is enough until it asks"
            assert len(session.views) == 1, "nothing is sent that was not asked for"
            assert (await session.view()).ts > view.ts
            assert session.value() == ["a", "b", "c"]

    asyncio.run(story())


def test_it_runs_again_for_writes_into_its_ranges_only(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            first = await it.value("send", body="a", to="x")
            second = await it.value("send", body="b", to="y")
            session = it.watcher("sent_to", to="x")
            session.ask(1, "one", id=second)
            await session.view()
            assert (it.runs("sent_to"), it.runs("one")) == (1, 1)

            await it.value("note", text="elsewhere")
            await it.value("send", body="c", to="z")
            await session.view()
            assert (it.runs("sent_to"), it.runs("one")) == (1, 1)

            await it.value("edit", id=second, body="B")
            await session.shows(1, "B")
            assert (it.runs("sent_to"), it.runs("one")) == (1, 2)

            await it.value("send", body="d", to="x")
            await session.shows(0, ["a", "d"])
            await it.value("edit", id=first, body="A")
            await session.shows(0, ["A", "d"])
            assert (it.runs("sent_to"), it.runs("one")) == (3, 2)

    asyncio.run(story())


def test_many_sessions_share_one_run_and_one_text(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            sessions = [it.watcher("texts") for _ in range(1_000)]
            for session in sessions:
                session.subscriptions.refresh()
            await until(lambda: all(session.views for session in sessions))
            assert it.runs("texts") == 1
            assert it.answers_from_table("texts") == 999
            await it.value("send", body="a")
            await until(lambda: all(len(session.views) == 2 for session in sessions))
            assert it.runs("texts") == 2
            assert it.answers_from_table("texts") == 999, "only new subscriptions leave an entry"
            assert len({id(session.views[-1].results[0].tail) for session in sessions}) == 1
            assert len({session.views[-1].ts for session in sessions}) == 1

    asyncio.run(story())


def test_both_spellings_of_a_path_and_both_forms_of_arguments_are_one_query(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher()
            for query_id, (path, args) in enumerate([("m:sent_to", {"to": "x"}), ("m.py:sentTo", [{"to": "x"}])]):
                session.subscriptions.add(query_id, path, args)
            given: list[object] = [None, dict[str, Any](), list[Any](), [dict[str, Any]()]]
            for query_id, args in enumerate(given, 2):
                session.subscriptions.add(query_id, "m:texts", args)
            view = await session.view()
            assert len(view.results) == 6
            assert (it.runs("sent_to"), it.runs("texts")) == (1, 1)

    asyncio.run(story())


def test_several_refreshes_are_one_view_which_never_comes_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("texts")
            for _ in range(3):
                session.subscriptions.refresh()
                assert not session.views
            await until(lambda: bool(session.views))
            await quiet()
            assert len(session.views) == 1
            session.subscriptions.refresh()
            assert len(session.views) == 1, "not even when all that it shows still holds"
            await until(lambda: len(session.views) == 2)
            assert it.runs("texts") == 1
            assert session.views[0].ts == session.views[1].ts

    asyncio.run(story())


def test_a_view_shows_every_commit_before_it_was_asked_for(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("texts", eager=False)
            session.ask(1, "notes")
            sent: list[str] = []
            for number in range(30):
                if number % 3:
                    sent.append(str(number))
                    outcome = await it.deployment.call("send", body=str(number))
                else:
                    outcome = await it.deployment.call("note", text="x")
                assert outcome.ts is not None
                view = await session.view(outcome.ts)
                assert view.ts >= outcome.ts
                assert session.value() == sent
                assert session.value(1) == number // 3 + 1
            assert [view.ts for view in session.views] == sorted(view.ts for view in session.views)

    asyncio.run(story())


def test_a_session_without_queries_learns_the_time(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher()
            assert (await session.view()).results == {}
            outcome = await it.deployment.call("note", text="x")
            assert outcome.ts is not None
            assert (await session.view(outcome.ts)).ts >= outcome.ts

    asyncio.run(story())


def test_a_client_may_have_seen_what_the_database_has_lost(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("texts")
            seen = (await session.view()).ts + 30 * 10**9
            assert (await session.view(seen)).ts >= seen
            outcome = await it.deployment.call("send", body="a")
            assert outcome.ts is not None
            assert outcome.ts > seen
            await session.shows(0, ["a"])
            absurd = seen + 10**6 * 10**9
            assert (await session.view(absurd)).ts < absurd

    asyncio.run(story())


def test_nobody_has_seen_tomorrow_whenever_it_is_said(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("texts")
            tomorrow = 2**63 - 1
            session.subscriptions.refresh()
            session.subscriptions.refresh(tomorrow)  # while the first one is waited for
            assert (await session.view()).ts < tomorrow
            await it.value("send", body="a")
            await session.shows(0, ["a"])
            assert session.views[-1].ts < tomorrow

    asyncio.run(story())


def test_queries_come_and_go(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("texts")
            session.ask(1, "notes")
            assert set((await session.view()).results) == {0, 1}
            with pytest.raises(ValueError, match="query 1 is subscribed to already"):
                session.ask(1, "texts")
            session.subscriptions.remove(0)
            with pytest.raises(KeyError):
                session.subscriptions.remove(0)
            assert set((await session.view()).results) == {1}
            runs = it.runs("texts")
            await it.value("send", body="a")
            await quiet()
            assert (it.runs("texts"), len(session.views)) == (runs, 2), "nobody asks it any more"
            session.ask(2, "texts")
            assert set((await session.view()).results) == {1, 2}
            assert session.value(2) == ["a"]

    asyncio.run(story())


def test_a_view_shows_the_queries_as_they_are_when_it_comes(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("texts")
            asked: list[tuple[set[int], set[int]]] = []
            session.shown = lambda view: asked.append((set(view.results), set(session.subscriptions.queries)))
            for query_id in range(1, 30):
                session.ask(query_id, "sent_to", to=str(query_id))
                if query_id % 3 == 0:
                    session.subscriptions.remove(query_id - 1)
                session.subscriptions.refresh()
                for _ in range(query_id % 4):
                    await asyncio.sleep(0)
            await until(lambda: bool(asked) and asked[-1][0] == set(session.subscriptions.queries))
            assert all(shown == wanted for shown, wanted in asked)

    asyncio.run(story())


def test_a_result_is_kept_a_while_for_who_comes_back(tmp_path: Path) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with live(tmp_path, MODULES, clock=clock) as it:
            for _ in range(3):
                session = it.watcher("texts")
                await session.view()
                session.subscriptions.close()
            assert it.runs("texts") == 1
            assert (len(it.queries.table), it.queries.table.ranges) == (1, 1)
            clock.advance(IDLE_SECONDS)
            clock.advance(IDLE_SECONDS)
            assert (len(it.queries.table), it.queries.table.ranges) == (0, 0)

            again = it.watcher("texts")
            await again.view()
            again.subscriptions.close()
            await it.value("send", body="a")
            assert len(it.queries.table) == 0, "what nobody shows is not worth a second run"

    asyncio.run(story())


def test_what_nobody_shows_is_bounded(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher()
            for query_id in range(IDLE_MAX + 50):
                session.ask(query_id, "sent_to", to=str(query_id))
            await session.view()
            assert len(it.queries.table) == IDLE_MAX + 50
            assert it.runs("sent_to") == IDLE_MAX + 50
            session.subscriptions.close()
            assert len(it.queries.table) == IDLE_MAX
            assert it.queries.table.ranges == IDLE_MAX

    asyncio.run(story())


def test_who_does_not_ask_costs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("texts", eager=False)
            await session.view()
            for number in range(5):
                await it.value("send", body=str(number))
            await quiet()
            assert (it.runs("texts"), session.told, it.queries.table.ranges) == (1, 1, 0)
            await session.view()
            assert (session.value(), it.runs("texts")) == (["0", "1", "2", "3", "4"], 2)
            await it.value("send", body="5")
            await until(lambda: session.told == 2)

    asyncio.run(story())


def test_errors_are_results_and_what_they_have_read_counts(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("fails")
            await session.view()
            assert not session.views[-1].results[0].ok
            body = session.body()
            assert list(body) == ["errorMessage", "errorData", "logLines", "journal"]
            assert (body["errorData"], body["logLines"]) == ({"count": 0.0}, ["[LOG] 'counted'"])
            assert session.error().startswith('Uncaught ConvexError: {"count":0')
            await it.value("send", body="a")
            await until(lambda: session.body().get("errorData") == {"count": 1.0})
            await it.value("send", body="b")
            await session.shows(0, 2.0)

    asyncio.run(story())


def test_a_function_may_print_what_utf8_cannot_carry(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("half")
            await session.view()
            assert (session.value(), session.body()["logLines"]) == (1.0, ["[LOG] 'half a ?'"])

    asyncio.run(story())


def test_redaction_keeps_texts_from_clients_but_not_data(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES, redact=True) as it:
            session = it.watcher("fails")
            session.ask(1, "says")
            session.ask(2, "missing")
            await session.view()
            body = session.body()
            assert body["errorMessage"].endswith("] Server Error")
            assert (body["errorData"], body["logLines"]) == ({"count": 0.0}, [])
            assert session.body(1)["logLines"] == []
            assert session.body(2)["errorMessage"].endswith("] Server Error")

    asyncio.run(story())


def test_fingerprints_tell_results_apart_by_all_that_clients_see(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("says")
            session.ask(1, "missing")
            session.ask(2, "notes")
            first = await session.view()
            it.queries.table.renew()
            second = await session.view()
            for query_id in range(3):
                assert first.results[query_id].fingerprint == second.results[query_id].fingerprint
            await it.value("send", body="a")
            await until(lambda: session.body(0)["logLines"] == ["[LOG] 'seen' 1"])
            third = session.views[-1]
            assert third.results[0].fingerprint != first.results[0].fingerprint, "a log line differs"
            assert third.results[2].fingerprint == first.results[2].fingerprint

    asyncio.run(story())


def test_internal_functions_answer_admins_only(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            anybody, admin = it.watcher("secret"), it.watcher("secret", identity=ADMIN)
            await anybody.view()
            await admin.view()
            assert admin.value() == "secret"
            assert anybody.error().startswith("Could not find public function for 'm:secret'")
            admin.subscriptions.identify(ANONYMOUS)
            await admin.view()
            assert admin.error().startswith("Could not find public function")
            anybody.subscriptions.identify(ADMIN)
            await anybody.view()
            assert anybody.value() == "secret"

    asyncio.run(story())


def test_what_is_no_query_is_an_error_of_that_query(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("texts")
            session.subscriptions.add(1, "m:not-a-path", {})
            session.subscriptions.add(2, "m:send", {"body": "x"})
            session.subscriptions.add(3, "m:one", {"id": 7})
            session.subscriptions.add(4, "m:texts", ["one", "two"])
            await session.view()
            assert session.value(0) == []
            assert "m:not-a-path" in session.error(1)
            assert "Trying to execute m.js:send as Query, but it is defined as Mutation" in session.error(2)
            assert session.error(3).startswith("ArgumentValidationError: ")
            assert not session.views[-1].results[4].ok

    asyncio.run(story())


def test_a_session_that_fails_harms_no_other(tmp_path: Path) -> None:
    async def story() -> None:
        reported: list[object] = []

        def broken(view: View) -> None:
            raise ZeroDivisionError

        async with live(tmp_path, MODULES) as it:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
            bad, good = it.watcher("texts"), it.watcher("texts")
            bad.shown = broken
            bad.subscriptions.refresh()
            await good.view()
            await it.value("send", body="a")
            await good.shows(0, ["a"])
            await until(lambda: len(bad.views) == 2)
            assert [type(each) for each in reported] == [ZeroDivisionError] * 2

    asyncio.run(story())


def test_nor_does_one_that_fails_at_the_news(tmp_path: Path) -> None:
    async def story() -> None:
        reported: list[object] = []

        def broken() -> None:
            raise ZeroDivisionError

        async with live(tmp_path, MODULES) as it:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
            bad, good = it.queries.subscriptions(broken, lambda _: None), it.watcher("texts")
            bad.add(0, "m:texts", {})
            bad.refresh()
            await good.view()
            await it.value("send", body="a")
            await good.shows(0, ["a"])
            await until(lambda: bool(reported))
            assert [type(each) for each in reported] == [ZeroDivisionError]

    asyncio.run(story())


@pytest.mark.parametrize("follows", [False, True])
def test_who_asks_or_leaves_before_the_news_is_not_told(tmp_path: Path, follows: bool) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            asking, leaving = it.watcher("texts", eager=False), it.watcher("texts", eager=False)
            await asking.view()
            await leaving.view()
            for each in (asking, leaving):
                each.subscriptions.follows = follows
                each.subscriptions.stale()  # as after a commit; they are told in the next turn of the loop
            asking.subscriptions.refresh()
            leaving.subscriptions.close()
            await until(lambda: len(asking.views) == 2)
            await quiet()
            assert (asking.told, len(asking.views)) == (0, 2)
            assert (leaving.told, len(leaving.views)) == (0, 1)

    asyncio.run(story())


def test_nobody_is_called_after_the_end(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session, closed = it.watcher("notes"), it.watcher("texts")
            await closed.view()
            closed.subscriptions.refresh()
            closed.subscriptions.close()
            session.subscriptions.refresh()
            await it.queries.close()
            await it.value("send", body="a")
            session.subscriptions.refresh()
            await quiet()
            assert (len(session.views), session.told) == (0, 0)
            assert (len(closed.views), closed.told) == (1, 0)
            session.subscriptions.close()

    asyncio.run(story())


def test_several_queries_at_once_without_a_subscription(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            call = Call(Caller.HTTP_API, ANONYMOUS, "0123456789abcdef")
            writing = asyncio.ensure_future(_write_pairs(it))
            for _ in range(10):
                ts, outcomes = await it.queries.at_once([("m:texts", {}, call), ("m:notes", {}, call)])
                texts, notes = (outcome.value for outcome in outcomes)
                assert isinstance(texts, list)
                assert len(texts) in (notes, (notes if isinstance(notes, int) else 0) + 1)
                assert all(outcome.ts == ts for outcome in outcomes)
            await writing
            _, (failed, hidden, shown) = await it.queries.at_once(
                [("m:fails", {}, call), ("m:secret", {}, call), ("m:secret", {}, Call(call.caller, ADMIN, "x"))]
            )
            assert failed.failure is None
            assert hidden.failure is not None
            assert shown.value == "secret"
            with pytest.raises(RequestRefused):
                await it.queries.at_once([("m:no-path", {}, call)])

    asyncio.run(story())


async def _write_pairs(it: Live) -> None:
    for number in range(20):
        await it.value("send", body=str(number))
        await it.value("note", text=str(number))

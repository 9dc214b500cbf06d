"""Results are everybody's unless the run asked who is calling; nobody ever sees another one's."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from pyconvex.engine.auth.identity import ANONYMOUS, Identity, user
from support.live import Watcher, live, quiet, until

MODULE = """
@mutation
async def switch(ctx, personal: bool):
    for found in await ctx.db.query("settings").collect():
        await ctx.db.delete(found["_id"])
    await ctx.db.insert("settings", {"personal": personal})

@mutation
async def note(ctx, owner: str, text: str):
    await ctx.db.insert("notes", {"owner": owner, "text": text})

@query
async def greeting(ctx):
    setting = await ctx.db.query("settings").first()
    if not (setting and setting["personal"]):
        return "hello everybody"
    identity = await ctx.auth.get_user_identity()
    return "hello " + (identity["name"] if identity else "stranger")

@query
async def mine(ctx):
    identity = await ctx.auth.get_user_identity()
    if identity is None:
        raise ConvexError("sign in")
    found = ctx.db.query("notes").with_index("by_owner", lambda q: q.eq("owner", identity["subject"]))
    return [note["text"] for note in await found.collect()]

@query
async def nested(ctx):
    return await ctx.run_query(api.m.mine)

@query
async def everything(ctx):
    return len(await ctx.db.query("notes").collect())
"""
SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v
default = define_schema({
    "notes": define_table({"owner": v.string(), "text": v.string()}).index("by_owner", ["owner"]),
    "settings": define_table({"personal": v.boolean()}),
})
"""
MODULES = {"m": MODULE, "schema": SCHEMA}


def person(name: str, **more: str) -> Identity:
    return user({"issuer": "https://auth.example.org", "subject": name, "name": name, **more})


ADA, BOB = person("ada"), person("bob")


def test_what_does_not_ask_who_calls_is_shared_by_all(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            sessions = [it.watcher("everything", identity=each) for each in (ADA, BOB, ANONYMOUS)]
            for session in sessions:
                await session.view()
            assert it.runs("everything") == 1
            await it.value("note", owner="ada", text="a")
            for session in sessions:
                await session.shows(0, 1.0)
            assert it.runs("everything") == 2

    asyncio.run(story())


def test_what_asks_is_run_for_each_caller_and_again_for_those_concerned_only(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            ada, again, bob = (it.watcher("mine", identity=each) for each in (ADA, person("ada"), BOB))
            nobody, nested = it.watcher("mine"), it.watcher("nested", identity=BOB)
            await it.value("note", owner="ada", text="of ada")
            for session in (ada, again, bob, nobody, nested):
                await session.view()
            assert it.runs("mine") == 3, "the same person twice is one"
            assert (ada.value(), again.value(), bob.value(), nested.value()) == (["of ada"], ["of ada"], [], [])
            assert nobody.body()["errorData"] == "sign in"

            await it.value("note", owner="bob", text="of bob")
            await bob.shows(0, ["of bob"])
            await nested.shows(0, ["of bob"])
            assert (it.runs("mine"), ada.told, again.told, nobody.told) == (4, 0, 0, 0)

    asyncio.run(story())


def test_a_result_is_split_when_a_later_run_asks_and_joined_when_it_asks_no_more(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            sessions = [it.watcher("greeting", identity=each) for each in (ADA, BOB, ANONYMOUS)]
            for session in sessions:
                await session.view()
            assert it.runs("greeting") == 1
            for round_ in range(3):
                await it.value("switch", personal=True)
                for session, value in zip(sessions, ("hello ada", "hello bob", "hello stranger"), strict=True):
                    await session.shows(0, value)
                assert it.runs("greeting") == 4 * (round_ + 1)
                await it.value("switch", personal=False)
                for session in sessions:
                    await session.shows(0, "hello everybody")
                assert it.runs("greeting") == 4 * (round_ + 1) + 1

    asyncio.run(story())


def test_a_new_identity_asks_everything_again(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            await it.value("note", owner="ada", text="of ada")
            session = it.watcher("mine")
            session.ask(1, "everything")
            await session.view()
            assert not session.views[-1].results[0].ok
            for identity, value in ((ADA, ["of ada"]), (BOB, []), (ADA, ["of ada"])):
                session.subscriptions.identify(identity)
                await session.view()
                assert session.value() == value
            assert it.runs("mine") == 3, "what is known of a caller is known when he comes back"
            assert it.runs("everything") == 1
            session.subscriptions.identify(ANONYMOUS)
            await session.view()
            assert session.body()["errorData"] == "sign in"

    asyncio.run(story())


def test_who_is_calling_may_change_while_the_answer_is_on_its_way(every_engine: str, tmp_path: Path) -> None:
    """Whatever comes, and whenever: a view is of the caller that the session has when it gets it."""

    async def story() -> None:
        chance = random.Random(1)
        people = {name: person(name) for name in ("ada", "bob", "eve")}
        async with live(tmp_path, MODULES) as it:
            await it.value("switch", personal=True)
            sessions = [it.watcher("greeting") for _ in range(8)]
            now: dict[Watcher, str] = dict.fromkeys(sessions, "stranger")
            wrong: list[str] = []

            def look(session: Watcher) -> None:
                if session.value() != f"hello {now[session]}":
                    wrong.append(f"{session.value()} for {now[session]}")

            for session in sessions:
                session.shown = lambda _, session=session: look(session)
            for number in range(120):
                session = chance.choice(sessions)
                now[session] = chance.choice([*people, "stranger"])
                session.subscriptions.identify(people.get(now[session], ANONYMOUS))
                session.subscriptions.refresh()
                if number % 10 == 0:
                    await it.value("switch", personal=True)
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
            for session in sessions:
                await session.shows(0, f"hello {now[session]}")
            assert not wrong
            assert sum(len(session.views) for session in sessions) > 20

    asyncio.run(story())


def test_a_fresh_token_of_the_same_person_runs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            session = it.watcher("mine", identity=ADA)
            await session.view()
            session.subscriptions.identify(person("ada"))
            await session.view()
            await quiet()
            assert (it.runs("mine"), len(session.views)) == (1, 2)
            session.subscriptions.identify(person("ada", email="ada@example.org"))
            await session.view()
            assert it.runs("mine") == 2, "a query may look at any of the claims"

    asyncio.run(story())


def test_callers_that_left_leave_nothing_behind(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            stays = it.watcher("mine", identity=ADA)
            await stays.view()
            for number in range(30):
                session = it.watcher("mine", identity=person(f"p{number}"))
                await session.view()
                session.subscriptions.close()
            assert len(it.queries.table) == 31
            await it.value("note", owner="p3", text="x")
            await until(lambda: len(it.queries.table) == 30)
            for number in range(30):
                await it.value("note", owner=f"p{number}", text="x")
            assert len(it.queries.table) == 1
            assert stays.told == 0

    asyncio.run(story())

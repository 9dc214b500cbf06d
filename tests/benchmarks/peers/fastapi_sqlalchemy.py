"""Messages in SQLite from FastAPI with SQLAlchemy's asynchronous ORM (aiosqlite), as its documentation shows it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel
from sqlalchemy import Index, event, insert, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine("sqlite+aiosqlite:///messages.db")
Session = async_sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "connect")
def durable(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


class Base(DeclarativeBase):
    pass


class Message(Base):
    __tablename__ = "messages"
    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[str]
    body: Mapped[str]
    __table_args__ = (Index("by_author", "author", "id"),)


class NewMessage(BaseModel):
    author: str
    body: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def hello() -> PlainTextResponse:
    return PlainTextResponse("hello")


@app.post("/postMessage")
async def post_message(message: NewMessage) -> PlainTextResponse:
    async with Session() as session:
        session.add(Message(author=message.author, body=message.body))
        await session.commit()
    return PlainTextResponse("")


@app.get("/getMessagesByAuthor")
async def by_author(author: str) -> list[dict[str, Any]]:
    async with Session() as session:
        found = await session.scalars(
            select(Message).where(Message.author == author).order_by(Message.id.desc()).limit(10)
        )
        return [{"id": message.id, "author": message.author, "body": message.body} for message in found]


@app.get("/seed")
async def seed(count: int) -> PlainTextResponse:
    """Add `count` rows from 100 authors in one transaction."""
    async with Session() as session:
        rows = [{"author": f"author {number % 100}", "body": "x" * 100} for number in range(count)]
        await session.execute(insert(Message), rows)
        await session.commit()
    return PlainTextResponse("")

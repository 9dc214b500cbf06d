import { useMutation, useQueries } from "convex/react";
import type { FunctionReturnType } from "convex/server";
import { ConvexError } from "convex/values";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { api } from "../convex/_generated/api";
import type { Doc, Id } from "../convex/_generated/dataModel";
import { useName } from "./name";

const PENDING = "pending-";

export function Chat() {
  const messages = useLatest();
  const [name, setName] = useName();
  return (
    <>
      {messages instanceof Error ? <Failed error={messages} /> : <Messages messages={messages} me={name} />}
      <Composer name={name} setName={setName} />
    </>
  );
}

const QUERIES = { latest: { query: api.messages.latest, args: {} } };

/**
 * `useQuery(api.messages.latest)`, except that an error is not thrown: the query stays subscribed, so that the page
 * goes on by itself once the function is mended.
 */
function useLatest(): FunctionReturnType<typeof api.messages.latest> | Error | undefined {
  return useQueries(QUERIES)["latest"];
}

/** Sends a message. It is shown at once, and what the server says takes its place. */
function useSend() {
  return useMutation(api.messages.send).withOptimisticUpdate((store, { author, body }) => {
    const shown = store.getQuery(api.messages.latest, {});
    if (shown === undefined) return;
    const _id = `${PENDING}${Math.random()}` as Id<"messages">;
    store.setQuery(api.messages.latest, {}, [...shown, { _id, _creationTime: Date.now(), author, body }]);
  });
}

function Messages({ messages, me }: { messages: Doc<"messages">[] | undefined; me: string }) {
  const end = useRef<HTMLDivElement>(null);
  const newest = messages?.at(-1)?._id;
  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [newest]);
  return (
    <main className="messages" aria-busy={messages === undefined}>
      {messages?.length === 0 && <p className="empty">Nobody has said anything yet.</p>}
      {messages?.map((message) => (
        <article
          key={message._id}
          className={message.author === me ? "mine" : undefined}
          data-pending={message._id.startsWith(PENDING) || undefined}
        >
          <h3>
            {message.author} <time>{clock.format(message._creationTime)}</time>
          </h3>
          <p>{message.body}</p>
        </article>
      ))}
      <div ref={end} />
    </main>
  );
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

function Composer({ name, setName }: { name: string; setName: (name: string) => void }) {
  const send = useSend();
  const [body, setBody] = useState("");
  const [problem, setProblem] = useState<string>();

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBody("");
    setProblem(undefined);
    try {
      await send({ author: name, body });
    } catch (error) {
      setProblem(reason(error));
      setBody((typed) => typed || body);
    }
  }

  return (
    <form onSubmit={(event) => void submit(event)}>
      {problem !== undefined && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      <input aria-label="Your name" className="name" value={name} onChange={(event) => setName(event.target.value)} />
      <input
        aria-label="Message"
        autoComplete="off"
        autoFocus
        placeholder="Say something"
        value={body}
        onChange={(event) => setBody(event.target.value)}
      />
      <button disabled={!body.trim()}>Send</button>
    </form>
  );
}

function Failed({ error }: { error: Error }) {
  return (
    <main className="notice" role="alert">
      <h2>The messages cannot be shown</h2>
      <pre>{reason(error)}</pre>
      <p>This page goes on by itself once that is mended.</p>
    </main>
  );
}

/** What to tell people: a `ConvexError` was meant for them, anything else was not expected. */
function reason(error: unknown): string {
  if (error instanceof ConvexError) return String(error.data);
  return error instanceof Error ? error.message : String(error);
}

// ConvexHttpClient.
import { ConvexHttpClient, api, error } from "./official.js";

const quiet = { logger: false };

export async function calls({ url, say }) {
  const client = new ConvexHttpClient(url, quiet);
  const id = await client.mutation(api.messages.send, { body: "hi", author: "Ada" });
  say(typeof id);
  say(await client.action("messages:send_two", { body: "ho", author: "Bob" }));
  say(await client.action(api.messages.sendTwo, { body: "ha", author: "Bob" }));
  const all = await client.query(api.messages.list, {});
  say([all.length, all[0]._id === id, all[0].body, typeof all[0]._creationTime]);
  // Mutations of one client queue; those that skip the queue run beside one another.
  const many = Array.from({ length: 10 }, (_, n) =>
    client.mutation(api.messages.send, { body: `${n}` }, { skipQueue: n % 2 === 0 }),
  );
  say(new Set(await Promise.all(many)).size);
  // `consistentQuery` asks for a timestamp first, and reads as of it.
  say((await client.consistentQuery(api.messages.list, {})).length);
}

export async function values({ url, say }) {
  const client = new ConvexHttpClient(url, quiet);
  for (const value of [
    5n,
    -9223372036854775808n,
    [1, 2.5, -3, "é", true, null],
    new Uint8Array([1, 2, 255]).buffer,
    [-0, NaN, Infinity, -Infinity],
    { nested: { big: 7n, deep: [[new ArrayBuffer(0)]] } },
  ]) {
    say([
      await client.query(api.messages.echo, { value }),
      await client.mutation(api.messages.keep, { value }),
      await client.action(api.messages.act, { value }),
    ]);
  }
  say((await client.query(api.messages.large, { bytes: 6_000_000 })).length);
}

export async function errors({ url, say }) {
  const client = new ConvexHttpClient(url, quiet);
  for (const data of [{ code: 5n }, "full", null]) {
    say(await error(client.mutation(api.messages.refuse, { data })));
  }
  say(await error(client.mutation(api.messages.crash, {})));
  say(await error(client.query(api.messages.secret, {})));
  say(await error(client.query(api.messages.send, {})));
  say(await error(client.query(api.messages.echo, { wrong: 1 })));
  client.setAuth("not.a.token");
  say(await error(client.query(api.messages.list, {})));
  client.clearAuth();
  say(await error(client.query(api.messages.list, {})));
}

export async function logLines({ url, say }) {
  const log = (...line) => say(line.filter((part) => typeof part === "string" && !part.startsWith("color")));
  const logger = { log, warn: log, error: log, logVerbose: () => {} };
  const client = new ConvexHttpClient(url, { logger });
  await client.query(api.messages.talk, {});
}

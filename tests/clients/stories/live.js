// ConvexClient: subscriptions, mutations and actions over one WebSocket.
import { ConvexClient, api, error } from "./official.js";
import { noting, watch } from "./watching.js";

const bodies = (messages) => messages.map(({ body }) => body);
const quiet = { logger: false };

export async function twoClients({ url, say }) {
  const [ada, bob] = [new ConvexClient(url, quiet), new ConvexClient(url, quiet)];
  const seen = watch(bob, api.messages.list);
  const others = watch(bob, api.messages.by, { author: "Bob" });
  say(bodies(await seen.until(() => true)));
  await ada.mutation(api.messages.send, { body: "hi", author: "Ada" });
  say(bodies(await seen.until(({ length }) => length === 1)));
  say(await bob.query(api.messages.echo, { value: bodies(seen.last) }));
  say(await bob.action(api.messages.sendTwo, { body: "ho", author: "Bob" }));
  say(bodies(await others.until(({ length }) => length === 2)));
  say(bodies(seen.last)); // both are of one snapshot

  seen.stop();
  const before = seen.values.length;
  await ada.mutation(api.messages.send, { body: "unseen", author: "Bob" });
  await others.until(({ length }) => length === 3);
  say(seen.values.length - before);
  // Bob's query was answered again for each message of his, and never for one of Ada's.
  say(others.values.map(({ length }) => length).every((length, n, all) => n === 0 || length > all[n - 1]));
}

export async function promises({ url, say }) {
  const client = new ConvexClient(url, quiet);
  const seen = watch(client, api.messages.list);
  await seen.until(() => true);
  const sent = Array.from({ length: 20 }, async (_, n) => {
    await client.mutation(api.messages.send, { body: `${n}`, author: "Ada" });
    return bodies(seen.last).includes(`${n}`);
  });
  say((await Promise.all(sent)).every(Boolean));
  say(bodies(seen.last).join() === Array.from({ length: 20 }, (_, n) => n).join());
}

export async function values({ url, say }) {
  const client = new ConvexClient(url, quiet);
  for (const value of [
    5n,
    -9223372036854775808n,
    [1, 2.5, -3, "é", true, null],
    new Uint8Array([1, 2, 255]).buffer,
    [-0, NaN, Infinity, -Infinity],
    { nested: { big: 7n, deep: [[new ArrayBuffer(0)]] } },
  ]) {
    const seen = watch(client, api.messages.echo, { value });
    say([
      await seen.until(() => true),
      await client.mutation(api.messages.keep, { value }),
      await client.action(api.messages.act, { value }),
    ]);
    seen.stop();
  }
}

export async function errors({ url, say }) {
  const client = new ConvexClient(url, quiet);
  const calls = [
    (args) => error(client.mutation(api.messages.refuse, args)),
    (args) => error(client.action(api.messages.refuseAction, args)),
    (args) => watch(client, api.messages.refuseQuery, args).until(() => true),
  ];
  for (const data of [{ code: 5n }, "full", null]) say(await Promise.all(calls.map((call) => call({ data }))));
  say(await error(client.mutation(api.messages.crash, {})));
  say(await error(client.action(api.messages.missing, {})));
  say(await watch(client, api.messages.secret).until(() => true));
  say(await watch(client, api.messages.echo, { wrong: 1 }).until(() => true));
  // A query that failed is live too.
  const first = watch(client, api.messages.first);
  say((await first.until(() => true)).message.includes("nothing here"));
  await client.mutation(api.messages.send, { body: "hi", author: "Ada" });
  say(await first.until((value) => value === "hi"));
}

export async function large({ url, say }) {
  const heard = [];
  const client = new ConvexClient(url, { ...quiet, webSocketConstructor: noting(heard) });
  const seen = watch(client, api.messages.large, { bytes: 6_000_000 });
  say((await seen.until(() => true)).length);
  say(heard.filter((type) => type === "TransitionChunk").length);
  say((await client.mutation(api.messages.keep, { value: "x".repeat(900_000) })).length);
  say((await client.action(api.messages.act, { value: "x".repeat(6_000_000) })).length);
}

export async function optimistic({ url, say }) {
  const client = new ConvexClient(url, quiet);
  const seen = watch(client, api.messages.list);
  await seen.until(() => true);
  const draft = (store, { body, author }) => {
    const list = store.getQuery(api.messages.list, {});
    store.setQuery(api.messages.list, {}, [...list, { body: `${body} …`, author }]);
  };
  await client.mutation(api.messages.send, { body: "hi", author: "Ada" }, { optimisticUpdate: draft });
  await error(client.mutation(api.messages.sendBad, { body: "bad", author: "Ada" }, { optimisticUpdate: draft }));
  say(seen.values.map(bodies));
}

export async function racing({ url, say, told, clients, rounds, total }) {
  const all = Array.from({ length: clients }, () => new ConvexClient(url, quiet));
  const seen = all.map((client) => watch(client, api.counters.value));
  say(await Promise.all(seen.map((each) => each.until(() => true))));
  await told();
  const add = async (client) => {
    for (let n = 0; n < rounds; n += 2) {
      await Promise.all([client.mutation(api.counters.add, {}), client.mutation(api.counters.add, {})]);
    }
  };
  await Promise.all(all.map(add));
  say(await Promise.all(seen.map((each) => each.until((value) => value === total))));
  say(seen.every(({ values }) => values.every((value, n) => n === 0 || value > values[n - 1])));
}

export async function paged({ url, say }) {
  const client = new ConvexClient(url, quiet);
  const note = [];
  let wake = () => {};
  client.onPaginatedUpdate_experimental(api.counters.page, {}, { initialNumItems: 2 }, (result) => {
    note.push(result);
    wake();
  });
  const until = async (holds) => {
    while (!note.length || !holds(note.at(-1))) await new Promise((resolve) => (wake = resolve));
    return note.at(-1);
  };
  const loaded = await until(({ status }) => status === "CanLoadMore");
  say(loaded.results.map(({ n }) => n));
  loaded.loadMore(10);
  say((await until(({ status }) => status === "Exhausted")).results.map(({ n }) => n));
}

export async function changes({ url, say, told }) {
  const client = new ConvexClient(url, quiet);
  const [greeting, place] = [watch(client, api.changing.greeting), watch(client, api.changing.place)];
  say([await greeting.until(() => true), await place.until(() => true)]);
  await told();
  say(await greeting.until((value) => value !== "hello"));
  await told();
  say(await place.until((value) => value !== null));
  say([greeting.values, place.values]);
}

// ConvexClient on wires that break.
import { ConvexClient, api, error } from "./official.js";
import { noting, watch } from "./watching.js";

const bodies = (messages) => messages.map(({ body }) => body);
const quiet = { logger: false };

export async function reconnecting({ url, say, told }) {
  const client = new ConvexClient(url, quiet);
  const seen = watch(client, api.messages.list);
  say(bodies(await seen.until(() => true)));
  const acting = error(client.action(api.messages.endless, {}));
  say(await watch(client, api.messages.begun).until(Boolean));
  await told(); // the wire is cut
  const sent = client.mutation(api.messages.send, { body: "sent while away" });
  say(bodies(seen.last)); // what was seen stays
  await told(); // it works again
  say((await acting).message);
  await sent;
  say(bodies(seen.last));
}

export async function onceOnly({ url, say, told }) {
  const client = new ConvexClient(url, quiet);
  const seen = watch(client, api.messages.list);
  say(bodies(await seen.until(() => true)));
  await told(); // the next answer will be lost
  say(await client.mutation(api.messages.send, { body: "once" }));
  say(bodies(seen.last));
  say(client.client.connectionState().connectionCount);
}

export async function counting({ url, say, numbers }) {
  const client = new ConvexClient(url, quiet);
  const seen = watch(client, api.messages.list);
  await seen.until(() => true);
  for (let n = 0; n < numbers; n++) {
    await client.mutation(api.messages.send, { body: `${n}` });
    say(bodies(seen.last).at(-1));
  }
  say(bodies(seen.last));
}

export async function idle({ url, say, told, seconds }) {
  const heard = [];
  const client = new ConvexClient(url, { ...quiet, webSocketConstructor: noting(heard) });
  const seen = watch(client, api.messages.list);
  say(bodies(await seen.until(() => true)));
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  while (!heard.includes("Ping") || !heard.includes("ping")) await new Promise((resolve) => setTimeout(resolve, 10));
  say(client.client.connectionState().connectionCount);
  await told();
  say(bodies(await seen.until(({ length }) => length === 1)));
}

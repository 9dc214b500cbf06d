// ConvexClient and its tokens. A fetcher answers with the next of its tokens, and stays at the last.
import { ConvexClient, ConvexHttpClient, api, error } from "./official.js";
import { watch } from "./watching.js";

const quiet = { logger: false };

function signIn(client, tokens) {
  const asked = [];
  const changes = [];
  client.setAuth(
    async ({ forceRefreshToken }) => {
      asked.push(forceRefreshToken);
      return tokens[Math.min(asked.length, tokens.length) - 1];
    },
    (isAuthenticated) => changes.push(isAuthenticated),
  );
  return { asked, changes };
}

export async function good({ url, say, ada, bob }) {
  const client = new ConvexClient(url, quiet);
  const { asked, changes } = signIn(client, ada);
  const seen = watch(client, api.users.me);
  say(await seen.until((name) => name === "ada"));
  say([await client.mutation(api.users.sign, {}), await client.action(api.users.act, {})]);
  while (changes.length < 2) await new Promise((resolve) => setTimeout(resolve));
  say([seen.values, asked, changes]);
  const next = signIn(client, bob);
  say(await seen.until((name) => name === "bob"));
  say([await client.mutation(api.users.sign, {}), await client.action(api.users.act, {})]);
  while (next.changes.length < 2) await new Promise((resolve) => setTimeout(resolve));
  client.client.clearAuth();
  say(await seen.until((name) => name === null));
  say([await client.mutation(api.users.sign, {}), await client.action(api.users.act, {})]);
  say([seen.values, next.changes]);
}

export async function bad({ url, say, tokens }) {
  const client = new ConvexClient(url, quiet);
  const { asked, changes } = signIn(client, tokens);
  const seen = watch(client, api.users.me);
  await seen.until(() => changes.length > 0 || seen.values.length > 0);
  say(await client.mutation(api.users.sign, {}));
  say([seen.values, asked, changes]);
}

export async function expiring({ url, say, told }) {
  const client = new ConvexClient(url, quiet);
  const changes = [];
  const fetchToken = async ({ forceRefreshToken }) => {
    say(forceRefreshToken);
    return await told();
  };
  client.setAuth(fetchToken, (isAuthenticated) => changes.push(isAuthenticated));
  const seen = watch(client, api.users.me);
  await seen.until((name) => name === "ada");
  await told(); // it has expired
  say(await client.mutation(api.users.sign, {}));
  say([seen.values, changes]);
}

export async function overHttp({ url, say, good, bad }) {
  const client = new ConvexHttpClient(url, quiet);
  const calls = async () =>
    Promise.all([client.query(api.users.me, {}), client.mutation(api.users.sign, {}), client.action(api.users.act, {})]);
  say(await calls());
  client.setAuth(good);
  say(await calls());
  client.setAuth(bad);
  say((await error(client.query(api.users.me, {}))).message);
  client.clearAuth();
  say(await calls());
}

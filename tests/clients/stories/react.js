// ConvexReactClient and its hooks, under React Testing Library.
import "./dom.js";
import { api, load } from "./official.js";

const { Component, createElement: h, useState } = load("react");
const { act, fireEvent, render, screen, waitFor } = load("@testing-library/react");
const {
  AuthLoading,
  Authenticated,
  ConvexProvider,
  ConvexProviderWithAuth,
  ConvexReactClient,
  Unauthenticated,
  useAction,
  useConvexAuth,
  useMutation,
  usePaginatedQuery,
  useQuery,
} = load("convex/react");

const open = (url) => new ConvexReactClient(url, { logger: false, unsavedChangesWarning: false });
const button = (name, onClick) => h("button", { onClick }, name);
const click = (name) => fireEvent.click(screen.getByText(name));
const shows = (text) => waitFor(() => screen.getByText(text));

/** Adds what differs from what was noted last. */
const noteInto = (seen) => (value) => {
  if (JSON.stringify(value) !== JSON.stringify(seen.at(-1))) seen.push(value);
};

class Boundary extends Component {
  state = {};
  static getDerivedStateFromError = (failed) => ({ failed });
  render = () => (this.state.failed ? h("p", null, `failed: ${this.state.failed.data}`) : this.props.children);
}

export async function hooks({ url, say }) {
  const [seen, other, client] = [[], [], open(url)];

  function Chat({ note }) {
    const messages = useQuery(api.messages.list, {});
    const skipped = useQuery(api.messages.echo, "skip");
    const send = useMutation(api.messages.send).withOptimisticUpdate((store, { body, author }) => {
      const shown = store.getQuery(api.messages.list, {});
      store.setQuery(api.messages.list, {}, [...shown, { body: `${body} …`, author }]);
    });
    const sendBad = useMutation(api.messages.sendBad).withOptimisticUpdate((store, { body, author }) => {
      const shown = store.getQuery(api.messages.list, {});
      store.setQuery(api.messages.list, {}, [...shown, { body: `${body} …`, author }]);
    });
    const sendTwo = useAction(api.messages.sendTwo);
    const [answer, setAnswer] = useState("");
    note(messages?.map(({ body }) => body) ?? (skipped === undefined ? "loading" : "not skipped"));
    return h(
      "section",
      null,
      button("send", () => send({ body: "hi", author: "Ada" }).then(() => setAnswer("sent"))),
      button("bad", () => sendBad({ body: "no", author: "Ada" }).catch((failed) => setAnswer(`bad: ${failed.data}`))),
      button("two", () => sendTwo({ body: "ho", author: "Ada" }).then((count) => setAnswer(`two: ${count}`))),
      h("p", null, answer),
    );
  }
  const Failing = () => h("p", null, useQuery(api.messages.refuseQuery, { data: "full" }));

  const page = (...children) => render(h(ConvexProvider, { client }, ...children));
  page(h(Chat, { note: noteInto(seen) }));
  render(h(ConvexProvider, { client: open(url) }, h(Chat, { note: noteInto(other) })));
  await waitFor(() => seen.at(-1).length === 0 || Promise.reject());
  await waitFor(() => other.at(-1).length === 0 || Promise.reject());
  fireEvent.click(screen.getAllByText("send")[0]);
  await shows("sent");
  fireEvent.click(screen.getAllByText("bad")[0]);
  await shows("bad: refused");
  fireEvent.click(screen.getAllByText("two")[0]);
  await shows("two: 2");
  await waitFor(() => other.at(-1).length === 3 || Promise.reject());
  say(seen);
  say(other);
  page(h(Boundary, null, h(Failing)));
  await shows("failed: full");
}

export async function pages({ url, say, told }) {
  await told(); // the rows are there
  const [seen, client] = [[], open(url)];
  const note = noteInto(seen);

  function List() {
    const { results, status, loadMore } = usePaginatedQuery(api.counters.page, {}, { initialNumItems: 3 });
    note([status, ...results.map(({ n }) => n)]);
    return button("more", () => loadMore(3));
  }

  render(h(ConvexProvider, { client }, h(List)));
  const shown = (...numbers) =>
    waitFor(() => `${seen.at(-1).slice(1)}` === `${numbers}` || Promise.reject(new Error(`${seen.at(-1)}`)));
  const change = async (mutation, n, ...expected) => {
    await client.mutation(mutation, { n });
    await shown(...expected);
  };
  const { put, remove } = api.counters;
  await shown(10, 20, 30);
  click("more");
  await shown(10, 20, 30, 40, 50, 60);
  await change(put, 15, 10, 15, 20, 30, 40, 50, 60); // into the first page, which grows
  await change(remove, 30, 10, 15, 20, 40, 50, 60); // the last of the first page
  await change(remove, 40, 10, 15, 20, 50, 60); // the first of the second
  await change(put, 35, 10, 15, 20, 35, 50, 60); // at the border between them
  await change(put, 5, 5, 10, 15, 20, 35, 50, 60);
  say("all pages have changed");
  await told(); // the wire was cut: pages keep their borders
  await waitFor(() => client.connectionState().connectionCount === 2 || Promise.reject(new Error("not yet")));
  await change(put, 17, 5, 10, 15, 17, 20, 35, 50, 60);
  await client.mutation(put, { n: 75 }); // beyond what is loaded
  click("more");
  await shown(5, 10, 15, 17, 20, 35, 50, 60, 70, 75, 80);
  click("more");
  await shown(5, 10, 15, 17, 20, 35, 50, 60, 70, 75, 80, 90);
  say(seen.at(-1)[0]);
  // No render ever showed a row twice or out of order.
  say(seen.every(([, ...numbers]) => numbers.every((n, at) => at === 0 || n > numbers[at - 1])));
}

export async function auth({ url, say, tokens }) {
  const [seen, client] = [[], open(url)];
  const note = noteInto(seen);
  let setUser;

  function useLogin() {
    const [user, change] = useState(null);
    setUser = change;
    const [fetchers] = useState({});
    // The fetcher of a user stays the same: a new one would be a new sign-in.
    fetchers[user] ??= async ({ forceRefreshToken }) => tokens[user][forceRefreshToken ? 1 : 0] ?? null;
    return { isLoading: false, isAuthenticated: user !== null, fetchAccessToken: fetchers[user] };
  }
  function State() {
    const { isLoading, isAuthenticated } = useConvexAuth();
    note(isLoading ? "loading" : isAuthenticated ? "in" : "out");
  }
  const Me = () => h("p", null, `you are ${useQuery(api.users.me) ?? "…"}`);

  render(
    h(
      ConvexProviderWithAuth,
      { client, useAuth: useLogin },
      h(State),
      h(Authenticated, null, h(Me)),
      h(Unauthenticated, null, h("p", null, "please sign in")),
      h(AuthLoading, null, h("p", null, "wait")),
    ),
  );
  await shows("please sign in");
  for (const user of ["ada", "bob"]) {
    act(() => setUser(user));
    await shows(`you are ${user}`);
  }
  act(() => setUser("mallory"));
  await shows("please sign in");
  say(seen);
}

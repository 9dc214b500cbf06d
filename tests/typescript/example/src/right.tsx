// What front ends write: nothing of this may be refused, and every type has to be exactly the one that is named.
import { ConvexHttpClient } from "convex/browser";
import { ConvexReactClient, optimisticallyUpdateValueInPaginatedQuery } from "convex/react";
import { useAction, useMutation, usePaginatedQuery, useQuery } from "convex/react";
import type { FunctionArgs, FunctionReturnType, GenericDataModel } from "convex/server";
import { getFunctionName } from "convex/server";
import { api, internal } from "../convex/_generated/api";
import type { DataModel, Doc, Id, TableNames } from "../convex/_generated/dataModel";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>) => undefined;

declare const user: Id<"users">;

export function Users() {
  const users = useQuery(api.userData.listAll);
  same<typeof users, Doc<"users">[] | undefined>(true);
  const one = useQuery(api.userData.getOne, users?.[0] ? { id: users[0]._id } : "skip");
  same<typeof one, Doc<"users"> | null | undefined>(true);
  const page = usePaginatedQuery(api.userData.listPage, { filter: { role: "guest" } }, { initialNumItems: 5 });
  same<typeof page.results, Doc<"users">[]>(true);
  const pay = useMutation(api.userData.pay).withOptimisticUpdate((store, { to, amount }) => {
    const paid = store.getQuery(api.userData.getOne, { id: to });
    if (paid) store.setQuery(api.userData.getOne, { id: to }, { ...paid, balance: paid.balance + amount });
    optimisticallyUpdateValueInPaginatedQuery(store, api.userData.listPage, { filter: { role: "guest" } }, (each) => ({
      ...each,
      balance: 0n,
    }));
  });
  const forward = useAction(api.userData.forward);
  const click = async () => {
    const paid = await pay({ to: user, amount: 5n, proof: new ArrayBuffer(8) });
    same<typeof paid, bigint>(true);
    await pay({ to: user, amount: 5n, proof: new Uint8Array(8).buffer, notes: { why: "because" } });
    const answer = await forward({ subject: "hi", whatever: [1, { of: "this" }] });
    same<typeof answer, Record<string, any>>(true);
  };
  return <button onClick={() => void click()}>{page.results.map((each) => each.address.city).join()}</button>;
}

export async function calls(http: ConvexHttpClient, react: ConvexReactClient) {
  same<Awaited<ReturnType<typeof http.query<typeof api.userData.untyped>>>, any>(true);
  await http.query(api.userData.untyped, { anything: new Set(), maybe: 1 });
  await http.query(api.userData.untyped, { anything: null });
  await http.query(api.userData.eventsOf, { user });
  await http.mutation(api.userData.setRank, { rank: "none" });
  await http.action(api.userData.countWords, { text: "a", the: 1, an: 2 });
  await http.action(api.userData.countWords, {});
  await http.query(api.admin.dailyReports);
  await http.query(api.admin.dailyReports.default, {});
  await react.query(api.admin.dailyReports.new, { from: "here", "with-dash": "1" as Id<"import"> });
  for (const event of await http.query(api.userData.eventsOf, { user, limit: 3 })) {
    if (event.kind === "left") same<typeof event.code, -1>(true);
    else same<typeof event.user, Id<"users">>(true);
  }
}

same<FunctionArgs<typeof api.userData.listAll>, Record<string, never>>(true);
same<FunctionArgs<typeof api.userData.getOne>, { id: Id<"users"> }>(true);
same<FunctionReturnType<typeof api.admin.dailyReports.default>, "é\u2028" | 1.5 | 2 | null | Record<string, never>[]>(
  true,
);
same<FunctionReturnType<typeof internal.userData.forgetAll>, number>(true);
same<(typeof internal.userData.forgetAll)["_visibility"], "internal">(true);
same<TableNames, "anything" | "events" | "foods" | "import" | "users">(true);
same<Doc<"users">["email"], string | undefined>(true);
same<Doc<"users">["avatar"] & {}, ArrayBuffer>(true);
same<Doc<"users">["seen"][Id<"users">], number>(true);
same<Doc<"users">["role"], "admin" | "guest">(true);
same<Doc<"users">["picture"], Id<"_storage"> | undefined>(true);
same<Doc<"anything">, any>(true);

const model = <Model extends GenericDataModel>(_?: Model) => undefined;
model<DataModel>();

export const name: string = getFunctionName(api.userData.listAll);

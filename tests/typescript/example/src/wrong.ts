// What has to be refused: a line without an error here is an error itself.
import { ConvexHttpClient } from "convex/browser";
import { useMutation, usePaginatedQuery, useQuery } from "convex/react";
import { api, internal } from "../convex/_generated/api";
import type { Doc, Id } from "../convex/_generated/dataModel";

declare const http: ConvexHttpClient;
declare const user: Id<"users">;
declare const event: Id<"events">;
declare const someone: Doc<"users">;

// @ts-expect-error -- an argument of another type
useQuery(api.userData.getOne, { id: 5 });
// @ts-expect-error -- any text is no id
useQuery(api.userData.getOne, { id: "users" });
// @ts-expect-error -- an id of another table
useQuery(api.userData.getOne, { id: event });
// @ts-expect-error -- a missing argument
useQuery(api.userData.getOne, {});
// @ts-expect-error -- no arguments at all
useQuery(api.userData.getOne);
// @ts-expect-error -- an argument too many
useQuery(api.userData.getOne, { id: user, more: 1 });
// @ts-expect-error -- arguments for a function that takes none
useQuery(api.userData.listAll, { limit: 1 });
// @ts-expect-error -- missing is not null
useQuery(api.userData.eventsOf, { user, limit: null });
// @ts-expect-error -- nor undefined, with exactOptionalPropertyTypes
useQuery(api.userData.eventsOf, { user, limit: undefined });
// @ts-expect-error -- Python's spelling
useQuery(api.user_data.list_all, {});
// @ts-expect-error -- no such function
useQuery(api.userData.nothing, {});
// @ts-expect-error -- no such module
useQuery(api.nothing.listAll, {});
// @ts-expect-error -- a mutation is no query
useQuery(api.userData.pay, { to: user, amount: 1n, proof: new ArrayBuffer(1) });
// @ts-expect-error -- a query is no mutation
useMutation(api.userData.listAll);
// @ts-expect-error -- internal functions are not for clients
void http.mutation(internal.userData.forgetAll, { before: 0 });
// @ts-expect-error -- and are not in the public tree
void http.mutation(api.userData.forgetAll, { before: 0 });
// @ts-expect-error -- a number is no int64
void http.mutation(api.userData.pay, { to: user, amount: 1, proof: new ArrayBuffer(1) });
// @ts-expect-error -- a string is no bytes
void http.mutation(api.userData.pay, { to: user, amount: 1n, proof: "AAAA" });
// @ts-expect-error -- values of a record
void http.mutation(api.userData.pay, { to: user, amount: 1n, proof: new ArrayBuffer(1), notes: { a: 1 } });
// @ts-expect-error -- not one of the literals
void http.mutation(api.userData.setRank, { rank: 3 });
// @ts-expect-error -- a further argument of a wrong type
void http.action(api.userData.countWords, { text: "a", the: true });
// @ts-expect-error -- a named argument of a wrong type, beside any further ones
void http.action(api.userData.forward, { subject: 1 });
// @ts-expect-error -- a field of a nested object
usePaginatedQuery(api.userData.listPage, { filter: { role: "nobody" } }, { initialNumItems: 5 });
// @ts-expect-error -- not paginated
usePaginatedQuery(api.userData.eventsOf, { user }, { initialNumItems: 5 });
// @ts-expect-error -- the hook gives the options itself
usePaginatedQuery(api.userData.listPage, { filter: { role: "admin" }, paginationOpts: {} }, { initialNumItems: 5 });
// @ts-expect-error -- a module is no function
useQuery(api.userData, {});
// @ts-expect-error -- no such table
export type NoDoc = Doc<"nothing">;
// @ts-expect-error -- nor ids of it
export type NoId = Id<"nothing">;
// @ts-expect-error -- no such field
export const field = someone.nothing;
// @ts-expect-error -- an optional field may be missing
export const length: number = someone.email.length;
// @ts-expect-error -- an object without fields has none
export const empty: Awaited<ReturnType<typeof http.query<typeof api.admin.dailyReports.default>>> = [{ a: 1 }];

import { useConvexConnectionState } from "convex/react";

const TEXTS = { live: "live", lost: "no connection", connecting: "connecting …" };

/** Says whether the page is live. What is sent without a connection is kept, and goes out once there is one. */
export function Connection() {
  const { isWebSocketConnected, hasEverConnected, connectionRetries, inflightMutations } = useConvexConnectionState();
  const isLost = hasEverConnected || connectionRetries > 1;
  const state = isWebSocketConnected ? "live" : isLost ? "lost" : "connecting";
  const waiting = state === "lost" && inflightMutations > 0 ? `, ${inflightMutations} waiting to be sent` : "";
  return (
    <p className="connection" data-state={state} role="status">
      {TEXTS[state] + waiting}
    </p>
  );
}

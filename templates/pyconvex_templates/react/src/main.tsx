import { ConvexProvider, ConvexReactClient } from "convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Chat } from "./Chat";
import { Connection } from "./Connection";
import "./styles.css";

// `pyconvex dev` writes it to .env.local, and gives it to the command that it starts.
const url: string | undefined = import.meta.env.VITE_CONVEX_URL;

createRoot(document.getElementById("root")!).render(
  <StrictMode>{url ? <App client={new ConvexReactClient(url)} /> : <NoDeployment />}</StrictMode>,
);

function App({ client }: { client: ConvexReactClient }) {
  return (
    <ConvexProvider client={client}>
      <header>
        <h1>pyconvex-project</h1>
        <Connection />
      </header>
      <Chat />
    </ConvexProvider>
  );
}

function NoDeployment() {
  return (
    <main className="notice" role="alert">
      <h2>Where are the functions?</h2>
      <p>
        <code>VITE_CONVEX_URL</code> is not set. Stop this, and start both together:
      </p>
      <pre>pyconvex dev --start "npm run dev"</pre>
    </main>
  );
}

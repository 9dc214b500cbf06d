import { useState } from "react";

const KEY = "name";
const SUGGESTIONS = ["Ada", "Alan", "Barbara", "Edsger", "Grace", "Guido", "Katherine", "Niklaus"];

/** Who I am, remembered by this browser. */
export function useName(): [string, (name: string) => void] {
  const [name, setName] = useState(() => localStorage.getItem(KEY) ?? suggestion());
  const remember = (name: string) => {
    localStorage.setItem(KEY, name);
    setName(name);
  };
  return [name, remember];
}

function suggestion(): string {
  return SUGGESTIONS[Math.floor(Math.random() * SUGGESTIONS.length)] ?? "Ada";
}

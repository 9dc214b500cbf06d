import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  server: {
    // the deployment's database changes with every message
    watch: { ignored: ["**/.pyconvex/**", "**/.venv/**"] },
  },
});

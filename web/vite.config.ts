import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // The policy of the page allows nothing that stands in an address or in the page itself.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    manifest: true,
  },
  test: { include: ["src/**/*.test.ts"] },
  server: { fs: { allow: [".."] } },
} as Parameters<typeof defineConfig>[0]);

import { defineConfig } from "vitest/config";

// What needs a real server is a project of its own: it needs the program that GROUND names.
export default defineConfig({
  test: {
    projects: [
      { test: { name: "logic", include: ["tests/**/*.test.ts"] } },
      { test: { name: "server", include: ["tests/**/*.e2e.ts"], testTimeout: 30_000, hookTimeout: 60_000 } },
    ],
  },
});

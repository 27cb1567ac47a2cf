/** What the server tells the page before anybody is signed in. */
export interface Configuration {
  /** The OpenID Connect issuer. */
  readonly issuer: string;
  /** The client id to sign in with. */
  readonly clientId: string;
}

/** Longest wait for it: the file is small, and a page that only waits says nothing. */
const WAIT_MS = 10_000;

/** Reads `/config.json`. Rejects when the server cannot be reached, or when something else answers. */
export async function loadConfiguration(): Promise<Configuration> {
  const answer = await fetch("/config.json", { cache: "no-cache", signal: AbortSignal.timeout(WAIT_MS) });
  if (!answer.ok) throw new Error(`/config.json: ${answer.status}`);
  return configurationFrom(await answer.json());
}

/** Checks what was read. */
export function configurationFrom(read: unknown): Configuration {
  const { issuer, client_id: clientId } = (read ?? {}) as Record<string, unknown>;
  if (typeof issuer !== "string" || typeof clientId !== "string") throw new Error("/config.json names no issuer and client_id");
  const { protocol } = new URL(issuer);
  if (protocol !== "https:" && protocol !== "http:") throw new Error(`/config.json: ${issuer} is no issuer`);
  return { issuer, clientId };
}

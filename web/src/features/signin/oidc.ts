/** The protocol of signing in, by oidc-client-ts: fetched when somebody signs in or out or a token ends, not to show a chat. */

import { ErrorResponse, InMemoryWebStorage, User, UserManager, WebStorageStateStore } from "oidc-client-ts";
import type { Configuration } from "../../app/configuration.js";

export { ErrorResponse, User };

/** The path where the issuer sends the browser back to. */
export const CALLBACK = "/signin/callback";

/** A manager for the issuer: authorization code with PKCE, renewal by refresh token. It forgets who signed in; the session does not. */
export function manager(configuration: Configuration): UserManager {
  return new UserManager({
    authority: configuration.issuer,
    client_id: configuration.clientId,
    redirect_uri: location.origin + CALLBACK,
    post_logout_redirect_uri: `${location.origin}/`,
    scope: "openid profile email",
    userStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
    // What a sign-in began with must be there when the browser comes back to this tab, and in no other.
    stateStore: new WebStorageStateStore({ store: sessionStorage, prefix: "madang.oidc." }),
    automaticSilentRenew: false,
    loadUserInfo: false,
    requestTimeoutInSeconds: 15,
  });
}

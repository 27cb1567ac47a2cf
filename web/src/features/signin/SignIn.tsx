import { useState } from "react";
import { Button } from "../../design/Button.js";
import { useText } from "../../text/index.js";
import { type Session, type SignInRefused } from "./session.js";
import "./signin.css";

/** The page of whoever is not signed in; also where a sign-in ends that was not taken. */
export function SignIn({
  session,
  path,
  refused,
}: {
  readonly session: Session | undefined;
  readonly path: string;
  readonly refused: SignInRefused["why"] | undefined;
}) {
  const text = useText();
  const [state, setState] = useState<{ busy: boolean; refused: SignInRefused["why"] | undefined }>({ busy: false, refused });
  const sentences = { Forged: text.signin.forged, Denied: text.signin.denied, Unreachable: text.signin.unreachable };
  const signIn = async () => {
    // Nothing could be reached before: begin from the beginning.
    if (!session) return location.reload();
    setState({ busy: true, refused: undefined });
    await session.signIn(path).catch(() => setState({ busy: false, refused: "Unreachable" }));
  };
  return (
    <main className="whole-page">
      <div className="card signin">
        <img src="/icon.svg" width="48" height="48" alt="" />
        <div>
          <h1>{text.signin.title}</h1>
          <p className="soft">{text.signin.lead}</p>
        </div>
        {state.refused && (
          <div className="trouble" role="alert">
            <strong>{text.signin.failed}</strong>
            <span>{sentences[state.refused]}</span>
          </div>
        )}
        <Button kind="main" disabled={state.busy} onClick={() => void signIn()} autoFocus>
          {state.busy ? text.signin.working : state.refused ? text.signin.again : text.signin.go}
        </Button>
      </div>
    </main>
  );
}

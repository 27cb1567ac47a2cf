import { useEffect, useState, useSyncExternalStore } from "react";
import { nameOf, useHost, useObserved, usePeople } from "../../app/client.js";
import { Button } from "../../design/Button.js";
import { failureText } from "../../text/failure.js";
import { useText } from "../../text/index.js";
import "./connection.css";

/** A connection that comes within this time is not worth a word. */
const QUIET_MS = 1_500;

/** Says above everything how the page stands to the server, when there is something to say. */
export function ConnectionBar() {
  const text = useText();
  const { client, session } = useHost();
  const state = useObserved(client.state);
  const storage = useObserved(client.storage);
  const slow = useSlow(state.kind === "Connecting");
  const signIn = (
    <Button kind="link" onClick={() => void session.signIn(location.pathname).catch(() => undefined)}>
      {text.signin.again}
    </Button>
  );
  const connect = (
    <Button kind="link" onClick={() => client.reconnect()}>
      {text.connection.now}
    </Button>
  );
  const words = () => {
    switch (state.kind) {
      case "Live":
        return null;
      case "Connecting":
        return slow ? <span>{text.connection.connecting}</span> : null;
      case "Offline": {
        // Without a network there is nothing to explain; a server that answers wrongly is worth its own sentence.
        const told = state.reason?.local && state.reason.local !== "Unreachable" ? failureText(state.reason, text) : "";
        return (
          <>
            <span>
              {text.connection.offline} {told}
            </span>
            {connect}
          </>
        );
      }
      case "Suspended":
        return (
          <>
            <span>{text.connection.suspended}</span>
            {connect}
          </>
        );
      case "SignedOut":
        return (
          <>
            <span>{text.connection.signedOut}</span>
            {signIn}
          </>
        );
      case "Ended":
        return (
          <>
            <span>
              {text.connection.ended} {state.reason.kind !== "Cancelled" && failureText(state.reason, text)}
            </span>
            {signIn}
          </>
        );
    }
  };
  const said = words();
  return (
    <div className="connection" role="status">
      {said && (
        <div className="connection-bar" data-state={state.kind}>
          {said}
        </div>
      )}
      <Overtaken />
      {storage.kind === "NotKept" && <div className="connection-bar">{text.connection.notKept[storage.reason]}</div>}
    </div>
  );
}

/** Somebody else has signed in in another tab: whose this one is must not be in doubt. */
function Overtaken() {
  const text = useText();
  const { client, session } = useHost();
  const other = useSyncExternalStore(session.subscribe, () => session.overtaken);
  const me = useObserved(client.me) ?? "";
  const own = nameOf(usePeople(me ? [me] : []).get(me));
  return other && <div className="connection-bar">{text.connection.overtaken(other.name, own)}</div>;
}

/** Whether something has held for a while. */
function useSlow(holds: boolean): boolean {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    if (!holds) {
      setSlow(false);
      return undefined;
    }
    const timer = setTimeout(() => setSlow(true), QUIET_MS);
    return () => clearTimeout(timer);
  }, [holds]);
  return slow;
}

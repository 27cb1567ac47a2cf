import { useEffect, useState } from "react";
import { useHost, useTask } from "../../app/client.js";
import { Button } from "../../design/Button.js";
import { Dialog } from "../../design/Dialog.js";
import { Trouble } from "../../design/Trouble.js";
import { useText } from "../../text/index.js";

/** Asks before what is not sent goes with the sign-in. */
export function SignOut({ onClose }: { readonly onClose: () => void }) {
  const text = useText();
  const { client, session } = useHost();
  const task = useTask();
  const [waiting, setWaiting] = useState(0);
  useEffect(() => {
    let ended = false;
    void client.outbox().then((list) => {
      if (!ended) setWaiting(list.items.length);
      list.close();
    });
    return () => {
      ended = true;
    };
  }, [client]);
  const signOut = () =>
    task.run(async () => {
      await client.signOut();
      sessionStorage.removeItem("madang.configuration");
      await session.signOut();
    });
  return (
    <Dialog title={text.signin.outTitle} onClose={onClose}>
      <p>{text.signin.outLead}</p>
      {waiting > 0 && <p className="trouble">{text.signin.outWaiting(waiting)}</p>}
      {task.error !== undefined && <Trouble error={task.error} />}
      <div className="dialog-foot">
        <Button onClick={onClose}>{text.common.cancel}</Button>
        <Button kind="main" disabled={task.busy} onClick={() => void signOut()}>
          {text.signin.goOut}
        </Button>
      </div>
    </Dialog>
  );
}

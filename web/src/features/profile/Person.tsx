import type { User } from "@madang/client";
import { nameOf, useClient, useObserved, useTask } from "../../app/client.js";
import { go } from "../../app/route.js";
import { Avatar } from "../../design/Avatar.js";
import { Button } from "../../design/Button.js";
import { Dialog } from "../../design/Dialog.js";
import { Trouble } from "../../design/Trouble.js";
import { useText } from "../../text/index.js";
import "./profile.css";

/** A person in a dialog, with the way to write to them. */
export function Person({ user, onClose }: { readonly user: User; readonly onClose: () => void }) {
  const text = useText();
  const client = useClient();
  const me = useObserved(client.me);
  const task = useTask();
  const write = async () => {
    let roomId = "";
    const done = await task.run(async () => {
      roomId = await client.openDirect(user.id);
    });
    if (!done) return;
    onClose();
    go({ kind: "Room", roomId, members: false });
  };
  const lines: readonly (readonly [string, string])[] = [
    [text.profile.jobTitle, user.title],
    [text.profile.email, user.email],
    [text.profile.phone, user.phone],
    [text.profile.employeeNo, user.employeeNo],
    [text.profile.bio, user.bio],
  ];
  const status = [user.customStatus?.emoji, user.customStatus?.text].filter(Boolean).join(" ");
  return (
    <Dialog title={text.profile.title} onClose={onClose}>
      <div className="person">
        <Avatar name={nameOf(user)} size="large" />
        <div>
          <strong>
            <bdi>{nameOf(user)}</bdi>
          </strong>
          <div className="soft">
            <bdi>{user.login}</bdi>
          </div>
          {status && <bdi>{status}</bdi>}
        </div>
      </div>
      <dl className="person-lines">
        {lines.map(
          ([label, value]) =>
            value && (
              <div key={label}>
                <dt className="soft">{label}</dt>
                <dd>
                  <bdi>{value}</bdi>
                </dd>
              </div>
            ),
        )}
      </dl>
      {task.error !== undefined && <Trouble error={task.error} />}
      {user.id !== me && (
        <div className="dialog-foot">
          <Button kind="main" disabled={task.busy} onClick={() => void write()}>
            {text.members.message}
          </Button>
        </div>
      )}
    </Dialog>
  );
}

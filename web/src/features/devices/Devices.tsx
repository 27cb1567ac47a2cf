import type { DeviceSession } from "@madang/client";
import { useCallback, useEffect, useState } from "react";
import { useClient, useTask } from "../../app/client.js";
import { momentOf } from "../../app/when.js";
import { Button } from "../../design/Button.js";
import { Dialog } from "../../design/Dialog.js";
import { Icon } from "../../design/Icon.js";
import { Trouble } from "../../design/Trouble.js";
import { useLanguage, useText } from "../../text/index.js";
import "./devices.css";

/** Where the person is signed in, and the end of what they do not know. */
export function Devices() {
  const text = useText();
  const client = useClient();
  const task = useTask();
  const { run } = task;
  const [devices, setDevices] = useState<readonly DeviceSession[]>();
  const [ending, setEnding] = useState<DeviceSession>();
  const load = useCallback(() => run(async () => setDevices(await client.devices())), [client, run]);
  useEffect(() => void load(), [load]);
  return (
    <section>
      <p className="soft devices-lead">{text.devices.lead}</p>
      {task.error !== undefined && (
        <Trouble error={task.error}>
          <Button kind="link" onClick={() => void load()}>
            {text.common.retry}
          </Button>
        </Trouble>
      )}
      <ul className="devices">
        {!devices && task.error === undefined && <li className="ghost" />}
        {devices?.map((device) => (
          <Row key={device.deviceId} device={device} onEnd={() => setEnding(device)} />
        ))}
        {devices?.length === 0 && <li className="soft">{text.devices.none}</li>}
      </ul>
      {ending && (
        <End
          device={ending}
          onClose={() => {
            setEnding(undefined);
            void load();
          }}
        />
      )}
    </section>
  );
}

/** What a browser calls itself is long: its name and its system. */
export function agentName(agent: string): string {
  const browser = /(Edg|OPR|Firefox|Chrome|Version)\/(\d+)/u.exec(agent);
  const system = /(Windows|Android|iPhone|iPad|Mac OS X|CrOS|Linux)/u.exec(agent);
  const names: Record<string, string> = { Edg: "Edge", OPR: "Opera", Version: "Safari", "Mac OS X": "macOS", CrOS: "ChromeOS" };
  const said = [browser?.[1], system?.[1]].flatMap((name) => (name ? [names[name] ?? name] : []));
  return said.join(", ");
}

function Row({ device, onEnd }: { readonly device: DeviceSession; readonly onEnd: () => void }) {
  const text = useText();
  const language = useLanguage();
  const seen = device.lastSeenAt && text.devices.lastSeen(momentOf(device.lastSeenAt, language));
  return (
    <li className="device" data-revoked={device.revokedAt !== undefined}>
      <Icon name="device" />
      <div className="device-words">
        <div className="device-name">
          <bdi>{agentName(device.userAgent) || device.platform}</bdi>
          {device.current && <span className="tag">{text.devices.current}</span>}
          {device.live && <span className="tag">{text.devices.live}</span>}
          {device.revokedAt && <span className="tag">{text.devices.revoked}</span>}
        </div>
        <div className="soft small">{[device.platform, device.appVersion, device.address, seen].filter(Boolean).join(" · ")}</div>
      </div>
      {!device.current && !device.revokedAt && (
        <Button kind="danger" onClick={onEnd}>
          {text.devices.revoke}
        </Button>
      )}
    </li>
  );
}

function End({ device, onClose }: { readonly device: DeviceSession; readonly onClose: () => void }) {
  const text = useText();
  const client = useClient();
  const task = useTask();
  const end = async () => {
    if (await task.run(() => client.revokeDevice(device.deviceId))) onClose();
  };
  return (
    <Dialog title={text.devices.revokeTitle} onClose={onClose}>
      <p>
        <bdi>{agentName(device.userAgent) || device.platform}</bdi>. {text.devices.revokeLead}
      </p>
      {task.error !== undefined && <Trouble error={task.error} />}
      <div className="dialog-foot">
        <Button onClick={onClose}>{text.common.cancel}</Button>
        <Button kind="main" disabled={task.busy} onClick={() => void end()}>
          {text.devices.revoke}
        </Button>
      </div>
    </Dialog>
  );
}

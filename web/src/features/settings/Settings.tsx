import { useState } from "react";
import { go, pathOf, type SettingsPage } from "../../app/route.js";
import { Button, IconButton } from "../../design/Button.js";
import { useText } from "../../text/index.js";
import { Devices } from "../devices/Devices.js";
import { Profile } from "../profile/Profile.js";
import { CHOICES, choose, usePreferences } from "./preferences.js";
import "./settings.css";

/** The settings: general, profile, devices. */
export function Settings({ page, onSignOut }: { readonly page: SettingsPage; readonly onSignOut: () => void }) {
  const text = useText();
  const pages = { general: text.settings.general, profile: text.profile.title, devices: text.devices.title };
  return (
    <main className="settings" aria-label={text.settings.title}>
      <header className="pane-head">
        <span className="only-narrow">
          <IconButton icon="back" label={text.common.back} onClick={() => go({ kind: "Rooms" })} />
        </span>
        <h1>{text.settings.title}</h1>
        <Button kind="plain" onClick={onSignOut}>
          {text.signin.goOut}
        </Button>
      </header>
      <div className="settings-scroller">
        <nav className="settings-pages" aria-label={text.settings.title}>
          {(Object.keys(pages) as SettingsPage[]).map((name) => (
            <a
              key={name}
              href={pathOf({ kind: "Settings", page: name })}
              aria-current={name === page ? "page" : undefined}
              onClick={(event) => {
                event.preventDefault();
                go({ kind: "Settings", page: name });
              }}
            >
              {pages[name]}
            </a>
          ))}
        </nav>
        <div className="settings-page">
          {page === "general" && <General />}
          {page === "profile" && <Profile />}
          {page === "devices" && <Devices />}
        </div>
      </div>
    </main>
  );
}

function General() {
  const text = useText();
  const chosen = usePreferences();
  const [denied, setDenied] = useState(false);
  const notify = async (value: "off" | "mentions" | "all") => {
    const permission = value === "off" ? "granted" : await askPermission();
    setDenied(permission !== "granted");
    choose({ notify: permission === "granted" ? value : "off" });
  };
  return (
    <>
      <Choice
        legend={text.settings.language}
        choices={CHOICES.language}
        names={text.settings.languages}
        value={chosen.language}
        onChange={(language) => choose({ language })}
      />
      <Choice
        legend={text.settings.theme}
        choices={CHOICES.theme}
        names={text.settings.themes}
        value={chosen.theme}
        onChange={(theme) => choose({ theme })}
      />
      <Choice
        legend={text.settings.notify}
        choices={CHOICES.notify}
        names={text.settings.notifications}
        value={chosen.notify}
        onChange={(value) => void notify(value)}
      />
      {denied && (
        <p className="trouble" role="alert">
          {text.settings.notifyDenied}
        </p>
      )}
      <section>
        <h2>{text.settings.keys}</h2>
        <dl className="settings-keys">
          {text.settings.keyList.map(([keys, what]) => (
            <div key={keys}>
              <dt>
                <kbd>{keys}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
      </section>
    </>
  );
}

async function askPermission(): Promise<NotificationPermission> {
  if (typeof Notification === "undefined") return "denied";
  return Notification.requestPermission();
}

function Choice<T extends string>({
  legend,
  choices,
  names,
  value,
  onChange,
}: {
  readonly legend: string;
  readonly choices: readonly T[];
  readonly names: Readonly<Record<T, string>>;
  readonly value: T;
  readonly onChange: (value: T) => void;
}) {
  return (
    <fieldset className="choice">
      <legend>{legend}</legend>
      {choices.map((choice) => (
        <label key={choice}>
          <input type="radio" name={legend} checked={choice === value} onChange={() => onChange(choice)} />
          {names[choice]}
        </label>
      ))}
    </fieldset>
  );
}

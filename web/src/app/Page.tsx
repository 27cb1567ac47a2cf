import { Component, useEffect, useState, useSyncExternalStore, type ReactNode } from "react";
import { Button } from "../design/Button.js";
import { SignIn } from "../features/signin/SignIn.js";
import { usePreferences } from "../features/settings/preferences.js";
import { catalogueOf, languageOf, useText, WordingContext, type Wording } from "../text/index.js";
import { HostContext } from "./client.js";
import { Shell } from "./Shell.js";
import { start, type Start } from "./start.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

function useSystemIsDark(): boolean {
  return useSyncExternalStore(
    (told) => {
      dark.addEventListener("change", told);
      return () => dark.removeEventListener("change", told);
    },
    () => dark.matches,
  );
}

/** The whole page: language and theme around whatever the start leads to. */
export function Page() {
  const chosen = usePreferences();
  const systemIsDark = useSystemIsDark();
  const language = chosen.language === "system" ? languageOf(navigator.languages) : chosen.language;
  const theme = chosen.theme === "system" ? (systemIsDark ? "dark" : "light") : chosen.theme;
  useEffect(() => {
    document.documentElement.lang = language;
    document.documentElement.dataset["theme"] = theme;
  }, [language, theme]);
  // The words that stand there stay until the others have come.
  const [wording, setWording] = useState<Wording>();
  useEffect(() => {
    let ended = false;
    void catalogueOf(language).then((text) => {
      if (!ended) setWording({ language, text });
    });
    return () => {
      ended = true;
    };
  }, [language]);
  if (!wording) return null;
  return (
    <WordingContext value={wording}>
      <Breakage>
        <Started />
      </Breakage>
    </WordingContext>
  );
}

function Started() {
  const text = useText();
  const [started, setStarted] = useState<Start>();
  useEffect(() => {
    void start().then(setStarted);
  }, []);
  switch (started?.kind) {
    case undefined:
      return <main className="whole-page soft" aria-busy="true" aria-label={text.common.loading} />;
    case "SignIn":
      return <SignIn session={started.session} path={started.path} refused={started.refused} />;
    case "Ready":
      return (
        <HostContext value={started.host}>
          <Shell />
        </HostContext>
      );
  }
}

/** A fault in the page: said, with a way on, instead of an empty page. */
class Breakage extends Component<{ children: ReactNode }, { broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError() {
    return { broken: true };
  }

  override render() {
    return this.state.broken ? <Broken /> : this.props.children;
  }
}

function Broken() {
  const text = useText();
  return (
    <main className="whole-page">
      <div className="card" role="alert">
        <h1>{text.connection.brokenTitle}</h1>
        <p>{text.connection.brokenLead}</p>
        <Button kind="main" onClick={() => location.reload()}>
          {text.connection.reload}
        </Button>
      </div>
    </main>
  );
}

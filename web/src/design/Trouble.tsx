import type { ReactNode } from "react";
import { useText } from "../text/index.js";
import { failureText } from "../text/failure.js";

/** What went wrong, said where it arose, with what can be done about it. */
export function Trouble({ error, children }: { readonly error: unknown; readonly children?: ReactNode }) {
  const text = useText();
  return (
    <div className="trouble" role="alert">
      <span>{failureText(error, text)}</span>
      {children}
    </div>
  );
}

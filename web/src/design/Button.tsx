import type { ComponentProps } from "react";
import { Icon, type IconName } from "./Icon.js";

/** A button with words. */
export function Button({ kind, ...rest }: ComponentProps<"button"> & { readonly kind?: "main" | "danger" | "plain" | "link" }) {
  return <button type="button" className={kind ? `button ${kind}` : "button"} {...rest} />;
}

/** A button with a sign; `label` is what screen readers and the tip say. */
export function IconButton({ icon, label, ...rest }: ComponentProps<"button"> & { readonly icon: IconName; readonly label: string }) {
  return (
    <button type="button" className="icon-button" aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}

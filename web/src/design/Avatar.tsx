import type { CSSProperties } from "react";

/** The first letter of a name; of a Korean name the first of the given name, as people call each other. */
export function initial(name: string): string {
  const trimmed = name.trim();
  const letters = [...new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(trimmed)].map((part) => part.segment);
  const korean = /^[가-힣]{3,4}$/u.test(trimmed);
  return (letters[korean ? letters.length - 2 : 0] ?? "?").toUpperCase();
}

/** Hues on the wheel of colours: so few that they differ, so pale that the accent stays the only colour. */
const HUES = 8;

/** The same hue for the same name, everywhere. */
function hue(name: string): number {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973;
  return ((sum % HUES) * 360) / HUES + 20;
}

/** A person or a room in small. `here`: whether the person is, where it is known. */
export function Avatar({
  name,
  size,
  here,
}: {
  readonly name: string;
  readonly size?: "tiny" | "small" | "large";
  readonly here?: boolean | undefined;
}) {
  return (
    <span className="avatar" data-size={size} data-here={here} aria-hidden="true" style={{ "--hue": hue(name) } as CSSProperties}>
      {initial(name)}
    </span>
  );
}

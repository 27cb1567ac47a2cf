/** The first letter of a name; of a Korean name the first of the given name, as people call each other. */
export function initial(name: string): string {
  const trimmed = name.trim();
  const letters = [...new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(trimmed)].map((part) => part.segment);
  const korean = /^[가-힣]{3,4}$/u.test(trimmed);
  return (letters[korean ? letters.length - 2 : 0] ?? "?").toUpperCase();
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
    <span className="avatar" data-size={size} data-here={here} aria-hidden="true">
      {initial(name)}
    </span>
  );
}

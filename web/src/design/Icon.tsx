/** Signs, drawn on 24 by 24. Each stands beside a text or on a button that has a name. */
const PATHS = {
  add: "M12 5v14M5 12h14",
  back: "M15 5l-7 7 7 7",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  delivered: "M3 12.5l4.5 4.5L17 7.5M12 15.5l1.5 1.5L21 9.5",
  device: "M3 5h18v11H3zM8 20h8",
  down: "M12 5v14M6 13l6 6 6-6",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7-10-7-10-7zM12 9a3 3 0 100 6 3 3 0 000-6",
  failed: "M12 7v6M12 16.5v.5M12 3a9 9 0 100 18 9 9 0 000-18",
  leave: "M10 4H5v16h5M14 8l5 4-5 4M19 12H9",
  lines: "M4 7h16M4 12h16M4 17h10",
  people: "M9 5a3.5 3.5 0 100 7 3.5 3.5 0 000-7M2.5 20c0-4 3-6 6.5-6s6.5 2 6.5 6M16 5.5a3.3 3.3 0 010 6.2M18 14.6c2.2.8 3.5 2.600 3.500 5.400",
  person: "M12 4a4 4 0 100 8 4 4 0 000-8M4 21c0-4.500 3.500-7 8-7s8 2.500 8 7",
  search: "M11 4a7 7 0 100 14 7 7 0 000-14M16 16l5 5",
  send: "M4 12l16-8-6 16-3-7z",
  sent: "M5 12.500l4.500 4.500L19 7.500",
  settings: "M4 7h10M18 7h2M16 5v4M4 17h2M10 17h10M8 15v4M4 12h16",
  unread: "M4 6h16v12H4zM4 7l8 6 8-6",
  waiting: "M12 3a9 9 0 100 18 9 9 0 000-18M12 7v5l3 2",
} as const;

/** Name of a sign. */
export type IconName = keyof typeof PATHS;

/** A sign; says nothing to screen readers. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

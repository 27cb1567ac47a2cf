/** A store that is gone with the page. */

/** A store that is gone with the page: one client at a time has it, and the next finds what the last one left. */
export class MemoryStore {}

import type { KeyboardEvent } from "react";

/**
 * Whether a key belongs to what an input method composes: then Enter ends a syllable and sends nothing. Some browsers say it by
 * the code 229 only, also for the Enter that ends the composition.
 */
export function isComposing(event: KeyboardEvent): boolean {
  return event.nativeEvent.isComposing || event.keyCode === 229;
}

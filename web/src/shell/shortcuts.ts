import { useEffect, useRef } from "react";

/** The registry of keyboard shortcuts: what works, and what the help shows. */
export const SHORTCUTS = {
  help: { keys: ["?"], area: "everywhere" },
  search: { keys: ["/"], area: "list" },
  next: { keys: ["j", "ArrowDown"], area: "list" },
  previous: { keys: ["k", "ArrowUp"], area: "list" },
  playPause: { keys: [" ", "k"], area: "player" },
  back: { keys: ["ArrowLeft", "j"], area: "player" },
  forward: { keys: ["ArrowRight", "l"], area: "player" },
  faster: { keys: [">", "."], area: "player" },
  slower: { keys: ["<", ","], area: "player" },
  start: { keys: ["Home", "0"], area: "player" },
  copyLink: { keys: ["c"], area: "player" },
} as const satisfies Record<string, { keys: readonly string[]; area: "everywhere" | "list" | "player" }>;

export type Shortcut = keyof typeof SHORTCUTS;
type Actions = Partial<Record<Shortcut, () => void>>;

const PRESSABLE = "button, a, input, textarea, select, [role=menuitem], [role=option], [contenteditable]";
const TYPING = "input:not([type=range]), textarea, select, [contenteditable]";

/** Runs actions on their keys, unless somebody is typing, a menu or dialog is open, or Space would press a button. */
export function useShortcuts(actions: Actions): void {
  const current = useRef(actions);
  useEffect(() => {
    current.current = actions;
  });
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const target = event.target instanceof Element ? event.target : document.body;
      if (target.closest(TYPING) || target.closest("[role=dialog], [role=menu], [role=listbox], [role=slider]")) return;
      if (event.key === " " && target.closest(PRESSABLE)) return;
      for (const [name, action] of Object.entries(current.current) as [Shortcut, () => void][]) {
        if ((SHORTCUTS[name].keys as readonly string[]).includes(event.key)) {
          event.preventDefault();
          action();
          return;
        }
      }
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, []);
}

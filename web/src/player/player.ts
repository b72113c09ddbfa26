import { VoiceMixer } from "./voice-mixer";

export const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3] as const;

export interface PlayerState {
  playing: boolean;
  /** Wants to play, but waits for audio. */
  waiting: boolean;
  failed: boolean;
  speed: number;
  muted: readonly boolean[];
  /** Each voice on its own side, as stored; else all in the centre. */
  apart: boolean;
}

/**
 * Plays a part of one audio file: `from_ms` to `from_ms + length_ms`. Positions are milliseconds of that part.
 *
 * A store outside React: state changes are told to `subscribe`, the position to `watch` (each frame while it plays).
 */
export class Player {
  readonly lengthMs: number;
  private readonly audio = new Audio();
  private readonly mixer: VoiceMixer;
  private readonly listeners = new Set<() => void>();
  private readonly watchers = new Set<(ms: number) => void>();
  private state: PlayerState;
  private frame = 0;
  private wantedMs = 0;

  constructor(
    private readonly source: string,
    private readonly fromMs: number,
    lengthMs: number,
    channels: number,
  ) {
    this.lengthMs = Math.max(1, lengthMs);
    this.state = {
      playing: false,
      waiting: false,
      failed: false,
      speed: 1,
      muted: Array.from({ length: channels }, () => false),
      apart: false,
    };
    this.audio.preload = "metadata";
    this.audio.preservesPitch = true;
    this.mixer = new VoiceMixer(this.audio, channels);
  }

  /** Begins to load; returns what ends it. */
  attach(): () => void {
    const { audio } = this;
    const ended = new AbortController();
    const on = (kind: string, action: () => void) => audio.addEventListener(kind, action, { signal: ended.signal });
    on("playing", () => this.change({ playing: true, waiting: false }));
    on("pause", () => this.change({ playing: false, waiting: false }));
    on("waiting", () => this.change({ waiting: true }));
    on("ended", () => this.change({ playing: false }));
    on("error", () => audio.hasAttribute("src") && this.change({ failed: true, playing: false }));
    on("seeked", () => this.tell());
    on("timeupdate", () => this.tell());
    audio.src = this.source;
    audio.currentTime = (this.fromMs + this.wantedMs) / 1000;
    return () => {
      ended.abort();
      cancelAnimationFrame(this.frame);
      audio.pause();
      audio.removeAttribute("src");
      audio.load();
      this.mixer.close();
    };
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): PlayerState => this.state;

  /** Calls back with the position now and whenever it changes. */
  watch(watcher: (ms: number) => void): () => void {
    this.watchers.add(watcher);
    watcher(this.positionMs);
    return () => this.watchers.delete(watcher);
  }

  get positionMs(): number {
    if (this.audio.readyState === HTMLMediaElement.HAVE_NOTHING) return this.wantedMs;
    return Math.min(this.lengthMs, Math.max(0, this.audio.currentTime * 1000 - this.fromMs));
  }

  async play(): Promise<void> {
    if (this.positionMs >= this.lengthMs - 50) this.seek(0);
    this.change({ failed: false });
    try {
      await this.mixer.open(this.state.muted, this.state.apart);
      await this.audio.play();
      this.run();
    } catch (error) {
      // A pause that comes before the first sound aborts the play; that is no failure.
      if (!(error instanceof DOMException && error.name === "AbortError")) this.change({ failed: true });
    }
  }

  pause(): void {
    this.audio.pause();
  }

  toggle(): void {
    if (this.audio.paused) void this.play();
    else this.pause();
  }

  seek(ms: number): void {
    this.wantedMs = Math.min(this.lengthMs, Math.max(0, ms));
    this.audio.currentTime = (this.fromMs + this.wantedMs) / 1000;
    this.tell(this.wantedMs);
  }

  skip(ms: number): void {
    this.seek(this.positionMs + ms);
  }

  setSpeed(speed: number): void {
    this.audio.defaultPlaybackRate = speed;
    this.audio.playbackRate = speed;
    this.change({ speed });
  }

  faster(steps: number): void {
    const at = SPEEDS.findIndex((speed) => speed === this.state.speed);
    this.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + steps))] ?? 1);
  }

  setMuted(channel: number, muted: boolean): void {
    this.mix({ muted: this.state.muted.map((before, index) => (index === channel ? muted : before)) });
  }

  /** Only this voice; once more: all. */
  solo(channel: number): void {
    const alone = this.isSolo(channel);
    this.mix({ muted: this.state.muted.map((_, index) => !alone && index !== channel) });
  }

  isSolo(channel: number): boolean {
    return this.state.muted.every((muted, index) => muted === (index !== channel));
  }

  setApart(apart: boolean): void {
    this.mix({ apart });
  }

  private mix(changed: Partial<PlayerState>): void {
    this.change(changed);
    this.mixer.set(this.state.muted, this.state.apart);
  }

  private change(changed: Partial<PlayerState>): void {
    this.state = { ...this.state, ...changed };
    for (const listener of this.listeners) listener();
  }

  private tell(ms = this.positionMs): void {
    for (const watcher of this.watchers) watcher(ms);
  }

  private run(): void {
    cancelAnimationFrame(this.frame);
    const step = () => {
      if (this.audio.paused) return;
      if (this.positionMs >= this.lengthMs) this.pause();
      this.tell();
      this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }
}

/**
 * Mixes the channels of an audio element, one voice a channel: mute, and where each voice is heard.
 *
 * The Web Audio graph is made at the first play (browsers want a gesture first); before that the wishes are kept by the caller.
 */
export class VoiceMixer {
  private context: AudioContext | undefined;
  private merger: ChannelMergerNode | undefined;
  private gains: GainNode[] = [];

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly channels: number,
  ) {}

  async open(muted: readonly boolean[], apart: boolean): Promise<void> {
    if (!this.context) {
      const context = new AudioContext();
      const splitter = context.createChannelSplitter(Math.max(1, this.channels));
      context.createMediaElementSource(this.audio).connect(splitter);
      this.merger = context.createChannelMerger(2);
      this.merger.connect(context.destination);
      this.gains = Array.from({ length: Math.max(1, this.channels) }, (_, channel) => {
        const gain = context.createGain();
        splitter.connect(gain, channel);
        return gain;
      });
      this.context = context;
    }
    this.set(muted, apart);
    await this.context.resume();
  }

  set(muted: readonly boolean[], apart: boolean): void {
    const { context, merger } = this;
    if (!context || !merger) return;
    this.gains.forEach((gain, channel) => {
      gain.gain.setTargetAtTime(muted[channel] ? 0 : 1, context.currentTime, 0.01);
      gain.disconnect();
      const sides = apart && this.channels > 1 && channel < 2 ? [channel] : [0, 1];
      for (const side of sides) gain.connect(merger, 0, side);
    });
  }

  close(): void {
    void this.context?.close();
    this.context = undefined;
  }
}

/** Loudness between 0 and 1 for each of `bars` equal parts of a waveform (minimum and maximum in turn, -127..127). */
export function barsOf(peaks: readonly number[], bars: number, from: number, to: number): Float32Array {
  const points = peaks.length / 2;
  const first = Math.max(0, from * points);
  const span = Math.max(0, Math.min(1, to) * points - first);
  const out = new Float32Array(bars);
  for (let bar = 0; bar < bars; bar++) {
    const start = Math.floor(first + (bar * span) / bars);
    const end = Math.max(start + 1, Math.floor(first + ((bar + 1) * span) / bars));
    let loudest = 0;
    for (let point = start; point < Math.min(end, points); point++) {
      loudest = Math.max(loudest, Math.abs(peaks[2 * point] ?? 0), Math.abs(peaks[2 * point + 1] ?? 0));
    }
    out[bar] = loudest / 127;
  }
  return out;
}

/** How much to enlarge all voices, so that a quiet call can be seen; the same for each, so that they compare. */
export function enlargement(channels: readonly (readonly number[])[]): number {
  let loudest = 0;
  for (const peaks of channels) for (const value of peaks) loudest = Math.max(loudest, Math.abs(value));
  return loudest === 0 ? 1 : Math.min(5, 127 / loudest);
}

const BAR_PX = 2;
const SPACE_PX = 1;

/** Draws rounded bars around the middle of a canvas in one colour. */
export function draw(
  canvas: HTMLCanvasElement,
  peaks: readonly number[],
  part: { from: number; to: number },
  scale: number,
  colour: string,
): void {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  if (!pen || width === 0) return;
  pen.scale(ratio, ratio);
  pen.fillStyle = colour;
  const step = BAR_PX + SPACE_PX;
  const bars = barsOf(peaks, Math.max(1, Math.floor(width / step)), part.from, part.to);
  bars.forEach((loudness, index) => {
    const tall = Math.max(1.5, Math.min(1, loudness * scale) * (height - 6));
    pen.beginPath();
    pen.roundRect(index * step, (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
    pen.fill();
  });
}
